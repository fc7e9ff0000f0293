"""Signals for the tests of the belt's cores, and a quick way through its pipeline."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware_py.belt.decimate import RATE_HZ, Decimator
from firmware_py.belt.pipeline import Pipeline
from hil.synth import BedScript, Event, Interference, Resident, Sensor, Synth

Second = tuple[int, ...]
IN_BED = (Event(0.0, "enter"),)
OLD = Resident(heart_rate_bpm=64, hrv=0.35, movements_per_h=0, turn_overs_per_h=0)


def night(
    duration_s: float,
    events: tuple[Event, ...] = IN_BED,
    resident: Resident = OLD,
    interference: tuple[Interference, ...] = (),
    seed: int = 1,
    sensor: Sensor | None = None,
) -> BedScript:
    """A short script; empty events = nobody there."""
    script = BedScript("test", duration_s, seed, resident=resident, events=events, interference=interference)
    return replace(script, sensor=sensor) if sensor else script


def report(samples: NDArray[np.int16], rate_hz: int = 100, bits: int = 10) -> list[Second]:
    """The pipeline's reports for a recording."""
    pipeline = Pipeline(bits=14)
    decimator = Decimator(rate_hz, 14 - bits)
    values = array("h", samples.astype(np.int16).tobytes())
    out = array("h", [0] * (RATE_HZ + 2))
    rows: list[Second] = []
    for second in range(len(values) // rate_hz):
        count = decimator.push(values, second * rate_hz, rate_hz, out, 0)
        pipeline.push(out, count, 0)
        rows.append(pipeline.second())
    return rows


def reports(script: BedScript, rate_hz: int = 100) -> tuple[list[Second], Synth]:
    """Reports for a script, and the synth with its truth."""
    synth = Synth(script, rate_hz)
    return report(synth.all(), rate_hz, script.sensor.bits), synth


def changes(rows: list[Second]) -> list[tuple[int, int]]:
    """(time_s, state) of every change of occupancy, the first state included."""
    return [(k + 1, row[0]) for k, row in enumerate(rows) if k == 0 or row[0] != rows[k - 1][0]]


def heart_errors(rows: list[Second], synth: Synth, skip_s: int = 30) -> NDArray[np.float64]:
    """Emitted minus true rate, in bpm, of the ten seconds before each report."""
    errors = []
    for time_s in range(skip_s, len(rows) + 1):
        truth = synth.truth.heart_rate_bpm(time_s - 10, time_s)
        if rows[time_s - 1][2] >= 0 and truth is not None:
            errors.append(rows[time_s - 1][2] / 10 - truth)
    return np.array(errors)
