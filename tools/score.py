"""`make score`: the belt's signal code against recordings and the simulator, with bootstrap intervals.

Recordings are looked for in $SLEEPBELT_DATA, else ../shared/data; without them only the simulator is scored.
Intervals (95 %) resample whole recordings, never windows: windows of one person are not independent.
The recorded references are agreement of trackers, not truth, and nothing here is clinical accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analyse.engine import seconds
from hil.analyse.reader import UNITS_BITS, Recording
from hil.synth import BedScript, Event, Interference, Resident, Synth
from protocol.wire.frames import EMPTY, OCCUPIED, REASON_IRREGULAR
from tools.score_breath import breath_recordings
from tools.score_rhythm import RR_FILE, measured_intervals

ROOT = Path(__file__).resolve().parent.parent
SKIP_S = 30  # of a recording: filters and amplifier settle
RATE_HZ = 226
TURN_TOLD_S = 70  # after its start: a turn-over onto a weak side stays open until the resident has not got up
BOOTSTRAPS = 400
Rows = list[tuple[int, ...]]
Floats = NDArray[np.float64]


@dataclass
class Errors:
    """Errors of one recording: windows that could be scored, and emitted minus reference of those with a value."""

    windows: int = 0
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    goal: str
    value: float
    low: float
    high: float
    met: bool
    unit: str = ""


def rows_of(counts: NDArray[np.int16], rate_hz: int) -> Rows:
    """The pipeline's reports for 10-bit counts."""
    units = (counts.astype(np.int32) << (UNITS_BITS - 10)).astype(np.int16)
    return list(seconds(Recording(units, rate_hz)))


def interval(parts: Sequence[object], figure: Callable[[list[object]], float]) -> tuple[float, float]:
    """95 % bootstrap interval of figure(parts), resampling parts."""
    rng = np.random.default_rng(1)
    drawn = [figure([parts[i] for i in rng.integers(0, len(parts), len(parts))]) for _ in range(BOOTSTRAPS)]
    finite = [value for value in drawn if np.isfinite(value)]
    return (float(np.percentile(finite, 2.5)), float(np.percentile(finite, 97.5))) if finite else (np.nan, np.nan)


def line(what: str, goal: str, parts: Sequence[object], figure: Callable[[list[object]], float],
         met: Callable[[float], bool], unit: str = "") -> Line:  # fmt: skip
    """A line of the table from per-recording parts."""
    value = figure(list(parts))
    low, high = interval(parts, figure)
    return Line(what, goal, value, low, high, bool(met(value)), unit)


def mae(parts: Sequence[object]) -> float:
    """Mean absolute error of all emitted values."""
    values = np.concatenate([np.array(p.values) for p in parts if isinstance(p, Errors)])
    return float(np.abs(values).mean()) if values.size else float("nan")


def coverage(parts: Sequence[object]) -> float:
    """Percent of the scored windows that have a value."""
    errors = [p for p in parts if isinstance(p, Errors)]
    windows = sum(p.windows for p in errors)
    return 100 * sum(len(p.values) for p in errors) / windows if windows else float("nan")


def beyond(limit: float) -> Callable[[Sequence[object]], float]:
    """Percent of the emitted values off by more than limit."""

    def figure(parts: Sequence[object]) -> float:
        values = np.concatenate([np.array(p.values) for p in parts if isinstance(p, Errors)])
        return float(100 * (np.abs(values) > limit).mean()) if values.size else float("nan")

    return figure


def within(limit: float) -> Callable[[float], bool]:
    """At most limit; no value at all is within it."""
    return lambda value: not value > limit


def share(parts: Sequence[object]) -> float:
    """Percent: sum of the first numbers over the sum of the second ones."""
    pairs = np.array([p for p in parts if isinstance(p, tuple)], dtype=float)
    return float(100 * pairs[:, 0].sum() / pairs[:, 1].sum()) if pairs.size and pairs[:, 1].sum() else float("nan")


# Real beds.


