"""Filters and rates of the bed signal: ballistocardiogram (heart) and its slow part (breath), integers only.

Input is 14-bit at 50 Hz (a 10-bit count is 16 units). Every intermediate stays below 2**30, the small int of a 32-bit
board: a larger one would allocate there, and allocation in the sampling path means garbage collection pauses.
"""

from array import array

RATE_HZ = 50
BEAT_LAG_MIN = 23  # .46 s, 130 bpm
BEAT_LAG_MAX = 79  # 1.58 s, 38 bpm
BEAT_LAGS = BEAT_LAG_MAX - BEAT_LAG_MIN + 1
WINDOW_S = 10


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


class Filters:
    """One second of 14-bit samples in; beat-band waveform, occupancy-band power, peak and 5 Hz breath samples out."""

    def __init__(self) -> None:
        self.wave = array("i", bytes(4 * RATE_HZ))
        self.breath = array("i", bytes(4 * 5))
        self.count = 0
        self.breath_count = 0
        self.power = 0  # sum of squares of the 3-8 Hz band over the second, (10-bit count / 4) squared
        self.peak = 0  # largest beat-band deflection, 14-bit units
        self.clipped = 0  # samples at a rail
        self.low = 1 << 20
        self.high = -(1 << 20)
        self._started = False
        self._slow1 = 0
        self._slow2 = 0
        self._x1 = 0
        self._x2 = 0
        self._last = 0
        self._band1 = 0
        self._sum = 0
        self._sum_count = 0

    def begin_second(self) -> None:
        """Forget the counts of the last second; the filter states stay."""
        self.count = 0
        self.breath_count = 0
        self.power = 0
        self.peak = 0
        self.clipped = 0

    def push(self, buf: "array[int]", n: int, scale: int) -> None:
        """Filter n samples, each multiplied by scale to give 14-bit units."""
        if not self._started and n:
            self._started = True
            first = buf[0] * scale
            self._slow1 = first << 6
            self._slow2 = 0
        slow1 = self._slow1
        slow2 = self._slow2
        x1 = self._x1
        x2 = self._x2
        band1 = self._band1
        count = self.count
        power = self.power
        peak = self.peak
        wave = self.wave
        for i in range(n):
            x = buf[i] * scale
            self._sum += x
            self._sum_count += 1
            if self._sum_count == 10:
                if self.breath_count < 5:
                    self.breath[self.breath_count] = self._sum // 10
                    self.breath_count += 1
                self._sum = 0
                self._sum_count = 0
            # two one-pole high passes at 1 Hz, then the binomial low pass 1-2-1
            slow1 += ((x << 6) - slow1) >> 3
            high = x - (slow1 >> 6)
            slow2 += ((high << 6) - slow2) >> 3
            high -= slow2 >> 6
            y = (high + 2 * x1 + x2) >> 2
            x2 = x1
            x1 = high
            if count < RATE_HZ:
                wave[count] = y
                count += 1
            if y > peak:
                peak = y
            elif -y > peak:
                peak = -y
            band = (y - band1) >> 2
            band1 = y
            if band > 2000:
                band = 2000
            elif band < -2000:
                band = -2000
            power += band * band
        self._slow1 = slow1
        self._slow2 = slow2
        self._x1 = x1
        self._x2 = x2
        self._band1 = band1
        self.count = count
        self.power = power
        self.peak = peak


class Correlator:
    """Running autocorrelation over the last WINDOW_S blocks of one second, from per-block lag products."""

    def __init__(self, block: int, lag_min: int, lag_max: int, window: int) -> None:
        self.block = block
        self.lag_min = lag_min
        self.lag_max = lag_max
        self.lags = lag_max - lag_min + 1
        self.window = window
        self.signal = array("i", bytes(4 * (lag_max + block)))
        self.products = array("i", bytes(4 * self.lags * window))
        self.energies = array("i", bytes(4 * window))
        self.sums = array("i", bytes(4 * self.lags))
        self.energy = 0
        self.filled = 0
        self._at = 0

    def clear(self) -> None:
        """Start the window again."""
        for i in range(len(self.products)):
            self.products[i] = 0
        for i in range(self.lags):
            self.sums[i] = 0
        for i in range(self.window):
            self.energies[i] = 0
        self.energy = 0
        self.filled = 0

    def push(self, values: "array[int]") -> None:
        """Add a block of `block` values (|value| <= 511) and drop the oldest of the window."""
        signal = self.signal
        block = self.block
        lag_max = self.lag_max
        for i in range(lag_max):
            signal[i] = signal[i + block]
        energy = 0
        for i in range(block):
            value = values[i]
            signal[lag_max + i] = value
            energy += value * value
        at = self._at
        self.energy += energy - self.energies[at]
        self.energies[at] = energy
        base = at * self.lags
        products = self.products
        sums = self.sums
        end = lag_max + block
        for k in range(self.lags):
            j = lag_max - self.lag_min - k
            acc = 0
            for i in range(lag_max, end):
                acc += signal[i] * signal[j]
                j += 1
            sums[k] += acc - products[base + k]
            products[base + k] = acc
        at += 1
        self._at = 0 if at == self.window else at
        if self.filled < self.window:
            self.filled += 1


