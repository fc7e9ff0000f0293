"""Opt-in vital notices of the reference model: LEAVE_BED.md, "Other notices"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOLD_S = 10
BACK_S = 30
GOOD_QUALITY = 50
LIMITS = {"hr_high": ("heart_rate_bpm", 1, 3), "hr_low": ("heart_rate_bpm", -1, 3),
          "rr_high": ("respiration_per_min", 1, 2), "rr_low": ("respiration_per_min", -1, 2)}  # fmt: skip


@dataclass
class VitalWatch:
    """Counts the seconds of good samples beyond each limit, and back in range."""

    sample: Mapping[str, Any] = field(default_factory=dict)
    good: bool = False
    taken_at: int = -HOLD_S
    beyond_s: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0))
    back_s: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0))

    def take(self, sample: Mapping[str, Any], valid: bool, now: int) -> None:
        quality = sample.get("quality", "good")
        enough = quality >= GOOD_QUALITY if isinstance(quality, (int, float)) else quality == "good"
        self.sample, self.good, self.taken_at = sample, valid and enough, now

    def reset(self) -> None:
        self.beyond_s = dict.fromkeys(LIMITS, 0)
        self.back_s = dict.fromkeys(LIMITS, 0)

    def count(self, profile: Mapping[str, Any], now: int) -> None:
        """The second that ends now: poor samples pause."""
        if not self.good or now - 1 - self.taken_at >= HOLD_S:
            return
        for code, (key, sign, hysteresis) in LIMITS.items():
            value = self.sample.get(key)
            if profile[code] is None or value is None:
                continue
            excess = (value - profile[code]) * sign
            if excess > 0:
                self.beyond_s[code] += 1
                self.back_s[code] = 0
            elif excess <= -hysteresis:
                self.back_s[code] += 1
                if self.back_s[code] >= BACK_S:
                    self.beyond_s[code] = 0
            else:
                self.back_s[code] = 0

    def due(self, profile: Mapping[str, Any]) -> list[str]:
        return [code for code in LIMITS if profile[code] is not None and self.beyond_s[code] >= profile["sustain_s"]]

    def over(self) -> list[str]:
        return [code for code in LIMITS if self.beyond_s[code] == 0]
