"""The belt's signal path on synthesised nights with known truth."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest

from firmware_py.belt.pipeline import RATE_HZ, Pipeline
from firmware_py.belt.signal import isqrt, ones
from hil.synth import Event, Interference, Sensor, Synth
from protocol.wire.frames import (
    EMPTY,
    FLAG_SENSOR_FAULT,
    OCCUPIED,
    REASON_IRREGULAR,
    REASON_NO_SIGNAL,
    REASON_SENSOR_FAULT,
    UNCLEAR,
)
from tests.firmware_py.belt.signals import OLD, changes, heart_errors, night, report, reports


@pytest.mark.parametrize("bpm", [48, 64, 95])
def test_the_heart_rate_of_a_sleeper_is_followed(bpm: int) -> None:
    rows, synth = reports(night(180, resident=replace(OLD, heart_rate_bpm=bpm)))
    errors = heart_errors(rows, synth)
    assert errors.size > 140
    assert np.abs(errors).mean() < 0.5


def test_a_young_heart_that_breathes_is_followed() -> None:
    rows, synth = reports(night(180, resident=replace(OLD, hrv=1.0)))
    assert np.abs(heart_errors(rows, synth)).mean() < 0.9


@pytest.mark.parametrize("rate_hz", [50, 226, 1000])
def test_the_native_rate_of_the_sensor_does_not_matter(rate_hz: int) -> None:
    rows, synth = reports(night(90), rate_hz)
    assert np.abs(heart_errors(rows, synth)).mean() < 0.6


def test_a_weak_resident_who_was_felt_coming_still_gives_a_rate() -> None:
    rows, synth = reports(night(140, events=(Event(20, "enter"),), resident=replace(OLD, gain=0.3)))
    errors = heart_errors(rows, synth)
    assert errors.size > 80
    assert np.abs(errors).mean() < 0.6


def test_twelve_bits_of_the_same_signal_give_the_same_reports() -> None:
    samples = Synth(night(60), 100).all()
    assert report((samples.astype(np.int32) * 4).astype(np.int16), bits=12) == report(samples)


def test_fibrillation_is_called_irregular_and_gets_no_rate() -> None:
    rows, _ = reports(night(240, resident=replace(OLD, rhythm="af", heart_rate_bpm=75)))
    late = rows[60:]
    assert sum(row[4] == REASON_IRREGULAR for row in late) > 0.9 * len(late)
    assert sum(row[2] >= 0 for row in late) < 0.05 * len(late)


@pytest.mark.parametrize(("bpm", "seed"), [(52, 1), (60, 2), (68, 3), (76, 4)])
def test_a_young_heart_that_swings_with_the_breath_is_not_irregular(bpm: int, seed: int) -> None:
    resident = replace(OLD, hrv=1.0, heart_rate_bpm=bpm, snr_db=5.0)
    rows, synth = reports(night(180, resident=resident, seed=seed))
    assert sum(row[4] == REASON_IRREGULAR for row in rows[30:]) <= 3
    assert np.abs(heart_errors(rows, synth)).mean() < 1.2


def test_premature_beats_now_and_then_are_not_fibrillation() -> None:
    rows, synth = reports(night(180, resident=replace(OLD, rhythm="premature", premature_share=0.05)))
    assert np.abs(heart_errors(rows, synth)).mean() < 0.9
    assert sum(row[4] == REASON_IRREGULAR for row in rows) < 5


@pytest.mark.parametrize("per_min", [11, 16, 24])
def test_the_breath_rate_is_followed(per_min: int) -> None:
    rows, synth = reports(night(150, resident=replace(OLD, respiration_per_min=per_min)))
    errors = [
        row[5] / 10 - (synth.truth.respiration_per_min(k - 30, k) or 0.0)
        for k, row in enumerate(rows, 1)
        if k >= 45 and row[5] >= 0
    ]
    assert len(errors) > 80
    assert np.abs(errors).mean() < 0.5


@pytest.mark.parametrize(
    "disturbance",
    [
        None,
        Interference("pump", 0, 200, frequency_hz=1.1, counts=60),
        Interference("hvac", 0, 200),
        Interference("mains", 0, 200),
        Interference("object", 50, 200),
        Interference("footsteps", 60, 75),
        Interference("door", 60, 62),
        Interference("carer", 40, 100),
    ],
)
def test_an_empty_bed_has_no_vitals(disturbance: Interference | None) -> None:
    rows, _ = reports(night(150, events=(), interference=(disturbance,) if disturbance else ()))
    assert [row for row in rows if row[2] >= 0 or row[5] >= 0] == []
    assert rows[-1][0] == EMPTY
    assert rows[-1][4] == REASON_NO_SIGNAL


@pytest.mark.parametrize("frequency_hz", [0.7, 0.9, 1.1, 1.4, 1.8])
@pytest.mark.parametrize("counts", [20, 60, 150])
def test_a_pump_with_a_hard_stroke_has_no_vitals(frequency_hz: float, counts: float) -> None:
    pump = Interference("piston", 0, 100, frequency_hz=frequency_hz, counts=counts)
    rows, _ = reports(night(100, events=(), interference=(pump,)))
    assert [row for row in rows if row[2] >= 0 or row[5] >= 0] == []


@pytest.mark.parametrize("bpm", [122, 140, 160, 195])
def test_a_pet_has_no_vitals(bpm: int) -> None:
    pet = Interference("pet", 0, 150, frequency_hz=bpm / 60, counts=14)
    rows, _ = reports(night(150, events=(), interference=(pet,)))
    assert [row for row in rows if row[2] >= 0 or row[5] >= 0] == []


def test_a_fast_heart_of_a_resident_is_still_followed() -> None:
    rows, synth = reports(night(120, resident=replace(OLD, heart_rate_bpm=120)))
    errors = heart_errors(rows, synth)
    assert errors.size > 80
    assert np.abs(errors).mean() < 1


def test_an_even_strong_heart_is_not_taken_for_a_pump() -> None:
    rows, _ = reports(night(120, resident=replace(OLD, hrv=0.25, snr_db=12)))
    assert sum(row[2] >= 0 for row in rows[30:]) > 85


@pytest.mark.parametrize("gain", [0.4, 1.0])
def test_an_exit_is_confirmed_within_ten_seconds_and_the_return_noticed(gain: float) -> None:
    script = night(260, events=(Event(0, "enter"), Event(100, "exit", for_s=60)), resident=replace(OLD, gain=gain))
    rows, _ = reports(script)
    states = changes(rows)
    left_s = next(time_s for time_s, state in states if state == EMPTY and time_s > 20)
    back_s = next(time_s for time_s, state in states if state == OCCUPIED and time_s > 100)
    assert 100 <= left_s <= 110
    assert 160 <= back_s <= 180
    assert len(states) == 4


def test_holding_the_breath_is_no_exit_but_weak_breathing() -> None:
    rows, _ = reports(night(300, events=(Event(0, "enter"), Event(200, "breath_pause", for_s=30))))
    assert all(row[0] == OCCUPIED for row in rows[10:])
    assert any(row[10] for row in rows[205:240])
    assert not any(row[10] for row in rows[40:200])


def test_a_signal_that_fades_without_a_movement_is_unclear() -> None:
    rows, _ = reports(night(200, events=(Event(0, "enter"), Event(100, "exit", silent=True))))
    assert rows[-1][0] == UNCLEAR
    assert rows[105][0] == OCCUPIED


def test_a_sensor_that_stands_still_is_a_fault_not_an_empty_bed() -> None:
    samples = Synth(night(120), 100).all()
    samples[6000:] = 512
    rows = report(samples)
    assert rows[-1][0] == UNCLEAR
    assert rows[-1][1] == REASON_SENSOR_FAULT
    assert rows[-1][11] & FLAG_SENSOR_FAULT


def test_values_stop_while_somebody_moves() -> None:
    rows, _ = reports(night(150, events=(Event(0, "enter"), Event(100, "turn_over", for_s=6))))
    assert all(row[2] < 0 for row in rows[102:106])
    assert max(row[8] for row in rows[100:107]) > 50


def test_a_gap_in_the_samples_costs_the_rate_but_not_the_occupancy() -> None:
    from array import array

    samples = Synth(night(100), 50).all()
    pipeline = Pipeline(bits=10)
    rows = []
    for k in range(100):
        pipeline.push(array("h", samples[k * 50 : k * 50 + 50].tobytes()), 50, 30 if k == 60 else 0)
        rows.append(pipeline.second())
    assert rows[60][2] < 0
    assert all(row[0] == OCCUPIED for row in rows[10:])
    assert rows[-1][2] > 0


def test_a_night_with_turn_overs_counts_them_and_not_the_small_movements() -> None:
    moves = tuple(Event(60 + 50 * k, "turn_over" if k % 2 else "move") for k in range(12))
    rows, synth = reports(night(720, events=(Event(0, "enter"), *moves), seed=5))
    found = [k + 1 for k, row in enumerate(rows) if row[9]]
    hits = [t for t in synth.truth.turn_overs_s if any(t < f < t + 25 for f in found)]
    assert len(hits) >= 5
    assert len(found) <= 7


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 15"):
        Pipeline(bits=16)


def test_a_twelve_bit_sensor_of_the_simulator_works_as_well() -> None:
    rows, synth = reports(night(90, sensor=Sensor(bits=12)))
    assert np.abs(heart_errors(rows, synth)).mean() < 0.6


def test_integer_square_roots_are_exact() -> None:
    values = [0, 1, 2, 3, 4, 15, 16, 17, 99, 100, 2**29, 2**30 - 1]
    assert [isqrt(v) for v in values] == [int(np.sqrt(v)) for v in values]


def test_set_bits_are_counted() -> None:
    assert [ones(v) for v in (0, 1, 2, 3, 255, 2**29 - 1)] == [0, 1, 1, 2, 8, 29]




@pytest.mark.parametrize("seed", [1, 402])
@pytest.mark.parametrize("db", [-10, -12, -16, -20])
def test_a_neighbour_beside_an_empty_bed_has_no_vitals(db: int, seed: int) -> None:
    partner = Interference("partner", 0, 150, counts=90 * 10 ** (db / 20))
    rows, _ = reports(night(150, events=(), interference=(partner,), seed=seed))
    assert [row for row in rows if row[2] >= 0 or row[5] >= 0] == []


@pytest.mark.parametrize(("usual", "known"), [(0, False), (110, True)])
def test_as_weak_as_a_neighbour_at_start_is_somebody_only_on_a_bed_known_to_be_weak(usual: int, known: bool) -> None:
    synth = Synth(night(120, resident=replace(OLD, gain=0.3)), RATE_HZ)
    pipeline = Pipeline(10)
    pipeline.occupancy.usual = usual  # as a calibrated belt starts
    samples = synth.all()
    for start in range(0, len(samples), RATE_HZ):
        pipeline.push(array("i", samples[start : start + RATE_HZ].tolist()), RATE_HZ)
        pipeline.advance()
    assert pipeline.occupancy.state == (OCCUPIED if known else UNCLEAR)


def test_a_weak_resident_who_was_asleep_before_the_belt_started_is_followed() -> None:
    rows, _ = reports(night(150, events=(Event(0, "enter"),), resident=replace(OLD, gain=0.4)))
    assert sum(row[2] >= 0 for row in rows[30:]) > 110


@pytest.mark.parametrize(("bpm", "counts"), [(135, 20), (150, 18), (165, 30), (172, 20), (205, 14)])
def test_a_pet_is_not_taken_for_a_resident_at_a_third_of_its_rate(bpm: int, counts: float) -> None:
    pet = Interference("pet", 0, 150, frequency_hz=bpm / 60, counts=counts)
    rows, _ = reports(night(150, events=(), interference=(pet,)))
    assert [row for row in rows if row[2] >= 0 or row[5] >= 0] == []
