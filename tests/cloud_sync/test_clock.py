"""The processes' clock: monotonic, scaled, and never early."""

from __future__ import annotations

import time

from cloud_sync.clock import Clock
from protocol.clock_scale import REAL_TIME, ClockScale


def test_without_a_scale_utc_is_the_systems() -> None:
    before_ms = time.time_ns() // 1_000_000
    assert before_ms <= Clock(REAL_TIME).utc_ms() <= time.time_ns() // 1_000_000


async def test_a_wait_for_a_virtual_instant_is_short_and_never_early() -> None:
    clock = Clock(ClockScale(0, 0, 600.0))
    target_ms = clock.mono_ms() + 30_000
    began_s = time.monotonic()
    await clock.sleep_until_ms(target_ms)
    assert clock.mono_ms() >= target_ms
    assert time.monotonic() - began_s < 5


async def test_an_instant_that_has_passed_is_not_waited_for() -> None:
    clock = Clock(REAL_TIME)
    await clock.sleep_until_ms(clock.mono_ms() - 1)
