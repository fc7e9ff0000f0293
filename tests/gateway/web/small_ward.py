"""A small real ward for page tests: beds as plain dicts, actions that change them, changes told to every page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from gateway.web.port import ActionResult, Bed, Snapshot

NOW_MS = 30 * 3600 * 1000  # elapsed clock of every snapshot, unless a test moves it
NIGHT_UTC_MS = 1_795_365_900_000  # 2026-11-23 00:45 in Shanghai


def bed(label: str, **changes: Any) -> Bed:
    """A bed with somebody asleep in it for three hours; `changes` replace fields."""
    base: dict[str, Any] = {
        "bed": label,
        "room": label.partition("-")[0],
        "state": "present",
        "since_ms": NOW_MS - 3 * 3600_000,
        "out_since_ms": None,
        "deadline_ms": None,
        "alarm": {"state": "none", "level": 1, "priority": "medium", "raised_ms": None, "realarm_ms": None},
        "outcome_due": False,
        "mode": "active",
        "until_ms": None,
        "armed": True,
        "armed_ms": None,
        "silent": False,
        "watched": True,
        "unwatched_reason": None,
        "notices": [],
        "heart": {"value": 61.8, "quality": 92, "reason": None},
        "respiration": {"value": 14.2, "quality": 88, "reason": None},
        "movement": 0,
        "turn_overs_tonight": 9,
        "belt": {"id": "SB-0001", "battery_percent": 86, "rssi_dbm": -61, "last_heard_ms": NOW_MS - 800},
    }
    base.update(changes)
    return cast(Bed, base)


def absent(label: str, for_s: int, **changes: Any) -> Bed:
    """A bed left `for_s` ago, allowed 20 minutes."""
    left_ms = NOW_MS - for_s * 1000
    fields: dict[str, Any] = {
        "state": "absent",
        "since_ms": left_ms,
        "out_since_ms": left_ms,
        "deadline_ms": left_ms + 1_200_000,
        "heart": {"value": None, "quality": 0, "reason": "empty"},
        "respiration": {"value": None, "quality": 0, "reason": "empty"},
    }
    return bed(label, **{**fields, **changes})


def alarming(label: str, for_s: int = 1330, level: int = 1, priority: str = "medium", **changes: Any) -> Bed:
    """A bed left `for_s` ago whose alarm nobody has answered."""
    raised = NOW_MS - (for_s - 1200) * 1000
    alarm = {"state": "unacknowledged", "level": level, "priority": priority, "raised_ms": raised, "realarm_ms": None}
    return absent(label, for_s, **{"alarm": alarm, **changes})


class SmallWard:
    """A `WardPort` whose beds a test replaces by `put`; `acts` lists what was asked of it."""

    def __init__(self, *beds: Bed) -> None:
        self.beds = {each["bed"]: each for each in beds}
        self.acts: list[tuple[str, str, str]] = []
        self.time_trusted = True
        self.refuse: str | None = None
        self.elapsed_ms = NOW_MS
        self._changed = asyncio.Condition()
        self._version = 0
        self._stopped = False

    def snapshot(self) -> Snapshot:
        return {
            "gateway": "gw-01",
            "timezone": "Asia/Shanghai",
            "utc_ms": NIGHT_UTC_MS,
            "time_trusted": self.time_trusted,
            "elapsed_ms": self.elapsed_ms,
            "speed": 1.0,
            "uplink": "ok",
            "notices": [],
            "beds": list(self.beds.values()),
        }

    async def changes(self) -> AsyncIterator[Snapshot]:
        seen = self._version
        while True:
            async with self._changed:
                while self._version == seen and not self._stopped:
                    await self._changed.wait()
                seen = self._version
            if self._stopped:
                return
            yield self.snapshot()

    async def put(self, *beds: Bed) -> None:
        """Replaces or adds beds and tells every page."""
        for each in beds:
            self.beds[each["bed"]] = each
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def stop(self) -> None:
        """Ends `changes`, as a gateway that goes down."""
        self._stopped = True
        async with self._changed:
            self._changed.notify_all()

    async def act(self, bed: str, action: str, who: str) -> ActionResult:
        self.acts.append((bed, action, who))
        if self.refuse:
            return {"ok": False, "reason": self.refuse}
        changed = cast(dict[str, Any], dict(self.beds[bed]))
        alarm = dict(changed["alarm"])
        if action == "acknowledge":
            if alarm["state"] not in ("unacknowledged", "latched"):
                return {"ok": False, "reason": "ack_ignored"}
            alarm["state"] = "acknowledged" if alarm["state"] == "unacknowledged" else "none"
            changed["outcome_due"] = True
        elif action.startswith("outcome_"):
            changed["outcome_due"] = False
        elif action == "maintenance_on":
            changed.update(mode="maintenance", until_ms=self.elapsed_ms + 3_600_000, watched=False)
            changed["unwatched_reason"] = "maintenance"
        changed["alarm"] = alarm
        await self.put(cast(Bed, changed))
        return {"ok": True, "reason": None}
