"""relay process: the contact follows the heartbeats, and falls when the gateway is killed or hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from gateway.alerter.relay import RelayLink
from gateway.alerter.relay_process import Contact, serve
from gateway.alerter.signal import QUIET, Signal
from gateway.cores.relay import RelayCore, answer, beat
from tests.gateway.small_gateway import configuration

ALARM = Signal("high", "high", False, ("A",))
RELAY_PIN, PULSE_PIN = 22, 23
PROMISED_S = 10.0


@dataclass
class Bench:
    """A contact on mock pins, served over one end of a socket pair in a thread; the test has the other end."""

    factory: MockFactory
    link: socket.socket
    thread: threading.Thread

    def say(self, packet: bytes) -> bytes:
        self.link.send(packet)
        return self.link.recv(64)

    def level(self, pin: int) -> bool:
        return bool(self.factory.pin(pin).state)


@pytest.fixture(params=[False, True], ids=["active-high", "active-low"])
def active_low(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def bench(active_low: bool) -> Iterator[Bench]:
    factory = MockFactory()
    contact = Contact(RELAY_PIN, active_low, PULSE_PIN, True, factory)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(5)
    thread = threading.Thread(target=serve, args=(RelayCore(True), contact, None, theirs))
    thread.start()
    yield Bench(factory, ours, thread)
    ours.close()
    thread.join(5)
    assert not thread.is_alive()


def test_the_pin_follows_beats_and_calls(bench: Bench, active_low: bool) -> None:
    assert bench.level(RELAY_PIN) is active_low
    assert bench.say(beat(1, False)) == answer(1, True)
    assert bench.level(RELAY_PIN) is not active_low
    assert bench.say(beat(2, True)) == answer(2, False)
    assert bench.level(RELAY_PIN) is active_low


def test_the_timers_pin_pulses_while_the_contact_is_held(bench: Bench) -> None:
    bench.say(beat(1, False))
    pin = bench.factory.pin(PULSE_PIN)
    until_s = time.monotonic() + 5
    while len(pin.states) < 4 and time.monotonic() < until_s:
        bench.say(beat(2, False))
    assert len(pin.states) >= 4
    bench.say(beat(3, True))
    assert not bench.level(PULSE_PIN)


def test_a_packet_that_is_no_beat_changes_nothing(bench: Bench, active_low: bool) -> None:
    bench.link.send(b"SBB9\x00\x00")
    assert bench.say(beat(1, False)) == answer(1, True)


def test_the_links_end_lets_the_contact_go(bench: Bench, active_low: bool) -> None:
    bench.say(beat(1, False))
    bench.link.close()
    bench.thread.join(5)
    # A closed device leaves its mock pin an input; what it did last was to let go.
    assert bool(bench.factory.pin(RELAY_PIN).states[-1].state) is active_low


async def test_the_gateways_end_starts_its_process_calls_and_restarts_it() -> None:
    relay = RelayLink(["--pin", "22", "--mock"], True)
    troubles: list[str] = []
    healed = asyncio.Event()

    def tell(error: str) -> None:
        troubles.append(error)
        if not error:
            healed.set()

    relay.on_trouble = tell
    with pytest.raises(OSError, match="does not run"):
        await relay.show(QUIET)
    task = asyncio.create_task(relay.run())
    try:
        await _shown(relay, QUIET)
        await relay.show(ALARM)
        assert relay.process_id is not None
        os.kill(relay.process_id, signal.SIGKILL)
        await asyncio.wait_for(healed.wait(), 10)
        assert "has gone" in troubles[0]
        await relay.show(ALARM)
        await relay.show(QUIET)
        await relay.test()
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert relay.process_id is None


async def _shown(relay: RelayLink, signal_shown: Signal) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                return await relay.show(signal_shown)
            except OSError:
                await asyncio.sleep(0.05)


async def test_without_its_unit_the_trouble_names_the_socket(tmp_path: Path) -> None:
    relay = RelayLink([], True, tmp_path / "relay.sock")
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    relay.on_trouble = told.set_result
    task = asyncio.create_task(relay.run())
    try:
        assert "relay.sock: No such file or directory; start the relay's unit" in await asyncio.wait_for(told, 5)
    finally:
        task.cancel()
        await asyncio.wait([task])


# -- the whole gateway, in real time ---------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("unit", "child", "hangs")]
    for folder in folders:
        folder.mkdir()
    return folders


async def test_a_gateway_killed_or_hanging_opens_the_contact_within_ten_seconds(folders: list[Path]) -> None:
    unit, child, hangs = folders
    # Together, because each waits for the heartbeats' limit in real time.
    cases = (_killed_with_a_unit(unit), _killed_with_its_child(child), _stopped(hangs))
    for took_s, why in await asyncio.gather(*cases):
        assert took_s <= PROMISED_S, why


async def _killed_with_a_unit(folder: Path) -> tuple[float, str]:
    path = folder / "relay.sock"
    relay = await _python("gateway.alerter.relay_process", "--pin", "22", "--mock", "--socket", str(path))
    await _line(relay, "relay: open: no gateway")
    gateway = await _gateway(folder, f'relay_socket = "{path}"\n')
    await _line(relay, "relay: energised")
    gateway.kill()
    began_s = time.monotonic()
    why = await _line(relay, "relay: open")
    took_s = time.monotonic() - began_s
    assert "no heartbeat for 8 s" in why
    relay.terminate()
    assert await relay.wait() == 0
    await gateway.wait()
    return took_s, why


async def _killed_with_its_child(folder: Path) -> tuple[float, str]:
    gateway = await _gateway(folder, "")
    await _line(gateway, "relay: energised")
    gateway.kill()
    began_s = time.monotonic()
    why = await _line(gateway, "relay: open: no gateway")
    took_s = time.monotonic() - began_s
    assert gateway.stderr is not None
    async with asyncio.timeout(5):
        await gateway.stderr.read()  # ends when the child has ended too
    await gateway.wait()
    return took_s, why


async def _stopped(folder: Path) -> tuple[float, str]:
    gateway = await _gateway(folder, "")
    await _line(gateway, "relay: energised")
    gateway.send_signal(signal.SIGSTOP)
    began_s = time.monotonic()
    why = await _line(gateway, "relay: open: no heartbeat")
    took_s = time.monotonic() - began_s
    gateway.kill()
    await gateway.wait()
    return took_s, why


async def _gateway(folder: Path, more: str) -> Process:
    config = configuration(folder, more=f"relay_pin = {RELAY_PIN}\n{more}")
    return await _python("tests.gateway.spoken_gateway", str(config.file))


async def _python(module: str, *arguments: str) -> Process:
    root = Path(__file__).parents[2]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=root, stderr=PIPE, stdout=asyncio.subprocess.DEVNULL
    )


async def _line(process: Process, begin: str) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := (await process.stderr.readline()).decode():
            if line.startswith(begin):
                return line
    raise AssertionError(f"ended without {begin!r}")
