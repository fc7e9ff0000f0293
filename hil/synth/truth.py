"""What really happened in a synthesised recording, kept beside its samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Absence:
    """Out of bed from left_s (body off the mattress) to back_s (None: not back before the end)."""

    left_s: float
    back_s: float | None


@dataclass(frozen=True)
class Burst:
    """A movement: small or turn-over, strength 1 clips a resident of gain 1 about half of the time."""

    start_s: float
    for_s: float
    strength: float
    kind: str  # move, turn_over, enter, exit, carer


@dataclass
class Truth:
    """Ground truth of one recording; times in seconds since its first sample."""

    duration_s: float
    presence: list[tuple[float, float]] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    beats_s: Floats = field(default_factory=lambda: np.zeros(0))
    breaths_s: Floats = field(default_factory=lambda: np.zeros(0))
    rhythm: str = "sinus"

    @property
    def turn_overs_s(self) -> list[float]:
        """Start of every turn-over."""
        return [burst.start_s for burst in self.bursts if burst.kind == "turn_over"]

    def in_bed(self, time_s: float) -> bool:
        """Somebody lies in the bed at time_s."""
        return any(start <= time_s < end for start, end in self.presence)

    def still(self, start_s: float, end_s: float) -> bool:
        """In bed all the time and no movement within start_s..end_s."""
        inside = any(start <= start_s and end_s <= end for start, end in self.presence)
        return inside and not any(b.start_s < end_s and b.start_s + b.for_s > start_s for b in self.bursts)

    def heart_rate_bpm(self, start_s: float, end_s: float) -> float | None:
        """Mean rate of the beats in start_s..end_s, None with fewer than three."""
        return _rate(self.beats_s, start_s, end_s)

    def respiration_per_min(self, start_s: float, end_s: float) -> float | None:
        """Mean rate of the breaths in start_s..end_s, None with fewer than three."""
        return _rate(self.breaths_s, start_s, end_s)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON-able values, times rounded to milliseconds."""
        return {
            "duration_s": self.duration_s,
            "presence": [[round(a, 3), round(b, 3)] for a, b in self.presence],
            "absences": [{"left_s": round(a.left_s, 3), "back_s": a.back_s} for a in self.absences],
            "bursts": [
                {"start_s": round(b.start_s, 3), "for_s": round(b.for_s, 3), "strength": b.strength, "kind": b.kind}
                for b in self.bursts
            ],
            "pauses": [[round(a, 3), round(b, 3)] for a, b in self.pauses],
            "rhythm": self.rhythm,
            "beats_s": [round(float(t), 3) for t in self.beats_s],
            "breaths_s": [round(float(t), 3) for t in self.breaths_s],
        }


def _rate(marks_s: Floats, start_s: float, end_s: float) -> float | None:
    low, high = np.searchsorted(marks_s, [start_s, end_s])
    if high - low < 3:
        return None
    return float(60.0 * (high - low - 1) / (marks_s[high - 1] - marks_s[low]))
