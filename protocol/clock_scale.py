"""Compressed time as arithmetic: a virtual clock that runs at 1x up to one real instant and at `speed` after it.

No clock is read here; callers pass what their clock says. The environment variable that carries a scale from the demo
to its processes is `SLEEPBELT_CLOCK="<real_unix_s>,<virtual_unix_s>,<speed>"`.
"""

from dataclasses import dataclass

__all__ = ["ENVIRONMENT", "REAL_TIME", "ClockScale", "parse_clock_scale"]

ENVIRONMENT = "SLEEPBELT_CLOCK"
SPEED_MAX = 3600.0


@dataclass(frozen=True)
class ClockScale:
    """Virtual time = virtual_start + (real - real_start) x (1 before real_start, `speed` after it); milliseconds."""

    real_start_ms: int = 0
    virtual_start_ms: int = 0
    speed: float = 1.0

    def virtual_ms(self, real_unix_ms: int) -> int:
        """The virtual UTC milliseconds that a real Unix time in milliseconds stands for."""
        passed_ms = real_unix_ms - self.real_start_ms
        return self.virtual_start_ms + (round(passed_ms * self.speed) if passed_ms > 0 else passed_ms)

    def real_ms(self, virtual_utc_ms: int) -> int:
        """Inverse of `virtual_ms`, rounded up: at that real time the virtual instant has been reached."""
        passed_ms = virtual_utc_ms - self.virtual_start_ms
        return self.real_start_ms + (-int(-passed_ms // self.speed) if passed_ms > 0 else passed_ms)

    def real_delay_s(self, virtual_delay_s: float, real_unix_ms: int) -> float:
        """Real seconds to wait from `real_unix_ms` until `virtual_delay_s` virtual seconds have passed."""
        if virtual_delay_s <= 0:
            return 0.0
        slow_s = max(0.0, (self.real_start_ms - real_unix_ms) / 1000)  # still at 1x
        if virtual_delay_s <= slow_s:
            return virtual_delay_s
        return slow_s + (virtual_delay_s - slow_s) / self.speed

    def text(self) -> str:
        """The value for SLEEPBELT_CLOCK."""
        return f"{self.real_start_ms / 1000:.3f},{self.virtual_start_ms / 1000:.3f},{self.speed:g}"


REAL_TIME = ClockScale()


def parse_clock_scale(text: str | None) -> ClockScale:
    """ClockScale from SLEEPBELT_CLOCK; None or empty is real time; ValueError says what is wrong with the text."""
    if not text:
        return REAL_TIME
    parts = text.split(",")
    try:
        real_s, virtual_s, speed = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"{ENVIRONMENT}={text!r}: three numbers belong there: real_unix_s,virtual_unix_s,speed"
        ) from None
    if not (abs(real_s) < 1e11 and abs(virtual_s) < 1e11 and 0 < speed <= SPEED_MAX):
        raise ValueError(f"{ENVIRONMENT}={text!r}: speed must be above 0 and at most {SPEED_MAX:g}")
    return ClockScale(round(real_s * 1000), round(virtual_s * 1000), speed)
