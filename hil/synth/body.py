"""The resident as numbers: when the heart beats, when the lungs move, which shape a beat has in which posture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.synth.script import BedScript

Floats = NDArray[np.float64]

SHAPE_RATE_HZ = 1000
SHAPE_LEAD_S = 0.05
SHAPE_SPAN_S = 0.75
BEAT_COUNTS_PP = 90.0
BREATH_COUNTS_PP = 34.0
STAGE_HEART_BPM = {"wake": 6.0, "light": 0.0, "deep": -2.0, "rem": 3.0}
STAGE_MOVE_FACTOR = {"wake": 5.0, "light": 1.0, "deep": 0.2, "rem": 1.2}


@dataclass(frozen=True)
class Posture:
    """From start_s on: beat shape (SHAPE_RATE_HZ, p-p 1), gains, how breath modulates the beats."""

    start_s: float
    shape: Floats
    beat_gain: float
    breath_gain: float
    modulation: float
    modulation_phase: float


@dataclass(frozen=True)
class Beats:
    """Beat times with the amplitude factor of each."""

    times_s: Floats
    amplitude: Floats


def beat_shape(rng: np.random.Generator) -> Floats:
    """One H-I-J-K-L-M complex, p-p 1: Gaussians half a period of 4-6.3 Hz apart (measured p10-p90)."""
    spacing_s = 0.5 / rng.uniform(4.2, 6.3)
    t = np.arange(0, SHAPE_SPAN_S, 1 / SHAPE_RATE_HZ) - SHAPE_LEAD_S
    heights = np.array([0.25, -0.55, 1.0, -0.85, 0.5, -0.3, 0.15])
    heights = heights * rng.normal(1.0, 0.15, heights.size)
    shape = np.zeros_like(t)
    for k, height in enumerate(heights):
        centre_s = 0.04 + spacing_s * (k + rng.normal(0, 0.06))
        width_s = spacing_s * rng.uniform(0.34, 0.42)
        shape += height * np.exp(-0.5 * ((t - centre_s) / width_s) ** 2)
    shape -= shape.mean()
    shape *= np.minimum(1.0, np.minimum(np.arange(t.size), np.arange(t.size)[::-1]) / (0.05 * SHAPE_RATE_HZ))
    normal: Floats = shape / np.ptp(shape)
    return normal


def postures(script: BedScript, changes_s: list[float], rng: np.random.Generator) -> list[Posture]:
    """One posture from the start and one at each change: new shape, gain x .3-3, polarity, breath gain."""
    result = []
    for start_s in [0.0, *changes_s]:
        first = start_s == 0.0
        result.append(
            Posture(
                start_s=start_s,
                shape=beat_shape(rng) * (1.0 if rng.random() < 0.6 else -1.0),
                beat_gain=1.0 if first else float(np.exp(rng.normal(0, 0.45)).clip(0.3, 3.0)),
                breath_gain=1.0 if first else float(np.exp(rng.normal(0, 0.45)).clip(0.3, 3.0)),
                modulation=float(rng.uniform(0.2, 0.4)),
                modulation_phase=float(rng.uniform(0, 2 * np.pi)),
            )
        )
    return result


def breaths(script: BedScript, rng: np.random.Generator) -> Floats:
    """Start times of all breaths; single cycles vary by 5 % (REM 12 %) around a slowly wandering rate."""
    times = [float(rng.uniform(0, 2))]
    wander = 0.0
    while times[-1] < script.duration_s + 20:
        t = times[-1]
        rate = _profile_at(script.respiration_profile, t, script.resident.respiration_per_min)
        wander = 0.93 * wander + rng.normal(0, 0.02)
        spread = 0.12 if stage_at(script, t) == "rem" else 0.05
        cycle_s = 60.0 / rate * (1 + wander) * (1 + rng.normal(0, spread))
        times.append(t + float(np.clip(cycle_s, 1.5, 12)))
    return np.array(times)


def breath_phase(breaths_s: Floats, t: Floats) -> Floats:
    """Phase in radians at times t, 2 pi a breath."""
    phase: Floats = 2 * np.pi * np.interp(t, breaths_s, np.arange(breaths_s.size))
    return phase


def beats(script: BedScript, breaths_s: Floats, rng: np.random.Generator) -> Beats:
    """All beats of the night: rate profile, respiratory arrhythmia, .1 Hz waves and drift, or AF, or extra beats."""
    if script.rr_ms:
        return _measured_beats(script, rng)
    resident = script.resident
    times: list[float] = []
    amplitudes: list[float] = []
    t = float(rng.uniform(0, 1))
    drift = 0.0
    make_up = 0.0
    lf_phase = rng.uniform(0, 2 * np.pi)
    while t < script.duration_s + 3:
        mean_s = 60.0 / heart_rate_at(script, t)
        drift = 0.985 * drift + rng.normal(0, 0.006)
        phase = float(breath_phase(breaths_s, np.array([t]))[0])
        sinus_s = mean_s * (
            1
            + resident.hrv * (0.065 * np.sin(phase) + 0.030 * np.sin(2 * np.pi * 0.095 * t + lf_phase) + drift)
        )  # fmt: skip
        sinus_s += rng.normal(0, 0.004)
        amplitude = float(np.exp(rng.normal(0, 0.08)))
        interval_s = float(sinus_s)
        if resident.rhythm == "af":
            interval_s = float(mean_s * np.clip(1 + resident.af_interval_cv * rng.normal(), 0.5, 1.8))
            amplitude *= float(np.clip(interval_s / mean_s, 0.5, 1.3))
        elif make_up:
            interval_s, make_up = make_up, 0.0
            amplitude *= 1.15
        elif resident.rhythm == "premature" and rng.random() < resident.premature_share:
            interval_s = float(sinus_s * rng.uniform(0.55, 0.75))
            make_up = float(2 * sinus_s - interval_s)
            amplitude *= float(rng.uniform(0.3, 0.7))
        t += max(interval_s, 0.33)
        times.append(t)
        amplitudes.append(amplitude)
    return Beats(np.array(times), np.array(amplitudes))


def _measured_beats(script: BedScript, rng: np.random.Generator) -> Beats:
    intervals_s = np.array(script.rr_ms) / 1000
    rounds = int((script.duration_s + 3) / intervals_s.sum()) + 1
    times_s = float(rng.uniform(0, 1)) + np.cumsum(np.tile(intervals_s, rounds))
    times_s = times_s[: int(np.searchsorted(times_s, script.duration_s + 3)) + 1]
    return Beats(times_s, np.exp(rng.normal(0, 0.08, times_s.size)))


def heart_rate_at(script: BedScript, time_s: float) -> float:
    """Intended rate at time_s in bpm: profile or resident's rate, plus what the sleep stage adds."""
    rate = _profile_at(script.heart_profile, time_s, script.resident.heart_rate_bpm)
    stage = stage_at(script, time_s)
    return rate + (STAGE_HEART_BPM[stage] if stage else 0.0)


def stage_at(script: BedScript, time_s: float) -> str:
    """Sleep stage at time_s, empty without a hypnogram."""
    stage = ""
    for phase in script.hypnogram:
        if phase.at_s > time_s:
            break
        stage = phase.stage
    return stage


def _profile_at(profile: tuple[tuple[float, float], ...], time_s: float, default: float) -> float:
    if not profile:
        return default
    return float(np.interp(time_s, [p[0] for p in profile], [p[1] for p in profile]))
