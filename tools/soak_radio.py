"""Twenty belts of the real firmware on one Bumble adapter with five slots, for minutes in real time: T1 of issue 5.

Prints how old each belt's state was when the next beacon came (p99, at most 3 s) and how long each belt waited for its
turn of history (at most 120 s); fails beyond. Then a thousand disconnects, after which nothing may be left over; the
same on real BlueZ (T2) where QEMU is installed; fewer where the limit of time ends it.
`python -m tools.soak_radio [--minutes 6] [--disconnects 1000] [--limit-s 1500] [--radio bumble box]`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path

from gateway.radio import BeaconHeard, Belt, Closed, Opened
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.ward import Tier, Ward, open_ward

BELTS, SLOTS = 20, 5
AGE_S_MAX, TURN_S_MAX = 3.0, 120.0
WARM_UP = 50  # disconnects after which caches are full
OBJECTS_MAX = 20_000


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


async def _disconnects(radio: str, count: int, limit_s: float) -> bool:
    """`count` hang-ups in a row, or as many as the time allows; whether tasks, objects and bus connections stay."""
    with tempfile.TemporaryDirectory(prefix="sleepbelt-soak-") as folder:
        async with open_ward(Tier(radio), Path(folder), 1) as ward:
            ward.listen()
            await ward.until(Opened)
            number, begun, before, half = 0, time.monotonic(), await _held(ward, radio), 0
            while number < count and time.monotonic() - begun < limit_s:
                number += 1
                await _hang_up(ward)
                if number == WARM_UP:
                    half = len(gc.get_objects())
                if number % 50 == 0:
                    print(f"soak_radio: {radio}: {number} of {count} disconnects", file=sys.stderr, flush=True)
            after, took_s = await _held(ward, radio), time.monotonic() - begun
            gc.collect()
            grown = len(gc.get_objects()) - half
    print(f"soak_radio: {radio}: {number} disconnects in {took_s:.0f} s, each followed by a session; tasks {before[0]} "
          f"-> {after[0]}, connections to the bus {before[1]} -> {after[1]}, objects {grown:+d} since number {WARM_UP}")
    held = number >= WARM_UP and after[0] <= before[0] + 2 and after[1] <= before[1] and grown < OBJECTS_MAX
    if held:
        bus = f", connections to the bus {before[1]} before, {after[1]} after" if radio == "box" else ""
        add_row(MUST_SHOW, f"a belt hangs up again and again ({radio})", f"`tools.soak_radio`: {number:,} disconnects",
                f"each followed by a session, in {took_s:.0f} s; tasks {before[0]} before, {after[0]} after{bus}")
    return held


async def _hang_up(ward: Ward) -> None:
    """One disconnect by the belt and the session after it, without the pause that a belt which does this earns."""
    assert ward.radio is not None
    cut = time.monotonic()
    ward.fleet.belts[0].radio.hang_up_all()
    await ward.until(Closed, since=cut)
    identity = ward.fleet.belts[0].identity
    ward.radio.put(Belt(identity.serial, identity.claim_secret), hurry=True)
    await ward.until(Opened, since=cut)
    ward.events.clear()


async def _held(ward: Ward, radio: str) -> tuple[int, int]:
    """(tasks of this process, clients of the box's D-Bus); the second is 0 where there is no box."""
    return len(asyncio.all_tasks()), await ward.bus_connections() if radio == "box" else 0


def main() -> int:
    """0 if all hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak_radio", description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0, help="of twenty belts on five slots; 0: none")
    parser.add_argument("--disconnects", type=int, default=1000)
    parser.add_argument("--limit-s", type=float, default=1500.0, help="of the disconnects of each radio")
    can_box = shutil.which("qemu-system-x86_64") is not None
    parser.add_argument("--radio", nargs="+", choices=("bumble", "box"), default=["bumble", *(["box"] * can_box)])
    arguments = parser.parse_args()
    held = [asyncio.run(_rotate(arguments.minutes))] if arguments.minutes else []
    held += [asyncio.run(_disconnects(radio, arguments.disconnects, arguments.limit_s)) for radio in arguments.radio]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
