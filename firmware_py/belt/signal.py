"""Filters of the bed signal, and the correlation and tracking that heart.py and breath.py share; integers only.

Input is 14-bit at 50 Hz (a 10-bit count is 16 units). Every intermediate stays below 2**30, the small int of a 32-bit
board: a larger one would allocate there, and allocation in the sampling path means garbage collection pauses.
"""

from array import array

RATE_HZ = 50
RAIL_DISTANCE = 200 * 16  # a rail is at least this far from the middle, 14-bit units
RAIL_RIPPLE = 12
STEP_COST = 13  # of 256: what one lag of change in a second costs the track


def isqrt(value: int) -> int:
    """Integer square root of value >= 0 (floor)."""
    if value < 2:
        return value
    guess = 1
    rest = value
    while rest > 3:
        rest >>= 2
        guess <<= 1
    guess <<= 1
    while True:
        better = (guess + value // guess) >> 1
        if better >= guess:
            return guess
        guess = better


def ones(bits: int) -> int:
    """Number of set bits of a small non-negative int."""
    count = 0
    while bits:
        count += bits & 1
        bits >>= 1
    return count


class Filters:
    """Samples in; beat waveform, its envelope, 5 Hz breath samples and the measures of the second out."""

    def __init__(self) -> None:
        self.wave = array("i", bytes(4 * RATE_HZ))  # 1-10 Hz, 14-bit units
        self.envelope = array("i", bytes(4 * RATE_HZ // 2))  # 25 Hz, of the 3-9 Hz band, mean removed
        self.breath = array("i", bytes(4 * 5))  # 5 Hz means, 14-bit units
        self.count = 0
        self.breath_count = 0
        self.power = 0  # squares of the 3-10 Hz band (steeper than the waveform), (1/4 count at 10 bits) squared
        self.peak_up = 0  # largest deflections of the waveform
        self.peak_down = 0
        self.crossings = 0  # sign changes of the waveform
        self.clipped = 0  # samples at a rail
        self.same_s = 0  # seconds the code has not changed
        self._same = 0
        self._flat = 0
        self._raw1 = 0
        self._middle = 0
        self._started = False
        self._states = array("i", [0] * 12)
        self._sum = 0
        self._sum_count = 0

    def begin_second(self) -> None:
        """Forget the measures of the last second; the filter states stay."""
        self.same_s = self.same_s + 1 if self._same >= RATE_HZ else 0
        self._same = 0
        self.count = 0
        self.breath_count = 0
        self.power = 0
        self.peak_up = 0
        self.peak_down = 0
        self.crossings = 0
        self.clipped = 0

    def push(self, buf: "array[int]", n: int, scale: int) -> None:
        """Filter n samples, each multiplied by scale to give 14-bit units."""
        if n and not self._started:
            self._started = True
            first = buf[0] * scale
            self._states[0] = first << 6
            self._middle = first << 6
            self._raw1 = first
        self._watch_rails(buf, n, scale)
        self._sum_breath(buf, n, scale)
        states = self._states
        # one by one: unpacking a longer tuple allocates
        slow1 = states[0]
        slow2 = states[1]
        x1 = states[2]
        x2 = states[3]
        y1 = states[4]
        y2 = states[5]
        d1 = states[6]
        d2 = states[7]
        d3 = states[8]
        rough1 = states[9]
        rough2 = states[10]
        rough_mean = states[11]
        count = self.count
        power = self.power
        up = self.peak_up
        down = self.peak_down
        crossings = self.crossings
        wave = self.wave
        envelope = self.envelope
        for i in range(n):
            x = buf[i] * scale
            # two one-pole high passes at 1 Hz, then the binomial low pass 1-2-1
            slow1 += ((x << 6) - slow1) >> 3
            high = x - (slow1 >> 6)
            slow2 += ((high << 6) - slow2) >> 3
            high -= slow2 >> 6
            y = (high + 2 * x1 + x2) >> 2
            x2 = x1
            x1 = high
            if (y < 0) != (y1 < 0):
                crossings += 1
            if y > up:
                up = y
            elif y < down:
                down = y
            # difference over two samples: 3-9 Hz; rectified and smoothed it is the envelope
            d = (y - y2) >> 1
            y2 = y1
            y1 = y
            rough1 += (((d if d >= 0 else -d) << 6) - rough1) >> 2
            rough2 += (rough1 - rough2) >> 2
            rough_mean += (rough2 - rough_mean) >> 6
            # once more, and 1-1: a pump's few hertz and mains are down by 30 dB, beats by 6
            band = (d + d1 - d2 - d3) >> 2
            d3 = d2
            d2 = d1
            d1 = d
            if band > 2000:
                band = 2000
            elif band < -2000:
                band = -2000
            power += band * band
            if count < RATE_HZ:
                wave[count] = y
                if count & 1:
                    envelope[count >> 1] = (rough2 - rough_mean) >> 5
                count += 1
        states[0] = slow1
        states[1] = slow2
        states[2] = x1
        states[3] = x2
        states[4] = y1
        states[5] = y2
        states[6] = d1
        states[7] = d2
        states[8] = d3
        states[9] = rough1
        states[10] = rough2
        states[11] = rough_mean
        self.count = count
        self.power = power
        self.peak_up = up
        self.peak_down = down
        self.crossings = crossings

    def _watch_rails(self, buf: "array[int]", n: int, scale: int) -> None:
        """Count samples that stand still far from the middle: the amplifier is at its rail, wherever that is."""
        flat = self._flat
        raw1 = self._raw1
        middle = self._middle
        same = self._same
        for i in range(n):
            x = buf[i] * scale
            step = x - raw1
            if step == 0:
                same += 1
            if -RAIL_RIPPLE <= step <= RAIL_RIPPLE and abs(x - (middle >> 6)) > RAIL_DISTANCE:
                flat += 1
                if flat >= 2:
                    self.clipped += 1
            else:
                flat = 0
            raw1 = x
        if n:
            middle += ((raw1 << 6) - middle) >> 8
        self._flat = flat
        self._raw1 = raw1
        self._middle = middle
        self._same = same

    def _sum_breath(self, buf: "array[int]", n: int, scale: int) -> None:
        total = self._sum
        count = self._sum_count
        for i in range(n):
            total += buf[i] * scale
            count += 1
            if count == 10:
                if self.breath_count < 5:
                    self.breath[self.breath_count] = total // 10
                    self.breath_count += 1
                total = 0
                count = 0
        self._sum = total
        self._sum_count = count


class Correlator:
    """Autocorrelation over the last `window` blocks, summed from the lag products of each block.

    Only the newest block is multiplied out; the products of the others are kept. `curve[k]` is the correlation at lag
    lag_min + k in 1/256, normalised by the energy of the window.
    """

    def __init__(self, block: int, lag_min: int, lag_max: int, window: int) -> None:
        self.block = block
        self.lag_min = lag_min
        self.lag_max = lag_max
        self.lags = lag_max - lag_min + 1
        self.window = window
        self.values = array("i", bytes(4 * block))
        self.curve = array("i", bytes(4 * self.lags))
        self.energy = 0
        self.filled = 0
        self._signal = array("b", bytes(lag_max + block))
        self._products = array("h", bytes(2 * self.lags * window))  # in 1/32, or they would not fit
        self._energies = array("i", bytes(4 * window))
        self._sums = array("i", bytes(4 * self.lags))
        self._at = 0

    def push(self) -> None:
        """Take the block in `values` (-127..127) and drop the oldest of the window."""
        signal = self._signal
        block = self.block
        lag_max = self.lag_max
        for i in range(lag_max):
            signal[i] = signal[i + block]
        energy = 0
        values = self.values
        for i in range(block):
            value = values[i]
            signal[lag_max + i] = value
            energy += value * value
        at = self._at
        self.energy += energy - self._energies[at]
        self._energies[at] = energy
        self._multiply(at * self.lags)
        at += 1
        self._at = 0 if at == self.window else at
        if self.filled < self.window:
            self.filled += 1
        unit = (self.energy >> 8) + 1
        curve = self.curve
        sums = self._sums
        for k in range(self.lags):
            curve[k] = (sums[k] << 5) // unit

    def _multiply(self, base: int) -> None:
        signal = self._signal
        products = self._products
        sums = self._sums
        lag_max = self.lag_max
        first = lag_max - self.lag_min
        end = lag_max + self.block
        for k in range(self.lags):
            j = first - k
            acc = 0
            for i in range(lag_max, end):
                acc += signal[i] * signal[j]
                j += 1
            acc >>= 5
            sums[k] += acc - products[base + k]
            products[base + k] = acc


def follow(track: "array[int]", moved: "array[int]", score: "array[int]", lags: int) -> None:
    """One second of the forward track: keep 15/16, let each lag inherit from its neighbours at a cost, add score."""
    for k in range(lags):
        best = track[k]
        if k and track[k - 1] - STEP_COST > best:
            best = track[k - 1] - STEP_COST
        if k + 1 < lags and track[k + 1] - STEP_COST > best:
            best = track[k + 1] - STEP_COST
        moved[k] = best
    for k in range(lags):
        track[k] = (moved[k] * 15 >> 4) + score[k]


def vertex(curve: "array[int]", k: int) -> int:
    """Where between its neighbours the maximum at k lies, in 1/64 lag (-32..32)."""
    left = curve[k - 1]
    right = curve[k + 1]
    bend = 2 * curve[k] - left - right
    shift = 32 * (right - left) // bend if bend > 0 else 0
    return 32 if shift > 32 else -32 if shift < -32 else shift
