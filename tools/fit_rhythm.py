"""Fits the weights of the belt's irregularity test and of its trust in a rate, scores them with each person left out.

`python -m tools.fit_rhythm` simulates hearts that beat at measured intervals ($SLEEPBELT_DATA or ../shared/data) and
fibrillating ones at 0, 3 and 6 dB. It fits two logistic regressions: fibrillation against the rest
(firmware_py/belt/rhythm.py), and wrong rates against the rest (firmware_py/belt/heart.py). For every person and every
form of fibrillation it prints what the weights say that were fitted without them.
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

from firmware_py.belt.heart import APART_MAX, APART_UNKNOWN, BEAT_LAG_MIN
from firmware_py.belt.pipeline import Pipeline
from hil.synth import BedScript, Event, Resident, Synth
from tools.score_rhythm import FORMS, RR_FILE, fibrillation, measured_intervals

ROOT = Path(__file__).resolve().parent.parent
RATE_HZ = 50
LENGTH_S = 240
SKIP_S = 30
TOLD = 0.92  # of the training fibrillation
COVERED = 0.95  # of the seconds in measured sinus rhythm
WRONG_BPM = 5
CV = (0.15, 0.17, 0.2, 0.25)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Heart = tuple[str, bool, float, Floats]  # group, fibrillation, SNR in dB, intervals in ms
FLAG = ("step", "height")
TRUST = ("step", "height", "apart", "track")


def hearts(path: Path) -> Iterator[Heart]:
    """Measured hearts, one group a person, and fibrillating ones, one group a form."""
    for number, (person, intervals_ms) in enumerate(measured_intervals(path, 3, LENGTH_S + 5, 12)):
        yield person, False, 3.0 * (number % 3), intervals_ms
    rng = np.random.default_rng(3)
    for number, (form, cv, bpm) in enumerate((f, c, b) for f in FORMS for c in CV for b in (62, 78, 95)):
        yield form, True, 3.0 * ((number + number // 3) % 3), fibrillation(rng, form, cv, bpm, 500)


def features(numbered: tuple[int, Heart]) -> Floats:
    """(seconds, 6): step, height, apart in dbpm, track, error of the rate in bpm, and 1 where a rate could be told.

    Seconds in which the belt knows too little of the rhythm, or of which no true rate is known, are left out.
    """
    number, (_, _, snr_db, intervals_ms) = numbered
    resident = Resident(60000 / float(intervals_ms.mean()), snr_db=snr_db, movements_per_h=0, turn_overs_per_h=0)
    script = BedScript("fit", LENGTH_S, 9000 + number, resident=resident, events=(Event(0, "enter"),))
    synth = Synth(replace(script, rr_ms=tuple(intervals_ms.tolist())), RATE_HZ)
    counts = synth.all()
    pipeline = Pipeline(bits=10)
    heart = pipeline.heart
    rhythm = heart.rhythm
    result = []
    for second in range(LENGTH_S):
        pipeline.push(array("h", counts[second * RATE_HZ : (second + 1) * RATE_HZ].tolist()), RATE_HZ)
        pipeline.second()
        truth = synth.truth.heart_rate_bpm(second - 9, second + 1)
        if second < SKIP_S or not rhythm.known or truth is None:
            continue
        track = heart._track[heart.lag - BEAT_LAG_MIN]
        apart = heart.apart if heart.apart >= 0 else APART_UNKNOWN
        told = heart.dbpm >= 0 and apart < APART_MAX
        result.append((rhythm.step / 100, rhythm.height, apart, track, heart.dbpm / 10 - truth, told))
    return np.array(result, dtype=float).reshape(-1, 6)


def fit(x: Floats, y: Bools) -> Floats:
    """Weights (of the columns of x, then the constant) of a logistic regression of y on x, classes balanced."""
    middle, spread = x.mean(0), x.std(0)
    z = np.c_[(x - middle) / spread, np.ones(len(x))]
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum()) * len(y)
    b = np.zeros(z.shape[1])
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(z @ b, -30, 30)))
        slope = (z * (weight * p * (1 - p))[:, None]).T @ z + np.eye(len(b))
        b += np.linalg.solve(slope, z.T @ (weight * (y - p)) - b)
    weights: Floats = np.r_[b[:-1] / spread, b[-1] - (b[:-1] * middle / spread).sum()]
    return weights


def left_out(x: Floats, y: Bools, group: NDArray[np.str_], limit: Floats) -> Bools:
    """Which rows lie above the limit of weights that were fitted without their group.

    Args: limit = (share, class): the limit is the quantile `share` of the training rows whose y is `class`.
    """
    above = np.zeros(len(x), bool)
    for name in np.unique(group):
        out = group == name
        weights = fit(x[~out], y[~out])
        doubt = x @ weights[:-1] + weights[-1]
        above[out] = doubt[out] > np.quantile(doubt[~out & (y == bool(limit[1]))], limit[0])
    return above


def _show(names: Sequence[str], weights: Floats, limits: Floats) -> None:
    unit = 100 / weights[0]
    told = ", ".join(f"{name} {value * unit:.2f}" for name, value in zip(names, weights, strict=False))
    print(f"  weights {told}, 1 {weights[-1] * unit:.0f}; limit {', '.join(f'{v * unit:.0f}' for v in limits)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print weights in the firmware's unit (a step of 1/256 is 100) and the figures of every group left out."""
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
    rows = np.concatenate(parts)

    sizes = [len(part) for part in parts]
    group = np.repeat(np.array([heart[0] for _, heart in whole], dtype=np.str_), sizes)
    fibrillating = np.repeat(np.array([heart[1] for _, heart in whole], dtype=np.bool_), sizes)
    snr_db = np.repeat(np.array([heart[2] for _, heart in whole], dtype=np.float64), sizes)
    print("irregular:")
    weights = fit(rows[:, :2], fibrillating)
    doubt = rows[:, :2] @ weights[:-1] + weights[-1]
    _show(FLAG, weights, np.quantile(doubt[fibrillating], [1 - TOLD]))
    flagged = left_out(rows[:, :2], fibrillating, group, np.array([1 - TOLD, 1]))
    for name in np.unique(group):
        print(f"  {name:12} left out: {100 * flagged[group == name].mean():5.1f} % told irregular")
    for level in (0, 3, 6):
        at = snr_db == level
        told, false = 100 * flagged[at & fibrillating].mean(), 100 * flagged[at & ~fibrillating].mean()
        print(f"  {level} dB: fibrillation {told:.1f} %, measured intervals {false:.1f} %")
    _trust(rows, group, fibrillating, flagged, snr_db)
    return 0


