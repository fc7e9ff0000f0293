"""Filters and rates of the bed signal: ballistocardiogram (heart) and its slow part (breath), integers only.

Input is 14-bit at 50 Hz (a 10-bit count is 16 units). Every intermediate stays below 2**30, the small int of a 32-bit
board: a larger one would allocate there, and allocation in the sampling path means garbage collection pauses.
"""

from array import array

RATE_HZ = 50
BEAT_LAG_MIN = 23  # .46 s, 130 bpm
BEAT_LAG_MAX = 79  # 1.58 s, 38 bpm
BEAT_LAGS = BEAT_LAG_MAX - BEAT_LAG_MIN + 1
FAST_LAG_MIN = 15  # .3 s, 200 bpm: correlated as well, to know a pet's heart by half of its double interval
FAST_LAGS = BEAT_LAG_MIN - FAST_LAG_MIN
WINDOW_S = 10
RAIL_DISTANCE = 200 * 16  # a rail is at least this far from the middle, 14-bit units
RAIL_RIPPLE = 12
STILL_S = 7  # seconds without movement that a window needs
SETTLED_S = 3  # seconds the track must agree with itself before its value counts
# Irregular: the track's evidence per height of the two-second correlation (20-25 in sinus rhythm at any signal-to-noise
# ratio, 6-14 in fibrillation) against how far two-second intervals stray from the tracked one (/256 of it, sum of two
# measures, 0-20 against 40-100). The line between the two was fitted on simulated rhythms at 0-6 dB.
STRAY_MAX = 60
STRAY_SLOPE = 78
STRAY_OFFSET = 1127
IRREGULAR_HOLD = 100
BEAT_HEIGHT_256 = 85  # below this the two-second correlation is as good as noise
LEAP_SETTLED_S = 12
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
        self._signal = array("i", bytes(4 * (lag_max + block)))
        self._products = array("i", bytes(4 * self.lags * window))
        self._energies = array("i", bytes(4 * window))
        self._sums = array("i", bytes(4 * self.lags))
        self._at = 0

    def push(self) -> None:
        """Take the block in `values` (each |value| <= 255) and drop the oldest of the window."""
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
            curve[k] = sums[k] // unit

    def recent(self, out: "array[int]") -> None:
        """Write the correlation of the last two blocks alone to `out`, same lags and unit as `curve`."""
        newest = (self._at if self._at else self.window) - 1
        before = (newest if newest else self.window) - 1
        unit = ((self._energies[newest] + self._energies[before]) >> 8) + 1
        products = self._products
        first = newest * self.lags
        second = before * self.lags
        for k in range(self.lags):
            out[k] = (products[first + k] + products[second + k]) // unit

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
            sums[k] += acc - products[base + k]
            products[base + k] = acc


