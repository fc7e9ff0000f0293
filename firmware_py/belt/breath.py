"""Respiration rate and depth from the slow part of the bed signal. Integers below 2**30."""

from array import array

from .signal import follow, ones, vertex


class SlowCorrelator:
    """signal.Correlator's curve for few samples and a long window: it keeps the samples, not their products.

    What leaves the window is multiplied out a second time: 30 blocks of 69 products would take 8 KiB of a board.
    """

    def __init__(self, block: int, lag_min: int, lag_max: int, window: int) -> None:
        self.block = block
        self.lag_min = lag_min
        self.lag_max = lag_max
        self.lags = lag_max - lag_min + 1
        self.values = array("i", bytes(4 * block))
        self.curve = array("i", bytes(4 * self.lags))
        self.energy = 0
        self._signal = array("h", bytes(2 * (lag_max + window * block)))
        self._sums = array("i", bytes(4 * self.lags))

    def push(self) -> None:
        """Take the block in `values` (each |value| <= 255) and drop the oldest of the window."""
        signal = self._signal
        block = self.block
        self._account(self.lag_max, -1)
        end = len(signal) - block
        for i in range(end):
            signal[i] = signal[i + block]
        for i in range(block):
            signal[end + i] = self.values[i]
        self._account(end, 1)
        unit = (self.energy >> 8) + 1
        curve = self.curve
        sums = self._sums
        for k in range(self.lags):
            curve[k] = sums[k] // unit

    def _account(self, first: int, sign: int) -> None:
        """Add (sign 1) or take away (-1) the energy and the lag products of the block that begins at `first`."""
        signal = self._signal
        sums = self._sums
        end = first + self.block
        energy = 0
        for i in range(first, end):
            energy += signal[i] * signal[i]
        self.energy += sign * energy
        for k in range(self.lags):
            j = first - self.lag_min - k
            acc = 0
            for i in range(first, end):
                acc += signal[i] * signal[j]
                j += 1
            sums[k] += sign * acc


class Breath:
    """Respiration rate from 5 Hz samples: autocorrelation over 30 s, tracked like the heart's; and weak breathing."""

    RATE_HZ = 5
    LAG_MIN = 7  # 1.4 s, 43/min
    LAG_MAX = 60  # 12 s, 5/min
    LAG_DOUBLE_MAX = 75
    WINDOW_S = 30
    STILL_S = 18  # seconds of the window that must be without movement
    WEAK_S = 10

    def __init__(self) -> None:
        self.correlator = SlowCorrelator(self.RATE_HZ, self.LAG_MIN, self.LAG_DOUBLE_MAX, self.WINDOW_S)
        self.level = 0  # usual mean deflection, 14-bit units * 16
        self.weak = False
        self.depth = 0  # mean deflection of the last second, same unit
        self.dpm = -1
        self.quality = 0
        self._lags = self.LAG_MAX - self.LAG_MIN + 1
        self._score = array("i", bytes(4 * self._lags))
        self._track = array("i", bytes(4 * self._lags))
        self._moved = array("i", bytes(4 * self._lags))
        self._depths = array("i", bytes(4 * self.WEAK_S))
        self._depth_at = 0
        self._usual = 0
        self._still_s = 0
        self._slow = 0
        self._past = array("i", bytes(4 * 8))
        self._deep = 0
        self._started = False

    def push(self, samples: "array[int]", moving: bool) -> None:
        """Add five samples in 14-bit units; sets dpm (tenths of breaths per minute, -1 unknown), quality and weak."""
        self.depth = depth = self._filter(samples, moving)
        self._still_s = (self._still_s << 1 | (0 if moving else 1)) & 0x1FFFFFFF
        self._watch_depth(depth, moving)
        self.correlator.push()
        self._judge()
        follow(self._track, self._moved, self._score, self._lags)
        self.dpm = -1
        self.quality = 0
        if ones(self._still_s) >= self.STILL_S and self.correlator.energy:
            self._read_out()

    def _filter(self, samples: "array[int]", moving: bool) -> int:
        if not self._started:
            self._started = True
            self._slow = samples[0] << 6
        values = self.correlator.values
        total = 0
        level = 0
        for i in range(self.RATE_HZ):
            self._slow += ((samples[i] << 6) - self._slow) >> 3
            # means of four and of five, 1-2-3-4-4-3-2-1, are blind from 48 to 80 bpm: beats are stronger than breath
            past = self._past
            for j in range(len(past) - 1):
                past[j] = past[j + 1]
            past[7] = samples[i] * 64 - self._slow
            value = past[0] + past[7] + 2 * (past[1] + past[6]) + 3 * (past[2] + past[5]) + 4 * (past[3] + past[4])
            values[i] = value // 80
            # the depth is taken below .3 Hz, where beats leak less still
            self._deep += (value // 20 - self._deep) >> 2
            value = self._deep >> 2
            total += value if value >= 0 else -value
            level += abs(values[i])
        depth = total // self.RATE_HZ + 1
        if moving:
            for i in range(self.RATE_HZ):
                values[i] = 0
            return depth
        mean = level // self.RATE_HZ + 1
        self.level = mean if not self.level else self.level + (mean - self.level) // 8
        unit = self.level // 32 + 1
        for i in range(self.RATE_HZ):
            value = values[i] // unit
            values[i] = 127 if value > 127 else -127 if value < -127 else value
        return depth

    def _watch_depth(self, depth: int, moving: bool) -> None:
        """Weak: ten seconds of less than a quarter of the usual depth (a median tracked over some two minutes)."""
        depths = self._depths
        depths[self._depth_at] = depth
        self._depth_at = (self._depth_at + 1) % self.WEAK_S
        if not self._usual:
            self._usual = depth
        total = 0
        for i in range(self.WEAK_S):
            total += depths[i]
        self.weak = total * 4 < self._usual * self.WEAK_S and ones(self._still_s & 1023) == self.WEAK_S
        if not moving and not self.weak:
            self._usual += self._usual // 48 + 1 if depth > self._usual else -(self._usual // 48)

    def _judge(self) -> None:
        curve = self.correlator.curve
        score = self._score
        for k in range(self._lags):
            lag = self.LAG_MIN + k
            value = curve[k] - k // 2
            twice = 2 * lag
            if twice <= self.LAG_DOUBLE_MAX:
                value += curve[twice - self.LAG_MIN] >> 1
            half = lag // 2 - self.LAG_MIN
            if half >= 0:
                rival = max(curve[half], curve[half + 1])
                if rival > 0:
                    value -= rival * 10 >> 4
            score[k] = value

    def _read_out(self) -> None:
        track = self._track
        curve = self.correlator.curve
        best = 0
        for k in range(1, self._lags):
            if track[k] > track[best]:
                best = k
        near = best
        for k in range(max(1, best - 2), min(self._lags - 1, best + 3)):
            if curve[k] > curve[near]:
                near = k
        if near == 0 or near == self._lags - 1:
            return
        self.quality = max(0, min(100, curve[near] * 100 >> 8))
        self.dpm = 3000 * 64 // ((self.LAG_MIN + near) * 64 + vertex(curve, near))
