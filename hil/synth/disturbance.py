"""What moves a bed besides the resident: pumps, ventilation, mains, steps, doors, partners, pets, carers, objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hil.synth import body
from hil.synth.script import BedScript, Interference, Resident
from hil.synth.truth import Floats

if TYPE_CHECKING:
    from hil.synth.plan import Plan

# p-p counts at 10 bits and frequency where the script gives none
DEFAULTS = {
    "pump": (1.1, 30.0),
    "piston": (1.1, 30.0),
    "hvac": (11.0, 4.0),
    "mains": (50.0, 12.0),
    "footsteps": (1.8, 10.0),
    "door": (9.0, 40.0),
    "partner": (0.0, 15.0),
    "pet": (0.0, 12.0),
    "carer": (0.0, 250.0),
    "snoring": (45.0, 6.0),
    "object": (0.0, 120.0),
    "dropout": (0.0, 0.0),
}
PET_HEART_HZ = 160 / 60


class Disturbances:
    """All disturbances of a script; render(t) gives their sum in 10-bit counts."""

    def __init__(self, script: BedScript) -> None:
        self._script = script
        self._others = {
            k: _OtherBody(script, item, k)
            for k, item in enumerate(script.interference)
            if item.kind in ("partner", "pet")
        }

    def render(self, t: Floats, rate_hz: int, plan: Plan) -> Floats:
        """Sum of the disturbances at times t."""
        total = np.zeros_like(t)
        for k, item in enumerate(self._script.interference):
            if item.to_s <= t[0] or item.from_s > t[-1]:
                continue
            frequency_hz, counts = DEFAULTS[item.kind]
            frequency_hz = item.frequency_hz or frequency_hz
            counts = item.counts or counts
            active = (t >= item.from_s) & (t < item.to_s)
            if k in self._others:
                wave = self._others[k](t, counts)
            else:
                wave = _WAVES[item.kind](t, frequency_hz, counts, item, self._script.seed + k, plan)
            total += np.where(active, wave, 0.0)
        return total


def _pump(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    phase = 2 * np.pi * frequency_hz * t
    wave: Floats = counts / 2 * (np.sin(phase) + 0.3 * np.sin(2 * phase + 1) + 0.12 * np.sin(3 * phase + 2))
    return wave


def _piston(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    """A pump with a hard stroke: five harmonics, up where beats have their energy."""
    phase = 2 * np.pi * frequency_hz * t
    heights = (1.0, 0.5, 0.35, 0.25, 0.15)
    parts = [height * np.sin(n * phase + n) for n, height in enumerate(heights, 1)]
    wave: Floats = counts / 2 * np.sum(parts, axis=0)
    return wave


def _hvac(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    wobble = 0.8 * np.sin(2 * np.pi * 0.07 * t + seed) + 0.5 * np.sin(2 * np.pi * 0.31 * t)
    wave: Floats = counts / 2 * np.sin(2 * np.pi * frequency_hz * t + wobble) * (1 + 0.3 * np.sin(0.5 * t))
    return wave


def _mains(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    wave: Floats = counts / 2 * np.sin(2 * np.pi * (frequency_hz + 0.03) * t)
    return wave


def _footsteps(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    middle_s = (item.from_s + item.to_s) / 2
    near = np.exp(-(((t - middle_s) / max(1.0, (item.to_s - item.from_s) / 3)) ** 2))
    since_s = np.mod(t - item.from_s, 1 / frequency_hz)
    wave: Floats = counts * near * np.exp(-since_s / 0.05) * np.sin(2 * np.pi * 14 * since_s)
    return wave


def _door(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    since_s = np.maximum(t - item.from_s, 0)
    wave: Floats = counts * np.exp(-since_s / 0.25) * np.sin(2 * np.pi * frequency_hz * since_s)
    return wave


def _carer(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    rng = np.random.default_rng([seed, 9])
    wave = np.zeros_like(t)
    at_s = item.from_s
    while at_s < item.to_s:
        for_s = float(rng.uniform(0.5, 3))
        if at_s < t[-1] and at_s + for_s > t[0]:
            knots = rng.normal(0, 1, int(for_s * 10) + 4)
            inside = (t >= at_s) & (t < at_s + for_s)
            wave[inside] += counts * np.interp(t[inside] - at_s, np.arange(knots.size) / 10.0, knots)
        else:
            rng.normal(0, 1, int(for_s * 10) + 4)
        at_s += for_s + float(rng.uniform(1, 6))
    return wave


def _snoring(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    breath = np.clip(np.sin(body.breath_phase(plan.breaths_s, t)), 0, 1) ** 2
    wave: Floats = counts * breath * np.sin(2 * np.pi * frequency_hz * t)
    return wave


def _object(t: Floats, frequency_hz: float, counts: float, item: Interference, seed: int, plan: Plan) -> Floats:
    since_s = np.maximum(t - item.from_s, 0)
    wave: Floats = counts * np.exp(-since_s / 1.2)
    return wave


_WAVES = {
    "pump": _pump,
    "piston": _piston,
    "hvac": _hvac,
    "mains": _mains,
    "footsteps": _footsteps,
    "door": _door,
    "carer": _carer,
    "snoring": _snoring,
    "object": _object,
    "dropout": lambda t, *_: np.zeros_like(t),
}


class _OtherBody:
    """Beats and breath of somebody else: a partner next to the resident, or a pet."""

    def __init__(self, script: BedScript, item: Interference, number: int) -> None:
        rng = np.random.default_rng([script.seed, 5, number])
        resident = (
            Resident(heart_rate_bpm=60 * (item.frequency_hz or PET_HEART_HZ), respiration_per_min=25, hrv=1.0)
            if item.kind == "pet"
            else Resident(heart_rate_bpm=float(rng.uniform(52, 74)), respiration_per_min=float(rng.uniform(12, 18)))
        )
        other = replace(script, resident=resident, heart_profile=(), respiration_profile=(), hypnogram=())
        self._breaths_s = body.breaths(other, rng)
        self._beats = body.beats(other, self._breaths_s, rng)
        self._shape = body.beat_shape(rng)

    def __call__(self, t: Floats, counts: float) -> Floats:
        """Their signal at times t, beats of `counts` p-p."""
        wave: Floats = 0.2 * counts * np.sin(body.breath_phase(self._breaths_s, t))
        times_s = self._beats.times_s
        grid_s = np.arange(self._shape.size) / body.SHAPE_RATE_HZ - body.SHAPE_LEAD_S
        low, high = np.searchsorted(times_s, [t[0] - body.SHAPE_SPAN_S, t[-1] + body.SHAPE_LEAD_S])
        for beat_s in times_s[low:high]:
            begin, end = np.searchsorted(t, [beat_s + grid_s[0], beat_s + grid_s[-1]])
            wave[begin:end] += counts * np.interp(t[begin:end] - beat_s, grid_s, self._shape)
        return wave


