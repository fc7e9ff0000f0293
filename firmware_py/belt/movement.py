"""Movement strength and turn-overs.

A burst alone does not tell a turn from a shrug: after a turn the heart lies differently on the sensor. So what the
beats and the breath look like after a burst is compared with before: strength, upward and downward peaks, ring
frequency, depth of breathing.
"""

from array import array

BURST_RATIO_16 = 42  # peak over 2.6 times the usual one
QUIET_PEAK_DEFAULT = 60 * 16  # 14-bit units, when nobody has been in bed yet
STRANGER_PEAK = 140 * 16  # beats of whoever comes stay below this, hands on the mattress do not
QUIET_PEAK_MIN = 4 * 16
JOIN_S = 2  # bursts this close are one movement
LASTING_S = 8
SETTLE_S = 2  # seconds after a burst that do not count for the look of the beats
LOOK_S = 8
LOOKS = 5
TURN_SCORE = 72  # 5 a burst second (10 if it clips) plus the change of looks in percent; shrugs 10-70, turns 75-250
TURN_WEIGHT_MIN = 4  # burst seconds (2 if they clip): what is shorter is a shrug, however the beats look after it
KNOWN_S = 5  # seconds of looks before a burst, without which nothing is compared: somebody who just came settles down
SAT_UP_PERCENT = 45  # beats this much weaker than before: turned onto a weak side, or sitting on the edge
SAT_UP_S = 45  # so long it stays open which of the two; who gets up meanwhile has not turned over


class Movement:
    """Strength 0..100 and burst of each second; turn_over is 1 in the second a turn-over is recognised."""

    def __init__(self) -> None:
        self.strength = 0
        self.burst = False
        self.turn_over = 0
        self.turn_over_count = 0
        self.usual_peak = QUIET_PEAK_DEFAULT
        self._known_s = 0  # seconds somebody has been in bed
        self._run_s = 0
        self._burst_s = 0
        self._burst_weight = 0
        self._quiet_s = 0
        self._before = array("i", [0] * LOOKS)
        self._after = array("i", [0] * LOOKS)
        self._before_s = 0
        self._sat_up_s = 0  # counts down while a turn-over may still turn out to be the start of an exit

    def second(self, peak: int, clipped: int, occupied: bool) -> None:
        """Judge the second just past: peak deflection in 14-bit units, clipped samples in it."""
        ratio = peak * 16 // self.usual_peak
        limit = self.usual_peak * BURST_RATIO_16 >> 4
        if not occupied and limit < STRANGER_PEAK:
            limit = STRANGER_PEAK
        self.burst = clipped >= 3 or peak > limit
        self.strength = min(100, max(0, (ratio - 20) * 4 // 5))
        if clipped >= 3:
            self.strength = max(self.strength, min(100, 60 + clipped))
        self._run_s = self._run_s + 1 if self.burst else 0
        if self.burst:
            if clipped < 3 and self._run_s > LASTING_S:
                # what goes on for long without a pause is the person, not a movement
                self._adapt((peak - self.usual_peak) // 4)
        elif occupied:
            self._known_s += 1
            fast = self._known_s <= 10 and peak < self.usual_peak
            self._adapt((peak - self.usual_peak) // (3 if fast else 16))
        if not occupied:
            self._known_s = 0

    def _adapt(self, step: int) -> None:
        self.usual_peak = max(QUIET_PEAK_MIN, self.usual_peak + step)

    def look(self, looks: "array[int]", clipped: int, occupied: bool) -> None:
        """Compare what beats look like before and after a burst; looks = LOOKS positive measures of this second."""
        self.turn_over = 0
        if not occupied:
            self._burst_s = 0
            self._burst_weight = 0
            self._quiet_s = 0
            self._before_s = 0
            self._sat_up_s = 0
            return
        if self.burst:
            if self._burst_s and self._quiet_s > JOIN_S:
                self._conclude()
            self._burst_s += 1
            self._burst_weight += 2 if clipped >= 3 else 1
            self._quiet_s = 0
            return
        if self._sat_up_s:
            self._sat_up_s -= 1
            if not self._sat_up_s and not self._burst_s:
                self._count()
        if not self._burst_s:
            self._average(self._before, self._before_s, looks, 12)
            self._before_s += 1
            return
        self._quiet_s += 1
        if self._quiet_s > SETTLE_S:
            self._average(self._after, self._quiet_s - SETTLE_S - 1, looks, LOOK_S)
            if self._quiet_s == SETTLE_S + LOOK_S:
                self._conclude()

    def _average(self, into: "array[int]", count: int, looks: "array[int]", most: int) -> None:
        count = min(count, most - 1)
        for i in range(LOOKS):
            into[i] = (into[i] * count + looks[i] * 16) // (count + 1) if count else looks[i] * 16

    def _conclude(self) -> None:
        """The burst is over: a turn-over if it was long and strong, or shorter and the beats look different now."""
        looked = self._quiet_s >= SETTLE_S + 3
        if self._sat_up_s and looked:
            self._count()  # still in bed after the next movement: one turn-over, however many movements it took
        elif self._before_s >= KNOWN_S and self._turned(looked):
            if looked and self._after[0] * 100 < self._before[0] * SAT_UP_PERCENT:
                self._sat_up_s = SAT_UP_S
            elif not self._sat_up_s:
                self._count()
        if looked:
            for i in range(LOOKS):
                self._before[i] = self._after[i]
            self._before_s = LOOK_S
        self._burst_s = 0
        self._burst_weight = 0
        self._quiet_s = 0

    def _turned(self, looked: bool) -> bool:
        change = 0
        if looked:
            for i in range(LOOKS):
                before = self._before[i] + 1
                after = self._after[i] + 1
                change += abs(after - before) * 100 // (after + before)
        return self._burst_weight >= TURN_WEIGHT_MIN and self._burst_weight * 5 + change >= TURN_SCORE

    def _count(self) -> None:
        self._sat_up_s = 0
        self.turn_over = 1
        self.turn_over_count += 1
