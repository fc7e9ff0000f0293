"""What the gateway's store takes and gives: rows, and `Writes`, all that becomes durable together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cores.audit import AuditEntry
from gateway.store_evidence import AccountRow, SettingsRow

__all__ = ["Chunk", "EventRow", "NightRow", "RecordRow", "Writes"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the alarm log; committing it also puts it into the audit."""

    elapsed_ms: int
    utc_ms: int
    trusted: bool
    bed: str
    event: str
    detail: str
    rule: str
    who: str = ""

    def audited(self) -> AuditEntry:
        """The same as evidence."""
        why = f"rule {self.rule}" if self.rule else ""
        return AuditEntry(self.utc_ms, self.elapsed_ms, self.trusted, self.event, self.bed, self.who, self.detail, why)


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record of a belt's ring other than minutes; `utc_ms` None: of a boot the gateway never heard live."""

    belt: str
    seq: int
    bed: str
    boot_id: int
    uptime_ms: int
    utc_ms: int | None
    kind: str
    fields: dict[str, Any]
    item: bytes | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """An encoded VitalsChunk item and where it belongs."""

    bed: str
    start_utc_ms: int
    body: bytes
    readings: int = 0  # live reports that it holds


@dataclass(frozen=True, slots=True)
class NightRow:
    bed: str
    night_of: str
    version: int
    report: str  # JSON


@dataclass(slots=True)
class Writes:
    """What becomes durable together; merging two keeps the newer state and all the rest in order."""

    state: dict[str, Any] | None = None
    belts: dict[str, dict[str, Any]] = field(default_factory=dict)  # belt -> its session's state
    events: list[EventRow] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)  # beside the events, which are audited anyway
    settings: list[SettingsRow] = field(default_factory=list)
    accounts: list[AccountRow] = field(default_factory=list)
    alarm_items: list[bytes] = field(default_factory=list)
    vitals_items: list[bytes] = field(default_factory=list)
    records: list[RecordRow] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    kept_chunks: list[Chunk] = field(default_factory=list)  # moved here from `chunks` as they become durable
    nights: list[NightRow] = field(default_factory=list)
    belt_acks: dict[str, int] = field(default_factory=dict)  # belt -> seq to ack once this is committed

    def merge(self, other: Writes) -> None:
        if other.state is not None:
            self.state = other.state
        self.belts |= other.belts
        self.events += other.events
        self.audit += other.audit
        self.settings += other.settings
        self.accounts += other.accounts
        self.alarm_items += other.alarm_items
        self.vitals_items += other.vitals_items
        self.records += other.records
        self.chunks += other.chunks
        self.kept_chunks += other.kept_chunks
        self.nights += other.nights
        self.belt_acks |= other.belt_acks

    def rows(self) -> int:
        lists: tuple[Sequence[object], ...] = (self.events, self.audit, self.settings, self.accounts,
                                               self.alarm_items, self.vitals_items, self.records, self.chunks,
                                               self.nights)
        return sum(len(rows) for rows in lists)

    def newest_utc_ms(self) -> int:
        """The latest instant that any of it is about; 0 if none says."""
        return max((*(event.utc_ms for event in self.events), *(chunk.start_utc_ms for chunk in self.kept_chunks),
                    *(record.utc_ms or 0 for record in self.records)), default=0)

    def keep_only_vitals(self) -> None:
        """Everything but the chunks (and what may only follow them) is durable now."""
        left = Writes(chunks=self.chunks, kept_chunks=self.kept_chunks, belts=self.belts, belt_acks=self.belt_acks)
        for name in self.__slots__:
            setattr(self, name, getattr(left, name))

    def can_wait(self) -> bool:
        """Only minutes, which their belts keep until they are acked: several in one commit wear the disk less."""
        return self.state is None and self.rows() == len(self.chunks)

    def empty(self) -> bool:
        return not (
            self.state is not None or self.belts or self.belt_acks or self.chunks or self.events or self.audit
            or self.settings or self.accounts or self.alarm_items or self.vitals_items or self.records or self.nights
        )  # fmt: skip
