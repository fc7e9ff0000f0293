"""State and settings of the reference model of LEAVE_BED.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .model_vitals import VitalWatch
from .model_wall_time import DEFAULT_WINDOWS

DEFAULTS: dict[str, Any] = {
    "exit_confirm_s": 5, "entry_confirm_s": 10, "settle_s": 60, "carry_in_s": 3600, "tail": "run_out",
    "latch": "visual", "escalate_after_s": 180, "max_level": 3, "realarm_s": 600, "assist_s": 900,
    "maintenance_max_s": 3600, "offline_after_s": 90, "boot_wait_s": 15, "prealert_s": 0,
    "priority": "medium", "require_vitals": False,
    "repeat_count": 0, "repeat_span_s": 7200, "not_in_bed_by": None, "not_up_by": None, "not_up_lookback_s": 3600,
    "reposition_s": 0, "no_signal_s": 0, "sustain_s": 60,
    "hr_high": None, "hr_low": None, "rr_high": None, "rr_low": None,
    "windows": DEFAULT_WINDOWS,
}  # fmt: skip
WATCHED = (
    "alarm_raise", "alarm_clear", "alarm_latched", "ack", "ack_ignored", "escalate", "realarm", "audio_on", "audio_off",
    "tech_raise", "tech_clear", "refused", "missed_alarm", "notice", "notice_clear", "prealert", "prealert_clear",
)  # fmt: skip
UNCLEAR_S = 60
RADIO_SPREAD_S = 30


@dataclass
class Episode:
    """One absence: where it began and how rule 6 judged it."""

    out_since: int
    base: int | None = None
    allowed: int = 0
    window_end: int | None = None
    provisional: bool = False
    dropped: bool = False
    held: bool = False
    alarmed: bool = False
    prealerted: bool = False
    prealert_up: bool = False
    missed: bool = False

    @property
    def deadline(self) -> int | None:
        return None if self.base is None or self.dropped else self.base + self.allowed


@dataclass
class Alarm:
    """state: unacknowledged, acknowledged or latched."""

    state: str = "unacknowledged"
    level: int = 1
    counted_s: int = 0
    acknowledged_at: int = 0
    sounding: bool = True


@dataclass
class Bed:
    name: str
    profile: dict[str, Any]
    raw: str = "occupied"
    raw_since: int = 0
    raw_confirmed: bool = False
    occupancy: str = "unknown"
    presence_start: int = 0
    armed: bool = False
    first_exit: bool = False
    valid: bool = True
    valid_since: int = -(10**9)
    invalid_since: int = 0
    mode: str = "active"
    until: int | None = None
    resumed_at: int = -(10**9)
    away_noticed: bool = False
    heard: bool = True
    last_heard: int = 0
    silent_since: int = 0
    restarted: bool = False
    boot_at: int | None = None
    absence_in_gap: bool = False
    open_before: bool = False
    found_return: int | None = None
    offline: bool = False
    bound: bool = True
    episode: Episode | None = None
    alarm: Alarm | None = None
    notices: list[str] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    repeated_at: int | None = None
    vitals: VitalWatch = field(default_factory=VitalWatch)

    @property
    def at_work(self) -> bool:
        """Resident rules act: neither maintenance nor away (rules 14, 15)."""
        return self.mode in ("active", "assist")

    @property
    def live_alarm(self) -> Alarm | None:
        """The alarm, a latched one counting as none (rules 7, 18, 20)."""
        return None if self.alarm is None or self.alarm.state == "latched" else self.alarm

    @property
    def alarming(self) -> bool:
        """Unacknowledged and not held: what sounds and escalates (rules 10, 12)."""
        return (
            self.alarm is not None
            and self.alarm.state == "unacknowledged"
            and self.episode is not None
            and not self.episode.held
        )


def merged(profile: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`configure` merges; `allowed_s` at profile level sets every window, and those to come that name none."""
    result = {"allowed_s": 1200, **profile, **changes}
    result["windows"] = [{"allowed_s": result["allowed_s"], **window} for window in result["windows"]]
    if "allowed_s" in changes:
        result["windows"] = [{**window, "allowed_s": changes["allowed_s"]} for window in result["windows"]]
    return result
