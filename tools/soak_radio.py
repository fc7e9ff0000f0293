"""Twenty belts of the real firmware on one adapter with five slots, for minutes in real time, on each radio.

Prints how old the newest beacon of the belt that was heard worst was, at any instant (p99, at most 3 s; reports of its
sessions not counted) and when the next one came, and how long it took from when all of a belt's records were here to
when they were all here again (at most 120 s); fails beyond. Then a
thousand disconnects, after which nothing may be left over; fewer where the limit of time ends it. Both on Bumble (T1)
and on real BlueZ (T2) where QEMU is installed.
`python -m tools.soak_radio [--minutes 6] [--disconnects 1000] [--limit-s 1500] [--radio bumble box]`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

from gateway.cores.belt_session import BeltSession, Outcome
from gateway.radio import BeaconHeard, Belt, Closed, Heard, Opened, RadioEvent
from gateway.radio_link import HistoryEnd, Message
from protocol.messages import AnyRecord, LiveReport
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.ward import Tier, Ward, open_ward

BELTS, SLOTS = 20, 5
AGE_S_MAX, TURN_S_MAX = 3.0, 120.0
WARM_UP = 50  # disconnects after which caches are full
OBJECTS_MAX = 20_000


async def _rotate(radio: str, minutes: float) -> bool:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-soak-") as folder:
        async with open_ward(Tier(radio), Path(folder), BELTS) as ward:
            ward.slots(SLOTS)
            begun = time.monotonic()
            ward.listen()
            fetching = Fetching(ward)
            for minute in range(1, math.ceil(minutes) + 1):
                await fetching.until(begun + 60 * min(minute, minutes))
                print(f"soak_radio: {radio}: minute {minute} of {minutes:g}; {fetching.records} records",
                      file=sys.stderr, flush=True)
            return _judge(radio, minutes, ward, fetching, begun, time.monotonic())


class Fetching:
    """The gateway's own core asks each belt for its records; `complete`: when all that a belt had were here."""

    def __init__(self, ward: Ward) -> None:
        self.complete: dict[bytes, list[float]] = {serial: [] for serial in ward.serials}
        self.records = self.lost = 0
        self._ward = ward
        self._sessions = {serial: BeltSession(serial.hex()) for serial in ward.serials}
        self._told = dict.fromkeys(ward.serials, 0)  # newest record that the belt says it has
        self._done = 0

    async def until(self, end: float) -> None:
        """Follow what is heard until then."""
        while time.monotonic() < end:
            await asyncio.sleep(0.02)
            for at, event in self._ward.events[self._done :]:
                self._done += 1
                self._take(at, event)
            for serial, session in self._sessions.items():
                self._answer(serial, session.advance(round(1000 * time.monotonic())))

    def _take(self, at: float, event: RadioEvent) -> None:
        now_ms, serial, session = round(1000 * at), event.serial, self._sessions[event.serial]
        if isinstance(event, Opened):
            self._told[serial] = event.hello.record_seq
            self._answer(serial, session.opened(now_ms, event.hello))
        elif isinstance(event, Closed):
            session.closed(now_ms)
        elif isinstance(event, Heard):
            self._hear(now_ms, serial, session, event.message)
        else:
            return
        if not isinstance(event, Closed) and (session.next_seq or 0) > self._told[serial]:
            self.complete[serial].append(at)

    def _hear(self, now_ms: int, serial: bytes, session: BeltSession, message: Message) -> None:
        if isinstance(message, LiveReport):
            self._told[serial] = max(self._told[serial], message.record_seq)
            self._answer(serial, session.report(now_ms, message))
        elif isinstance(message, HistoryEnd):
            end = message.request_id, message.last_seq, message.oldest_seq, message.record_seq
            self._answer(serial, session.history_end(now_ms, *end))
        elif isinstance(message, AnyRecord):
            self._told[serial] = max(self._told[serial], message.seq)
            self._answer(serial, session.record(now_ms, message))

    def _answer(self, serial: bytes, outcome: Outcome) -> None:
        assert self._ward.radio is not None
        self.records += len(outcome.records)
        self.lost += outcome.lost_records is not None
        for kind, values in outcome.sends:
            self._ward.radio.send(serial, kind, values)


def _judge(radio: str, minutes: float, ward: Ward, fetching: Fetching, begun: float, ended: float) -> bool:
    ages, gaps_p99, longest, waits, turns = [], [], [], [], 0
    for serial in ward.serials:
        heard = [at for at, event in ward.events if isinstance(event, BeaconHeard) and event.serial == serial]
        gaps = sorted(_gaps(begun, heard, ended))
        ages.append(_age_in_99_of_100(gaps))
        gaps_p99.append(gaps[round(0.99 * (len(gaps) - 1))])
        longest.append(gaps[-1])
        waits.append(max(_gaps(begun, fetching.complete[serial], ended)))
        turns += sum(isinstance(event, Opened) and event.serial == serial for _, event in ward.events)
    said = (f"age of the worst belt's newest beacon p99 {max(ages):.2f} s (of the ages at which the next one came "
            f"{max(gaps_p99):.2f} s), max {max(longest):.2f} s; {turns} sessions; "
            f"{fetching.records} records, {fetching.lost} lost; every belt's were all here again after at most "
            f"{max(waits):.0f} s")
    print(f"soak_radio: {radio}: {BELTS} belts on {SLOTS} slots: {said}")
    held = max(ages) <= AGE_S_MAX and max(waits) <= TURN_S_MAX and not fetching.lost
    if held:
        add_row(MUST_SHOW, f"twenty belts on five slots ({radio})",
                f"`tools.soak_radio`: {minutes:g} minutes in real time", said)
    return held


def _age_in_99_of_100(gaps: list[float]) -> float:
    """Seconds: an age, growing from 0 in each gap, is above it in one hundredth of the time."""
    low, high, allowed_s = 0.0, max(gaps), 0.01 * sum(gaps)
    for _ in range(40):
        age = (low + high) / 2
        if sum(max(0.0, gap - age) for gap in gaps) > allowed_s:
            low = age
        else:
            high = age
    return high


def _gaps(begun: float, times: list[float], ended: float) -> list[float]:
    return [after - before for before, after in itertools.pairwise([begun, *times, ended])]


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
    parser.add_argument("--disconnects", type=int, default=1000, help="in a row; 0: none")
    parser.add_argument("--limit-s", type=float, default=1500.0, help="of the disconnects of each radio")
    can_box = shutil.which("qemu-system-x86_64") is not None
    parser.add_argument("--radio", nargs="+", choices=("bumble", "box"), default=["bumble", *(["box"] * can_box)])
    arguments = parser.parse_args()
    held = [asyncio.run(_rotate(radio, arguments.minutes)) for radio in arguments.radio if arguments.minutes]
    held += [
        asyncio.run(_disconnects(radio, arguments.disconnects, arguments.limit_s))
        for radio in arguments.radio if arguments.disconnects
    ]  # fmt: skip
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
