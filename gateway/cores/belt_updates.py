"""Which belt may take a firmware update now: one a room at a time, and only where it leaves nobody unwatched.

A belt that installs restarts and is silent for half a minute; so never while its bed or another bed of the room has an
alarm or an absence open, never an empty bed (the belt refuses that itself: nobody would notice that it does not come
back), never a belt that nobody hears, and never in a room where another belt is at it. A belt whose link failed is
tried again after growing pauses, and given up after some, which stops its room. An image that a belt refuses, or that
it went back from, is bad for others too: it stops the whole roll-out. Instants are elapsed ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

__all__ = ["ATTEMPTS_MAX", "KEPT", "SETTLE_MS", "BeltAt", "BeltUpdates", "Why", "hindrance"]

KEPT = "belt_updates"
"""Under which name the room's state has the roll-out."""
ATTEMPTS_MAX = 3
RETRY_MS = 3_600_000
"""Pause after the first failure; doubled with each."""
SETTLE_MS = 120_000
"""How long the updated belt must be heard, with the new version, before the next of its room begins."""
TIMEOUT_MS = 3_600_000
"""An update that has not ended by then has failed: the belt waits at most a session's gaps and 15 min of trial."""

Why = Literal[
    "", "done", "running", "room_busy", "alarm_open", "absence_open", "not_heard", "no_session", "bed_empty",
    "not_settled", "battery_low", "no_image", "retry_later", "given_up", "room_stopped", "stopped",
]  # fmt: skip
"""Why a belt does not begin now; "" is that it may."""


@dataclass(frozen=True, slots=True)
class BeltAt:
    """A belt as it is now. `alarm` and `absent` are of its bed, `occupied`: somebody is in bed, settled."""

    serial: str
    room: str
    version: str
    heard: bool = True
    session: bool = True
    alarm: bool = False
    absent: bool = False
    occupied: bool = True
    settled: bool = True
    battery_percent: int | None = None  # None: on supply, or not known
    fits: bool = True  # there is an image for its board, and it takes updates


BATTERY_MIN_PERCENT = 30


@dataclass(slots=True)
class _Try:
    attempts: int = 0
    began_ms: int | None = None
    retry_ms: int = 0
    updated_ms: int | None = None  # when it was first heard with the new version
    resumes: bool = False  # it has a part of the image, from before the gateway's restart


