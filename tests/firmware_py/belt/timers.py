"""A board's clock and a periodic timer of 100 Hz that flash erases hold up, as on RP2."""

from __future__ import annotations

from firmware_py.belt.timer_ring import TimerRing
from firmware_py.belt.uptime import TICKS_PERIOD

PERIOD_MS = 10


class ShakyTimer:
    """ring() hangs on it; the n-th period's sample has the value n + 1 (modulo 2048). now_ms counts from 0."""

    def __init__(self, ticks_start: int = 0) -> None:
        self.now_ms = 0
        self._start = ticks_start
        self._due_ms = PERIOD_MS

    def ring(self) -> TimerRing:
        self._ring = TimerRing(self._sample, lambda rate_hz, tick: None, self.ticks_ms, 1000 // PERIOD_MS)
        self._ring.start()
        return self._ring

    def ticks_ms(self) -> int:
        return (self._start + self.now_ms) % TICKS_PERIOD

    def run(self, ms: int) -> None:
        end = self.now_ms + ms
        while self._due_ms <= end:
            self.now_ms = self._due_ms
            self._due_ms += PERIOD_MS
            self._ring.tick(None)
        self.now_ms = end

    def erase(self, ms: int, burst: bool) -> None:
        """No tick for so long; then those that fell into it come at once, or never."""
        self.now_ms += ms
        while self._due_ms <= self.now_ms:
            self._due_ms += PERIOD_MS
            if burst:
                self._ring.tick(None)

    def _sample(self) -> int:
        return self.now_ms // PERIOD_MS % 2048 << 4
