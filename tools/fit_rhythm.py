"""Fits the weights of the belt's irregularity test (firmware_py/belt/heart.py), scores them with each person left out.

`python -m tools.fit_rhythm` simulates hearts that beat at measured intervals ($SLEEPBELT_DATA or ../shared/data) and
fibrillating ones at 0, 3 and 6 dB, fits a logistic regression and prints, for every person and every form of
fibrillation, what the weights say that were fitted without them. The limit is where 92 % of the training fibrillation
is told.
"""

from __future__ import annotations

import argparse
import os
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_py.belt.heart import SEEN_MIN_S
from firmware_py.belt.pipeline import Pipeline
from hil.synth import BedScript, Event, Resident, Synth
from tools.score_rhythm import FORMS, RR_FILE, fibrillation, measured_intervals

ROOT = Path(__file__).resolve().parent.parent
RATE_HZ = 50
LENGTH_S = 240
SKIP_S = 30
TOLD = 0.92  # of the training fibrillation
CV = (0.15, 0.17, 0.2, 0.25)
Floats = NDArray[np.float64]
Heart = tuple[str, bool, float, Floats]  # group, fibrillation, SNR in dB, intervals in ms


def hearts(path: Path) -> Iterator[Heart]:
    """Measured hearts, one group a person, and fibrillating ones, one group a form."""
    for number, (person, intervals_ms) in enumerate(measured_intervals(path, 3, LENGTH_S + 5, 12)):
        yield person, False, 3.0 * (number % 3), intervals_ms
    rng = np.random.default_rng(3)
    for number, (form, cv, bpm) in enumerate((f, c, b) for f in FORMS for c in CV for b in (62, 78, 95)):
        yield form, True, 3.0 * ((number + number // 3) % 3), fibrillation(rng, form, cv, bpm, 500)


def features(numbered: tuple[int, Heart]) -> Floats:
    """(seconds, 4): mean astray, mean height, mean evidence, tracked lag, as Rhythm sees them; only settled seconds."""
    number, (_, _, snr_db, intervals_ms) = numbered
    resident = Resident(60000 / float(intervals_ms.mean()), snr_db=snr_db, movements_per_h=0, turn_overs_per_h=0)
    script = BedScript("fit", LENGTH_S, 9000 + number, resident=resident, events=(Event(0, "enter"),))
    counts = Synth(replace(script, rr_ms=tuple(intervals_ms.tolist())), RATE_HZ).all()
    pipeline = Pipeline(bits=10)
    result = []
    for second in range(LENGTH_S):
        pipeline.push(array("h", counts[second * RATE_HZ : (second + 1) * RATE_HZ].tolist()), RATE_HZ)
        pipeline.second()
        rhythm = pipeline.heart.rhythm
        if second >= SKIP_S and rhythm.seen >= SEEN_MIN_S:
            means = (rhythm.astray, rhythm.height, rhythm.evidence)
            result.append((*(total / rhythm.seen for total in means), pipeline.heart.lag))
    return np.array(result, dtype=float).reshape(-1, 4)


def fit(x: Floats, y: NDArray[np.bool_]) -> Floats:
    """Weights (4, then the constant) of a logistic regression of y on x; both classes count the same."""
    middle, spread = x.mean(0), x.std(0)
    z = np.c_[(x - middle) / spread, np.ones(len(x))]
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum()) * len(y)
    b = np.zeros(z.shape[1])
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(z @ b, -30, 30)))
        slope = (z * (weight * p * (1 - p))[:, None]).T @ z + np.eye(len(b))
        b += np.linalg.solve(slope, z.T @ (weight * (y - p)) - b)
    weights: Floats = np.r_[b[:4] / spread, b[4] - (b[:4] * middle / spread).sum()]
    return weights


def main(argv: Sequence[str] | None = None) -> int:
    """Print weights in the firmware's unit and the figures of every group left out."""
    parser = argparse.ArgumentParser(prog="python -m tools.fit_rhythm", description=__doc__,
                                     epilog="example: python -m tools.fit_rhythm --jobs 2",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args(argv)
    path = Path(os.environ.get("SLEEPBELT_DATA", ROOT.parent / "shared" / "data")) / RR_FILE
    if not path.exists():
        print(f"fit_rhythm: no {path}: set SLEEPBELT_DATA to the folder that holds {RR_FILE}", file=sys.stderr)
        return 2
    whole = list(enumerate(hearts(path)))
    print(f"simulating {len(whole)} hearts of {LENGTH_S} s", file=sys.stderr)
    with Pool(options.jobs) as pool:
        parts = pool.map(features, whole, 4)
    x = np.concatenate(parts)
    y = np.concatenate([np.full(len(part), heart[1]) for part, (_, heart) in zip(parts, whole, strict=True)])
    group = np.concatenate([np.full(len(part), heart[0]) for part, (_, heart) in zip(parts, whole, strict=True)])
    snr_db = np.concatenate([np.full(len(part), heart[2]) for part, (_, heart) in zip(parts, whole, strict=True)])
    weights = fit(x, y)
    print("weights for astray, height, evidence, lag and 1, evidence = -1:", np.round(weights / -weights[2], 2))
    told = np.zeros(len(x), bool)
    for name in np.unique(group):
        out = group == name
        weights = fit(x[~out], y[~out])
        doubt = x @ weights[:4] + weights[4]
        told[out] = doubt[out] > np.quantile(doubt[~out & y], 1 - TOLD)
        print(f"{name:12} left out: {100 * told[out].mean():5.1f} % told irregular")
    for level in (0, 3, 6):
        at = snr_db == level
        flagged, false = 100 * told[at & y].mean(), 100 * told[at & ~y].mean()
        print(f"{level} dB: fibrillation {flagged:.1f} %, measured intervals {false:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
