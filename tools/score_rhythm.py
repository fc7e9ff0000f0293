"""Measured beat intervals for the simulator, and intervals as fibrillation has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RR_FILE = "rr_interval_ms_dev.npz"
STRAY_MAX = 0.3  # of the median of nine: more is a beat that the strap missed
RR_MIN_MS, RR_MAX_MS = 400, 1600
FORMS = ("normal", "lognormal", "gamma", "two-valued", "bursts")
Floats = NDArray[np.float64]


def measured_intervals(path: Path, pieces: int, seconds: float, seed: int) -> Iterator[tuple[str, Floats]]:
    """(person, intervals in ms) of `pieces` stretches per night of `seconds` without a missed beat.

    Args: path of a .npz with one array of intervals in ms per night, named PERSON_DATE.
    """
    data = np.load(path, allow_pickle=False)
    rng = np.random.default_rng(seed)
    for name in data.files:
        intervals_ms = data[name].astype(float)
        found = 0
        for start in rng.integers(0, len(intervals_ms) - int(3 * seconds), 2000):
            ends_s = np.cumsum(intervals_ms[start : start + int(3 * seconds)]) / 1000
            piece = intervals_ms[start : start + int(np.searchsorted(ends_s, seconds)) + 1]
            if _clean(piece):
                yield name.split("_")[0], piece
                found += 1
            if found == pieces:
                break


def fibrillation(rng: np.random.Generator, form: str, cv: float, bpm: float, count: int) -> Floats:
    """`count` intervals in ms without memory: mean 60000 / bpm, coefficient of variation cv, spread as `form` says."""
    if form == "normal":
        x = 1 + cv * rng.normal(size=count)
    elif form == "lognormal":
        x = np.exp(rng.normal(0, cv, count))
    elif form == "gamma":
        x = rng.gamma(1 / cv**2, cv**2, count)
    elif form == "two-valued":
        x = 1 + 0.9 * cv * rng.choice([-1, 1], count) + 0.4 * cv * rng.normal(size=count)
    elif form == "bursts":
        x = 1 + 0.55 * cv * rng.normal(size=count)
        x += np.where(rng.random(count) < 0.2, 1.9 * cv * rng.choice([-1, 1], count), 0)
    else:
        raise ValueError(f"form {form!r} is none of {', '.join(FORMS)}")
    intervals_ms: Floats = np.maximum(60000 / bpm * np.clip(x / x.mean(), 0.5, 1.9), 330)
    return intervals_ms


def _clean(piece: Floats) -> bool:
    if piece.size < 9 or piece.min() < RR_MIN_MS or piece.max() > RR_MAX_MS:
        return False
    around = np.lib.stride_tricks.sliding_window_view(np.pad(piece, 4, mode="edge"), 9)
    median = np.median(around, axis=1)
    return bool((np.abs(piece - median) < STRAY_MAX * median).all())
