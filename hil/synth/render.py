"""From a bed script to ADC counts, any block of the night at any time, with the truth beside it.

Nothing carries state from block to block: beats, breaths and bursts are laid out once for the whole night, noise comes
from a generator seeded by the number of its ten-second chunk. So a block is the same in whatever order it is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.synth import body
from hil.synth.disturbance import Disturbances
from hil.synth.plan import Plan, lay_out
from hil.synth.script import BedScript
from hil.synth.truth import Burst, Floats, Truth

CHUNK_S = 10
COUNTS_10_BIT = 1024.0


class Synth:
    """Samples of one bed: block(start, n) -> int16 counts at rate_hz; truth; load(start, n) of the static channel."""

    def __init__(self, script: BedScript, rate_hz: int = 250, seed: int | None = None) -> None:
        self.script = script if seed is None else script.with_seed(seed)
        self.rate_hz = rate_hz
        self.samples_total = int(self.script.duration_s * rate_hz)
        self._plan: Plan = lay_out(self.script)
        self._disturbances = Disturbances(self.script)
        self._shape_taps = _body_noise_taps(rate_hz)
        self._chunk_at = -1
        self._chunk: NDArray[np.int16] = np.zeros(0, np.int16)
        self._posture_starts = np.array([p.start_s for p in self._plan.postures])

    @property
    def truth(self) -> Truth:
        """Ground truth of the whole recording."""
        return self._plan.truth

    def block(self, start: int, count: int) -> NDArray[np.int16]:
        """Counts of samples start..start+count-1; the night is followed by an empty bed."""
        size = CHUNK_S * self.rate_hz
        parts = []
        while count > 0:
            chunk, offset = divmod(start, size)
            if chunk != self._chunk_at:
                self._chunk = self._render(chunk)
                self._chunk_at = chunk
            part = self._chunk[offset : offset + count]
            parts.append(part)
            start += part.size
            count -= part.size
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def all(self) -> NDArray[np.int16]:
        """The whole recording."""
        return self.block(0, self.samples_total)

    def baseline(self, t: Floats) -> Floats:
        """What breathing alone adds at times t, in 10-bit counts, while somebody is in bed."""
        plan = self._plan
        phase = body.breath_phase(plan.breaths_s, t)
        posture = plan.postures[max(0, int(np.searchsorted(self._posture_starts, t[0], "right")) - 1)]
        breath = np.sin(phase) + 0.25 * np.sin(2 * phase + posture.modulation_phase)
        depth: Floats = body.BREATH_COUNTS_PP / 2 * self.script.resident.gain * posture.breath_gain * plan.breathing(t)
        return depth * breath

    def load(self, start: int, count: int, rate_hz: int = 10) -> NDArray[np.int16]:
        """Static channel (load cell or pressure) in tenths of a kilogram at rate_hz."""
        t = (start + np.arange(count)) / rate_hz
        kg = np.full(count, 4.0)
        for begin, end in self.truth.presence:
            kg += 58.0 * np.clip((t - begin) / 2.0, 0, 1) * np.clip((end - t) / 2.0 + 1, 0, 1)
        rng = np.random.default_rng([self.script.seed, 77, start])
        return np.round(10 * kg + rng.normal(0, 1.5, count)).astype(np.int16)

    def _render(self, chunk: int) -> NDArray[np.int16]:
        sensor = self.script.sensor
        size = CHUNK_S * self.rate_hz
        t = (chunk * size + np.arange(size)) / self.rate_hz * (1 + sensor.clock_ppm * 1e-6)
        rng = np.random.default_rng([self.script.seed, 1, chunk])
        counts = rng.normal(0, sensor.noise_counts, size)
        counts += self._disturbances.render(t, self.rate_hz, self._plan)
        presence = _presence_gain(self._plan, t)
        if presence.any():
            self._add_body(counts, t, presence, chunk)
        for burst in self._plan.truth.bursts:
            if burst.start_s < t[-1] and burst.start_s + burst.for_s + 20 > t[0]:
                counts += _burst_counts(burst, t, self.script)
        return self._quantise(counts, chunk, t)

    def _add_body(self, counts: Floats, t: Floats, presence: Floats, chunk: int) -> None:
        resident = self.script.resident
        plan = self._plan
        posture = plan.postures[max(0, int(np.searchsorted(self._posture_starts, t[0], "right")) - 1)]
        counts += presence * self.baseline(t)
        low, high = np.searchsorted(plan.beats.times_s, [t[0] - body.SHAPE_SPAN_S, t[-1] + body.SHAPE_LEAD_S])
        wave = np.zeros_like(t)
        grid_s = np.arange(posture.shape.size) / body.SHAPE_RATE_HZ - body.SHAPE_LEAD_S
        for k in range(low, high):
            beat_s = plan.beats.times_s[k]
            posture = plan.postures[max(0, int(np.searchsorted(self._posture_starts, beat_s, "right")) - 1)]
            begin, end = np.searchsorted(t, [beat_s + grid_s[0], beat_s + grid_s[-1]])
            swing = 1 + posture.modulation * np.sin(plan.beat_phase[k] + posture.modulation_phase)
            height = body.BEAT_COUNTS_PP * resident.gain * posture.beat_gain * plan.beats.amplitude[k] * swing
            wave[begin:end] += height * np.interp(t[begin:end] - beat_s, grid_s, posture.shape)
        taps = self._shape_taps
        noise = np.concatenate([_white(self.script.seed, c, t.size) for c in (chunk - 1, chunk)])
        rough = np.convolve(noise[-(t.size + taps.size - 1) :], taps, "valid")
        # Beats have an rms of about .2 p-p at 60 bpm; more beats, more power.
        rms = 0.2 * body.BEAT_COUNTS_PP * resident.gain * (resident.heart_rate_bpm / 60) ** 0.5
        rough *= rms * 10 ** (-resident.snr_db / 20)
        counts += presence * (wave + rough)

    def _quantise(self, counts: Floats, chunk: int, t: Floats) -> NDArray[np.int16]:
        sensor = self.script.sensor
        scale = 2.0 ** (sensor.bits - 10)
        full = COUNTS_10_BIT * scale
        low, high = sensor.rail_low * full, min(sensor.rail_high * full, full - 1)
        middle = low + sensor.middle * 1.2 * (high - low)
        result = np.clip(np.round(middle + counts * scale), low, high)
        for gap in self.script.interference:
            if gap.kind == "dropout":
                result[(t >= gap.from_s) & (t < gap.to_s)] = low
        return result.astype(np.int16)


def _white(seed: int, chunk: int, size: int) -> Floats:
    return np.random.default_rng([seed, 2, chunk + 1]).normal(0, 1, size)


def _body_noise_taps(rate_hz: int) -> Floats:
    """FIR that turns white noise into body noise, 1.5-9 Hz, rms 1."""
    t = (np.arange(int(0.8 * rate_hz)) - 0.4 * rate_hz) / rate_hz
    taps = 2 * 9 * np.sinc(2 * 9 * t) - 2 * 1.5 * np.sinc(2 * 1.5 * t)
    taps *= np.hanning(t.size)
    normal: Floats = taps / np.sqrt((taps**2).sum())
    return normal


def _presence_gain(plan: Plan, t: Floats) -> Floats:
    """1 in bed, .3 on its edge, 0 outside, and what `weak` events leave."""
    gain = np.zeros_like(t)
    for start_s, end_s in plan.truth.presence:
        gain[(t >= start_s) & (t < end_s)] = 1.0
    for start_s, end_s, factor in plan.factors:
        gain[(t >= start_s) & (t < end_s)] *= factor
    return gain


def _burst_counts(burst: Burst, t: Floats, script: BedScript) -> Floats:
    """Movement artefact: rough motion of .5-6 Hz with a bell envelope, then the amplifier's exponential recovery."""
    rng = np.random.default_rng([script.seed, 3, int(burst.start_s * 1000)])
    knots = rng.normal(0, 1, int(burst.for_s * 12) + 4)
    offset_s = t - burst.start_s
    motion = np.interp(offset_s, np.arange(knots.size) / 12.0, knots)
    envelope = np.where((offset_s >= 0) & (offset_s < burst.for_s), 1.0, 0.0)
    envelope *= np.sin(np.pi * np.clip(offset_s / burst.for_s, 0, 1)) ** 0.5
    size = 450.0 * burst.strength * min(1.0, max(script.resident.gain, 0.5))
    step = size * rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)
    tau_s = rng.uniform(1, 5) / 3  # 95 % back after 1-5 s
    end_s = offset_s - burst.for_s
    recovery = np.where(end_s >= 0, step * np.exp(-np.maximum(end_s, 0) / tau_s), 0.0)
    during: Floats = size * motion * envelope + step * envelope + recovery
    return during
