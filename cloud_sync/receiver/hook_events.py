"""What the platform tells by webhooks: an alarm raised or closed, a night's report, a device lost and back. Pure.

An event's key is made of what it tells of: however often a batch comes, after a restore too, it is the same event.
Bed labels and resident ids, never a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloud_sync.ingest import AlarmLife
from cloud_sync.receiver.port import NightCard
from cloud_sync.receiver.stores.forgetting import NIGHTS, PRESENCE
from protocol.batch import AlarmEvent

__all__ = [
    "DEVICE_BACK",
    "DEVICE_LOST",
    "EVENTS",
    "GATEWAY_BACK",
    "GATEWAY_LOST",
    "HookEvent",
    "class_of",
    "gateway_back",
    "gateway_lost",
    "of_alarm",
    "of_link",
    "of_night",
]

ALARM_RAISED, ALARM_CLOSED, NIGHT_READY, DEVICE_LOST, DEVICE_BACK = EVENTS = (
    "alarm_raised", "alarm_closed", "night_ready", "device_lost", "device_back",
)  # fmt: skip
GATEWAY_LOST, GATEWAY_BACK = "gateway_lost:", "gateway_back:"  # how the keys of a gateway's own loss begin
_LINKS = {"tech_raise": DEVICE_LOST, "tech_clear": DEVICE_BACK}
_LOST = ("belt_offline", "radio_down")


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One event; `fields` are its own, beside what every event has."""

    key: str
    event: str
    gateway: str
    bed: str
    utc_ms: int
    fields: dict[str, Any]

    def body(self, resident_id: str) -> str:
        """The JSON that is sent, at every try the same bytes."""
        row = {"version": 1, "key": self.key, "event": self.event, "gateway": self.gateway, "bed": self.bed or None,
               "resident_id": resident_id or None, "utc_ms": self.utc_ms, **self.fields}  # fmt: skip
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def of_alarm(gateway: str, bed: str, alarm_id: str, life: AlarmLife) -> Iterator[HookEvent]:
    """That it was raised, and once it is closed, that too."""
    about = {"alarm_id": alarm_id, "priority": life.priority, "level": life.level}
    name = f"{gateway}:{bed}:{alarm_id}"
    yield HookEvent(f"{ALARM_RAISED}:{name}", ALARM_RAISED, gateway, bed, life.raised_utc_ms, about)
    if life.state == "closed":
        ended_ms = life.raised_utc_ms if life.ended_utc_ms is None else life.ended_utc_ms
        more = {**about, "raised_utc_ms": life.raised_utc_ms, "acknowledged_utc_ms": life.acknowledged_utc_ms,
                "detail": life.detail}  # fmt: skip
        yield HookEvent(f"{ALARM_CLOSED}:{name}", ALARM_CLOSED, gateway, bed, ended_ms, more)


def of_night(gateway: str, bed: str, utc_ms: int, night: NightCard) -> Iterator[HookEvent]:
    """That a night's report is there; a provisional one is still being written."""
    if not night.provisional:
        key = f"{NIGHT_READY}:{gateway}:{bed}:{night.night_of}:{night.version}"
        about = {"night_of": night.night_of, "report_version": night.version}
        yield HookEvent(key, NIGHT_READY, gateway, bed, utc_ms, about)


def of_link(gateway: str, name: str, event: AlarmEvent) -> Iterator[HookEvent]:
    """That a gateway hears a belt (or any belt) no more, or again; `name`: the event's own, unique in its gateway."""
    kind, detail = _LINKS.get(event.event), event.detail.partition(" ")[0]
    if kind is not None and detail in _LOST:
        about = {"device": event.belt or event.bed or gateway, "detail": detail}
        yield HookEvent(f"{kind}:{gateway}:{name}", kind, gateway, event.bed, event.at.utc_ms, about)


def gateway_lost(gateway: str, heard_utc_ms: int) -> HookEvent:
    """That a gateway is silent since it said its last."""
    about = {"device": gateway, "detail": "gateway_silent"}
    return HookEvent(f"{GATEWAY_LOST}{gateway}:{heard_utc_ms}", DEVICE_LOST, gateway, "", heard_utc_ms, about)


def gateway_back(gateway: str, heard_utc_ms: int, utc_ms: int) -> HookEvent:
    """That a gateway which was silent since `heard_utc_ms` speaks again."""
    about = {"device": gateway, "detail": "gateway_silent"}
    return HookEvent(f"{GATEWAY_BACK}{gateway}:{heard_utc_ms}", DEVICE_BACK, gateway, "", utc_ms, about)


def class_of(event: str) -> str | None:
    """The data class whose consent an event needs (forgetting.DATA_CLASSES); None: it is of no resident."""
    return {ALARM_RAISED: PRESENCE, ALARM_CLOSED: PRESENCE, NIGHT_READY: NIGHTS}.get(event)
