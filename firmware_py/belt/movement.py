"""Movement strength and turn-overs from the bursts in the beat band."""


class Movement:
    """Strength 0..100 of each second; a turn-over is a burst of at least three seconds, known when it ends."""

    def __init__(self) -> None:
        self.strength = 0
        self.burst = False
        self.turn_over = 0
        self.turn_over_count = 0
        self._quiet = 0
        self._burst_s = 0
        self._quiet_s = 0

    def second(self, peak: int, clipped: int, occupied: bool) -> None:
        """Take one second: peak deflection in 14-bit units and the clipped samples in it."""
        self.turn_over = 0
        if not self._quiet:
            self._quiet = peak
        ratio = peak * 16 // (self._quiet + 64)
        self.burst = clipped > 0 or ratio > 40
        self.strength = 100 if clipped > 10 else min(100, max(0, (ratio - 24) // 2))
        if self.burst:
            self._burst_s += 1
            self._quiet_s = 0
            return
        self._quiet += (peak - self._quiet) // 8
        self._quiet_s += 1
        if self._quiet_s == 2:
            if self._burst_s >= 3 and occupied:
                self.turn_over = 1
                self.turn_over_count += 1
            self._burst_s = 0
