"""A day of one belt in lockstep: the real firmware in the real interpreter, its tick counter wraps in the middle.

`python -m tools.soak_belt [--hours 24] [--seed 1]`. The belt lives through the same night again and again; its ticks
(2^30 ms, 12.4 days on a board) wrap in the middle. Code 1 unless all of it holds: a beacon a second and each counter
once, a minute record a minute at its uptime to the millisecond, exits as the simulator made them, a flat heap.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.aes import aes
from hil.belt_host import BeltHost, Identity, SilentRadio
from hil.fleet import records_on
from hil.synth import Synth, load
from protocol.wire import beacon, frames, session

NIGHT = "quiet"
RATE_HZ = 50
TICKS_PERIOD_MS = 1 << 30
STEP_S = 600
SETTLED_S = 900  # the heap is measured against this age
HEAP_GROWTH_MAX = 1.02
MINUTE_MS = 60_000
EXIT_COUNT = beacon.FIELDS.index("exit_count")


class Nights:
    """The samples of one night after the other."""

    def __init__(self, synth: Synth) -> None:
        self._synth = synth

    def block(self, start: int, count: int) -> NDArray[np.int16]:
        """Counts start..start+count-1 of the endless recording."""
        parts = []
        while count > 0:
            at = start % self._synth.samples_total
            part = self._synth.block(at, min(count, self._synth.samples_total - at))
            parts.append(part)
            start += part.size
            count -= part.size
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)


class CountingRadio(SilentRadio):
    """Opens every beacon with the belt's key and counts what is not its predecessor's follower."""

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self._serial = identity.serial
        self._encrypt = aes(session.beacon_key(aes, identity.claim_secret))
        self.counter = 0
        self.wrong = 0
        self.exits = 0

    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        """Check one payload."""
        super().advertise(interval_ms, connectable, data, response)
        opened = beacon.unseal(self._encrypt, self._serial, self.counter, data[7:])
        if opened is None or opened[0] != self.counter + 1:
            self.wrong += 1
            return
        self.counter = opened[0]
        self.exits = opened[1][EXIT_COUNT]


@dataclass
class Day:
    """What a soaked belt came to."""

    beacons: int
    wrong_beacons: int
    exits: int
    exits_true: int
    minutes: list[int]
    heap_bytes: list[int]

    def findings(self, seconds: int) -> list[str]:
        """What does not hold, in words; none is a pass."""
        found = []
        if self.wrong_beacons or self.beacons != seconds + 1:
            found.append(f"{self.beacons} beacons in {seconds} s, {self.wrong_beacons} of them not the next counter")
        if self.exits != self.exits_true:
            found.append(f"{self.exits} exits, the simulator made {self.exits_true}")
        strays = [at for at in self.minutes if at % MINUTE_MS]
        last = seconds * 1000 // MINUTE_MS * MINUTE_MS
        if strays or self.minutes != list(range(self.minutes[0], last + 1, MINUTE_MS)):
            found.append(f"minute records are not one a minute: {len(self.minutes)}, {len(strays)} off their minute")
        if self.heap_bytes[-1] > self.heap_bytes[0] * HEAP_GROWTH_MAX:
            found.append(f"the heap grew from {self.heap_bytes[0]} to {self.heap_bytes[-1]} bytes")
        return found


async def live(seconds: int, seed: int, folder: Path, night: str = NIGHT, say: bool = True) -> Day:
    """Run one belt for so long through `night` after night; the tick counter wraps halfway."""
    identity = Identity.fresh(1, seed)
    identity.write(folder)
    script = load(night).with_seed(seed)
    radio = CountingRadio(identity)
    ticks_start = TICKS_PERIOD_MS - seconds * 500
    host = BeltHost(folder, Nights(Synth(script, RATE_HZ)), radio, rate_hz=RATE_HZ, ticks_start=ticks_start)
    heap = []
    minutes: list[int] = []
    await host.start()
    try:
        for until_s in (*range(STEP_S, seconds, STEP_S), seconds):
            await host.run_until(until_s * 1000)
            _read_minutes(folder, minutes)
            if until_s >= min(SETTLED_S, seconds // 2):
                heap.append(await host.measure_heap())
            if say and until_s % 3600 == 0:
                print(f"soak_belt: {until_s // 3600} h, heap {heap[-1]} bytes", file=sys.stderr, flush=True)
    finally:
        await host.stop()
    return Day(radio.counter, radio.wrong, radio.exits, _exits(script.presence(), script.duration_s, seconds),
               minutes, heap)  # fmt: skip


def _exits(presence: list[tuple[float, float]], night_s: float, seconds: int) -> int:
    """Exits that the belt has had time to confirm; a night's last one is over before the next night begins."""
    settled_s = seconds - 30
    left = [end for _, end in presence if end < night_s]
    return sum(night * night_s + end <= settled_s for night in range(int(seconds // night_s) + 1) for end in left)


def _read_minutes(folder: Path, minutes: list[int]) -> None:
    """Add the uptimes of the minute records written since the last look: the ring holds only the latest hours."""
    ring = records_on(folder)
    assert ring is not None
    for seq in range(ring.oldest_seq, ring.record_seq + 1):
        record = ring.read(seq)
        if record is not None and record[2] == frames.RECORD_MINUTE and (not minutes or record[1] > minutes[-1]):
            minutes.append(record[1])


def main() -> int:
    """Print what was seen; 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak_belt", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seconds = int(options.hours * 3600)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-belt-") as folder:
        day = asyncio.run(live(seconds, options.seed, Path(folder)))
    findings = day.findings(seconds)
    print(
        f"{seconds / 3600:g} h in {time.monotonic() - began:.0f} s: {day.beacons} beacons, {len(day.minutes)} minutes, "
        f"{day.exits} exits of {day.exits_true}, heap {min(day.heap_bytes)} to {max(day.heap_bytes)} bytes, "
        f"ticks wrapped at {seconds // 2} s"
    )
    for finding in findings:
        print(f"soak_belt: {finding}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
