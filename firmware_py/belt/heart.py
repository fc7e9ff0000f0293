"""Heart rate from the beat waveform, and whether its rhythm is regular enough to have one. Integers below 2**30."""

from array import array

from .signal import RATE_HZ, Correlator, Filters, follow, ones, vertex

BEAT_LAG_MIN = 23  # .46 s, 130 bpm
BEAT_LAG_MAX = 79  # 1.58 s, 38 bpm
BEAT_LAGS = BEAT_LAG_MAX - BEAT_LAG_MIN + 1
FAST_LAG_MIN = 14  # .28 s, 214 bpm: correlated as well, to know a pet's heart by half or a third of a longer interval
FAST_LAGS = BEAT_LAG_MIN - FAST_LAG_MIN
WINDOW_S = 10
STILL_S = 7  # seconds without movement that a window needs
SETTLED_S = 3  # seconds the track must agree with itself before its value counts
LEAP_SETTLED_S = 12
# Irregular: by how much another interval explains two seconds better than the tracked one does (the deficit, 5-15 of
# 256 in sinus rhythm, 30-60 in fibrillation), against the track's evidence (2000-5500 against 500-1800) and the
# interval: two seconds hold few beats of a slow heart. A logistic fit on simulated rhythms at 0-7 dB; a logit is 173.
DEFICIT_MAX = 29  # a rate on its way up or down loses the tracked interval too, but not the evidence
DEFICIT_WEIGHT = 51
LAG_WEIGHT = 12
DOUBT_OFFSET = 990
EMIT_DOUBT = -100
CLEAR_S = 6
FLAGGED_MIN_S = 12  # less is a bad moment and clears at once
FLAGGED_MAX_S = 60  # irregular for so long, a rhythm must be without doubt for CLEAR_S and two thirds of that
SURE_DOUBT = -800  # so little doubt counts for six seconds
REGULAR_DOUBT = -350  # above this no rate is told, and what was called irregular stays so
SEEN_MIN_S = 10
MACHINE_256 = 247  # beats that repeat this well are no heart's: people reach 200, pumps with a jitter of 1 % still 250
BEAT_HEIGHT_256 = 80  # below this the two-second correlation is as good as noise


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
        self._judge()
        follow(self._track, self._moved, self._score, BEAT_LAGS)
        self._gathered = (self._gathered * 15 >> 4) + 16
        if self.wave.energy:
            self._read_out()
            evidence = self._track[self._lag] * 256 // self._gathered
            self.rhythm.push(self.wave, self._lag, evidence, moving)
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
        self.too_fast_s = min(10, self.too_fast_s + 1) if self._too_fast(lag) else max(0, self.too_fast_s - 2)
        self._repeats(near)
        self.quality = max(0, min(100, score[near] * 100 // 400))
        self.dbpm = 30000 * 64 // ((BEAT_LAG_MIN + near) * 64 + vertex(score, near))

    def _too_fast(self, lag: int) -> bool:
        """Half or a third of the interval, faster than 130 bpm, explains as much as the interval itself."""
        single = self._single
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


class Rhythm:
    """Tells an irregular heart from a weak signal: how badly the tracked interval explains two seconds at a time."""

    MEMORY_S = 32

    def __init__(self) -> None:
        self.irregular = False
        self.regular = False  # sure enough to have a rate; neither: not known yet, or in doubt
        self._wave = array("i", bytes(4 * (FAST_LAGS + BEAT_LAGS)))
        self._deficits = array("i", bytes(4 * self.MEMORY_S))
        self._heights = array("i", bytes(4 * self.MEMORY_S))
        self._at = 0
        self._moved = 0
        self._clear_s = 0  # seconds without doubt after an irregular time
        self._flagged_s = 0  # seconds called irregular of late
        for i in range(self.MEMORY_S):
            self._deficits[i] = -1

    def push(self, wave: Correlator, k: int, evidence: int, moving: bool) -> None:
        """Take the second just correlated; k = index of the tracked lag, evidence = what the track gathered for it."""
        self._moved = 2 if moving else max(0, self._moved - 1)
        self._at = (self._at + 1) % self.MEMORY_S
        self._deficits[self._at] = -1
        if not self._moved:
            self._compare(wave, k)
        seen = 0
        deficit = 0
        height = 0
        for i in range(self.MEMORY_S):
            if self._deficits[i] >= 0:
                seen += 1
                height += self._heights[i]
                deficit += self._deficits[i]
        self.regular = False
        if seen < SEEN_MIN_S or height < seen * BEAT_HEIGHT_256:
            self.irregular = False
            return
        missing = min(DEFICIT_MAX, deficit // seen)
        doubt = DEFICIT_WEIGHT * missing - LAG_WEIGHT * (BEAT_LAG_MIN + k) + DOUBT_OFFSET - evidence
        if doubt > 0:
            self.irregular = True
            self._clear_s = 0
        elif self.irregular:
            self._clear_s = self._clear_s + (1 if doubt > SURE_DOUBT else 6) if doubt < REGULAR_DOUBT else 0
            needed_s = CLEAR_S + (self._flagged_s * 2 // 3 if self._flagged_s > FLAGGED_MIN_S else 0)
            self.irregular = self._clear_s < needed_s
        if self.irregular:
            self._flagged_s = min(FLAGGED_MAX_S, self._flagged_s + 1)
        elif self._flagged_s:
            self._flagged_s -= 1
        self.regular = not self.irregular and doubt < EMIT_DOUBT

    def _compare(self, wave: Correlator, k: int) -> None:
        reach = (BEAT_LAG_MIN + k) * 5 >> 4
        low = k - reach if k > reach else 0
        high = min(BEAT_LAGS - 1, k + reach)
        beats = self._wave
        wave.recent(beats)
        top = here = -1024
        for i in range(low, high + 1):
            value = beats[FAST_LAGS + i]
            if value > top:
                top = value
            if value > here and -2 <= i - k <= 2:
                here = value
        self._deficits[self._at] = top - here
        self._heights[self._at] = top
