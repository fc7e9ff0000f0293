"""Everything of a night that is decided before its first sample: bursts, postures, beats, breaths, the truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hil.synth import body
from hil.synth.script import BedScript
from hil.synth.truth import Absence, Burst, Floats, Truth


@dataclass
class Plan:
    """The laid-out night. factors: (start_s, end_s, gain) of the body's signal, pauses: breathing stopped."""

    truth: Truth
    postures: list[body.Posture]
    beats: body.Beats
    beat_phase: Floats
    breaths_s: Floats
    factors: list[tuple[float, float, float]] = field(default_factory=list)
    cheyne_stokes: bool = False

    def breathing(self, t: Floats) -> Floats:
        """Depth of breathing at times t: 1, fading to 0 in pauses, waxing and waning with Cheyne-Stokes."""
        depth = np.ones_like(t)
        for start_s, end_s in self.truth.pauses:
            depth = np.minimum(depth, np.clip(np.maximum(start_s - t, t - end_s) / 1.0 + 0.05, 0.05, 1.0))
        if self.cheyne_stokes:
            depth *= np.clip(0.5 + 0.6 * np.sin(2 * np.pi * t / 60.0), 0.05, 1.0)
        return depth


def lay_out(script: BedScript) -> Plan:
    """Decide the night's details from the script and its seed."""
    rng = np.random.default_rng([script.seed, 0])
    truth = Truth(script.duration_s, presence=script.presence(), rhythm=script.resident.rhythm)
    truth.absences = _absences(truth.presence, script.duration_s)
    truth.bursts, factors = _bursts(script, truth, rng)
    truth.pauses = [(e.at_s, e.at_s + e.for_s) for e in script.events if e.kind == "breath_pause"]
    breaths_s = body.breaths(script, rng)
    beats = body.beats(script, breaths_s, rng)
    changes_s = sorted(b.start_s + 0.6 * b.for_s for b in truth.bursts if b.kind in ("turn_over", "enter"))
    plan = Plan(
        truth=truth,
        postures=body.postures(script, changes_s, rng),
        beats=beats,
        beat_phase=body.breath_phase(breaths_s, beats.times_s),
        breaths_s=breaths_s,
        factors=factors,
        cheyne_stokes=script.resident.cheyne_stokes,
    )
    truth.beats_s = _inside(beats.times_s, truth.presence)
    truth.breaths_s = _inside(breaths_s, truth.presence)
    return plan


def _inside(marks_s: Floats, spans: list[tuple[float, float]]) -> Floats:
    keep = np.zeros(marks_s.size, bool)
    for start_s, end_s in spans:
        keep |= (marks_s >= start_s) & (marks_s < end_s)
    return marks_s[keep]


def _absences(presence: list[tuple[float, float]], duration_s: float) -> list[Absence]:
    result = []
    for k, (_, end_s) in enumerate(presence):
        if end_s < duration_s:
            result.append(Absence(end_s, presence[k + 1][0] if k + 1 < len(presence) else None))
    return result


def _bursts(
    script: BedScript, truth: Truth, rng: np.random.Generator
) -> tuple[list[Burst], list[tuple[float, float, float]]]:
    bursts: list[Burst] = []
    factors: list[tuple[float, float, float]] = []
    for start_s, _ in truth.presence:
        if start_s > 0:
            bursts.append(Burst(start_s, float(rng.uniform(3, 8)), float(rng.uniform(0.8, 1.6)), "enter"))
    for event in script.events:
        if not truth.in_bed(event.at_s) and event.kind != "exit":
            continue
        if event.kind == "exit":
            for_s = float(rng.uniform(3, 12))
            if event.edge_s:
                sit_s = event.at_s - event.edge_s
                bursts.append(Burst(sit_s - for_s, for_s, float(rng.uniform(0.8, 1.6)), "move"))
                factors.append((sit_s, event.at_s, 0.3))
                for_s = 3.0
            if not event.silent:
                bursts.append(Burst(event.at_s - for_s, for_s, float(rng.uniform(0.8, 1.6)), "exit"))
        elif event.kind == "turn_over":
            for_s = event.for_s or float(rng.uniform(3, 8))
            bursts.append(Burst(event.at_s, for_s, float(rng.uniform(0.7, 1.5)), "turn_over"))
        elif event.kind == "move":
            bursts.append(Burst(event.at_s, event.for_s or float(rng.uniform(0.8, 3)), 0.35 * event.strength, "move"))
        elif event.kind == "weak":
            factors.append((event.at_s, event.at_s + event.for_s, event.gain))
    bursts += _background(script, truth, bursts, rng)
    bursts.sort(key=lambda b: b.start_s)
    return bursts, factors


def _background(script: BedScript, truth: Truth, fixed: list[Burst], rng: np.random.Generator) -> list[Burst]:
    """Poisson movements and turn-overs, none within 25 s of another burst or of a border of the presence."""
    resident = script.resident
    taken_s = [b.start_s for b in fixed]
    bursts: list[Burst] = []
    for kind, rate_per_h in (("turn_over", resident.turn_overs_per_h), ("move", resident.movements_per_h)):
        for start_s, end_s in truth.presence:
            t = start_s + 30.0
            while True:
                factor = body.STAGE_MOVE_FACTOR[body.stage_at(script, t) or "light"]
                t += float(rng.exponential(3600 / max(rate_per_h * factor, 1e-6)))
                if t > end_s - 30:
                    break
                if all(abs(t - other_s) > 25 for other_s in taken_s):
                    taken_s.append(t)
                    if kind == "turn_over":
                        bursts.append(Burst(t, float(rng.uniform(3, 8)), float(rng.uniform(0.7, 1.5)), kind))
                    else:
                        for_s = float(np.clip(rng.lognormal(0.5, 0.6), 0.6, 5))
                        bursts.append(Burst(t, for_s, float(rng.uniform(0.15, 0.5)), kind))
    return bursts
