"""Heart rate from the beat waveform, joined with that of single beats, and how far it can be trusted.

Integers below 2**30.
"""

from array import array

from .rhythm import CALM_S, KEPT, Rhythm
from .signal import RATE_HZ, Correlator, Filters, follow, ones

BEAT_LAG_MIN = 23  # .46 s, 130 bpm
BEAT_LAG_MAX = 79  # 1.58 s, 38 bpm
BEAT_LAGS = BEAT_LAG_MAX - BEAT_LAG_MIN + 1
FAST_LAG_MIN = 14  # .28 s, 214 bpm: correlated as well, to know a pet's heart by half or a third of a longer interval
FAST_LAGS = BEAT_LAG_MIN - FAST_LAG_MIN
WINDOW_S = 10
STILL_S = 7  # seconds without movement that a window needs
SETTLED_S = 3  # seconds the track must agree with itself before its value counts
LEAP_SETTLED_S = 12
# Trust in the rate: what the track has gathered, the beats' height, less the step between intervals and the two rates'
# distance in dbpm, weighed as tools/fit_rhythm.py found it. The least trust is where 95 % of measured sinus rhythm at
# 0 dB and more has a rate.
APART_UNKNOWN = 20  # no single beats since a movement
APART_MAX = 70
AGREED = 30  # two rates as near as this need no patience
APART_WEIGHT = 3
BEATS_WEIGHT = 30
MISSING_WEIGHT = 20  # for a beat fewer than the rhythm looks at
BETWEEN_WEIGHT = 25
RECENT_WEIGHT = 8  # for a second less than a minute since the rhythm was irregular
OVER_MIN = 30  # below this there may be a beat between two beats: half of the true rate
TRUST_MIN = 80
MACHINE_256 = 247  # beats that repeat this well are no heart's: people reach 200, pumps with a jitter of 1 % still 250
FAST_HEIGHT_256 = 100  # a faster beat than a resident's must be this clear


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
        self.lag = BEAT_LAG_MIN  # the tracked interval in samples
        self._settled_s = 0
        self._trusted = 0  # the last rate that counted
        self.rhythm = Rhythm()
        self.apart = -1  # distance of the two rates in dbpm, -1: one is not known
        self._alike_16 = 256 << 4  # how well one interval repeats the one before: a machine until shown to be none
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
        self.apart = -1
        self._judge()
        follow(self._track, self._moved, self._score, BEAT_LAGS)
        if self.wave.energy:
            self._read_out()
            self.rhythm.push(self.wave_double.values, self.lag, moving)
            self._compare()
        settled = 0 <= self.apart < AGREED or self._settled_s >= self._patience_s()
        if ones(self._still_s) < STILL_S or not settled:
            self.quality = 0
        elif self.quality:
            self._trusted = self.dbpm

    def _compare(self) -> None:
        """Join the correlation's rate and the single beats' rate, and say how far both can be trusted."""
        rhythm = self.rhythm
        if self.dbpm < 0 or not rhythm.known:
            return
        apart = APART_UNKNOWN
        if rhythm.dbpm >= 0:
            apart = self.apart = abs(rhythm.dbpm - self.dbpm)
            self.dbpm = (rhythm.dbpm + self.dbpm) >> 1
        trust = self._track[self.lag - BEAT_LAG_MIN] // 2 + BEATS_WEIGHT * rhythm.height - rhythm.step
        trust -= MISSING_WEIGHT * (KEPT - rhythm.seen) + BETWEEN_WEIGHT * max(0, OVER_MIN - (rhythm.over_16 >> 4))
        trust -= RECENT_WEIGHT * (CALM_S - rhythm.calm_s)
        if apart < APART_MAX and not rhythm.irregular:
            self.quality = max(0, min(100, (trust - APART_WEIGHT * apart - TRUST_MIN) >> 4))

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
        middle_64 = self._middle_64(best)
        middle = (middle_64 + 32) >> 6
        self._settled_s = self._settled_s + 1 if abs(BEAT_LAG_MIN + middle - self.lag) <= 2 + middle // 16 else 0
        self.lag = BEAT_LAG_MIN + middle
        lag = BEAT_LAG_MIN + near
        self.too_fast_s = min(10, self.too_fast_s + 1) if self._too_fast(lag) else max(0, self.too_fast_s - 2)
        self._repeats(near)
        self.dbpm = 30000 * 64 // (BEAT_LAG_MIN * 64 + middle_64)

    def _middle_64(self, best: int) -> int:
        """Mean index of the intervals within 15 % of `best`, in 1/64, by how much of the upper half they explain.

        Breathing spreads the intervals of ten seconds; the best one alone is the commonest, not their mean.
        """
        score = self._score
        span = (BEAT_LAG_MIN + best) * 5 >> 5
        low = max(0, best - span)
        high = min(BEAT_LAGS, best + span + 1)
        top = 0
        for k in range(low, high):
            if score[k] > top:
                top = score[k]
        half = top >> 1
        total = 0
        moment = 0
        for k in range(low, high):
            if score[k] > half:
                total += score[k] - half
                moment += (score[k] - half) * (k - low)
        return (low << 6) + (moment << 6) // total if total else best << 6

    def _too_fast(self, lag: int) -> bool:
        """Half or a third of the interval, faster than 130 bpm, explains as much, or any such interval far more."""
        single = self._single
        needed = max(FAST_HEIGHT_256, single[lag - FAST_LAG_MIN] * 3 >> 1)
        for k in range(1, FAST_LAGS - 1):
            if single[k] > needed and single[k] > single[k - 1] and single[k] >= single[k + 1]:
                return True
        needed = single[lag - FAST_LAG_MIN] * 7
        if 2 * FAST_LAG_MIN <= lag < 2 * BEAT_LAG_MIN and self._half(lag) * 8 > needed:
            return True
        third = (lag + 1) // 3 - FAST_LAG_MIN
        if third < 1 or third >= FAST_LAGS:
            return False
        return max(single[third - 1], single[third], single[third + 1]) * 8 > needed

    @property
    def machine(self) -> bool:
        """What lies there repeats so exactly that it is a pump."""
        return self._alike_16 >= MACHINE_256 << 4

    def _repeats(self, k: int) -> None:
        """Follow, over eight seconds, how exactly the waveform repeats at the interval of index k."""
        if ones(self._still_s) < WINDOW_S:
            return  # what moved is silence in the window, and silence repeats nothing
        curve = self.wave.curve
        before = curve[FAST_LAGS + k - 1]
        alike = curve[FAST_LAGS + k]
        after = curve[FAST_LAGS + k + 1]
        bend = 2 * alike - before - after
        if bend > 0:  # between two samples the curve is higher than at either
            alike += (after - before) * (after - before) // (8 * bend)
        self._alike_16 += ((min(alike, 256) << 4) - self._alike_16) // 8
