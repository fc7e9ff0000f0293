"""What is remembered of one bed, as plain data: the regions of LEAVE_BED.md "State", and nothing that can be derived.

Everything is JSON-able, so that a restart continues exactly. Instants are elapsed milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.cores.plain import plain

UNKNOWN, PRESENT, ABSENT = "unknown", "present", "absent"
ACTIVE, ASSIST, MAINTENANCE, AWAY = "active", "assist", "maintenance", "away"
SUSPENDED_MODES = (MAINTENANCE, AWAY)
NONE, UNACKNOWLEDGED, ACKNOWLEDGED, LATCHED = "none", "unacknowledged", "acknowledged", "latched"
NO_ALARM_YET = (NONE, LATCHED)
"""Rule 7: a latched alarm counts as none."""


@dataclass(slots=True)
class Episode:
    """One absence, from the confirmed exit of an armed bed to its settled return."""

    out_since_ms: int
    held: bool = False
    base_ms: int | None = None
    """Rule 6; None: the absence rule does not apply."""
    end_ms: int | None = None
    """End of the window, None while it is unknown (rule 18)."""
    window: int | None = None
    """Which window of the profile allowed it; None with a base: the smallest allowance of all (rule 18)."""
    allowed_ms: int = 0
    provisional: bool = False
    """Judged while time was not trusted."""
    dropped: bool = False
    """Rule 7: the window ended with tail=stop_at_end."""
    prealert: str = ""
    """"" / raised / spent: it is raised once per episode."""
    restarted: bool = False
    """Rule 17: open without an alarm over a gateway restart, and the belt has not yet said whether it still lasts."""
    missed: bool = False
    """`missed_alarm` was disclosed."""

    def overdue_ms(self) -> int | None:
        """base + allowed, whether or not the window's end has dropped it."""
        return None if self.base_ms is None else self.base_ms + self.allowed_ms

    def is_overdue(self, at_ms: int) -> bool:
        """Whether base + allowed had come by then."""
        overdue_ms = self.overdue_ms()
        return overdue_ms is not None and at_ms >= overdue_ms

    def deadline_ms(self) -> int | None:
        return None if self.dropped else self.overdue_ms()


@dataclass(slots=True)
class Alarm:
    """The alarm region. `counted_ms` is unacknowledged alarm time since the last step of the level (rule 10)."""

    state: str = NONE
    level: int = 0
    priority: str = ""
    raised_ms: int = 0
    acked_ms: int = 0
    counted_ms: int = 0
    counting_since_ms: int | None = None
    sounding: bool = False


@dataclass(slots=True)
class Rate:
    """Whether the belt shows a valid heart or respiration rate (rules 22, no_signal)."""

    since_ms: int | None = None
    """Valid without a break since then; None: not valid. It stands until the belt says otherwise."""
    lost_ms: int | None = None
    """Not valid since then, if `since_ms` is None."""
    reason: str = ""


@dataclass(slots=True)
class Sample:
    """The last vital reading, which holds for at most 10 s."""

    at_ms: int
    heart_rate_bpm: float | None
    respiration_per_min: float | None
    good: bool


@dataclass(slots=True)
class VitalWatch:
    """Time beyond one limit, and time back in range, of good-quality samples."""

    beyond_ms: int = 0
    back_ms: int = 0


@dataclass(slots=True)
class BedState:
    """Everything remembered of one bed."""

    bound: bool = True
    # Link. `heard_since_boot` belongs to rule 17.
    heard: bool = False
    heard_since_boot: bool = False
    last_heard_ms: int | None = None
    silent_since_ms: int = 0
    offline: bool = False
    # Raw classification as last heard, and the occupancy confirmed from it.
    raw: str | None = None
    raw_since_ms: int = 0
    occupancy: str = UNKNOWN
    since_ms: int | None = None
    """Start of the confirmed presence or absence."""
    armed: bool = False
    first_exit: bool = False
    """Rule 21: first heard empty, recently enough that its exit opens an episode."""
    rate: Rate = field(default_factory=Rate)
    # Mode.
    mode: str = ACTIVE
    mode_until_ms: int | None = None
    suspension_ended_ms: int | None = None
    """When maintenance or away last ended; settling counts from there (rule 3)."""
    away_noticed: bool = False
    episode: Episode | None = None
    alarm: Alarm = field(default_factory=Alarm)
    # Notices.
    notices: list[str] = field(default_factory=list)
    exits_ms: list[int] = field(default_factory=list)
    repeat_noticed_ms: int | None = None
    turned_ms: int | None = None
    came_ms: dict[str, int] = field(default_factory=dict)
    """When the minute of each time-of-day notice last came."""
    minutes_from_ms: int = 0
    """Up to here no minute counts: none comes before it is set."""
    sample: Sample | None = None
    sampled_to_ms: int = 0
    watches: dict[str, VitalWatch] = field(default_factory=dict)

    def to_state(self) -> dict[str, Any]:
        """JSON-able; nothing in it changes when this does."""
        state = plain(self)
        for name in _PARTS:
            if state[name] is not None:
                state[name] = plain(state[name])
        state["watches"] = {name: plain(watch) for name, watch in self.watches.items()}
        state["came_ms"] = dict(self.came_ms)
        for name in _LISTS:
            state[name] = list(state[name])
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BedState:
        values = dict(state)
        for name, kind in _PARTS.items():
            if values[name] is not None:
                values[name] = kind(**values[name])
        values["watches"] = {name: VitalWatch(**watch) for name, watch in values["watches"].items()}
        values["came_ms"] = dict(values["came_ms"])
        for name in _LISTS:
            values[name] = list(values[name])
        return cls(**values)


_PARTS: Mapping[str, type[Any]] = {"episode": Episode, "alarm": Alarm, "rate": Rate, "sample": Sample}
_LISTS = ("notices", "exits_ms")
