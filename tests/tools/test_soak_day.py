"""The soak of a day always ends, and says what it waited for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.soak_day import HIDDEN_HOUR, LONG_HOURS, outs

ROOT = Path(__file__).parents[2]
STUCK = """
import asyncio
from tools.soak_day import within

async def cannot_be_cancelled():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

asyncio.run(within(0.2, cannot_be_cancelled()))
"""


def test_what_never_ends_is_ended_with_code_1_and_where_it_waits() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "not over after 0 s" in ended.stderr
    assert "cannot_be_cancelled" in ended.stderr


def test_nobody_leaves_bed_unheard_and_the_long_absences_are_among_the_others() -> None:
    hours = [int(at[:2]) for at, _ in outs(24)]
    assert HIDDEN_HOUR not in hours
    assert set(LONG_HOURS) < set(hours)
    assert len(hours) == 23
