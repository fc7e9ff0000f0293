"""The soak of one belt, in short, and that it notices what it is there to notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools.soak_belt import Day, live

SECONDS = 720
GOOD = Day(121, 0, 1, 1, [60_000, 120_000], [100_000, 101_000])


async def test_a_belt_lives_through_the_wrap_of_its_ticks_without_drift_or_leak(tmp_path: Path) -> None:
    day = await live(SECONDS, 1, tmp_path, night="short_exit", say=False)
    assert day.findings(SECONDS) == []
    assert day.exits_true >= 2


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (replace(GOOD, wrong_beacons=1), "next counter"),
        (replace(GOOD, beacons=120), "120 beacons"),
        (replace(GOOD, exits=2), "2 exits"),
        (replace(GOOD, minutes=[60_000, 120_004]), "1 off their minute"),
        (replace(GOOD, minutes=[60_000]), "one a minute"),
        (replace(GOOD, heap_bytes=[100_000, 103_000]), "heap grew"),
    ],
)
def test_what_does_not_hold_is_said(day: Day, words: str) -> None:
    assert GOOD.findings(120) == []
    (finding,) = day.findings(120)
    assert words in finding
