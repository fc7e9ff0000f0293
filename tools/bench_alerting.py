"""From eight alarms raised in one instant to the relay, the light and an open page, while one channel hangs for ever.

The whole gateway runs: store, web server over TCP, the relay's own process; pins are mock, the belts speak directly.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from gateway.alerter.channel import Channel, Delivery
from gateway.alerter.signal import Signal
from gateway.app import Gateway
from gateway.config import load_config
from gateway.radio import Heard, Opened
from gateway.web.port import Bed
from protocol.clock_scale import ENVIRONMENT
from tests.gateway.cores.belt_talk import hello, report
from tests.gateway.small_gateway import SpokenRadio
from tools.bench_rows import Row, print_rows, row

BEDS = 8
ROUNDS = 30
SPEED = 10
LIMIT_S = 2.0
SOURCE = "issue 3: raise -> relay, light, page each within 2 s"
ENDS = ("relay", "light", "page")
SERIALS = [bytes([*range(7), number]) for number in range(BEDS)]
LABELS = [f"10{number}" for number in range(BEDS)]

Told = Callable[[Channel, Delivery], None]


class _Belts:
    """Eight belts that report once a virtual second."""

    def __init__(self, gateway: Gateway, radio: SpokenRadio) -> None:
        self._gateway, self._radio = gateway, radio
        self._booted_ms = gateway.clock.elapsed_ms() - 1_000_000
        self._occupancy, self._since_ms = "occupied", self._booted_ms

    async def run(self) -> None:
        for serial in SERIALS:
            self._radio.events.put_nowait(Opened(serial, self._gateway.clock.elapsed_ms(), hello(uptime_s=1000)))
        while True:
            # By the clock and not by counting: a belt whose time lags is taken for one whose reports are late.
            now_ms = self._gateway.clock.elapsed_ms()
            uptime_s, age_s = (now_ms - self._booted_ms) / 1000, (now_ms - self._since_ms) // 1000
            for serial in SERIALS:
                self._radio.events.put_nowait(Heard(serial, now_ms, report(uptime_s, self._occupancy, age_s)))
            await self._gateway.clock.sleep(1.0)

    def become(self, occupancy: str) -> None:
        self._occupancy, self._since_ms = occupancy, self._gateway.clock.elapsed_ms()


class _Arrivals:
    """When each end first showed each bed's alarm in this round."""

    def __init__(self) -> None:
        self.at_s: dict[tuple[str, str], float] = {}
        self._all = asyncio.Event()

    def begin(self) -> None:
        self.at_s.clear()
        self._all.clear()

    def shown(self, end: str, beds: Iterable[str]) -> None:
        for bed in beds:
            self.at_s.setdefault((end, bed), time.monotonic())
        if len(self.at_s) == BEDS * len(ENDS):
            self._all.set()

    async def all(self) -> dict[tuple[str, str], float]:
        async with asyncio.timeout(30):
            await self._all.wait()
        return dict(self.at_s)


async def _read_page(address: str, arrivals: _Arrivals) -> None:
    """A wall board's stream, as a browser has it."""
    url = urlsplit(address)
    assert url.hostname is not None
    assert url.port is not None
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1 << 22)
    writer.write(f"GET /stream HTTP/1.1\r\nHost: {url.hostname}:{url.port}\r\n\r\n".encode())
    while line := await reader.readline():
        if line.startswith(b"data: "):
            arrivals.shown("page", [alarm["bed"] for alarm in json.loads(line[6:]).get("alarms", [])])


def _hanging(released: threading.Event) -> Channel:
    """A channel whose hardware never answers and holds its thread, as a stuck bus does."""
    thread = ThreadPoolExecutor(1, "hanging")

    async def show(_: Signal) -> None:
        await asyncio.get_running_loop().run_in_executor(thread, released.wait)

    return Channel("hanging", show, lambda: thread.shutdown(wait=False))


async def _until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not wanted():  # noqa: ASYNC110 (the gateway has no event for this)
            await asyncio.sleep(0.005)


