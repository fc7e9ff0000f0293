"""Fit the sleep/wake model of gateway/cores/sleep_wake.py and score it on people it has not seen.

    python tools/fit_sleep_wake.py            leave one person out: kappa, specificity, sensitivity, TST error
    python tools/fit_sleep_wake.py --write    the same, then fit on everybody and write sleep_wake_table.py

Reads ../shared/data/sleep_hr_stage_dev.npz (not part of the project): heart rate averaged to minutes, as the gateway
stores it, and the stages of polysomnography per 30 s. Only coefficients leave this program. Needs numpy.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from gateway.cores.sleep_wake import FEATURES, heart_features  # noqa: E402

DATA = PROJECT.parent / "shared" / "data" / "sleep_hr_stage_dev.npz"
TABLE = PROJECT / "gateway" / "cores" / "sleep_wake_table.py"
RIDGE = 700.0
CLIP = 2.5
SLEEP_PROBABILITY_MIN = 0.76

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """One night: heart rate per minute (nan = absent) and stage per epoch (1 sleep, 0 wake, -1 not scored)."""

    heart_rate_bpm: Array
    stage: Array
    features: Array


@dataclass(frozen=True)
class Model:
    centres: Array
    spreads: Array
    constant: float
    weights: Array

    def sleep_logit(self, features: Array) -> Array:
        result: Array = self.constant + expand(features, self.centres, self.spreads) @ self.weights
        return result


def load_people(path: Path) -> list[Person]:
    people = []
    with np.load(path) as archive:
        for name in sorted({key.split("_")[0] for key in archive.files}):
            people.append(person_of(archive[f"{name}_hr"], archive[f"{name}_stage"]))
    return people


def person_of(heart: Array, stages: Array) -> Person:
    """Minutes counted from the first scored epoch, rates to one decimal as a minute record holds them."""
    count = -(-len(stages) // 2)
    minute = np.floor(heart[:, 0] / 60).astype(int)
    rates = np.array([heart[minute == i, 1].mean().round(1) if (minute == i).any() else np.nan for i in range(count)])
    rows = heart_features([None if np.isnan(rate) else float(rate) for rate in rates], [True] * count)
    stage = np.where(stages[:, 1] < 0, -1.0, (stages[:, 1] > 0).astype(float))
    return Person(rates, stage, np.array(rows)[: len(stages)])


def expand(features: Array, centres: Array, spreads: Array) -> Array:
    scaled = np.clip((features - centres) / spreads, -CLIP, CLIP)
    rows, columns = np.triu_indices(scaled.shape[1])
    return np.hstack([scaled, scaled[:, rows] * scaled[:, columns]])


def fit(people: list[Person]) -> Model:
    """Ridge logistic regression by Newton's method, steps halved until the objective falls."""
    features = np.vstack([p.features[p.stage >= 0] for p in people])
    asleep = np.concatenate([p.stage[p.stage >= 0] for p in people])
    centres, spreads = features.mean(0), features.std(0)
    terms = expand(features, centres, spreads)
    middle, scale = terms.mean(0), terms.std(0)
    columns = np.hstack([np.ones((len(terms), 1)), (terms - middle) / scale])
    ridge = np.full(columns.shape[1], RIDGE)
    ridge[0] = 0.0
    weights = np.zeros(columns.shape[1])
    weights[0] = np.log(asleep.mean() / (1 - asleep.mean()))

    def objective(candidate: Array) -> float:
        z = columns @ candidate
        return float(np.sum(np.logaddexp(0, z) - asleep * z) + 0.5 * np.sum(ridge * candidate**2))

    value = objective(weights)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(columns @ weights)))
        gradient = columns.T @ (asleep - p) - ridge * weights
        hessian = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while objective(weights + size * step) > value and size > 1e-6:
            size /= 2
        weights = weights + size * step
        before, value = value, objective(weights)
        if before - value < 0.05:
            break
    plain = weights[1:] / scale
    return Model(centres, spreads, float(weights[0] - plain @ middle), plain)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def kappa(table: Array) -> float:
    """Cohen's kappa of a 2 x 2 table (truth by row)."""
    total = table.sum()
    chance = (table.sum(0) * table.sum(1)).sum() / total**2
    return float((np.trace(table) / total - chance) / (1 - chance))