def _trust(rows: Floats, group: NDArray[np.str_], fibrillating: Bools, flagged: Bools, snr_db: Floats) -> None:
    error = np.abs(rows[:, 4])
    could = (rows[:, 5] > 0) & ~flagged
    told_share = could[~fibrillating].mean()
    print(f"trust (a rate could be told in {100 * told_share:.1f} % of measured sinus rhythm):")
    x = rows[could][:, :4]
    bad = fibrillating[could] & ((error[could] > WRONG_BPM) | (np.arange(could.sum()) % 4 == 0))
    share = min(1.0, COVERED / told_share)
    weights = fit(x, bad)
    doubt = x @ weights[:-1] + weights[-1]
    _show(TRUST, weights, np.quantile(doubt[~fibrillating[could]], [share]))
    emitted = could.copy()
    emitted[could] = ~left_out(x, bad, group[could], np.array([share, 0]))
    for level in (0, 3, 6):
        at = (snr_db == level) & ~fibrillating
        mine = error[at & emitted]
        print(f"  {level} dB, left out: a rate in {100 * emitted[at].mean():.1f} %, MAE {mine.mean():.2f} bpm, "
              f"{100 * (mine > WRONG_BPM).mean():.2f} % off by > {WRONG_BPM}")  # fmt: skip
    mine = error[fibrillating & emitted]
    print(f"  fibrillation, left out: a rate in {100 * emitted[fibrillating].mean():.1f} %, "
          f"{100 * (mine > WRONG_BPM).mean():.1f} % of them off by > {WRONG_BPM}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
