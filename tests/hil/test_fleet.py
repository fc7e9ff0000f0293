"""A fleet's belts live on the clock, each with the drift of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np

from hil.clock import HilClock
from hil.fleet import Fleet
from hil.radio.link import VirtualLink
from hil.synth import load
from protocol.clock_scale import ClockScale

PPM = 20_000.0


async def test_a_belt_with_a_fast_clock_has_lived_longer(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    clock = HilClock(ClockScale(now_ms, now_ms, 100))
    fleet = Fleet(clock, VirtualLink(), clock.now_ms())
    true = fleet.add(load("quiet"), tmp_path / "true", 1)
    fast = fleet.add(load("quiet"), tmp_path / "fast", 2, drift_ppm=PPM)
    await fleet.start()
    async with asyncio.timeout(60):
        while min(true.host.now_ms, fast.host.now_ms) < 300_000:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await fleet.stop()
    true_ms, fast_ms = (belt.host.boot_at_ms + belt.host.now_ms for belt in (true, fast))
    assert fast_ms > true_ms + 3_000
    assert abs(fast_ms / (1 + PPM / 1e6) - true_ms) < 3_000  # each runs in slices of a second


def test_a_belt_with_a_fast_clock_feels_the_same_body_at_the_same_time(tmp_path: Path) -> None:
    fleet = Fleet(HilClock(ClockScale()), VirtualLink(), 0)
    true = fleet.add(load("quiet"), tmp_path / "true", 1)
    fast = fleet.add(load("quiet"), tmp_path / "fast", 2, drift_ppm=PPM)
    felt = fast.host.samples.block(918_000, 510)
    assert len(felt) == 510
    assert set(true.host.samples.block(900_000, 500)) == set(felt)
    assert len(np.unique(felt)) > 5
    assert len(fast.host.samples.block(918_000, 0)) == 0