class BeltUpdates:
    """One roll-out: `target` is the version all belts should have. Ask `next_belt`, tell what came of it."""

    def __init__(self, target: str, state: Mapping[str, Any] | None = None) -> None:
        """`state`: of `to_state`, of the same target; of another one nothing is taken over."""
        self.target = target
        self.stopped_by: tuple[str, str] | None = None
        """(serial, what it said) of the belt that stopped the roll-out for all."""
        self._tries: dict[str, _Try] = {}
        if state is not None and state.get("target") == target:
            stopped = state.get("stopped_by")
            self.stopped_by = None if stopped is None else (str(stopped[0]), str(stopped[1]))
            for serial, kept in dict(state["tries"]).items():
                # One that ran when the gateway ended did not end well, as far as anybody knows.
                running = kept["began_ms"] is not None and kept["updated_ms"] is None
                tried = int(kept["attempts"]) + running
                self._tries[str(serial)] = _Try(tried, None, int(kept["retry_ms"]), None, running)

    def to_state(self) -> dict[str, Any]:
        """JSON-able, for the next start."""
        return {"target": self.target, "stopped_by": self.stopped_by, "tries": {serial: {
            "attempts": each.attempts, "began_ms": each.began_ms, "retry_ms": each.retry_ms,
            "updated_ms": each.updated_ms} for serial, each in self._tries.items()}}  # fmt: skip

    def next_belt(self, belts: Iterable[BeltAt], now_ms: int) -> str | None:
        """The belt to begin with now, None if there is none; it counts as begun."""
        known = list(belts)
        self._look(known, now_ms)
        for belt in sorted(known, key=self._order):
            if not self.why_not(belt, known, now_ms):
                self._tries[belt.serial] = replace(self._try(belt.serial), began_ms=now_ms, resumes=False)
                return belt.serial
        return None

    def running(self, serial: str) -> bool:
        """Whether the update of this belt has begun and not ended."""
        return self._try(serial).began_ms is not None

    def given_up(self) -> tuple[str, ...]:
        """Serials of belts that are not tried any more."""
        return tuple(sorted(serial for serial, each in self._tries.items() if each.attempts >= ATTEMPTS_MAX))

    def must_stop(self, serial: str, belts: Iterable[BeltAt]) -> bool:
        """Whether the transfer to a belt that runs must pause: something has opened in its room, or all is stopped."""
        if self.stopped_by is not None:
            return True
        known = list(belts)
        room = next((belt.room for belt in known if belt.serial == serial), None)
        return any(belt.alarm or belt.absent for belt in known if belt.room == room)

    def failed(self, serial: str, now_ms: int) -> None:
        """The update of a belt did not work, or was broken off by an error."""
        each = self._try(serial)
        attempts = each.attempts + 1
        self._tries[serial] = _Try(attempts, None, now_ms + RETRY_MS * 2 ** (attempts - 1), None)

    def rejected(self, serial: str, why: str) -> None:
        """The belt refuses the image, or has gone back from it: no other gets it. The first one that says so counts."""
        self._tries[serial] = _Try(ATTEMPTS_MAX, None, 0, None)
        if self.stopped_by is None:
            self.stopped_by = (serial, why)

    def postponed(self, serial: str) -> None:
        """It was stopped for the sake of the room; that is no failure."""
        self._tries[serial] = replace(self._try(serial), began_ms=None)

    def why_not(self, belt: BeltAt, belts: Iterable[BeltAt], now_ms: int) -> Why:
        """Why this belt does not begin now, "" if it may."""
        each = self._try(belt.serial)
        if belt.version == self.target:
            return "done"
        if each.began_ms is not None:
            return "running"
        if each.attempts >= ATTEMPTS_MAX:
            return "given_up"
        if self.stopped_by is not None:
            return "stopped"
        if not belt.fits:
            return "no_image"
        others = [other for other in belts if other.room == belt.room and other.serial != belt.serial]
        for other in others:
            theirs = self._try(other.serial)
            if theirs.attempts >= ATTEMPTS_MAX:
                return "room_stopped"
            # Updated by us and not yet proven, or at it.
            if theirs.began_ms is not None:
                return "room_busy"
        if now_ms < each.retry_ms:
            return "retry_later"
        return hindrance(belt, others)

    def _look(self, belts: Iterable[BeltAt], now_ms: int) -> None:
        """Take note of belts that have come back with the new version, and of those that never did."""
        for belt in belts:
            each = self._try(belt.serial)
            if each.began_ms is None:
                continue
            if belt.version == self.target and belt.heard:
                updated_ms = now_ms if each.updated_ms is None else each.updated_ms
                began_ms = None if now_ms - updated_ms >= SETTLE_MS else each.began_ms
                self._tries[belt.serial] = replace(each, updated_ms=updated_ms, began_ms=began_ms)
            elif now_ms - each.began_ms >= TIMEOUT_MS:
                self.failed(belt.serial, now_ms)
            else:
                self._tries[belt.serial] = replace(each, updated_ms=None)

    def _order(self, belt: BeltAt) -> tuple[bool, int, str, str]:
        """One that has a part already goes first, one that failed last."""
        each = self._try(belt.serial)
        return not each.resumes, each.attempts, belt.room, belt.serial

    def _try(self, serial: str) -> _Try:
        return self._tries.get(serial, _Try())


def hindrance(belt: BeltAt, others: Iterable[BeltAt]) -> Why:
    """What about the beds forbids it now, whatever the plan."""
    for each in (belt, *others):
        if each.alarm:
            return "alarm_open"
        if each.absent:
            return "absence_open"
    if not belt.heard:
        return "not_heard"
    if not belt.session:
        return "no_session"
    if not belt.occupied:
        return "bed_empty"
    if not belt.settled:
        return "not_settled"
    if belt.battery_percent is not None and belt.battery_percent < BATTERY_MIN_PERCENT:
        return "battery_low"
    return ""
