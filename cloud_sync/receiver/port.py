"""What the platform's pages need from the receiver: residents at a glance, one resident's nights, alarms, changes.

All instants are UTC milliseconds of the (possibly compressed) clock that `now_utc_ms` reads. A value that cannot be
known is None, never 0. Names appear here and on pages only: no log and no wire ever carries them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = [
    "AlarmRow",
    "ApiPort",
    "BedRow",
    "DeliveryRow",
    "EventRow",
    "GapRow",
    "HookCount",
    "LiveState",
    "MinuteRow",
    "NightCard",
    "NightRow",
    "PlatformStats",
    "ReceiverPort",
    "ResidentCard",
    "ResidentPage",
]

StateWord = Literal["unknown", "present", "absent", "held"]
AlarmWord = Literal["unacknowledged", "acknowledged", "latched", "closed"]


@dataclass(frozen=True, slots=True)
class LiveState:
    """The bed as its gateway last described it; `stale` when that is longer ago than a few snapshots."""

    state: StateWord
    stale: bool
    out_since_utc_ms: int | None
    heart_rate_bpm: int | None
    heart_reason: int  # frames.REASON_*: 0 with a value, else why there is none
    respiration_per_min: int | None
    respiration_reason: int
    movement: int | None  # 0-100
    mode: str  # active | assist | maintenance | away
    watched: bool
    why_unwatched: str
    last_heard_utc_ms: int | None  # of the belt
    reported_utc_ms: int | None  # of the gateway


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One leave-bed alarm from raise to end."""

    alarm_id: str
    resident_id: str | None  # None: nobody was assigned to the bed
    gateway: str
    bed: str
    room: str
    state: AlarmWord
    level: int
    priority: str
    raised_utc_ms: int
    acknowledged_utc_ms: int | None
    ended_utc_ms: int | None
    detail: str  # the reason of the end (returned, acked_after_return, ...)


@dataclass(frozen=True, slots=True)
class NightCard:
    """The figures of one night that the overview shows; None where NIGHT_REPORT.md says null."""

    night_of: str  # YYYY-MM-DD, the waking date
    version: int
    provisional: bool
    coverage_percent: float | None
    sleep_s: int | None
    times_out: int | None
    turn_overs: int | None
    heart_rate_mean_bpm: float | None
    reason: str | None  # why there are no numbers at all (no_night_recorded)


@dataclass(frozen=True, slots=True)
class ResidentCard:
    """One resident of the overview page, in the order of rooms and beds."""

    resident_id: str
    display_name: str
    initials: str
    room: str
    bed: str
    gateway: str
    live: LiveState
    open_alarms: tuple[AlarmRow, ...]
    night: NightCard | None  # the latest; None: none received yet
    withheld: tuple[str, ...] = ()  # data classes whose consent was withdrawn: their fields say nothing


@dataclass(frozen=True, slots=True)
class BedRow:
    """One bed a gateway told of, whoever lies there."""

    gateway: str
    bed: str
    room: str
    resident_id: str | None
    live: LiveState


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of a resident's day: an alarm event, a notice, an occupancy change or a fault."""

    utc_ms: int
    trusted: bool
    event: str
    detail: str
    source: Literal["alarm", "belt"]


@dataclass(frozen=True, slots=True)
class MinuteRow:
    """One minute of one bed, for charts."""

    utc_ms: int
    heart_rate_bpm: int | None
    respiration_per_min: int | None
    movement: int  # seconds moving, 0-60
    turn_overs: int
    occupied_s: int
    empty_s: int
    readings: int


@dataclass(frozen=True, slots=True)
class NightRow:
    """One resident's night, in the bed it was slept in, with the report as the gateway wrote it."""

    resident_id: str
    gateway: str
    bed: str
    night_of: str
    version: int
    provisional: bool
    coverage_percent: float | None
    sleep_s: int | None
    times_out: int | None
    turn_overs: int | None
    heart_rate_mean_bpm: float | None
    reason: str | None
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResidentPage:
    """One resident: the card, the night asked for in full, which nights exist, and what happened around it."""

    card: ResidentCard
    night: NightCard | None
    report: Mapping[str, Any] | None  # the night report as the gateway wrote it (NIGHT_REPORT.md "Fields")
    nights: tuple[NightCard, ...]  # newest first
    events: tuple[EventRow, ...]  # newest first, at most 500
    minutes: tuple[MinuteRow, ...]  # noon to noon of the night asked for, ascending


