"""Virtual time of emulated belts: the demo's compressed clock (SLEEPBELT_CLOCK) or real time."""

from __future__ import annotations

import os
import time

from protocol.clock_scale import ENVIRONMENT, ClockScale, parse_clock_scale

__all__ = ["HilClock"]


class HilClock:
    """Milliseconds of virtual UTC on an axis that follows the monotonic clock, so it never steps."""

    def __init__(self, scale: ClockScale | None = None) -> None:
        self.scale = parse_clock_scale(os.environ.get(ENVIRONMENT)) if scale is None else scale
        self._origin_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        """Virtual UTC milliseconds."""
        return self.scale.virtual_ms(self._real_ms())

    def real_delay_s(self, virtual_delay_s: float) -> float:
        """Real seconds in which that many virtual seconds will pass from now."""
        return self.scale.real_delay_s(virtual_delay_s, self._real_ms())

    def speed(self) -> float:
        """Virtual seconds per real second just now."""
        return self.scale.speed if self._real_ms() >= self.scale.real_start_ms else 1.0

    def _real_ms(self) -> int:
        return self._origin_ms + time.monotonic_ns() // 1_000_000
