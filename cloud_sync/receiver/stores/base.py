"""What the receiver needs of a database. Methods block; the receiver calls them in the store's own threads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloud_sync.ingest import Arrival, Outcome
from cloud_sync.receiver.port import AlarmRow, EventRow, GapRow, MinuteRow, NightCard

__all__ = ["Admission", "Committed", "Counts", "Place", "SealedName", "StoreError", "StoreReads", "StoreWrites",
           "UnstorableError"]  # fmt: skip


class StoreError(OSError):
    """The database cannot be used or cannot commit; the message says where, why and what to do."""


class UnstorableError(StoreError):
    """The database is well, but there is something in this group that it cannot take, however often it is tried."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit did: one tuple of outcomes an arrival (in its items' order), and the beds it changed."""

    outcomes: tuple[tuple[Outcome, ...], ...]
    beds: frozenset[tuple[str, str]]  # (gateway, bed)
    new_gaps: tuple[GapRow, ...]
    rewinds: tuple[int, ...]  # one an arrival: the lowest seq of its stream that is missing without a reason, or 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resident is now."""

    resident_id: str
    gateway: str
    bed: str
    room: str


@dataclass(frozen=True, slots=True)
class SealedName:
    """A resident's name as it is kept (names.py)."""

    resident_id: str
    nonce: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """A resident to admit or move: the bed is theirs from now on, and nobody else's."""

    name: SealedName
    gateway: str
    bed: str
    room: str


Counts = Mapping[str, int]


class StoreWrites(Protocol):
    """The writing side: one thread, one connection."""

    def commit(self, arrivals: Sequence[Arrival], now_utc_ms: int) -> Committed:
        """All arrivals durable in one transaction, or StoreError and nothing; UnstorableError: not these ones, ever."""
        ...

    def admit(self, admissions: Sequence[Admission], now_utc_ms: int) -> None:
        """Admit, rename or move residents, in one transaction."""
        ...

    def discharge(self, resident_id: str, now_utc_ms: int) -> bool:
        """The resident's bed is nobody's from now on; False if they have none."""
        ...

    def forget_of(self, resident_id: str, data_class: str, from_utc_ms: int, to_utc_ms: int) -> int:
        """Delete what was recorded of a resident in [from, to) of one class (forgetting.DATA_CLASSES); rows deleted."""
        ...

    def forget_before(self, data_class: str, utc_ms: int) -> int:
        """Delete what is older, of everybody; rows deleted."""
        ...

    def erase(self, resident_id: str) -> bool:
        """Delete a resident, their name and all that was recorded of them; False if there is no such one."""
        ...

    def close(self) -> None: ...


class StoreReads(Protocol):
    """The reading side: another thread, its own connection, sees only what is committed."""

    def places(self) -> Sequence[Place]:
        """Current assignments, ordered by room, bed."""
        ...

    def names(self) -> Sequence[SealedName]: ...

    def open_alarms(self) -> Sequence[AlarmRow]: ...

    def alarms(self, limit: int) -> Sequence[AlarmRow]:
        """Newest first."""
        ...

    def latest_nights(self) -> Mapping[tuple[str, str], NightCard]:
        """The newest version of the latest night, by (gateway, bed)."""
        ...

    def nights(self, gateway: str, bed: str, limit: int) -> Sequence[NightCard]:
        """Newest version of each night, newest night first."""
        ...

    def report(self, gateway: str, bed: str, night_of: str) -> Mapping[str, Any] | None:
        """The newest version of that night's report as the gateway wrote it."""
        ...

    def events(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int, limit: int) -> Sequence[EventRow]:
        """Newest first."""
        ...

    def minutes(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> Sequence[MinuteRow]:
        """Ascending."""
        ...

    def chunks(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[bytes]:
        """Bodies of vitals chunks as they came, of every pack that reaches into [from, to); hardly ordered."""
        ...

    def gaps(self, limit: int) -> Sequence[GapRow]:
        """Newest first."""
        ...

    def select(self, sql: str, *values: Any) -> Sequence[Any]:
        """Rows of a SELECT in the SQL that all our databases speak (`?` marks a value)."""
        ...

    def counts(self) -> Counts:
        """By the names of PlatformStats' fields; one that never counted may be absent."""
        ...

    def close(self) -> None: ...
