"""Torso effort recordings as belt signals: effort as the baseline, synthetic beats on top, an offline reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.synth import BedScript, Event, Resident, Synth
from hil.synth.body import BREATH_COUNTS_PP

EFFORT_HZ = 20
PIECE_S = 300
WINDOW_S = 30
AGREE_PER_MIN = 1.5
Floats = NDArray[np.float64]


def breath_recordings(
    path: Path, rate_hz: int, pieces: int
) -> Iterator[tuple[NDArray[np.int16], list[tuple[int, float]]]]:
    """Per night: `pieces` pieces as 10-bit counts with beats, and (time_s, breaths per minute) of agreeing windows."""
    data = np.load(path, allow_pickle=False)
    rng = np.random.default_rng(7)
    for number, name in enumerate(data.files):
        effort = data[name].astype(float)
        for start in rng.integers(0, len(effort) - PIECE_S * EFFORT_HZ, pieces):
            piece = effort[start : start + PIECE_S * EFFORT_HZ]
            slow = _band(piece, 0.05, 2.0)
            scale = BREATH_COUNTS_PP / (2.8 * _band(piece, 0.08, 0.8).std() + 1e-9)
            resident = Resident(heart_rate_bpm=62, gain=1.0, movements_per_h=0, turn_overs_per_h=0)
            script = BedScript("breath", PIECE_S, number + int(start), resident=resident, events=(Event(0, "enter"),))
            synth = Synth(script, rate_hz)
            t = np.arange(synth.samples_total) / rate_hz
            own = synth.baseline(t)
            counts = synth.all() - own + np.interp(t, np.arange(slow.size) / EFFORT_HZ, slow * scale)
            yield np.clip(np.round(counts), 0, 819).astype(np.int16), _references(piece)


def _band(x: Floats, low_hz: float, high_hz: float) -> Floats:
    spectrum = np.fft.rfft(x - x.mean())
    frequency = np.fft.rfftfreq(x.size, 1 / EFFORT_HZ)
    gain = 1 / (1 + np.exp(-(frequency - low_hz) / 0.01)) / (1 + np.exp((frequency - high_hz) / 0.03))
    result: Floats = np.fft.irfft(spectrum * gain, x.size)
    return result


def _references(piece: Floats) -> list[tuple[int, float]]:
    """Windows in which counted breaths and the spectral peak agree; both see the future, the belt does not."""
    band = _band(piece, 0.08, 0.8)
    tops_s = _tops(band)
    result = []
    for end_s in range(WINDOW_S + 15, PIECE_S + 1):
        inside = tops_s[(tops_s >= end_s - WINDOW_S) & (tops_s < end_s)]
        if inside.size < 4:
            continue
        counted = 60 / float(np.diff(inside).mean())
        window = band[(end_s - WINDOW_S) * EFFORT_HZ : end_s * EFFORT_HZ]
        power = np.abs(np.fft.rfft((window - window.mean()) * np.hanning(window.size), 8192)) ** 2
        frequency = np.fft.rfftfreq(8192, 1 / EFFORT_HZ)
        power[(frequency < 0.08) | (frequency > 0.8)] = 0
        spectral = 60 * float(frequency[power.argmax()])
        if abs(counted - spectral) < AGREE_PER_MIN:
            result.append((end_s, (counted + spectral) / 2))
    return result


def _tops(band: Floats) -> Floats:
    """Times of the maxima that rise and fall by more than .6 of the local rms amplitude."""
    kernel = np.ones(30 * EFFORT_HZ) / (30 * EFFORT_HZ)
    need = 0.6 * np.sqrt(np.convolve(band**2, kernel, "same"))
    tops: list[int] = []
    rising = True
    best = 0
    for i in range(1, band.size):
        if (band[i] - band[best]) * (1 if rising else -1) > 0:
            best = i
        elif abs(band[i] - band[best]) > need[i]:
            if rising:
                tops.append(best)
            rising = not rising
            best = i
    return np.array(tops) / EFFORT_HZ