def real_beds(folder: Path) -> list[Line]:
    """Heart rate on the recorded beds, false vitals on the empty one."""
    path = folder / "bed_bcg_226hz_dev.npz"
    if not path.exists():
        return []
    data = np.load(path, allow_pickle=False)
    rate_hz = int(data["sample_rate_hz"])
    reference = (data["hr_reference_a_bpm"] + data["hr_reference_b_bpm"]) / 2
    usable = data["still"] & data["references_agree"]
    people: dict[str, Errors] = {}
    empty: list[tuple[int, int]] = []
    for k, counts in enumerate(data["samples"]):
        rows = rows_of(counts, rate_hz)
        if not usable[k].any() and np.median(np.abs(np.diff(counts.astype(int)))) < 2:
            empty.append((sum(row[2] >= 0 or row[5] >= 0 for row in rows), len(rows)))
        errors = people.setdefault(str(data["segment_ids"][k]).split("_")[0], Errors())
        for j, time_s in enumerate(data["reference_time_s"]):
            at = int(time_s) + 5  # a rate at time_s describes time_s - 5
            if time_s < SKIP_S or at > len(rows) or not usable[k][j]:
                continue
            errors.windows += 1
            if rows[at - 1][2] >= 0:
                errors.values.append(rows[at - 1][2] / 10 - float(reference[k][j]))
    parts = [p for p in people.values() if p.windows]
    return [
        line("heart rate, real beds: MAE", "<= .9 bpm", parts, mae, lambda v: v <= 0.9, "bpm"),
        line("heart rate, real beds: coverage", ">= 90 %", parts, coverage, lambda v: v >= 90, "%"),
        line("heart rate, real beds: off by > 5", "<= 2 %", parts, beyond(5), lambda v: v <= 2, "%"),
        line("false vitals, real empty bed", "none", empty, share, lambda v: v == 0, "%"),
    ]


# Simulator.


def _script(seed: int, duration_s: float, resident: Resident, events: tuple[Event, ...] = (Event(0, "enter"),),
            interference: tuple[Interference, ...] = ()) -> BedScript:  # fmt: skip
    return BedScript("score", duration_s, seed, resident=resident, events=events, interference=interference)


def _still(**fields: object) -> Resident:
    return Resident(**{"movements_per_h": 0, "turn_overs_per_h": 0, **fields})  # type: ignore[arg-type]


def _heart_errors(synth: Synth, rows: Rows) -> Errors:
    errors = Errors()
    for time_s in range(SKIP_S, len(rows) + 1):
        truth = synth.truth.heart_rate_bpm(time_s - 10, time_s)
        if truth is None:
            continue
        errors.windows += 1
        if rows[time_s - 1][2] >= 0:
            errors.values.append(rows[time_s - 1][2] / 10 - truth)
    return errors


def simulated_hearts(count: int) -> list[Line]:
    """Heart rate with true beats at SNR 0, 3 and 6 dB: young and old, fibrillation, premature beats."""
    lines = []
    for name, hrv, goal in (("young HRV", 1.0, 0.9), ("old people's HRV", 0.35, 0.4)):
        parts = []
        for seed in range(count):
            resident = _still(hrv=hrv, heart_rate_bpm=50 + 7 * (seed % 6), snr_db=3.0 * (seed % 3))
            synth = Synth(_script(100 + seed, 240, resident), RATE_HZ)
            parts.append(_heart_errors(synth, rows_of(synth.all(), RATE_HZ)))
        what = f"heart rate, simulated, {name}"
        lines.append(line(f"{what}: MAE", f"<= {goal} bpm", parts, mae, lambda v, g=goal: v <= g, "bpm"))  # type: ignore[misc]
        lines.append(line(f"{what}: coverage", ">= 95 %", parts, coverage, lambda v: v >= 95, "%"))
    flagged, wrong, emitted, false = [], [], [], []
    for seed in range(count):
        cv = (0.16, 0.2, 0.25)[seed % 3]
        resident = _still(rhythm="af", af_interval_cv=cv, heart_rate_bpm=65 + 5 * (seed % 6), snr_db=3.0 * (seed % 3))
        synth = Synth(_script(200 + seed, 240, resident), RATE_HZ)
        rows = rows_of(synth.all(), RATE_HZ)
        late = rows[SKIP_S:]
        flagged.append((sum(row[4] == REASON_IRREGULAR for row in late), len(late)))
        errors = _heart_errors(synth, rows)
        off = sum(abs(e) > 5 for e in errors.values)
        wrong.append((off, errors.windows))
        emitted.append((off, len(errors.values)))
        rhythm = ("sinus", "premature")[seed % 2]
        bpm = 50 + 6 * (seed % 6)
        normal = _still(rhythm=rhythm, premature_share=0.04, heart_rate_bpm=bpm, snr_db=3.0 * (seed % 3))
        rows = rows_of(Synth(_script(300 + seed, 240, normal), RATE_HZ).all(), RATE_HZ)
        false.append((sum(row[4] == REASON_IRREGULAR for row in rows[SKIP_S:]), len(rows) - SKIP_S))
    lines.append(line("fibrillation flagged irregular", ">= 90 % of time", flagged, share, lambda v: v >= 90, "%"))
    lines.append(line("fibrillation: wrong by > 5 bpm", "<= 5 % of time", wrong, share, lambda v: v <= 5, "%"))
    lines.append(line("fibrillation: values off by > 5 bpm", "<= 5 % of values", emitted, share, within(5), "%"))
    lines.append(line("normal rhythm flagged irregular", "<= 2 % of time", false, share, lambda v: v <= 2, "%"))
    return [*lines, *premature_beats(count)]