def confusion(person: Person, asleep: npt.NDArray[np.bool_]) -> Array:
    """Epochs counted by truth (row) and score (column); 0 wake, 1 sleep."""
    scored = person.stage >= 0
    return np.array([[np.sum((person.stage[scored] == a) & (asleep[scored] == b)) for b in (0, 1)] for a in (0, 1)])


@dataclass(frozen=True)
class Figures:
    """Pooled over all epochs, but for `kappa_of_people` (mean of each person's) and the errors of TST by person."""

    people: int
    kappa: float
    kappa_of_people: float
    specificity: float
    sensitivity: float
    tst_mae_min: float
    tst_bias_min: float

    def __str__(self) -> str:
        return (
            f"{self.people} people: kappa {self.kappa:.3f} (mean of people {self.kappa_of_people:.3f}), "
            f"wake specificity {self.specificity:.3f}, sensitivity {self.sensitivity:.3f}, "
            f"TST MAE {self.tst_mae_min:.1f} min, bias {self.tst_bias_min:+.1f} min"
        )


def figures(tables: list[Array]) -> Figures:
    pooled = np.sum(tables, axis=0)
    errors_min = np.array([(table[:, 1].sum() - table[1].sum()) / 2 for table in tables])
    return Figures(
        people=len(tables),
        kappa=kappa(pooled),
        kappa_of_people=float(np.mean([kappa(table) for table in tables])),
        specificity=float(pooled[0, 0] / pooled[0].sum()),
        sensitivity=float(pooled[1, 1] / pooled[1].sum()),
        tst_mae_min=float(np.abs(errors_min).mean()),
        tst_bias_min=float(errors_min.mean()),
    )


def score_unseen(people: list[Person], folds: int, threshold: float = logit(SLEEP_PROBABILITY_MIN)) -> list[Array]:
    """Confusion table of each person under a model fitted without their fold; folds = people: leave one out."""
    tables: list[Array] = []
    for fold in np.array_split(np.arange(len(people)), folds):
        model = fit([person for i, person in enumerate(people) if i not in fold])
        tables += [confusion(people[i], model.sleep_logit(people[i].features) > threshold) for i in fold]
    return tables


def table_source(model: Model, scores: str) -> str:
    def rows(name: str, values: Array) -> str:
        lines, line = [], "   "
        for value in values:
            text = f" {value:.5g},"
            if len(line) + len(text) > 118:
                lines.append(line)
                line = "   "
            line += text
        return f"{name} = (\n" + "\n".join([*lines, line]) + "\n)\n"

    heading = scores.replace(": ", ":\n", 1)
    return (
        '"""Coefficients of the sleep/wake model, written by tools/fit_sleep_wake.py; do not edit.\n\n'
        f"Leave one person out on heart rate alone: {heading}.\n"
        '"""\n\n# fmt: off\n'
        f"CLIP = {CLIP}\nSLEEP_LOGIT = {model.constant:.6g}\n"
        f"SLEEP_LOGIT_MIN = {logit(SLEEP_PROBABILITY_MIN):.4f}\n"
        '"""Log odds above which an epoch is sleep: sleep is common, so even odds would hide most of the wake."""\n\n'
        + rows("CENTRES", model.centres)
        + rows("SPREADS", model.spreads)
        + rows("WEIGHTS", model.weights)
        + "# fmt: on\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", action="store_true", help="fit on everybody and write the table")
    options = parser.parse_args()
    if not options.data.is_file():
        print(f"{options.data}: no such file; the recordings are not part of the project", file=sys.stderr)
        return 2
    people = load_people(options.data)
    scores = str(figures(score_unseen(people, folds=len(people))))
    print(scores)
    if options.write:
        TABLE.write_text(table_source(fit(people), scores), encoding="utf-8")
        print(f"wrote {TABLE.relative_to(PROJECT)}: {len(FEATURES)} features")
    return 0


if __name__ == "__main__":
    sys.exit(main())
