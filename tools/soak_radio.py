"""Twenty belts of the real firmware on one Bumble adapter with five slots, for minutes in real time: T1 of issue 5.

Prints how old each belt's state was when the next beacon came (p99, at most 3 s) and how long each belt waited for its
turn of history (at most 120 s); fails beyond. Then a thousand disconnects, after which nothing may be left over.
`python -m tools.soak_radio [--minutes 6] [--disconnects 1000]`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import sys
import tempfile
import time
from pathlib import Path

from gateway.radio import BeaconHeard, Opened
from tests.ward import Tier, Ward, open_ward

BELTS, SLOTS = 20, 5
AGE_S_MAX, TURN_S_MAX = 3.0, 120.0


async def _rotate(minutes: float) -> bool:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-soak-") as folder:
        async with open_ward(Tier("bumble"), Path(folder), BELTS) as ward:
            ward.slots(SLOTS)
            begun = time.monotonic()
            ward.listen()
            for minute in range(round(minutes)):
                await asyncio.sleep(60)
                print(f"soak_radio: minute {minute + 1} of {minutes:g}", file=sys.stderr, flush=True)
            await asyncio.sleep(60 * (minutes % 1))
            return _judge(ward, begun, time.monotonic())


def _judge(ward: Ward, begun: float, ended: float) -> bool:
    ages: list[float] = []
    turns: list[float] = []
    for serial in ward.serials:
        for kind, found in ((BeaconHeard, ages), (Opened, turns)):
            times = [at for at, event in ward.events if isinstance(event, kind) and event.serial == serial]
            found += [after - before for before, after in itertools.pairwise([begun, *times, ended])]
    p99 = sorted(ages)[round(0.99 * (len(ages) - 1))]
    print(f"soak_radio: {BELTS} belts, {SLOTS} slots: age of a belt's state p99 {p99:.2f} s, max {max(ages):.2f} s; "
          f"longest wait for a turn {max(turns):.1f} s")
    return p99 <= AGE_S_MAX and max(turns) <= TURN_S_MAX


async def _disconnects(count: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-soak-") as folder:
        async with open_ward(Tier("bumble"), Path(folder), 1) as ward:
            ward.listen()
            await ward.until(Opened)
            tasks, objects = len(asyncio.all_tasks()), 0
            for number in range(1, count + 1):
                cut = time.monotonic()
                ward.fleet.belts[0].radio.hang_up_all()
                await ward.until(Opened, since=cut)
                ward.events.clear()
                if number == count // 2:
                    objects = len(gc.get_objects())
                if number % 100 == 0:
                    print(f"soak_radio: {number} of {count} disconnects", file=sys.stderr, flush=True)
            grown, left = len(gc.get_objects()) - objects, len(asyncio.all_tasks()) - tasks
    print(f"soak_radio: {count} disconnects: {left} tasks left over, {grown} objects more than half-way")
    return left <= 2 and grown < 20_000


def main() -> int:
    """0 if both hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak_radio", description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--disconnects", type=int, default=1000)
    arguments = parser.parse_args()
    turns = asyncio.run(_rotate(arguments.minutes))
    return 0 if asyncio.run(_disconnects(arguments.disconnects)) and turns else 1


if __name__ == "__main__":
    sys.exit(main())