def premature_beats(count: int) -> list[Line]:
    """Hearts with 10, 20 and 30 % premature beats, and with every second beat premature (bigeminy)."""
    emitted: list[object] = []
    doubled: list[object] = []
    for seed in range(count):
        premature = (0.1, 0.2, 0.3, 1.0)[seed % 4]
        resident = _still(rhythm="premature", premature_share=premature, hrv=0.35, heart_rate_bpm=52 + 6 * (seed % 7),
                          snr_db=3.0 * (seed % 3))  # fmt: skip
        synth = Synth(_script(350 + seed, 240, resident), RATE_HZ)
        errors = _heart_errors(synth, rows_of(synth.all(), RATE_HZ))
        off = sum(abs(e) > 5 for e in errors.values)
        if premature == 1.0:
            doubled.append((off, errors.windows))
        else:
            emitted.append((off, len(errors.values)))
    return [
        line("premature beats, 10-30 %: off by > 5 bpm", "<= 5 % of values", emitted, share, within(5), "%"),
        line("bigeminy: wrong by > 5 bpm", "<= 5 % of time", doubled, share, within(5), "%"),
    ]


def measured_hearts(folder: Path, count: int) -> list[Line]:
    """Heart rate where the simulated heart beats at the intervals of sleeping people, by person, at 0, 3 and 6 dB."""
    path = folder / RR_FILE
    if not path.exists():
        return []
    lines = []
    old = (0.35, "old people's HRV", 0.4)
    for scale, name, goal in ((1.0, "measured intervals", 0.9), old):
        people: dict[str, Errors] = {}
        false: dict[str, list[int]] = {}
        for number, (person, intervals_ms) in enumerate(measured_intervals(path, max(1, count // 4), 245, 41)):
            mean_ms = float(intervals_ms.mean())
            rr_ms = tuple(float(v) for v in mean_ms + scale * (intervals_ms - mean_ms))
            resident = _still(heart_rate_bpm=60000 / mean_ms, snr_db=3.0 * (number % 3))
            synth = Synth(replace(_script(600 + number, 240, resident), rr_ms=rr_ms), RATE_HZ)
            rows = rows_of(synth.all(), RATE_HZ)
            errors = _heart_errors(synth, rows)
            whole = people.setdefault(person, Errors())
            whole.windows += errors.windows
            whole.values += errors.values
            counts = false.setdefault(person, [0, 0])
            counts[0] += sum(row[4] == REASON_IRREGULAR for row in rows[SKIP_S:])
            counts[1] += len(rows) - SKIP_S
        parts = list(people.values())
        shares = [tuple(c) for c in false.values()]
        lines.append(line(f"heart rate, {name}: MAE", f"<= {goal} bpm", parts, mae, within(goal), "bpm"))
        lines.append(line(f"heart rate, {name}: coverage", ">= 95 %", parts, coverage, lambda v: v >= 95, "%"))
        lines.append(line(f"heart rate, {name}: off by > 5", "<= 2 %", parts, beyond(5), within(2), "%"))
        lines.append(line(f"{name} flagged irregular", "<= 2 % of time", shares, share, within(2), "%"))
    return lines


DISTURBED_BEDS: tuple[tuple[str, tuple[Interference, ...]], ...] = (
    ("empty", ()),
    ("pump", (Interference("pump", 0, 900, 1.1, 40),)),
    ("pump", (Interference("pump", 0, 900, 0.4, 80),)),
    ("pump", (Interference("piston", 0, 900, 1.1, 60),)),
    ("ventilation", (Interference("hvac", 0, 900),)),
    ("mains", (Interference("mains", 0, 900),)),
    ("object", (Interference("object", 60, 900), Interference("door", 100, 102))),
    ("carer", (Interference("carer", 60, 150), Interference("footsteps", 40, 60))),
    ("neighbour", (Interference("partner", 0, 900, 0.0, 9.0),)),  # -20 dB
    ("neighbour", (Interference("partner", 0, 900, 0.0, 16.0),)),
    ("neighbour", (Interference("partner", 0, 900, 0.0, 28.0),)),  # -10 dB
    ("pet", (Interference("pet", 0, 900, 0.0, 9.0),)),
    ("pet", (Interference("pet", 0, 900, 2.1, 14.0),)),
)


def empty_beds(count: int) -> list[Line]:
    """Seconds with a made-up value on beds with nobody in them."""
    false: dict[str, list[object]] = {}
    for kind, interference in DISTURBED_BEDS:
        for seed in range(max(1, count // 4)):
            synth = Synth(_script(400 + seed, 300, _still(), (), interference), RATE_HZ)
            rows = rows_of(synth.all(), RATE_HZ)
            false.setdefault(kind, []).append((sum(row[2] >= 0 or row[5] >= 0 for row in rows), len(rows)))
    return [
        line(f"false vitals, {kind}", "<= .1 %", parts, share, lambda v: v <= 0.1, "%") for kind, parts in false.items()
    ]


@dataclass
class Night:
    """What one simulated night's occupancy and turn-overs came to."""

    exits: int = 0
    missed: int = 0
    false: int = 0
    latency_s: list[float] = field(default_factory=list)
    turns: tuple[int, int, int] = (0, 0, 0)  # hit, missed, false


def _exit_night(seed: int) -> BedScript:
    """Twenty minutes with three exits; weak and strong residents, pumps, breathing pauses, edges sat on."""
    rng = np.random.default_rng(seed)
    events = [Event(float(rng.uniform(5, 40)), "enter")]
    at_s = events[0].at_s
    for _ in range(3):
        at_s += float(rng.uniform(120, 260))
        edge_s = float(rng.uniform(10, 40)) if rng.random() < 0.4 else 0.0
        away_s = float(rng.uniform(25, 120))
        events.append(Event(at_s, "exit", for_s=away_s, edge_s=edge_s))
        at_s += away_s
        if rng.random() < 0.3:
            events.append(Event(at_s + 60, "breath_pause", for_s=float(rng.uniform(10, 25))))
    pump = Interference("pump", 0, 2000, float(rng.uniform(0.2, 2)), float(rng.uniform(5, 30)))
    resident = Resident(
        heart_rate_bpm=float(rng.uniform(48, 85)), hrv=float(rng.uniform(0.2, 1)), snr_db=float(rng.uniform(0, 8)),
        gain=float(np.exp(rng.uniform(np.log(0.35), np.log(1.5)))), movements_per_h=10, turn_overs_per_h=8,
        rhythm="af" if rng.random() < 0.15 else "sinus",
    )  # fmt: skip
    return _script(seed, at_s + 120, resident, tuple(events), (pump,) if rng.random() < 0.25 else ())


def _watch(seed: int) -> Night:
    script = _exit_night(seed)
    synth = Synth(script, 100)
    rows = rows_of(synth.all(), 100)
    night = Night(exits=len(synth.truth.absences))
    left = [k + 1 for k in range(20, len(rows)) if rows[k][0] == EMPTY and rows[k - 1][0] == OCCUPIED]
    for absence in synth.truth.absences:
        end_s = absence.back_s if absence.back_s is not None else script.duration_s
        hits = [t for t in left if absence.left_s - 2 <= t <= end_s]
        if hits:
            night.latency_s.append(hits[0] - absence.left_s)
            left.remove(hits[0])
        else:
            night.missed += 1
    night.false = len(left)
    found = [k + 1 for k, row in enumerate(rows) if row[9]]
    hit = 0
    for start_s in synth.truth.turn_overs_s:
        near = [t for t in found if start_s < t < start_s + TURN_TOLD_S]
        if near:
            hit += 1
            found.remove(near[0])
    night.turns = (hit, len(synth.truth.turn_overs_s) - hit, len(found))
    return night


def exits_and_turns(count: int) -> list[Line]:
    """Bed exits and turn-overs of the simulator."""
    nights: list[object] = [_watch(seed) for seed in range(500, 500 + count)]

    def total(parts: Sequence[object], name: str) -> float:
        return float(sum(getattr(p, name) for p in parts))

    def p95(parts: Sequence[object]) -> float:
        latencies = [s for p in parts if isinstance(p, Night) for s in p.latency_s]
        return float(np.percentile(latencies, 95)) if latencies else float("nan")

    def f1(parts: Sequence[object]) -> float:
        hit, missed, false = np.array([p.turns for p in parts if isinstance(p, Night)]).sum(0)
        return float(2 * hit / (2 * hit + missed + false)) if hit else 0.0

    def sensitivity(parts: Sequence[object]) -> float:
        return 100 * (1 - total(parts, "missed") / total(parts, "exits"))

    def predictive(parts: Sequence[object]) -> float:
        found = total(parts, "exits") - total(parts, "missed")
        return 100 * found / (found + total(parts, "false"))

    return [
        line("bed exits: sensitivity", ">= 99.5 %", nights, sensitivity, lambda v: v >= 99.5, "%"),
        line("bed exits: predictive value", ">= 95 %", nights, predictive, lambda v: v >= 95, "%"),
        line("bed exits: confirmed after, p95", "<= 10 s", nights, p95, lambda v: v <= 10, "s"),
        line("turn-overs: F1", ">= .90", nights, f1, lambda v: v >= 0.9),
    ]


def breath(folder: Path, count: int) -> list[Line]:
    """Respiration on torso effort through the belt's path, with synthetic beats on top."""
    path = folder / "respiration_20hz_dev.npz"
    if not path.exists():
        return []
    parts: list[object] = []
    for samples, references in breath_recordings(path, RATE_HZ, max(1, count // 8)):
        rows = rows_of(samples, RATE_HZ)
        errors = Errors()
        for time_s, per_min in references:
            errors.windows += 1
            if rows[time_s - 1][5] >= 0:
                errors.values.append(rows[time_s - 1][5] / 10 - per_min)
        parts.append(errors)
    return [
        line("respiration, recorded effort: MAE", "<= .35 /min", parts, mae, lambda v: v <= 0.35, "/min"),
        line("respiration, recorded effort: coverage", ">= 90 %", parts, coverage, lambda v: v >= 90, "%"),
        line("respiration, recorded effort: off by > 2", "<= 2 %", parts, beyond(2), lambda v: v <= 2, "%"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table (or JSON lines); exit 0 whether or not the goals are met."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.score", description=__doc__, epilog="example: make score ARGS='--count 24'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=12, help="simulated recordings per line (default 12)")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    options = parser.parse_args(argv)
    folder = Path(os.environ.get("SLEEPBELT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        print(f"no recordings in {folder} (set SLEEPBELT_DATA): the simulator alone", file=sys.stderr)
    parts: tuple[Callable[[], list[Line]], ...] = (
        lambda: real_beds(folder),
        lambda: breath(folder, options.count),
        lambda: simulated_hearts(options.count),
        lambda: measured_hearts(folder, options.count),
        lambda: empty_beds(options.count),
        lambda: exits_and_turns(options.count),
    )
    if not options.json:
        print(f"{'figure':44} {'goal':>16} {'measured':>12}   95 % interval (whole recordings resampled)")
    for part in parts:
        for entry in part():
            _show(entry, options.json)
    return 0


def _show(entry: Line, as_json: bool) -> None:
    if as_json:
        fields = {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in vars(entry).items()}
        print(json.dumps(fields), flush=True)
        return
    value = f"{entry.value:.2f} {entry.unit}"
    verdict = "" if entry.met else "   not met"
    print(f"{entry.what:44} {entry.goal:>16} {value:>12}   {entry.low:.2f} .. {entry.high:.2f}{verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
