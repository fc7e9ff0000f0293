"""The gateway as its wall board sees it: `WardPort` over the room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

from gateway.clock import GatewayClock
from gateway.cores.leave_bed import BedView, Now
from gateway.room import BeltState, Room
from gateway.web.port import (
    ActionResult,
    Alarm,
    AlarmWord,
    Bed,
    BeltStatus,
    ModeWord,
    Notice,
    PriorityWord,
    Rate,
    RateReason,
    Snapshot,
    StateWord,
    UnwatchedReason,
    UplinkWord,
)

__all__ = ["BoardPort"]

STALE_MS = 10_000  # a vital value holds this long (LEAVE_BED.md, settled details of rule 23)
_UNWATCHED: dict[str, UnwatchedReason] = {
    "unbound": "no_belt",
    "gateway_down": "silent",
    "out_of_bed": "empty",
    "unknown": "empty",
    "not_settled": "settling",
}


class BoardPort:
    """Snapshots, changes and actions; one per gateway, any number of readers."""

    def __init__(
        self, room: Room, clock: GatewayClock, uplink: Callable[[], UplinkWord], troubles: Callable[[], list[str]]
    ) -> None:
        """`troubles`: codes of what is wrong with the gateway itself at present."""
        self._room = room
        self._clock = clock
        self._uplink = uplink
        self._troubles = troubles
        self._trouble_since_ms: dict[str, int] = {}
        self._change = asyncio.Event()
        self._closed = False

    def publish(self) -> None:
        """Wake every reader of `changes`."""
        self._change.set()
        self._change = asyncio.Event()

    def close(self) -> None:
        """The gateway stops: readers end."""
        self._closed = True
        self.publish()

    def snapshot(self) -> Snapshot:
        now = self._room.now()
        return {
            "gateway": self._room.config.gateway.id,
            "timezone": self._room.config.gateway.timezone,
            "utc_ms": now.utc_ms,
            "time_trusted": now.trusted,
            "elapsed_ms": now.now_ms,
            "speed": self._clock.scale.speed,
            "uplink": self._uplink(),
            "notices": self._gateway_notices(now),
            "beds": [self._bed(label, view, now) for label, view in self._room.views(now).items()],
        }

    async def changes(self) -> AsyncIterator[Snapshot]:
        while not self._closed:
            await self._change.wait()
            if not self._closed:
                yield self.snapshot()

    async def act(self, bed: str, action: str, who: str) -> ActionResult:
        done, reason = self._room.act(bed, action, who)
        return {"ok": done, "reason": reason}

    def _gateway_notices(self, now: Now) -> list[Notice]:
        codes = self._troubles()
        self._trouble_since_ms = {code: self._trouble_since_ms.get(code, now.now_ms) for code in codes}
        return [{"code": code, "detail": "", "since_ms": at} for code, at in self._trouble_since_ms.items()]

    def _bed(self, label: str, view: BedView, now: Now) -> Bed:
        bed = self._room.beds[label]
        state = bed.state
        reason = view.not_watched_reason
        fresh = _fresh(state, view, now, self._clock.scale.speed)
        if not bed.belt:
            reason = "unbound"
        alarm: Alarm = {
            "state": cast(AlarmWord, view.alarm),
            "level": max(1, view.level),
            "priority": cast(PriorityWord, view.priority or "medium"),
            "raised_ms": view.alarm_since_ms,
            "realarm_ms": view.realarm_ms,
        }
        return {
            "bed": label,
            "room": bed.config.room,
            "state": cast(StateWord, view.state),
            "since_ms": view.since_ms,
            "out_since_ms": view.out_since_ms,
            "deadline_ms": view.deadline_ms,
            "alarm": alarm,
            "outcome_due": bed.outcome_due,
            "mode": cast(ModeWord, view.mode),
            "until_ms": view.mode_until_ms,
            "armed": view.armed,
            "armed_ms": view.armed_ms,
            "silent": view.silent,
            "watched": view.watched and bool(bed.belt),
            "unwatched_reason": _UNWATCHED.get(reason, cast(UnwatchedReason, reason)) if reason else None,
            "notices": self._bed_notices(bed.notice_since_ms, view, now),
            "heart": _rate(state, fresh, "heart"),
            "respiration": _rate(state, fresh, "respiration"),
            "movement": state.said.movement if state.said is not None and fresh else None,
            "turn_overs_tonight": state.turn_overs_tonight if bed.belt else None,
            "belt": _belt(bed.belt, state, bed.session.last_heard_ms),
        }

    def _bed_notices(self, since_ms: dict[str, int], view: BedView, now: Now) -> list[Notice]:
        codes = list(view.notices)
        if view.offline:
            codes.append("belt_offline")
        if view.prealert:
            codes.append("prealert")
        for code in list(since_ms):
            if code not in codes:
                del since_ms[code]
        return [{"code": code, "detail": "", "since_ms": since_ms.setdefault(code, now.now_ms)} for code in codes]


def _fresh(state: BeltState, view: BedView, now: Now, speed: float) -> bool:
    # On a compressed clock a report each second comes with real jitter of many virtual seconds.
    stale_ms = STALE_MS * max(1.0, speed / 5)
    return not view.silent and state.said_ms is not None and now.now_ms - state.said_ms <= stale_ms


def _rate(state: BeltState, fresh: bool, which: str) -> Rate:
    if state.said is None or not fresh:
        return {"value": None, "quality": 0, "reason": "silent"}
    said = state.said
    value = said.heart_rate_bpm if which == "heart" else said.respiration_per_min
    quality = said.heart_quality if which == "heart" else said.respiration_quality
    if value is not None:
        return {"value": value, "quality": quality, "reason": None}
    if said.occupancy == "empty":
        return {"value": None, "quality": 0, "reason": "empty"}
    reason = said.heart_reason if which == "heart" else said.respiration_reason
    return {"value": None, "quality": quality, "reason": cast(RateReason, reason or "no_signal")}


def _belt(serial: str, state: BeltState, last_heard_ms: int | None) -> BeltStatus | None:
    if not serial:
        return None
    percent = state.said.battery_percent if state.said is not None else None
    return {"id": serial, "battery_percent": percent, "rssi_dbm": state.rssi_dbm, "last_heard_ms": last_heard_ms}