class Heart:
    """Heart rate: how well each beat interval explains the last ten seconds, tracked from second to second.

    Evidence for an interval is the autocorrelation of the waveform and of its envelope at the interval and at twice
    the interval, less what speaks for half of it. A forward (Viterbi) track over the intervals forgets with 1/16 a
    second and moves by one lag a second, so a lone bad window cannot make the rate jump by an octave.
    """

    def __init__(self) -> None:
        self.wave = Correlator(RATE_HZ, FAST_LAG_MIN, BEAT_LAG_MAX, WINDOW_S)
        self.wave_double = Correlator(RATE_HZ // 2, BEAT_LAG_MIN, BEAT_LAG_MAX, WINDOW_S)
        self.envelope = Correlator(RATE_HZ // 2, FAST_LAG_MIN // 2, BEAT_LAG_MAX, WINDOW_S)
        self.level = 0
        self.dbpm = -1
        self.quality = 0
        self._still_s = 0  # bit k set: the second k seconds ago was without movement
        self._lag = 0
        self._settled_s = 0
        self._gathered = 0  # of 256: how far the track has filled since start
        self._trusted = 0  # the last rate that counted
        self.rhythm = Rhythm()
        self.too_fast_s = 0  # seconds in which half the interval explained as much: no resident's heart
        self._single = array("i", bytes(4 * (FAST_LAGS + BEAT_LAGS)))
        self._score = array("i", bytes(4 * BEAT_LAGS))
        self._track = array("i", bytes(4 * BEAT_LAGS))
        self._moved = array("i", bytes(4 * BEAT_LAGS))

    def push(self, filters: Filters, moving: bool) -> None:
        """Add one second; sets dbpm (tenths, -1 unknown) and quality 0..100. A moving second counts as silence."""
        self._scale(filters, moving)
        self._still_s = (self._still_s << 1 | (0 if moving else 1)) & ((1 << WINDOW_S) - 1)
        self.wave.push()
        self.wave_double.push()
        self.envelope.push()
        self.dbpm = -1
        self.quality = 0
        self._judge()
        _follow(self._track, self._moved, self._score, BEAT_LAGS)
        self._gathered = (self._gathered * 15 >> 4) + 16
        if self.wave.energy:
            self._read_out()
            evidence = self._track[self._lag] * 256 // self._gathered
            self.rhythm.push(self.wave, self.envelope, self._lag, evidence, moving)
        if ones(self._still_s) < STILL_S or self._settled_s < self._patience_s():
            self.quality = 0
        elif self.quality:
            self._trusted = self.dbpm

    def _patience_s(self) -> int:
        """Seconds the track must have agreed with itself: more after a leap, for hearts do not leap by a fifth."""
        leap = self._trusted and abs(self.dbpm - self._trusted) * 5 > self._trusted
        return LEAP_SETTLED_S if leap else SETTLED_S

    def _scale(self, filters: Filters, moving: bool) -> None:
        wave = filters.wave
        values = self.wave.values
        halves = self.wave_double.values
        rough = self.envelope.values
        envelope = filters.envelope
        if moving:
            for i in range(RATE_HZ):
                values[i] = 0
            for i in range(RATE_HZ // 2):
                halves[i] = rough[i] = 0
            return
        total = 0
        for i in range(RATE_HZ):
            value = wave[i]
            total += value if value >= 0 else -value
        mean = total // RATE_HZ + 1
        self.level = mean if not self.level else self.level + (mean - self.level) // 4
        gain = (26 << 12) // (self.level + 1)
        for i in range(RATE_HZ):
            value = (wave[i] * gain) >> 12
            values[i] = 127 if value > 127 else -127 if value < -127 else value
        for i in range(RATE_HZ // 2):
            halves[i] = (values[2 * i] + values[2 * i + 1]) >> 1
            value = (envelope[i] * gain) >> 12
            rough[i] = 127 if value > 127 else -127 if value < -127 else value

    def _judge(self) -> None:
        single = self._single
        score = self._score
        wave = self.wave.curve
        envelope = self.envelope.curve
        double = self.wave_double.curve
        for k in range(FAST_LAGS + BEAT_LAGS):
            lag = FAST_LAG_MIN + k
            m = lag // 2 - FAST_LAG_MIN // 2
            slow = envelope[m] if not lag & 1 else (envelope[m] + envelope[m + 1]) >> 1
            single[k] = (wave[k] + slow) >> 1
        for k in range(BEAT_LAGS):
            lag = BEAT_LAG_MIN + k
            twice = double[k] + envelope[lag - FAST_LAG_MIN // 2]
            value = single[FAST_LAGS + k] + (twice * 13 >> 5)
            if lag >= 2 * BEAT_LAG_MIN:
                rival = self._half(lag)
                if rival > 0:
                    value -= rival * 13 >> 5
            score[k] = value

    def _half(self, lag: int) -> int:
        """Correlation at half of lag (>= 30)."""
        half = lag // 2 - FAST_LAG_MIN
        return max(self._single[half], self._single[half + 1])

    def _read_out(self) -> None:
        track = self._track
        score = self._score
        best = 0
        for k in range(1, BEAT_LAGS):
            if track[k] > track[best]:
                best = k
        near = best
        for k in range(max(1, best - 3), min(BEAT_LAGS - 1, best + 4)):
            if score[k] > score[near]:
                near = k
        if near == 0 or near == BEAT_LAGS - 1:
            return
        self._settled_s = self._settled_s + 1 if abs(near - self._lag) <= 2 + near // 16 else 0
        self._lag = near
        lag = BEAT_LAG_MIN + near
        fast = 2 * FAST_LAG_MIN <= lag < 2 * BEAT_LAG_MIN and self._half(lag) * 8 > self._single[FAST_LAGS + near] * 7
        self.too_fast_s = min(10, self.too_fast_s + 1) if fast else max(0, self.too_fast_s - 2)
        self.quality = max(0, min(100, score[near] * 100 // 400))
        self.dbpm = 30000 * 64 // ((BEAT_LAG_MIN + near) * 64 + _vertex(score, near))


def _follow(track: "array[int]", moved: "array[int]", score: "array[int]", lags: int) -> None:
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


def _vertex(curve: "array[int]", k: int) -> int:
    """Where between its neighbours the maximum at k lies, in 1/64 lag (-32..32)."""
    left = curve[k - 1]
    right = curve[k + 1]
    bend = 2 * curve[k] - left - right
    shift = 32 * (right - left) // bend if bend > 0 else 0
    return 32 if shift > 32 else -32 if shift < -32 else shift


class Rhythm:
    """Tells an irregular heart from a weak signal: how far the interval of two seconds strays from the tracked one."""

    MEMORY_S = 32

    def __init__(self) -> None:
        self.irregular = False
        self.known = False  # enough seconds seen to say either
        self._wave = array("i", bytes(4 * (FAST_LAGS + BEAT_LAGS)))
        self._slow = array("i", bytes(4 * (BEAT_LAG_MAX - FAST_LAG_MIN // 2 + 1)))
        self._strays = array("i", bytes(4 * self.MEMORY_S))
        self._heights = array("i", bytes(4 * self.MEMORY_S))
        self._at = 0
        self._moved = 0
        for i in range(self.MEMORY_S):
            self._strays[i] = -1

    def push(self, wave: Correlator, envelope: Correlator, k: int, evidence: int, moving: bool) -> None:
        """Take the second just correlated; k = index of the tracked lag, evidence = what the track gathered for it."""
        self._moved = 2 if moving else max(0, self._moved - 1)
        self._at = (self._at + 1) % self.MEMORY_S
        self._strays[self._at] = -1
        if not self._moved:
            self._compare(wave, envelope, k)
        seen = 0
        spread = 0
        height = 0
        for i in range(self.MEMORY_S):
            stray = self._strays[i]
            if stray >= 0:
                seen += 1
                height += self._heights[i]
                spread += stray if stray < STRAY_MAX else STRAY_MAX
        self.known = seen >= 8
        if not self.known or height < seen * BEAT_HEIGHT_256:
            self.irregular = False
            return
        # evidence per height below a line that rises with the mean stray; both times 100
        regularity = 100 * evidence * seen // height
        line = STRAY_SLOPE * spread // seen - STRAY_OFFSET
        if regularity < line:
            self.irregular = True
        elif regularity > line + IRREGULAR_HOLD:
            self.irregular = False

    def _compare(self, wave: Correlator, envelope: Correlator, k: int) -> None:
        lag = BEAT_LAG_MIN + k
        reach = lag * 5 >> 4
        low = k - reach if k > reach else 0
        high = min(BEAT_LAGS - 1, k + reach)
        beats = self._wave
        slow = self._slow
        wave.recent(beats)
        envelope.recent(slow)
        best = low
        both_best = low
        top = -1024
        for i in range(low, high + 1):
            value = beats[FAST_LAGS + i]
            if value > beats[FAST_LAGS + best]:
                best = i
            other = BEAT_LAG_MIN + i
            m = other // 2 - FAST_LAG_MIN // 2
            value += slow[m] if not other & 1 else (slow[m] + slow[m + 1]) >> 1
            if value > top:
                top = value
                both_best = i
        self._strays[self._at] = (abs(best - k) + abs(both_best - k)) * 256 // lag
        self._heights[self._at] = beats[FAST_LAGS + best]


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
        self.correlator = Correlator(self.RATE_HZ, self.LAG_MIN, self.LAG_DOUBLE_MAX, self.WINDOW_S)
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
        _follow(self._track, self._moved, self._score, self._lags)
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
        self.dpm = 3000 * 64 // ((self.LAG_MIN + near) * 64 + _vertex(curve, near))
