"""The one clock of gateway and cloud processes: monotonic to wait, UTC to remember, both on compressed time."""

import asyncio
import os
import time

from protocol.clock_scale import ENVIRONMENT, ClockScale, parse_clock_scale

__all__ = ["Clock", "until_tick_s"]


def until_tick_s(period_s: float, after_s: float = 0.0) -> float:
    """Real seconds until the running loop's time is a multiple of the period, for the first time after `after_s` s.

    What looks around every now and then waits this long, so that all of them wake a sleeping processor together.
    """
    return after_s + period_s - (asyncio.get_running_loop().time() + after_s) % period_s


class Clock:
    """Virtual milliseconds and waits; on real time unless SLEEPBELT_CLOCK (or `scale`) says otherwise."""

    def __init__(self, scale: ClockScale | None = None) -> None:
        self.scale = parse_clock_scale(os.environ.get(ENVIRONMENT)) if scale is None else scale
        # The monotonic axis is UTC at start-up carried on by the monotonic clock: a later step of the wall clock moves
        # utc_ms, never mono_ms, and the scale still finds its bend at the agreed real instant.
        self._origin_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Virtual milliseconds on an axis that never steps (its zero means nothing)."""
        return self.scale.virtual_ms(self._real_mono_ms())

    def utc_ms(self) -> int:
        """Virtual UTC milliseconds; follows the system's wall clock, steps included."""
        return self.scale.virtual_ms(time.time_ns() // 1_000_000)

    def real_delay_s(self, virtual_delay_s: float) -> float:
        """Real seconds in which `virtual_delay_s` virtual seconds will pass from now."""
        return self.scale.real_delay_s(virtual_delay_s, self._real_mono_ms())

    async def sleep(self, virtual_s: float) -> None:
        """Wait until `virtual_s` virtual seconds have passed."""
        await asyncio.sleep(self.real_delay_s(virtual_s))

    async def sleep_until_ms(self, mono_ms: int) -> None:
        """Wait until `mono_ms()` has reached the given value; returns at once if it has."""
        # A loop may wake a hair early: look again instead of trusting the timer.
        while (ahead_ms := mono_ms - self.mono_ms()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(max(0.001, self.real_delay_s(ahead_ms / 1000)))

    def _real_mono_ms(self) -> int:
        return self._origin_ms + time.monotonic_ns() // 1_000_000
