"""Single beats: regular and fibrillating hearts down to 0 dB, fast ones, and the count of samples beyond its lap."""

from __future__ import annotations

from array import array
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt.rhythm import BEAT_HZ, KEPT, LAP, SEEN_MIN, Rhythm
from protocol.wire.frames import REASON_IRREGULAR
from tests.firmware_py.belt.signals import OLD, heart_errors, night, reports

SETTLED_S = 45


def _spikes(periods: list[int]) -> list[int]:
    """Samples at 25 Hz of beats that last four of them, `periods` samples apart."""
    samples: list[int] = []
    for period in periods:
        samples += [40, 90, -90, -40] + [0] * (period - 4)
    return samples


def _heard(rhythm: Rhythm, samples: list[int], lag: int) -> None:
    for start in range(0, len(samples) - BEAT_HZ, BEAT_HZ):
        rhythm.push(array("i", samples[start : start + BEAT_HZ]), lag, False)


@pytest.mark.parametrize("snr_db", [0.0, 6.0])
def test_the_wide_swings_of_a_young_heart_have_a_rate(snr_db: float) -> None:
    resident = replace(OLD, hrv=1.0, heart_rate_bpm=58, snr_db=snr_db)
    errors = []
    for seed in (1, 2):
        rows, synth = reports(night(240, resident=resident, seed=seed))
        errors += heart_errors(rows, synth).tolist()
        assert sum(row[4] == REASON_IRREGULAR for row in rows[SETTLED_S:]) < 0.02 * 240
    assert len(errors) > 2 * 0.9 * (240 - SETTLED_S)
    assert np.abs(errors).mean() < 1


@pytest.mark.parametrize("snr_db", [0.0, 6.0])
@pytest.mark.parametrize("bpm", [65, 85])
def test_fibrillation_is_told_and_has_hardly_ever_a_rate(bpm: int, snr_db: float) -> None:
    resident = replace(OLD, rhythm="af", af_interval_cv=0.2, heart_rate_bpm=bpm, snr_db=snr_db)
    rows, _ = reports(night(240, resident=resident))
    late = rows[SETTLED_S:]
    assert sum(row[4] == REASON_IRREGULAR for row in late) > 0.85 * len(late)
    assert sum(row[2] >= 0 for row in late) < 0.07 * len(late)


@pytest.mark.parametrize(("bpm", "snr_db"), [(80, 6.0), (90, 3.0), (85, 0.0)])
def test_a_heart_whose_every_second_beat_is_premature_hardly_ever_has_half_its_rate(bpm: int, snr_db: float) -> None:
    resident = replace(OLD, rhythm="premature", premature_share=1.0, heart_rate_bpm=bpm, snr_db=snr_db)
    rows, _ = reports(night(240, resident=resident))
    late = rows[SETTLED_S:]
    assert sum(row[4] == REASON_IRREGULAR for row in late) > 0.8 * len(late)
    assert sum(row[2] >= 0 for row in late) < 0.1 * len(late)


@pytest.mark.parametrize(("bpm", "snr_db"), [(40, 0.0), (42, 3.0), (46, 6.0)])
def test_a_slow_heart_is_no_doubled_one(bpm: int, snr_db: float) -> None:
    rows, synth = reports(night(240, resident=replace(OLD, heart_rate_bpm=bpm, snr_db=snr_db)))
    assert sum(row[4] == REASON_IRREGULAR for row in rows[SETTLED_S:]) < 0.02 * 240
    assert np.abs(heart_errors(rows, synth)).max() < 5


@pytest.mark.parametrize("bpm", [100, 110, 120])
def test_a_fast_regular_heart_is_not_called_irregular(bpm: int) -> None:
    rows, _ = reports(night(150, resident=replace(OLD, heart_rate_bpm=bpm)))
    assert [second for second, row in enumerate(rows) if row[4] == REASON_IRREGULAR] == []


def test_single_beats_are_counted_to_a_third_of_a_sample() -> None:
    rhythm = Rhythm()
    _heard(rhythm, _spikes([20] * 80), 40)
    assert (rhythm.dbpm, rhythm.step, rhythm.irregular) == (750, 0, False)
    _heard(rhythm, _spikes([16, 25] * 40), 40)
    assert (rhythm.irregular, rhythm.calm_s) == (True, 0)
    assert rhythm.step > 2500


def test_beats_between_two_counted_ones_lower_what_the_height_is_over() -> None:
    alone, half = Rhythm(), Rhythm()
    _heard(alone, _spikes([24] * 80), 48)
    _heard(half, _spikes([12] * 160), 48)  # a track at half of the true rate
    assert half.over_16 < alone.over_16 // 2


def test_the_count_of_samples_laps_without_a_trace() -> None:
    fresh, old = Rhythm(), Rhythm()
    fresh._count = fresh._last = 1024
    old._count = old._last = 2 * LAP - 640
    samples = _spikes([21, 22, 20] * 40)
    for start in range(0, len(samples) - BEAT_HZ, BEAT_HZ):
        block = array("i", samples[start : start + BEAT_HZ])
        for rhythm in (fresh, old):
            rhythm.push(block, 42, False)
        if fresh.seen > SEEN_MIN:
            assert (old.seen, old.step, old.height, old.dbpm) == (fresh.seen, fresh.step, fresh.height, fresh.dbpm)
    assert LAP < old._count < 2 * LAP


def test_movement_ends_the_chain_and_ages_what_was_seen() -> None:
    rhythm = Rhythm()
    _heard(rhythm, _spikes([20] * 80), 40)
    seen = rhythm.seen
    for _ in range(seen):
        rhythm.push(array("i", [0] * BEAT_HZ), 40, True)
        assert rhythm.dbpm == -1
    assert (rhythm.seen, rhythm.known) == (0, False)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 3), min_size=20, max_size=60))
def test_no_signal_brings_the_chain_out_of_its_memory(rng: Random, seconds: list[int]) -> None:
    rhythm = Rhythm()
    lag = 50
    for kind in seconds:
        lag = min(79, max(23, lag + rng.choice((-40, -3, 0, 3, 40))))
        loud = (0, 5, 60, 127)[kind]
        rhythm.push(array("i", [rng.randint(-loud, loud) for _ in range(BEAT_HZ)]), lag, rng.random() < 0.15)
        assert 0 <= rhythm.seen <= KEPT
        assert rhythm.dbpm == -1 or 200 < rhythm.dbpm < 2000
