"""The sleep/wake scorer: what it does with each kind of evidence, and how well it does on people it has not seen."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from gateway.cores.night_facts import EPOCH_S, Minute, Span
from gateway.cores.sleep_wake import FEATURES, expanded, heart_features, score_epochs
from gateway.cores.sleep_wake_table import CENTRES, SPREADS, WEIGHTS

PROJECT = Path(__file__).resolve().parents[3]
RECORDINGS = PROJECT.parent / "shared" / "data" / "sleep_hr_stage_dev.npz"
HOURS = 8
NIGHT = [Span(0, HOURS * 3600)]


def night_minutes(**fields: Callable[[int], float | None]) -> list[Minute]:
    """Eight hours of minutes; each field a function of the minute number."""
    return [
        Minute(at_utc_s=60 * i, **{name: value(i) for name, value in fields.items()})  # type: ignore[arg-type]
        for i in range(60 * HOURS)
    ]


def sleeping_heart(i: int) -> float:
    """Half an hour of wake, then a calm and slow heart; the same every time."""
    noise = random.Random(i)
    return round(80 + noise.gauss(0, 5) if i < 30 else 60 + noise.gauss(0, 1), 1)


def asleep_share(minutes: list[Minute], start_min: int, end_min: int) -> float:
    epochs = score_epochs(minutes, NIGHT)
    assert epochs is not None
    inside = [epoch.asleep for epoch in epochs if 60 * start_min <= epoch.start_utc_s < 60 * end_min]
    return sum(inside) / len(inside)


def test_a_fast_and_unsteady_heart_is_awake_and_a_calm_one_asleep() -> None:
    minutes = night_minutes(heart_rate_bpm=sleeping_heart)
    assert asleep_share(minutes, 0, 20) < 0.2
    assert asleep_share(minutes, 60, 450) > 0.95


def test_epochs_cover_the_time_in_bed_on_the_half_minutes_of_the_records() -> None:
    minutes = [Minute(7 + 60 * i, heart_rate_bpm=60) for i in range(100)]
    epochs = score_epochs(minutes, [Span(10, 1000), Span(1300, 6000)])
    assert epochs is not None
    starts = [epoch.start_utc_s for epoch in epochs]
    assert all((start - 7) % EPOCH_S == 0 for start in starts)
    assert (starts[0], starts[-1]) == (7, 5977)
    assert not any(start >= 1000 and start + EPOCH_S <= 1300 for start in starts)
    assert len(starts) == len(set(starts))


def test_nothing_to_go_by_gives_no_epochs() -> None:
    assert score_epochs([], NIGHT) is None
    assert score_epochs(night_minutes(), NIGHT) is None
    assert score_epochs(night_minutes(heart_rate_bpm=lambda i: 60 if i < 29 else None), NIGHT) is None


def test_movement_that_is_zero_all_night_changes_nothing() -> None:
    heart_only = score_epochs(night_minutes(heart_rate_bpm=sleeping_heart), NIGHT)
    zero = score_epochs(night_minutes(heart_rate_bpm=sleeping_heart, movement_s=lambda i: 0), NIGHT)
    assert zero == heart_only


def test_movement_alone_tells_wake_where_the_rhythm_gives_no_rate() -> None:
    minutes = night_minutes(movement_s=lambda i: 20 if i < 30 or 200 <= i < 230 else 0)
    assert asleep_share(minutes, 5, 25) == 0
    assert asleep_share(minutes, 205, 225) == 0
    assert asleep_share(minutes, 40, 190) == 1


def test_going_on_moving_wakes_a_calm_heart() -> None:
    minutes = night_minutes(heart_rate_bpm=sleeping_heart, movement_s=lambda i: 15 if 200 <= i < 230 else 0)
    assert asleep_share(minutes, 205, 225) < 0.1


def test_one_turn_over_wakes_nobody() -> None:
    minutes = night_minutes(heart_rate_bpm=sleeping_heart, movement_s=lambda i: 9 if i == 200 else 0)
    assert asleep_share(minutes, 190, 210) == 1


def test_the_halves_of_a_minute_place_its_movement() -> None:
    def wake_starts(halves_s: tuple[float, float]) -> list[int]:
        minutes = [Minute(60 * i, movement_s=0, movement_halves_s=(0, 0)) for i in range(480)]
        minutes[100] = Minute(6000, movement_s=30, movement_halves_s=halves_s)
        return [epoch.start_utc_s for epoch in score_epochs(minutes, NIGHT) or [] if not epoch.asleep]

    assert wake_starts((0, 30)) == [start + EPOCH_S for start in wake_starts((30, 0))]


def test_a_minute_without_a_record_is_bridged() -> None:
    minutes = [minute for i, minute in enumerate(night_minutes(heart_rate_bpm=sleeping_heart)) if i % 10]
    assert asleep_share(minutes, 60, 450) > 0.9


def test_one_heart_rate_all_night_is_scored_without_failing() -> None:
    assert score_epochs(night_minutes(heart_rate_bpm=lambda i: 60), NIGHT) is not None


def test_breath_that_is_steady_changes_nothing() -> None:
    heart_only = score_epochs(night_minutes(heart_rate_bpm=sleeping_heart), NIGHT)
    steady = score_epochs(night_minutes(heart_rate_bpm=sleeping_heart, respiration_per_min=lambda i: 14), NIGHT)
    assert steady == heart_only


def test_table_features_and_products_fit_together() -> None:
    rows = heart_features([60.0, None, 62.0], [True, True, True])
    assert (len(rows), {len(row) for row in rows}) == (6, {len(FEATURES)})
    assert len(CENTRES) == len(SPREADS) == len(FEATURES)
    assert len(expanded(rows[0])) == len(WEIGHTS)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    if not RECORDINGS.is_file():
        pytest.skip("../shared/data/sleep_hr_stage_dev.npz is absent (recordings are not part of the project)")
    spec = importlib.util.spec_from_file_location("fit_sleep_wake", PROJECT / "tools" / "fit_sleep_wake.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_people_it_was_not_fitted_on_are_scored_within_the_goals(tool: ModuleType) -> None:
    tables = tool.score_unseen(tool.load_people(RECORDINGS), folds=5)
    figures = tool.figures(tables)
    assert figures.kappa >= 0.45
    assert figures.specificity >= 0.55
    assert figures.sensitivity >= 0.93
    assert figures.tst_mae_min <= 22
    assert abs(figures.tst_bias_min) <= 10


def test_the_shipped_table_scores_as_the_tool_does(tool: ModuleType) -> None:
    person = tool.load_people(RECORDINGS)[0]
    rates = [None if rate != rate else float(rate) for rate in person.heart_rate_bpm]
    minutes = [Minute(60 * i, heart_rate_bpm=rate) for i, rate in enumerate(rates)]
    epochs = score_epochs(minutes, [Span(0, 60 * len(minutes))])
    assert epochs is not None
    asleep = [epoch.asleep for epoch in epochs][: len(person.stage)]
    agreement = sum(a == (stage > 0) for a, stage in zip(asleep, person.stage, strict=True)) / len(asleep)
    assert agreement > 0.85
