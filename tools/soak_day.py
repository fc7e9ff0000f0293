"""A day of a whole gateway and two belts of the real firmware over T1 on a compressed clock; everything goes wrong.

Frames are lost for two hours, the belts are out of range for one, lose power, hang up, and the gateway's adapter is
pulled out; one belt's clock is 100 ppm fast, the other's as slow. Code 1 unless all of it holds: every record on the
belts' flash is in the gateway's store exactly once, each time out of bed is one exit, each that lasts longer than
allowed is one alarm, at its deadline and not before.
`python -m tools.soak_day [--hours 24] [--speed 60]`: 24 min at that speed; a machine that cannot keep it up is told.
It always ends: whatever waits longer than the day and its allowances is printed, with where it waits, and code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path

import pytest

from tests.asleep import alarms_of
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.radio.house import PATIENCE_S, WARM_UP_S, House, check_each_arrived_once, house
from tests.ward import Tier

DAY_H = 24
ALLOWED_S = 1800
SHORT_S, LONG_S = 300, 2400  # times out of bed
LONG_HOURS = (0, 3, 11, 19)
HIDDEN_HOUR = 8  # nobody leaves bed unheard: the gateway would learn of it afterwards only
OUT_MINUTE = 20
REAL_LATE_S = 1.5
DRIFTS_PPM = (100.0, -100.0)
START_AND_END_S = WARM_UP_S + 2 * PATIENCE_S + 60.0  # a session, the last records, the comparison in the end


def outs(hours: int) -> list[tuple[str, int]]:
    """Once an hour, at an hour's minute 20."""
    return [
        (f"{hour:02}:{OUT_MINUTE}", LONG_S if hour in LONG_HOURS else SHORT_S)
        for hour in range(hours) if hour != HIDDEN_HOUR
    ]  # fmt: skip


async def _harm(home: House, hour: int) -> None:
    """What goes wrong in that hour; it begins as this is called."""
    link, fleet = home.ward.link, home.ward.fleet
    link.lose({2: 0.1, 5: 0.3}.get(hour, 0.0), seed=hour)
    if hour == HIDDEN_HOUR:
        for belt in fleet.belts:
            link.hide(belt.radio.address)
    elif hour == HIDDEN_HOUR + 1:
        for belt in fleet.belts:
            link.show(belt.radio.address)
    elif hour == 13:
        await fleet.power_cut(fleet.belts[0], off_s=0.3)
    elif hour == 16:
        fleet.belts[1].radio.hang_up_all()
    elif hour == 21:
        link.unplug_adapters()


async def _day(hours: int, speed: int, folder: Path) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        async with house(
            Tier("bumble"), folder, patch, speed, [outs(hours)] * 2, ALLOWED_S, drifts_ppm=DRIFTS_PPM
        ) as home:
            counters, belts = home.gateway.room.counters, home.ward.fleet.belts
            await home.until(lambda: counters["readings_received"] > 60, "a session")
            for hour in range(hours):
                await home.sleep_until(60 * hour)
                await _harm(home, hour)
                print(f"soak_day: hour {hour + 1} of {hours}; records {counters['records_received']}, alarms "
                      f"{counters['alarms_raised']}", file=sys.stderr, flush=True)
            await home.sleep_until(60 * hours)
            home.ward.link.lose(0.0, seed=0)
            written = [belt.summary() for belt in belts]
            await home.until_all_records_are_here()
            begin_ms = home.begin_ms
    minutes = [
        check_each_arrived_once(folder, belt, f"B{i}", one["records_written"])
        for i, (belt, one) in enumerate(zip(belts, written, strict=True))
    ]
    wanted = [60 * int(at[:2]) + OUT_MINUTE for at, for_s in outs(hours) if for_s > ALLOWED_S]
    raised = [event for event in alarms_of(folder) if event.event == "alarm_raise"]
    exits = sum(event.event == "exit" for event in alarms_of(folder))
    late_s = sorted(
        event.at.elapsed_ms / 1000 - begin_ms / 1000 - 60 * minute - ALLOWED_S
        for i in range(len(belts))
        for minute, event in zip(wanted, [event for event in raised if event.bed == f"B{i}"], strict=True)
    )
    lag_s = max(one["lag_s_max"] for one in written)
    said = (f"{minutes[0]} and {minutes[1]} minute records, each once; {exits} of {2 * len(outs(hours))} exits, "
            f"{len(raised)} of {2 * len(wanted)} alarms, {late_s[0]:.0f} to {late_s[-1]:.0f} s of the day after their "
            "deadlines")
    print(f"soak_day: {hours} h at {speed}x: {said}; the belts were up to {lag_s:.0f} s behind the clock")
    held = exits == 2 * len(outs(hours)) and late_s[0] >= 0 and late_s[-1] <= REAL_LATE_S * speed
    if held and hours == DAY_H:
        add_row(MUST_SHOW, "24 h soak (bumble)", f"`tools.soak_day`, two belts at {speed}x: loss, an hour out of "
                "range, a power cut, a hang-up, a pulled adapter, clocks of +100 and -100 ppm", said)
    return held


async def within(limit_s: float, work: Coroutine[None, None, bool]) -> bool:
    """The work's answer; what it waits for, and the end of this process with code 1, if there is none in time.

    Cancelling could wait for the same thing. Belts end with their sockets; the folder is left to be looked at.
    """
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=limit_s)
    if not task.done():
        print(f"soak_day: not over after {limit_s:.0f} s; what waits:", file=sys.stderr)
        for waiting in asyncio.all_tasks():
            waiting.print_stack(file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    return task.result()


def main() -> int:
    """0 if all of it holds."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak_day", description=__doc__)
    parser.add_argument("--hours", type=int, default=24, choices=range(1, 25), metavar="1..24")
    parser.add_argument("--speed", type=int, default=60)
    arguments = parser.parse_args()
    limit_s = 3600 * arguments.hours / arguments.speed + START_AND_END_S
    with tempfile.TemporaryDirectory(prefix="sleepbelt-soak-") as folder:
        day = _day(arguments.hours, arguments.speed, Path(folder))
        return 0 if asyncio.run(within(limit_s, day)) else 1


if __name__ == "__main__":
    sys.exit(main())