@dataclass(frozen=True, slots=True)
class GapRow:
    """Seqs of a gateway's stream that are proven missing, and why if the gateway told."""

    gateway: str
    epoch: str
    lane: str
    first_seq: int
    last_seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class HookCount:
    """How many deliveries of one webhook are in a state."""

    webhook: str
    state: Literal["waiting", "delivered", "given_up"]
    count: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What became of one event at one webhook so far."""

    webhook: str
    event_key: str
    event: str
    tries: int
    tried_utc_ms: int | None
    next_utc_ms: int | None  # None: done
    error: str  # of the last try; empty with next_utc_ms None: delivered

    @property
    def state(self) -> Literal["waiting", "delivered", "given_up"]:
        """For people."""
        if self.next_utc_ms is not None:
            return "waiting"
        return "given_up" if self.error else "delivered"


@dataclass(frozen=True, slots=True)
class PlatformStats:
    """Counts since the database began, for the summary, /api/stats and the demo's "sent = received = stored"."""

    readings: int
    chunks: int
    alarms: int
    alarm_events: int
    nights: int
    items: int
    duplicates: int
    conflicts: int
    quarantined: int
    missing: int  # seqs proven missing
    gateways: Mapping[str, int] = field(default_factory=dict)  # gateway -> UTC ms of its last message


class ReceiverPort(Protocol):
    """The receiver as pages and API see it. Reads may touch the database: they are coroutines, short and bounded."""

    def now_utc_ms(self) -> int:
        """Now, on the clock all instants here are on."""
        ...

    def broker_connected(self) -> bool:
        """False while no batch can arrive, so pages can say that live states are old."""
        ...

    def database_committing(self) -> bool:
        """False while the database takes nothing of what gateways send."""
        ...

    async def hook_counts(self) -> Sequence[HookCount]:
        """Deliveries by webhook and state."""
        ...

    async def residents(self) -> Sequence[ResidentCard]:
        """All admitted residents, ordered by room, bed."""
        ...

    async def resident(self, resident_id: str, night_of: str | None = None) -> ResidentPage | None:
        """One resident with the night of that waking date (the latest without one); None: no such resident."""
        ...

    async def alarms(self, open_only: bool = False, limit: int = 200) -> Sequence[AlarmRow]:
        """Alarms, open ones first, then newest first."""
        ...

    def withheld(self, resident_id: str | None) -> frozenset[str]:
        """Data classes of which nothing may be shown of a resident: their consent was withdrawn."""
        ...

    async def gaps(self) -> Sequence[GapRow]:
        """What is proven missing, newest first."""
        ...

    async def stats(self) -> PlatformStats:
        """Counts."""
        ...

    def changes(self) -> AsyncIterator[frozenset[str]]:
        """After each change the resident ids it touched (empty: something global); changes while busy are merged."""
        ...


class ApiPort(ReceiverPort, Protocol):
    """What the HTTP API reads beyond what pages show."""

    async def beds(self) -> Sequence[BedRow]:
        """All beds, ordered by room, bed; nothing of what a resident's consent withholds."""
        ...

    async def nights(self, night_of: str | None = None) -> Sequence[NightRow]:
        """The night with that waking date (the latest without one) of every resident who has one."""
        ...

    async def nights_of(self, resident_id: str, limit: int) -> Sequence[NightRow] | None:
        """A resident's last nights, newest first; None: no such resident."""
        ...

    async def minutes_of(self, resident_id: str, from_utc_ms: int, to_utc_ms: int) -> Sequence[MinuteRow] | None:
        """A resident's minutes in [from, to), ascending, in whichever bed; None: no such resident."""
        ...

    async def deliveries(self, limit: int) -> Sequence[DeliveryRow]:
        """What became of events at webhooks: those that wait first, then the latest tries."""
        ...
