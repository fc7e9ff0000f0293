"""Single heart beats by a matched filter, and whether their rhythm is regular enough to have a rate. Integers only."""

from array import array

BEAT_HZ = 25
MEMORY = 128  # samples looked back on, a power of two
MASK = MEMORY - 1
LAP = 1 << 20  # samples after which the count starts anew, far below the small ints' limit
TAPS = 14  # .56 s, a beat's waves
HALF_TAPS = TAPS // 2
FASTEST = 8  # samples between two beats
SLOWEST = 72
STRAY_COST = 480  # for an interval's distance from the tracked one, by its logarithm; a filtered beat is some 200
PATH_MAX = 8
SETTLE = 38  # samples after which the path to a beat is final
LEARN_BEATS = 8  # the first beats are found by their energy, and shape the filter
LEARN_REACH = 5
LEARN_RATE = 16
KEPT = 54  # beats the judgement looks at
SEEN_MIN = 12
HEIGHT_MAX = 300
STEP_MAX_256 = 77  # a change between two intervals counts as .3 of the tracked one at most
# Doubt in a regular rhythm: the mean change between two intervals (1/25600 of the tracked one: 600-2700 in measured
# sinus rhythm, 2000-4200 in fibrillation) and the height of the beats. A logistic fit (tools/fit_rhythm.py) on measured
# and fibrillating intervals; at the limits 91 % of the score's fibrillation is told and 1 % of measured sinus rhythm.
HEIGHT_WEIGHT = 41
DOUBT_OFFSET = 396
IRREGULAR_DOUBT = 330
CLEAR_DOUBT = 80
CLEAR_S = 7
CALM_S = 60
SLOW_LAG = 62  # from here on the tracked interval may be two of a heart whose every second beat is premature
EARLY_UNKNOWN_16 = -256
EARLY_CLEAR_16 = -64
EARLY = 10  # samples after a beat from which another may come
RATE_SPAN = 225  # samples whose beats make the rate
RATE_BEATS_MIN = 5