class Heart:
    """Heart rate from the beat-band waveform, one block of 50 samples a second."""

    def __init__(self) -> None:
        self.correlator = Correlator(RATE_HZ, BEAT_LAG_MIN, BEAT_LAG_MAX, WINDOW_S)
        self.scaled = array("i", bytes(4 * RATE_HZ))
        self.level = 0
        self.dbpm = -1
        self.quality = 0

    def push(self, wave: "array[int]") -> None:
        """Add one second of waveform in 14-bit units; sets dbpm (tenths, -1 unknown) and quality 0..100."""
        total = 0
        for i in range(RATE_HZ):
            value = wave[i]
            total += value if value >= 0 else -value
        mean = total // RATE_HZ + 1
        self.level = mean if not self.level else self.level + (mean - self.level) // 4
        gain = (24 << 12) // (self.level + 1)
        scaled = self.scaled
        for i in range(RATE_HZ):
            value = (wave[i] * gain) >> 12
            scaled[i] = 127 if value > 127 else -127 if value < -127 else value
        correlator = self.correlator
        correlator.push(scaled)
        self.dbpm = -1
        self.quality = 0
        if correlator.filled < 8:
            return
        sums = correlator.sums
        best = 0
        for k in range(1, BEAT_LAGS - 1):
            if sums[k] > sums[best]:
                best = k
        if best == 0 or correlator.energy == 0:
            return
        self.quality = max(0, min(100, sums[best] // (correlator.energy // 100 + 1)))
        left = sums[best - 1]
        right = sums[best + 1]
        bend = 2 * sums[best] - left - right
        shift = ((right - left) << 3) // (2 * bend) * 8 if bend > 0 and abs(right - left) < 1 << 26 else 0
        self.dbpm = 30000 * 64 // ((BEAT_LAG_MIN + best) * 64 + shift)


class Breath:
    """Respiration rate from 5 Hz samples over 30 s."""

    LAG_MIN = 7  # 1.4 s, 43/min
    LAG_MAX = 60  # 12 s, 5/min

    def __init__(self) -> None:
        self.correlator = Correlator(5, self.LAG_MIN, self.LAG_MAX, 30)
        self.scaled = array("i", bytes(4 * 5))
        self._slow = 0
        self._started = False
        self._smooth = 0
        self.level = 0
        self.dpm = -1
        self.quality = 0

    def push(self, samples: "array[int]") -> None:
        """Add five samples in 14-bit units; sets dpm (tenths of breaths per minute, -1 unknown) and quality."""
        if not self._started:
            self._started = True
            self._slow = samples[0] << 6
        total = 0
        for i in range(5):
            self._slow += ((samples[i] << 6) - self._slow) >> 3
            high = samples[i] - (self._slow >> 6)
            self._smooth += (high - self._smooth) >> 1
            self.scaled[i] = self._smooth
            total += abs(self._smooth)
        mean = total // 5 + 1
        self.level = mean if not self.level else self.level + (mean - self.level) // 8
        gain = (64 << 10) // (self.level + 1)
        for i in range(5):
            value = (self.scaled[i] * gain) >> 10
            self.scaled[i] = 400 if value > 400 else -400 if value < -400 else value
        correlator = self.correlator
        correlator.push(self.scaled)
        self.dpm = -1
        self.quality = 0
        if correlator.filled < 25:
            return
        sums = correlator.sums
        best = 0
        for k in range(1, correlator.lags - 1):
            if sums[k] > sums[best] and sums[k] >= sums[k - 1] and sums[k] >= sums[k + 1]:
                best = k
        if best == 0 or correlator.energy == 0:
            return
        self.quality = max(0, min(100, sums[best] // (correlator.energy // 100 + 1)))
        self.dpm = 3000 // (self.LAG_MIN + best)
