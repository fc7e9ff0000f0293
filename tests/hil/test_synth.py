"""Synthesised nights: reproducible samples that match the measured figures, and truth that matches the samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hil.synth import BedScript, Event, Interference, Resident, ScriptError, Sensor, Synth, load, names
from hil.synth.body import postures
from hil.synth.script import parse

IN_BED = (Event(0.0, "enter"),)
STILL = Resident(movements_per_h=0, turn_overs_per_h=0)
ENTER = {"at": "00:01", "kind": "enter"}


def _band_rms(samples: NDArray[np.int16], rate_hz: int, low_hz: float, high_hz: float) -> float:
    spectrum = np.fft.rfft(samples - samples.mean())
    frequency = np.fft.rfftfreq(samples.size, 1 / rate_hz)
    spectrum[(frequency < low_hz) | (frequency > high_hz)] = 0
    return float(np.fft.irfft(spectrum, samples.size).std())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 89_000), st.integers(1, 6000))
def test_any_block_is_the_same_in_whatever_order_it_is_asked_for(start: int, count: int) -> None:
    script = load("short_exit")
    whole = Synth(script, 250).block(0, 95_000)
    assert np.array_equal(Synth(script, 250).block(start, count), whole[start : start + count])


def test_another_seed_gives_another_night() -> None:
    script = load("short_exit")
    assert not np.array_equal(Synth(script, 100).all(), Synth(script, 100, seed=99).all())


def test_beats_have_the_strength_and_the_frequency_of_real_beds() -> None:
    samples = Synth(BedScript("t", 120, resident=STILL, events=IN_BED), 200).all()
    spectrum = np.abs(np.fft.rfft(samples - samples.mean())) ** 2
    frequency = np.fft.rfftfreq(samples.size, 1 / 200)
    beat = (frequency > 1) & (frequency < 15)
    core = (frequency > 1.5) & (frequency < 9)
    assert 10 < _band_rms(samples, 200, 1, 12) < 35
    assert spectrum[core].sum() > 0.85 * spectrum[beat].sum()


def test_an_empty_bed_is_noise() -> None:
    samples = Synth(BedScript("t", 60), 200).all()
    assert _band_rms(samples, 200, 1, 12) < 0.5


def test_truth_tells_the_rate_of_the_beats() -> None:
    truth = Synth(BedScript("t", 300, resident=replace(STILL, heart_rate_bpm=70), events=IN_BED), 50).truth
    assert truth.heart_rate_bpm(0, 300) == pytest.approx(70, abs=2)
    assert truth.respiration_per_min(0, 300) == pytest.approx(15, abs=1.5)
    assert truth.heart_rate_bpm(0, 1) is None


@pytest.mark.parametrize(
    ("rhythm", "low", "high"), [("sinus", 0.0, 0.06), ("af", 0.15, 0.25), ("premature", 0.05, 0.3)]
)
def test_rhythms_differ_by_the_spread_of_their_intervals(rhythm: str, low: float, high: float) -> None:
    resident = replace(STILL, rhythm=rhythm, hrv=0.4)
    intervals = np.diff(Synth(BedScript("t", 600, resident=resident, events=IN_BED), 50).truth.beats_s)
    assert low < intervals.std() / intervals.mean() < high


def test_measured_intervals_are_the_nights_beats(tmp_path: Path) -> None:
    (tmp_path / "rr.txt").write_text("# strap\n800\n1000.5\n\n900 # early\n", encoding="utf-8")
    night = {"start": "00:00", "end": "00:02", "rr_file": "rr.txt", "event": [ENTER]}
    script = parse(night, "t", tmp_path)
    intervals_ms = np.diff(Synth(replace(script, events=IN_BED), 50).truth.beats_s) * 1000
    assert intervals_ms[:6] == pytest.approx([1000.5, 900, 800, 1000.5, 900, 800])
    assert intervals_ms.sum() > 117_000


@pytest.mark.parametrize(
    ("text", "told"), [("", "no interval"), ("800\n.8", "line 2: '.8' is not"), ("x", "line 1"), ("800,800", "line 1")]
)
def test_intervals_that_are_none_are_refused_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "rr.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ScriptError, match=told):
        parse({"start": "00:00", "end": "00:02", "rr_file": "rr.txt"}, "t", tmp_path)
    with pytest.raises(ScriptError, match=r"gone\.txt"):
        parse({"start": "00:00", "end": "00:02", "rr_file": "gone.txt"}, "t", tmp_path)


def test_postures_differ_as_much_as_real_ones_do() -> None:
    changes_s = [float(k) for k in range(1, 2000)]
    drawn = postures(BedScript("t", 2000), changes_s, np.random.default_rng(1))
    gains = np.array([posture.beat_gain for posture in drawn])
    modulation = np.array([posture.modulation for posture in drawn])
    assert (gains.min(), gains.max()) == (0.3, 3.0)
    assert 0.2 <= modulation.min() < 0.21
    assert 0.39 < modulation.max() <= 0.4


def test_an_exit_is_in_the_truth_and_silences_the_bed() -> None:
    synth = Synth(load("short_exit"), 200)
    (absence,) = synth.truth.absences
    assert (absence.left_s, absence.back_s) == (150.0, 270.0)
    assert not synth.truth.in_bed(200)
    assert synth.truth.beats_s[(synth.truth.beats_s > 150) & (synth.truth.beats_s < 270)].size == 0
    assert _band_rms(synth.block(200 * 200, 40 * 200), 200, 1, 12) < 0.5


def test_a_movement_clips_and_counts_as_not_still() -> None:
    script = BedScript("t", 60, resident=STILL, events=(*IN_BED, Event(30, "turn_over", for_s=6)))
    synth = Synth(script, 200)
    samples = synth.all()
    assert samples.min() == 0
    assert samples.max() == 819
    assert synth.truth.turn_overs_s == [30]
    assert not synth.truth.still(25, 31)
    assert synth.truth.still(5, 25)


def test_a_dropout_leaves_the_rail() -> None:
    script = BedScript("t", 30, events=IN_BED, interference=(Interference("dropout", 10, 12),))
    samples = Synth(script, 100).all()
    assert set(samples[1000:1200]) == {0}
    assert samples[1300:].min() > 0


@pytest.mark.parametrize("kind", ["pump", "hvac", "footsteps", "door", "partner", "pet", "carer", "snoring", "object"])
def test_every_disturbance_shows_only_in_its_time(kind: str) -> None:
    quiet = Synth(BedScript("t", 60), 200).all().astype(int)
    disturbed = Synth(BedScript("t", 60, interference=(Interference(kind, 20, 40),)), 200).all().astype(int)
    assert np.array_equal(quiet[: 20 * 200], disturbed[: 20 * 200])
    assert np.array_equal(quiet[40 * 200 :], disturbed[40 * 200 :])
    if kind != "snoring":  # it follows the breath of whoever lies there
        assert np.abs(quiet - disturbed).max() > 1


def test_the_load_cell_tells_who_is_in_bed() -> None:
    synth = Synth(load("short_exit"), 100)
    load_kg = synth.load(0, 3600) / 10
    assert load_kg[1000] > 40
    assert load_kg[2000] < 10


def test_a_wider_converter_scales_the_counts() -> None:
    script = BedScript("t", 20, events=IN_BED, resident=STILL)
    narrow, wide = Synth(script, 100).all(), Synth(replace(script, sensor=Sensor(bits=12)), 100).all()
    assert np.abs(wide / 4 - narrow).max() < 2


def test_a_whole_night_takes_seconds() -> None:
    synth = Synth(load("quiet"), 100)
    samples = synth.block(0, 3600 * 100)
    assert samples.size == 360_000
    assert synth.truth.beats_s.size > 25_000


@pytest.mark.parametrize("name", names())
def test_every_night_that_comes_along_loads(name: str) -> None:
    script = load(name)
    assert script.duration_s > 0
    assert script.presence()


def test_truth_is_plain_json() -> None:
    import json

    text = json.dumps(Synth(load("short_mixed"), 50).truth.to_json())
    assert json.loads(text)["absences"] == [{"left_s": 480.0, "back_s": None}]


def test_times_before_the_start_are_after_midnight() -> None:
    script = parse({"start": "22:00", "end": "06:00", "event": [{"at": "00:30", "kind": "enter"}]}, "t")
    assert script.duration_s == 8 * 3600
    assert script.events[0].at_s == 9000


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "end is missing"),
        ({"end": "25:00"}, "25:00"),
        ({"end": "06:00", "evnt": []}, "unknown entry evnt"),
        ({"end": "06:00", "event": [{"at": "00:01", "kind": "jump"}]}, "event 1: kind 'jump'"),
        ({"end": "06:00", "event": [{**ENTER, "for_s": 3}]}, "enter takes no for_s"),
        ({"end": "06:00", "resident": {"heart_rate_bpm": "fast"}}, "heart_rate_bpm"),
        ({"end": "06:00", "resident": {"rhythm": "waltz"}}, "waltz"),
        ({"end": "06:00", "interference": [{"from": "00:01", "to": "00:02", "kind": "band"}]}, "interference 1"),
        ({"end": "06:00", "hypnogram": [["00:01", "dozing"]]}, "hypnogram"),
    ],
)
def test_a_wrong_script_is_refused_by_name_and_entry(data: dict[str, object], complaint: str) -> None:
    with pytest.raises(ScriptError, match=complaint) as caught:
        parse(data, "night")
    assert "night" in str(caught.value)


def test_an_unknown_night_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="quiet"):
        load("nowhere")
    (tmp_path / "bad.toml").write_text("start = ")
    with pytest.raises(ScriptError, match=r"bad\.toml"):
        load(tmp_path / "bad.toml")
