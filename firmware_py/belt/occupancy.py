"""Is somebody in bed: three states with hysteresis, from the power of the beat band and what preceded its loss."""

EMPTY = 0
UNCLEAR = 1
OCCUPIED = 2

POWER_EMPTY = 60  # below: nobody (rms per second, 1/64 of a 10-bit count)
POWER_OCCUPIED = 110
EXIT_AFTER_BURST_S = 6
EXIT_SILENT_S = 25
ENTER_S = 4
FINISHED_MAX = 8


class Occupancy:
    """State, its age and the finished absences, one step a second; changes are dated back to when they happened."""

    def __init__(self) -> None:
        self.state = UNCLEAR
        self.state_age_s = 0
        self.exit_count = 0
        self.uptime_s = 0
        # the last FINISHED_MAX absences, (ended_uptime_s, duration_s), oldest first
        self.finished: list[tuple[int, int]] = []
        self._low_s = 0
        self._high_s = 0
        self._burst_age_s = 1000
        self._low_after_burst = False

    def second(self, level: int, burst: bool) -> None:
        """Take one second: level = beat-band rms in 1/64 count, burst = movement or clipping in it."""
        self.uptime_s += 1
        self.state_age_s += 1
        self._burst_age_s = 0 if burst else self._burst_age_s + 1
        if level < POWER_EMPTY:
            if self._low_s == 0:
                self._low_after_burst = self._burst_age_s <= 5
            self._low_s += 1
            self._high_s = 0
        else:
            if level >= POWER_OCCUPIED:
                self._high_s += 1
            self._low_s = 0
        if self.state != EMPTY:
            self._leave()
        if self.state != OCCUPIED and self._high_s >= ENTER_S:
            self._enter()

    def _leave(self) -> None:
        if self._low_s >= (EXIT_AFTER_BURST_S if self._low_after_burst else EXIT_SILENT_S):
            if self.state == OCCUPIED:
                self.exit_count += 1
            self.state = EMPTY
            self.state_age_s = self._low_s

    def _enter(self) -> None:
        if self.state == EMPTY:
            duration_s = self.state_age_s - self._high_s
            if len(self.finished) == FINISHED_MAX:
                self.finished.pop(0)
            self.finished.append((self.uptime_s - self._high_s, max(duration_s, 0)))
        self.state = OCCUPIED
        self.state_age_s = self._high_s
