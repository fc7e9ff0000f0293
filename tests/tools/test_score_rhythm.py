"""Intervals for the score: stretches without a missed beat, and fibrillation of the spread that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.fit_rhythm import fit, main
from tools.score_rhythm import FORMS, fibrillation, measured_intervals


def test_stretches_with_a_missed_beat_are_left_out(tmp_path: Path) -> None:
    good, holed = np.full(600, 900.0), np.full(600, 900.0)
    holed[::20] = 1800
    np.savez(tmp_path / "rr.npz", p1_night=good, p2_night=holed)
    found = list(measured_intervals(tmp_path / "rr.npz", 2, 60, 1))
    assert [person for person, _ in found] == ["p1", "p1"]
    assert all(60 <= piece.sum() / 1000 < 61 for _, piece in found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cv", [0.15, 0.22])
def test_fibrillation_has_the_rate_and_spread_asked_for(form: str, cv: float) -> None:
    intervals_ms = fibrillation(np.random.default_rng(2), form, cv, 75, 5000)
    assert intervals_ms.mean() == pytest.approx(800, rel=0.03)
    assert intervals_ms.std() / intervals_ms.mean() == pytest.approx(cv, rel=0.15)
    assert abs(np.corrcoef(intervals_ms[1:], intervals_ms[:-1])[0, 1]) < 0.05


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(ValueError, match="'flat' is none of normal"):
        fibrillation(np.random.default_rng(2), "flat", 0.2, 75, 10)


def test_the_fit_finds_the_weights_that_made_the_classes() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal([20, 140, 2000, 50], [10, 20, 600, 10], (6000, 4))
    logit = 0.2 * (x[:, 0] - 20) - 0.004 * (x[:, 2] - 2000)
    weights = fit(x, rng.random(6000) < 1 / (1 + np.exp(-logit)))
    assert weights[:4] == pytest.approx([0.2, 0, -0.004, 0], abs=0.02)
    assert weights[2] == pytest.approx(-0.004, rel=0.15)


def test_without_recordings_the_fit_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLEEPBELT_DATA", str(tmp_path))
    assert main([]) == 2
    assert str(tmp_path) in capsys.readouterr().err
