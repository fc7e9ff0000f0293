"""Milliseconds since boot in 64 bits, from a tick counter that wraps at 2^30 (12.4 days)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TICKS_PERIOD = 1 << 30


class Uptime:
    """ms() must be called more often than once in 6 days; `ticks_ms` counts modulo 2^30 on every MicroPython port."""

    def __init__(self, ticks_ms: "Callable[[], int]") -> None:
        self._ticks_ms = ticks_ms
        self._last = ticks_ms()
        self._total_ms = 0

    def ms(self) -> int:
        """Milliseconds since this object was made."""
        ticks = self._ticks_ms()
        self._total_ms += (ticks - self._last) & (TICKS_PERIOD - 1)
        self._last = ticks
        return self._total_ms
