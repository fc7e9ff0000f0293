"""Emulated belts that live on the clock: each runs in slices up to virtual now and restarts when it resets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.belt.config import Config
from firmware_py.belt.ring import IOCTL_BLOCK_BYTES, IOCTL_BLOCK_COUNT, IOCTL_ERASE, Ring
from hil.belt_host import BITS, RATE_HZ, BeltHost, Identity, SilentRadio
from hil.clock import HilClock
from hil.radio.dongle import DonglePeripheral
from hil.radio.link import VirtualLink
from hil.radio.peripheral import Peripheral
from hil.synth import BedScript, Synth

__all__ = ["DrivenBelt", "Fleet", "pick_scripts", "records_on"]

SLICE_REAL_MS = 100
SLICE_VIRTUAL_MS_MAX = 1000
CATCH_UP_MS = 5000  # virtual time granted at once to a belt that is behind
LAG_REAL_S_MAX = 2.0
HANDSHAKE_TIMEOUT_REAL_MS = 30_000


class _FlashImage:
    """A belt's flash file, read only."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()

    def readblocks(self, block: int, buf: bytearray, offset: int) -> None:
        at = block * 4096 + offset
        buf[:] = self._data[at : at + len(buf)]

    def writeblocks(self, block: int, buf: bytes | bytearray, offset: int) -> None:
        raise OSError("a flash image is read only")

    def ioctl(self, operation: int, argument: int) -> int | None:
        assert operation != IOCTL_ERASE
        return {IOCTL_BLOCK_COUNT: len(self._data) // 4096, IOCTL_BLOCK_BYTES: 4096}.get(operation)


def records_on(state_directory: Path) -> Ring | None:
    """The record ring in a belt's state directory, read with the firmware's own code; None if it never ran."""
    path = state_directory / "flash.bin"
    return Ring(_FlashImage(path)) if path.exists() else None


class _NightSamples:
    """A synthesised night; belts that boot before its first sample find the bed as at its beginning.

    A belt whose clock is fast by `drift_ppm` takes its samples that much closer together.
    """

    def __init__(self, synth: Synth, drift_ppm: float) -> None:
        self._synth = synth
        self._pace = 1 + drift_ppm / 1e6

    def block(self, start: int, count: int) -> NDArray[np.int16]:
        if self._pace == 1 or count == 0:
            return self._synth.block(max(0, start), count)
        at = np.maximum(0, np.floor(np.arange(start, start + count) / self._pace)).astype(np.int64)
        first, last = int(at[0]), int(at[-1])
        return self._synth.block(first, last - first + 1)[at - first]


@dataclass
class DrivenBelt:
    """One belt of a fleet: who it is, its process, its radio and how far behind the clock it is."""

    identity: Identity
    script: BedScript
    state_directory: Path
    host: BeltHost
    radio: Peripheral
    truth_path: Path
    restarts: int = 0
    lag_s_max: float = 0.0
    drift_ppm: float = 0.0  # of its clock: above 0 it is fast
    _told_lag: bool = field(default=False, repr=False)

    def ready(self) -> dict[str, Any]:
        """What a gateway needs to know about it."""
        return {
            "serial": self.identity.serial.hex(),
            "key": self.identity.claim_secret.hex(),
            "address": str(self.radio.address).split("/")[0],
            "night": self.script.name,
            "truth": str(self.truth_path),
        }

    def summary(self) -> dict[str, Any]:
        """What it did."""
        ring = records_on(self.state_directory)
        return {
            "serial": self.identity.serial.hex(),
            "reports_sent": self.radio.reports_sent,
            "records_written": 0 if ring is None else ring.record_seq,
            "uptime_s": self.host.now_ms // 1000,
            "restarts": self.restarts,
            "lag_s_max": round(self.lag_s_max, 1),
            "truth": str(self.truth_path),
        }


class Fleet:
    """Several belts on one virtual link, driven by one clock."""

    def __init__(self, clock: HilClock, link: VirtualLink, signal_start_ms: int) -> None:
        self._clock = clock
        self._link = link
        self.signal_start_ms = signal_start_ms  # virtual UTC of each night's first sample
        self.belts: list[DrivenBelt] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._death: asyncio.Future[None]

    def add(
        self, script: BedScript, state_directory: Path, seed: int | None, controller: str | None = None,
        drift_ppm: float = 0.0,
    ) -> DrivenBelt:  # fmt: skip
        """Make one belt; its identity stays in state_directory, so a later fleet has the same belts.

        `controller`: a Bumble transport (usb:0) of a real controller to be its radio, instead of the virtual air.
        `drift_ppm`: how much faster its clock is than ours.
        """
        number = len(self.belts) + 1
        speed = max(1.0, self._clock.scale.speed)
        Identity.fresh(number, seed).write(state_directory)
        identity = Identity.read(state_directory)
        # A handshake takes real time; on a compressed clock the belt must not lose patience with it.
        Config(str(state_directory)).set(handshake_timeout_ms=int(HANDSHAKE_TIMEOUT_REAL_MS * speed))
        synth = Synth(script, rate_hz=RATE_HZ)
        truth_path = state_directory / "truth.json"
        truth_path.write_text(json.dumps(synth.truth.to_json()))
        samples = _NightSamples(synth, drift_ppm)
        host = BeltHost(state_directory, samples, rate_hz=RATE_HZ, bits=script.sensor.bits or BITS)
        address = _address_of(identity.serial)
        radio = (
            Peripheral(self._link, address, host.post, speed) if controller is None
            else DonglePeripheral(controller, address, host.post)
        )
        host.radio = radio
        belt = DrivenBelt(identity, script, state_directory, host, radio, truth_path, drift_ppm=drift_ppm)
        self.belts.append(belt)
        return belt

    async def start(self) -> None:
        """Power all belts on."""
        for belt in self.belts:
            await self.power_on(belt)
        self._death = asyncio.get_running_loop().create_future()
        self._tasks = [self._begin(belt) for belt in self.belts]

    def _begin(self, belt: DrivenBelt) -> asyncio.Task[None]:
        task = asyncio.create_task(self._drive(belt))
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Cancelled is whose power is cut: no death.
        if not task.cancelled() and (error := task.exception()) is not None and not self._death.done():
            self._death.set_exception(error)

    async def power_on(self, belt: DrivenBelt, cause: int = 1) -> None:
        """Start a belt's process now; its clock begins at zero, its flash is what it was."""
        await belt.host.start(self._belt_ms(belt), cause)

    def _belt_ms(self, belt: DrivenBelt) -> int:
        """Milliseconds since the nights' first sample by a clock that drifts as the belt's."""
        return round((self._clock.now_ms() - self.signal_start_ms) * (1 + belt.drift_ppm / 1e6))

    async def power_cut(self, belt: DrivenBelt, off_s: float) -> None:
        """SIGKILL a belt at whatever it does; it comes back after `off_s` real seconds."""
        index = self.belts.index(belt)
        self._tasks[index].cancel()
        await asyncio.gather(self._tasks[index], return_exceptions=True)
        await belt.host.kill()
        await asyncio.sleep(off_s)
        belt.restarts += 1
        await self.power_on(belt)
        self._tasks[index] = self._begin(belt)

    async def pre_live(self, belt: DrivenBelt, hours: float) -> None:
        """Let a belt live `hours` of its night at once, heard by nobody; it then starts anew with its flash."""
        index = self.belts.index(belt)
        self._tasks[index].cancel()
        await asyncio.gather(self._tasks[index], return_exceptions=True)
        await belt.host.kill()
        radio, belt.host.radio = belt.host.radio, SilentRadio()
        await belt.host.start()
        await belt.host.run_until(round(hours * 3_600_000))
        await belt.host.kill()
        belt.host.radio = radio
        await self.power_on(belt)
        self._tasks[index] = self._begin(belt)

    async def stop(self) -> None:
        """End all belts; their state directories can be used again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for belt in self.belts:
            await belt.host.stop()

    async def failed(self) -> None:
        """Returns never; raises BeltDiedError when a belt's firmware has crashed, whatever was done to the others."""
        await asyncio.shield(self._death)

    async def _drive(self, belt: DrivenBelt) -> None:
        while True:
            host = belt.host
            if host.reset_cause is not None:
                belt.restarts += 1
                await self.power_on(belt, host.reset_cause)
            target_ms = self._belt_ms(belt) - host.boot_at_ms
            behind_ms = target_ms - host.now_ms
            speed = self._clock.speed()
            slice_ms = min(SLICE_REAL_MS * speed, SLICE_VIRTUAL_MS_MAX)
            if behind_ms >= slice_ms:
                await host.run_until(min(target_ms, host.now_ms + CATCH_UP_MS))
                self._watch_lag(belt, speed)
            elif host.wake.is_set():
                await host.run_until(max(target_ms, host.now_ms + 1))
            else:
                delay_s = self._clock.real_delay_s((slice_ms - behind_ms) / 1000)
                await _wait(host.wake, max(delay_s, 0.001))

    def _watch_lag(self, belt: DrivenBelt, speed: float) -> None:
        lag_ms = self._belt_ms(belt) - belt.host.boot_at_ms - belt.host.now_ms
        belt.lag_s_max = max(belt.lag_s_max, lag_ms / 1000)
        late = lag_ms / speed > LAG_REAL_S_MAX * 1000
        if late != belt._told_lag:
            belt._told_lag = late
            name = belt.identity.serial.hex()
            text = f"is {lag_ms / 1000:.0f} s behind the clock: this machine is too slow for speed {speed:g}"
            print(f"hil: belt {name} {text if late else 'has caught up'}", file=sys.stderr)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


def _address_of(serial: bytes) -> str:
    """A random static address (two highest bits set) that follows from the serial."""
    tail = serial[-5:]
    return "F0:" + ":".join(f"{byte:02X}" for byte in tail)


def pick_scripts(scripts: Sequence[BedScript], count: int) -> list[BedScript]:
    """One script per belt; given ones are used in turn, repeated ones with another seed."""
    chosen = []
    for i in range(count):
        script = scripts[i % len(scripts)]
        chosen.append(script if i < len(scripts) else script.with_seed(script.seed + 1000 * (i // len(scripts))))
    return chosen
