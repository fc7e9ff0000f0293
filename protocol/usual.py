"""What is usual for a resident: median and spread of their own last complete nights (NIGHT_REPORT.md `versus_usual`).

A gateway knows beds, not people: it compares with the nights of the bed. The platform, which knows who lay there, does
the same arithmetic again for whoever was moved or got a bed that was somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["USUAL_FIGURES", "USUAL_NIGHTS_MAX", "USUAL_NIGHTS_MIN", "Usual", "against_usual", "usual_figures"]

USUAL_NIGHTS_MIN, USUAL_NIGHTS_MAX = 5, 14
USUAL_FIGURES = (
    "time_in_bed_s",
    "times_out_of_bed",
    "out_of_bed_total_s",
    "turn_overs",
    "heart_rate_bpm",
    "respiration_per_min",
    "total_sleep_s",
    "sleep_onset_latency_s",
    "wake_after_sleep_onset_s",
    "sleep_efficiency_percent",
    "awakenings",
    "restlessness",
)
"""Figures compared with the resident's own last nights; the two rates by their means."""


@dataclass(frozen=True, slots=True)
class Usual:
    """One figure against the resident's own nights; `spread` = median distance from the median."""

    median: float
    spread: float
    nights: int
    difference: float | None


def usual_figures(report: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures to compare of a report as JSON; None = not known."""
    return {name: _plain(report.get(name)) for name in USUAL_FIGURES}


def against_usual(
    tonight: Mapping[str, float | None], before: Sequence[Mapping[str, float | None]]
) -> dict[str, Usual | None] | None:
    """Each figure against the last 14 of the complete nights `before` this one, oldest first; None before 5 of them."""
    nights = before[-USUAL_NIGHTS_MAX:]
    if len(nights) < USUAL_NIGHTS_MIN:
        return None
    return {name: _usual(tonight[name], [night.get(name) for night in nights]) for name in USUAL_FIGURES}


def _plain(figure: Any) -> float | None:
    value: float | None = figure["mean"] if isinstance(figure, Mapping) else figure
    return value


def _usual(tonight: float | None, before: Iterable[float | None]) -> Usual | None:
    values = [value for value in before if value is not None]
    if len(values) < USUAL_NIGHTS_MIN:
        return None
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    difference = None if tonight is None else round(tonight - middle, 1)
    return Usual(round(middle, 1), round(spread, 1), len(values), difference)
