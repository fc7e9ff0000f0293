"""The deadline loop on virtual time: a belt that reports each second, nights of absences, alarms at their deadlines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.alerter.signal import Signal
from gateway.clock import ELAPSED_FIRST_MS
from gateway.deadlines import meet_deadlines
from gateway.radio import Heard, Opened
from gateway.room import Room
from gateway.store_files import Writes
from tests.gateway.cores.belt_talk import SERIAL, hello, report
from tests.gateway.small_gateway import configuration
from tests.gateway.steered_clock import SteeredClock

START_UTC_MS = 1_795_442_400_000  # 2026-11-23 22:00 in Shanghai
NIGHTS = 6
ABSENCES = 3
ALLOWED_S = 240
RECOGNISED_S = 6
"""A belt says "empty" this long after the resident has left, and says since when."""

pytestmark = pytest.mark.asyncio(loop_factories=["virtual"])


class Night:
    """A room on the loop's clock, what its belt says, and when the alerter was told of which sound."""

    def __init__(self, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.clock = SteeredClock(lambda: round(loop.time() * 1000), START_UTC_MS)
        config = configuration(folder, f"allowed_s = {ALLOWED_S}\nsettle_s = 30\n")
        self.stored: list[Writes] = []
        self.alarmed_ms: list[int] = []
        self._silent = True
        self._woken = asyncio.Event()
        self.room = Room(config, self.clock, None, self.stored.append, lambda *_: True, self._alert, self._changed)

    def _alert(self, signal: Signal) -> None:
        if signal.sound and self._silent:
            self.alarmed_ms.append(self.clock.elapsed_ms())
        self._silent = not signal.sound

    def _changed(self, urgent: bool) -> None:
        if urgent:
            self._woken.set()

    async def play(self, left_s: list[float], out_s: list[float], lasts_s: int) -> None:
        """Let the belt report each second; the resident leaves at `left_s` for `out_s`."""
        loop = asyncio.get_running_loop()
        self.room.start()
        deadlines = asyncio.create_task(meet_deadlines(self.room, self.clock, self._woken, lambda: None))
        self.room.radio_event(Opened(SERIAL, self.clock.elapsed_ms(), hello(uptime_s=1000)))
        for second in range(1, lasts_s):
            await asyncio.sleep(second - loop.time())
            state, since_s = _belt_says(second, left_s, out_s)
            said = report(1000 + second, state, round(second - since_s))
            self.room.radio_event(Heard(SERIAL, self.clock.elapsed_ms(), said))
        deadlines.cancel()
        await asyncio.wait([deadlines])


def _belt_says(second: float, left_s: list[float], out_s: list[float]) -> tuple[str, float]:
    state, since_s = "occupied", -500.0
    for left, out in zip(left_s, out_s, strict=True):
        if second >= left + RECOGNISED_S:
            state, since_s = "empty", left
        if second >= left + out + RECOGNISED_S:
            state, since_s = "occupied", left + out
    return state, since_s


def _absences(seed: int) -> Iterator[tuple[float, float]]:
    rng = random.Random(seed)
    at_s = 60.0
    for _ in range(ABSENCES):
        at_s += rng.uniform(60, 200)
        out_s = rng.choice([ALLOWED_S / 2, ALLOWED_S + 90])
        yield round(at_s), out_s  # whole seconds, as the belt tells its age
        at_s += out_s


@pytest.mark.parametrize("seed", range(NIGHTS))
async def test_alarms_of_a_night_come_at_most_a_second_after_their_deadlines_and_never_before(
    tmp_path: Path, seed: int
) -> None:
    left_s, out_s = (list(column) for column in zip(*_absences(seed), strict=True))
    night = Night(tmp_path)
    await night.play(left_s, out_s, round(left_s[-1] + out_s[-1]) + 120)
    due_s = [left + ALLOWED_S for left, out in zip(left_s, out_s, strict=True) if out > ALLOWED_S]
    late_s = [(at - ELAPSED_FIRST_MS) / 1000 - due for at, due in zip(night.alarmed_ms, due_s, strict=True)]
    assert all(0 <= late <= 1.0 for late in late_s), late_s


async def test_an_alarm_of_a_belt_that_fell_silent_comes_at_its_deadline(tmp_path: Path) -> None:
    night = Night(tmp_path)
    await night.play([100.0], [10_000.0], 110)
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(meet_deadlines(night.room, night.clock, asyncio.Event(), lambda: None))
    await asyncio.sleep(400 - loop.time())
    task.cancel()
    assert [at - ELAPSED_FIRST_MS for at in night.alarmed_ms] == [pytest.approx(340_000, abs=2)]


async def test_a_wall_clock_that_is_set_during_the_absence_moves_no_deadline(tmp_path: Path) -> None:
    night = Night(tmp_path)
    loop = asyncio.get_running_loop()
    loop.call_at(200, lambda: night.clock.step_utc(-7_200_000))
    loop.call_at(250, lambda: night.clock.step_utc(10_800_000))
    await night.play([100.0], [10_000.0], 400)
    assert [at - ELAPSED_FIRST_MS for at in night.alarmed_ms] == [pytest.approx(340_000, abs=2)]
