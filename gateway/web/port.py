"""What the wall board needs from a gateway: one snapshot, the changes after it, and the actions of the staff.

Instants named `_ms` lie on the gateway's elapsed clock (the axis of `elapsed_ms` in the same snapshot), so a step of
the wall clock never moves a running time or a countdown. The page counts on by itself from `elapsed_ms` at `speed`.
Keys not listed here may be present and are ignored. Nothing here ever carries a resident's name: beds have labels.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol, TypedDict

StateWord = Literal["unknown", "present", "absent", "held"]
AlarmWord = Literal["none", "unacknowledged", "acknowledged", "latched"]
PriorityWord = Literal["high", "medium", "low"]
ModeWord = Literal["active", "assist", "maintenance", "away"]
UplinkWord = Literal["ok", "down", "off"]

# Why a rate is absent: the belt's words (protocol/wire/frames.py REASON_*), and two of the gateway.
RateReason = Literal["no_signal", "irregular", "moving", "weak", "sensor_fault", "silent", "empty"]

# Why a bed is not watched. `no_belt`: none is bound; `silent`: its belt is not heard; `settling`: present, not
# armed yet; `empty`: nobody was seen in it; `rule_off`: no window is configured; `outside_window`: none is open now.
UnwatchedReason = Literal[
    "no_belt", "silent", "settling", "empty", "maintenance", "away", "assist", "rule_off", "outside_window"
]

ACTIONS = (
    "acknowledge",
    "assist",
    "maintenance_on",
    "maintenance_off",
    "away_on",
    "away_off",
    "outcome_real",
    "outcome_assisted",
    "outcome_false",
)


class Rate(TypedDict):
    """One vital rate: a value, or the reason why there is none."""

    value: float | None  # beats or breaths a minute
    quality: int  # 0-100
    reason: RateReason | None  # None exactly when there is a value


class BeltStatus(TypedDict):
    """The belt of a bed as the gateway last heard it."""

    id: str
    battery_percent: int | None  # None: on mains, or not told
    rssi_dbm: int | None
    last_heard_ms: int | None


class Notice(TypedDict):
    """An attention or technical notice that stands now (`check_bed`, `prealert`, `belt_offline`, ...)."""

    code: str
    detail: str  # may be empty
    since_ms: int


class Alarm(TypedDict):
    """The leave-bed alarm of a bed; with `state` none the other fields mean nothing."""

    state: AlarmWord
    level: int  # 1..3
    priority: PriorityWord
    raised_ms: int | None
    realarm_ms: int | None  # when an answered alarm calls again, if the resident is still out


class Bed(TypedDict):
    """Everything one tile shows."""

    bed: str  # the key that `act` takes, and the label on the tile
    room: str
    state: StateWord
    since_ms: int | None  # start of `state`
    out_since_ms: int | None  # first `out_since` of the running or held episode
    deadline_ms: int | None  # when the absence alarms, if it goes on
    alarm: Alarm
    outcome_due: bool  # the last alarm was answered or ended, and nobody has said yet what it was
    mode: ModeWord
    until_ms: int | None  # end of assist or maintenance; None: no limit
    armed: bool
    armed_ms: int | None  # when a bed that is settling will be armed
    silent: bool  # the belt is not heard; a running absence goes on, marked as such (rule 16)
    watched: bool
    unwatched_reason: UnwatchedReason | None
    notices: list[Notice]
    heart: Rate
    respiration: Rate
    movement: int | None  # 0-100
    turn_overs_tonight: int | None
    belt: BeltStatus | None


class Snapshot(TypedDict):
    """The whole ward at one instant."""

    gateway: str
    timezone: str  # IANA name; wall times are shown in it
    utc_ms: int
    time_trusted: bool  # False: the board shows durations only, no wall times
    elapsed_ms: int
    speed: float  # of the elapsed clock against real time; 1.0 outside compressed demonstrations
    uplink: UplinkWord
    notices: list[Notice]  # of the gateway itself (`radio_down`, `time_untrusted`, ...)
    beds: list[Bed]


class ActionResult(TypedDict):
    """What became of an action. Refused: `ok` False and a short `reason` code (`ack_ignored`, `assist_ignored`)."""

    ok: bool
    reason: str | None


class WardPort(Protocol):
    """The gateway as the board sees it; every method is called on the event loop and must not block."""

    def snapshot(self) -> Snapshot:
        """The state now."""
        ...

    def changes(self) -> AsyncIterator[Snapshot]:
        """One snapshot per change, newest state only (a slow reader skips); ends when the gateway stops."""
        ...

    async def act(self, bed: str, action: str, who: str) -> ActionResult:
        """Do one of `ACTIONS` on a bed of the snapshot; `who` is the account's name, for the audit."""
        ...
