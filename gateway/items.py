"""What leaves for the cloud, built from what the gateway decides and hears: alarm events and belt events."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gateway.cores.belt_session import PlacedRecord
from gateway.cores.effects import (
    ACK,
    ALARM_CLEAR,
    ALARM_LATCHED,
    ALARM_RAISE,
    AUDIO_OFF,
    AUDIO_ON,
    ESCALATE,
    EXIT,
    MISSED_ALARM,
    NOTICE,
    NOTICE_CLEAR,
    PREALERT,
    PREALERT_CLEAR,
    REALARM,
    RETURN,
    TECH_CLEAR,
    TECH_RAISE,
    TIME_TRUSTED,
    TIME_UNTRUSTED,
    Effect,
)
from gateway.cores.leave_bed import BedView, Now
from gateway.store_files import EventRow, RecordRow
from protocol.batch import AlarmEvent, BeltEventItem, Stamp, encode_item
from protocol.messages import (
    AbsenceRecord,
    BootRecord,
    FaultRecord,
    OccupancyRecord,
    Record,
    TurnOverRecord,
    UnknownRecord,
)

__all__ = ["ALARM_EVENTS", "GATEWAY_UP", "SENT_EVENTS", "alarm_item", "event_row", "record_row", "stamp"]

GATEWAY_UP = "gateway_up"
"""The line of the log that says that the gateway had been down until now."""

ALARM_EVENTS = (ALARM_RAISE, ACK, ESCALATE, REALARM, ALARM_LATCHED, ALARM_CLEAR, AUDIO_ON, AUDIO_OFF, MISSED_ALARM)
"""Events that belong to one alarm and carry its id."""

SENT_EVENTS = (
    *ALARM_EVENTS, EXIT, RETURN, NOTICE, NOTICE_CLEAR, PREALERT, PREALERT_CLEAR, TECH_RAISE, TECH_CLEAR,
    TIME_TRUSTED, TIME_UNTRUSTED, "outcome",
)  # fmt: skip
"""What the cloud is told; refused and ignored actions stay in the gateway's own audit."""

_RECORD_KINDS: dict[type[Record], str] = {
    OccupancyRecord: "occupancy",
    AbsenceRecord: "absence",
    FaultRecord: "fault",
    BootRecord: "boot",
    TurnOverRecord: "turn_over",
    UnknownRecord: "unknown",
}


def stamp(now: Now, at_ms: int, boot: int) -> Stamp:
    """`at_ms` (elapsed) on all axes, as the gateway knows them now; never before the axes begin."""
    return Stamp(boot, max(0, at_ms), max(0, now.utc_ms - (now.now_ms - at_ms)), now.trusted)


def event_row(effect: Effect, at: Stamp, who: str) -> EventRow:
    """The effect as a line of the gateway's own log; `who` is the account that acted."""
    detail = f"{effect.detail} {effect.reason}".strip()
    return EventRow(at.elapsed_ms, at.utc_ms, at.trusted, effect.bed or "", effect.event, detail, effect.rule, who)


def alarm_item(effect: Effect, at: Stamp, view: BedView | None, alarm_id: str, belt: str) -> bytes:
    """The effect as an encoded item of the alarm lane."""
    of_alarm = effect.event in ALARM_EVENTS and view is not None
    return encode_item(AlarmEvent(
        bed=effect.bed or "",
        at=at,
        event=effect.event,
        detail=f"{effect.detail} {effect.reason}".strip(),
        alarm_id=alarm_id if of_alarm else "",
        belt=belt,
        priority=view.priority if of_alarm and view is not None else "",
        level=view.level if of_alarm and view is not None else 0,
        rule=effect.rule,
    ))


def record_row(bed: str, belt: str, placed: PlacedRecord, now: Now, boot: int) -> RecordRow:
    """A record other than a minute, for the store and (where its time is known) for the cloud."""
    record = placed.record
    kind = _RECORD_KINDS.get(type(record), "unknown")
    common = {field.name for field in fields(Record)}
    values: dict[str, Any] = {
        field.name: _plain(getattr(record, field.name)) for field in fields(record) if field.name not in common
    }
    if placed.at_ms is None:
        return RecordRow(belt, record.seq, bed, record.boot_id, record.uptime_ms, None, kind, values)
    at = stamp(now, placed.at_ms, boot)
    item = encode_item(BeltEventItem(bed, belt, at, kind, record.boot_id, record.uptime_ms, record.seq, values))
    return RecordRow(belt, record.seq, bed, record.boot_id, record.uptime_ms, at.utc_ms, kind, values, item)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value