async def _rounds(gateway: Gateway, belts: _Belts, arrivals: _Arrivals, rounds: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {end: [] for end in ENDS}

    def beds() -> list[Bed]:
        return gateway.port.snapshot()["beds"]

    for _ in range(rounds):
        belts.become("occupied")
        await _until(lambda: all(bed["armed"] and bed["state"] == "present" for bed in beds()))
        arrivals.begin()
        belts.become("empty")
        await _until(lambda: all(bed["deadline_ms"] is not None for bed in beds()))
        due_ms = {bed["bed"]: bed["deadline_ms"] or 0 for bed in beds()}
        assert max(due_ms.values()) - min(due_ms.values()) < 1000, "not at once"
        now_s, now_ms = time.monotonic(), gateway.clock.elapsed_ms()
        at_s = await arrivals.all()
        for (end, bed), shown_s in at_s.items():
            took[end].append(shown_s - now_s - (due_ms[bed] - now_ms) / 1000 / SPEED)
        for label in LABELS:
            await gateway.port.act(label, "acknowledge", "bench")
    return took


async def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Real seconds from each bed's deadline until each of ENDS shows its alarm; needs `clock()` in the environment."""
    beds = "".join(
        f'[[beds]]\nlabel = "{label}"\nserial = "{serial.hex()}"\nkey = "{"11" * 16}"\n[beds.overrides]\n'
        "windows = [{ all_day = true }]\nallowed_s = 8\nexit_confirm_s = 1\nentry_confirm_s = 1\nsettle_s = 2\n"
        for label, serial in zip(LABELS, SERIALS, strict=True)
    )
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nid = "bench"\ndata_dir = "data"\ntime_trust = "always"\n'
        '[web]\nhost = "127.0.0.1"\nport = 0\nopen_access = true\n'
        f"[alerter]\nlight_pin = 27\nrelay_pin = 22\nmock_pins = true\n{beds}",
        "utf-8",
    )
    file.chmod(0o600)
    radio = SpokenRadio()
    gateway = await Gateway.start(load_config(file), lambda *_: radio)
    released = threading.Event()
    arrivals = _Arrivals()
    channels = gateway._alerting.alerter.channels
    for channel in channels:
        if channel.name in ENDS and channel.name != "page":
            channel.on_delivery = _observed(channel.on_delivery, arrivals)
    channels.insert(0, _hanging(released))
    belts = _Belts(gateway, radio)
    tasks = [asyncio.create_task(work) for work in (
        gateway.run(), belts.run(), _read_page(gateway.page, arrivals)
    )]  # fmt: skip
    try:
        took = await _rounds(gateway, belts, arrivals, rounds)
        assert gateway._alerting.alerter.failing().keys() <= {"hanging"}
    finally:
        released.set()
        for task in tasks[1:]:
            task.cancel()
        gateway.stop()
        await asyncio.wait(tasks)
    return took


def _observed(stored: Told, arrivals: _Arrivals) -> Told:
    def delivered(channel: Channel, delivery: Delivery) -> None:
        stored(channel, delivery)
        if not delivery.error and not delivery.signal.steady:
            arrivals.shown(channel.name, delivery.signal.beds)

    return delivered


def _rows(took: dict[str, list[float]]) -> list[Row]:
    rows = [row("alerting: alarms measured (8 at once, one channel hung)", len(took["page"]), "alarms")]
    for end, values in took.items():
        for figure, value in (
            ("median", statistics.median(values)), ("p99", sorted(values)[-1 - len(values) // 100])
        ):  # fmt: skip
            rows.append(row(f"alerting: deadline -> {end}, {figure}", value, "s", LIMIT_S, source=SOURCE))
    return rows


def clock() -> dict[str, str]:
    """The environment of a clock that runs at SPEED from now on."""
    now_s = time.time()
    return {ENVIRONMENT: f"{now_s:.3f},{now_s:.3f},{SPEED}"}


def main() -> None:
    os.environ.update(clock())
    with tempfile.TemporaryDirectory() as folder:
        print_rows(_rows(asyncio.run(measure(Path(folder), ROUNDS))))


if __name__ == "__main__":
    main()