class Rhythm:
    """Tells an irregular heart from a weak signal by the intervals between single beats.

    A beat's shape, learnt from the beats found before, is the matched filter; the likeliest chain of beats is a
    Viterbi path over its output, with a cost for intervals far from the tracked one. One and a half
    seconds back the path is final: its beats are counted and refine the shape.
    """

    def __init__(self) -> None:
        self.irregular = False
        self.calm_s = CALM_S  # since it was last irregular
        self.known = False  # enough beats seen to judge
        self.dbpm = -1  # rate of the single beats of the last nine seconds, -1: too few
        self.seen = 0  # beats kept
        self.step = 0  # mean change between their intervals, 1/25600 of the tracked one
        self.height = 0  # their mean height, 1/32 of the filter's mean output
        self._signal = array("b", bytes(MEMORY))
        self._best = array("h", bytes(2 * MEMORY))  # of the chains that end here
        self._back = bytearray(MEMORY)  # samples to the beat before; 0: no chain yet
        self._high = bytearray(MEMORY)  # the filter's output, halved
        self._shape = array("i", bytes(4 * TAPS))
        self._cost = array("h", bytes(2 * (SLOWEST + 1)))
        self._intervals = bytearray(KEPT)  # thirds of a sample
        self._heights = bytearray(KEPT)
        self._path = bytearray(PATH_MAX)
        self._count = 0  # samples
        self._last = 0  # the last beat counted
        self._learnt = 0
        self._mean_16 = 256
        self.over_16 = 0  # how much higher the beats are than what lies between two, followed over 16 beats, in 1/16
        # After a slow beat's own waves: how much higher the best is than .4 of a beat, and than the best as long before
        # the next beat and a twelfth of a beat; both followed over 16 beats, in 1/16.
        self._early_16 = self._early_over_16 = EARLY_UNKNOWN_16
        self._fresh = 0  # beats kept since the last movement
        self._ahead = self._ahead_span = 0  # of the chain that is not final yet: beats, samples
        self._clear_s = 0  # seconds without doubt after an irregular time

    def push(self, values: "array[int]", lag: int, moving: bool) -> None:
        """Take a second: 25 scaled samples (-127..127) and the tracked interval in samples of 50 Hz."""
        if self._count > 2 * LAP:
            self._count -= LAP
            self._last -= LAP
        if moving:
            self._forget()
        low = max(FASTEST, lag * 9 // 40)
        high = min(SLOWEST, lag * 7 // 8)
        for d in range(low, high + 1):
            self._cost[d] = STRAY_COST * abs(2 * d - lag) // (2 * d + lag)
        for i in range(BEAT_HZ):
            self._extend(values[i], low, high)
        self.dbpm = -1
        if not moving and self._count >= SETTLE + BEAT_HZ:
            self._settle(lag)
            self._count_rate()
        self._judge(lag)

    def _forget(self) -> None:
        """Break the chain: what moved has no beats in it; an older beat is no longer looked at."""
        for i in range(MEMORY):
            self._best[i] = self._back[i] = 0
        self._last = self._count + BEAT_HZ
        self._learnt = self._fresh = 0
        if self.seen:
            self.seen -= 1

    def _extend(self, value: int, low: int, high: int) -> None:
        signal = self._signal
        best = self._best
        cost = self._cost
        n = self._count
        signal[n & MASK] = value
        centre = n - HALF_TAPS
        score = self._filtered(n) if self._learnt >= LEARN_BEATS else self._energy(centre)
        top = -32768
        back = 0
        for d in range(low, high + 1):
            chain = best[(centre - d) & MASK] - cost[d]
            if chain > top:
                top = chain
                back = d
        at = centre & MASK
        best[at] = top + score
        self._back[at] = back
        self._high[at] = score >> 1 if score > 0 else 0
        self._count = n + 1

    def _filtered(self, n: int) -> int:
        """Output of the matched filter around n - 7, in 1/64 of its mean."""
        signal = self._signal
        shape = self._shape
        total = 0
        j = n - TAPS + 1
        for i in range(TAPS):
            total += shape[i] * signal[(j + i) & MASK]
        total >>= 6
        self._mean_16 += ((total if total >= 0 else -total) * 16 - self._mean_16) >> 7
        score = total * 1024 // (self._mean_16 + 16)
        return HEIGHT_MAX if score > HEIGHT_MAX else -HEIGHT_MAX if score < -HEIGHT_MAX else score

    def _energy(self, centre: int) -> int:
        signal = self._signal
        total = 0
        for i in range(centre - 4, centre + 4):
            value = signal[i & MASK]
            total += value * value
        return min(HEIGHT_MAX, (total >> 7) - 64)

    def _settle(self, lag: int) -> None:
        """Count the beats of the best chain that are old enough to stay."""
        best = self._best
        back = self._back
        newest = self._count - 1 - HALF_TAPS
        t = newest
        for k in range(newest - lag // 2, newest):
            if best[k & MASK] > best[t & MASK]:
                t = k
        level = best[t & MASK]
        for i in range(MEMORY):
            best[i] = max(-30000, best[i] - level)
        settled = newest - SETTLE
        first = self._last + lag // 5
        self._ahead = 0
        self._ahead_span = t
        while t > settled and back[t & MASK]:
            t -= back[t & MASK]
            self._ahead += 1
        self._ahead_span -= t
        path = self._path
        found = 0
        while t > first and back[t & MASK] and found < PATH_MAX:
            before = t - back[t & MASK]
            if newest - before >= MEMORY:
                break  # overwritten
            path[found] = newest - t
            found += 1
            t = before
        while found:
            found -= 1
            t = newest - path[found]
            self._last = t
            if back[(t - back[t & MASK]) & MASK]:  # a chain's first interval is as likely as any other
                self._beat(t)

    def _beat(self, t: int) -> None:
        if self._learnt < LEARN_BEATS:
            self._learn(t, self._aligned(t) if self._learnt else 0)
            return
        intervals = self._intervals
        heights = self._heights
        at = self.seen
        if at == KEPT:
            at -= 1
            for i in range(at):
                intervals[i] = intervals[i + 1]
                heights[i] = heights[i + 1]
        back = self._back[t & MASK]
        intervals[at] = 3 * back + self._thirds(t) - self._thirds(t - back)
        heights[at] = self._high[t & MASK]
        self.seen = at + 1
        self._fresh = min(KEPT, self._fresh + 1)
        self._look_between(t)
        self._learn(t, 0)

    def _thirds(self, t: int) -> int:
        """Where between the samples around t the filter's output is highest, in a third of a sample (-1, 0, 1)."""
        high = self._high
        left = high[(t - 1) & MASK]
        right = high[(t + 1) & MASK]
        bend = 2 * (2 * high[t & MASK] - left - right)
        if bend <= 0:
            return 0
        shift = 3 * (right - left)
        return 1 if 2 * shift > bend else -1 if 2 * shift < -bend else 0

    def _look_between(self, t: int) -> None:
        """Follow how much higher a beat is than the best the filter finds in the middle third before it."""
        back = self._back[t & MASK]
        high = self._high
        between = 0
        for k in range(t - 2 * back // 3, t - back // 3 + 1):
            if high[k & MASK] > between:
                between = high[k & MASK]
        height = high[t & MASK]
        self.over_16 += (((height - between) << 4) - self.over_16) >> 4
        if 2 * back >= SLOW_LAG:
            early = late = 0
            for k in range(EARLY, 9 * back // 20 + 1):
                after = high[(t - back + k) & MASK]
                before = high[(t - k) & MASK]
                if after > early:
                    early = after
                if before > late:
                    late = before
            self._early_16 += ((early << 4) - (height << 5) // 5 - self._early_16) >> 4
            self._early_over_16 += ((early - late << 4) - (height << 2) // 3 - self._early_over_16) >> 4

    def _doubled(self, lag: int) -> bool:
        """A small beat follows each beat early: the heart beats twice in the tracked interval (bigeminy)."""
        least = EARLY_CLEAR_16 if self.irregular else 0
        return lag >= SLOW_LAG and self._early_16 > least and self._early_over_16 > least

    def _learn(self, t: int, shift: int) -> None:
        """Let the beat at t + shift shape the filter."""
        self._learnt = min(LEARN_RATE, self._learnt + 1)
        shape = self._shape
        j = t - HALF_TAPS + 1 + shift
        for i in range(TAPS):
            shape[i] += (self._signal[(j + i) & MASK] * 16 - shape[i]) // self._learnt

    def _aligned(self, t: int) -> int:
        """Samples by which the beat found by its energy lies off the shape learnt so far."""
        shape = self._shape
        signal = self._signal
        top = -(1 << 29)
        best = 0
        for shift in range(-LEARN_REACH, LEARN_REACH + 1):
            total = 0
            j = t - HALF_TAPS + 1 + shift
            for i in range(TAPS):
                total += shape[i] * signal[(j + i) & MASK]
            if total > top:
                top = total
                best = shift
        return best

    def _judge(self, lag: int) -> None:
        intervals = self._intervals
        seen = self.seen
        step = height = 0
        most = STEP_MAX_256 * 3 * lag >> 9  # lag is in samples of 50 Hz, intervals in 75ths of a second
        for i in range(seen):
            height += self._heights[i]
            if i:
                change = abs(intervals[i] - intervals[i - 1])
                step += change if change < most else most
        self.known = seen >= SEEN_MIN
        if not self.known:
            self.irregular = False
            return
        self.step = 100 * (step << 9) // (3 * lag * (seen - 1))
        self.height = height // seen
        doubt = self.step - HEIGHT_WEIGHT * self.height + DOUBT_OFFSET
        if doubt > IRREGULAR_DOUBT or self._doubled(lag):
            self.irregular = True
            self._clear_s = 0
        elif self.irregular:
            self._clear_s = self._clear_s + 1 if doubt < CLEAR_DOUBT else 0
            self.irregular = self._clear_s < CLEAR_S
        self.calm_s = 0 if self.irregular else min(CALM_S, self.calm_s + 1)

    def _count_rate(self) -> None:
        beats = self._ahead
        span = 3 * self._ahead_span
        k = self.seen
        while k > self.seen - self._fresh and span + self._intervals[k - 1] // 2 < 3 * RATE_SPAN:
            k -= 1
            beats += 1
            span += self._intervals[k]
        self.dbpm = 1800 * BEAT_HZ * beats // span if self._fresh and beats >= RATE_BEATS_MIN else -1
