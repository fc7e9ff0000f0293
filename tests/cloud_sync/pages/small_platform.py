"""A small real platform for page tests: residents as the port's own dataclasses, replaced by `put`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from cloud_sync.receiver.port import (
    AlarmRow,
    EventRow,
    GapRow,
    HookCount,
    LiveState,
    MinuteRow,
    NightCard,
    PlatformStats,
    ResidentCard,
    ResidentPage,
)

NOW_UTC_MS = 1_795_402_800_000  # 2026-11-23 11:00 in Shanghai, the morning after the night below
NIGHT = "2026-11-23"


def live(state: str = "present", **changes: Any) -> LiveState:
    """A bed heard a moment ago."""
    base = LiveState(
        state=state,  # type: ignore[arg-type]
        stale=False,
        out_since_utc_ms=None,
        heart_rate_bpm=62,
        heart_reason=0,
        respiration_per_min=14,
        respiration_reason=0,
        movement=0,
        mode="active",
        watched=True,
        why_unwatched="",
        last_heard_utc_ms=NOW_UTC_MS - 1000,
        reported_utc_ms=NOW_UTC_MS - 1000,
    )
    return replace(base, **changes)


def night(**changes: Any) -> NightCard:
    """A complete night of 7 h 12 min sleep."""
    base = NightCard(NIGHT, 1, False, 99.8, 25_920, 2, 17, 61.4, None)
    return replace(base, **changes)


def alarm(bed: str, state: str = "unacknowledged", **changes: Any) -> AlarmRow:
    """An alarm raised ten minutes ago."""
    base = AlarmRow(
        alarm_id=f"al-{bed}",
        resident_id="r1",
        gateway="gw-01",
        bed=bed,
        room=bed.partition("-")[0],
        state=state,  # type: ignore[arg-type]
        level=1,
        priority="medium",
        raised_utc_ms=NOW_UTC_MS - 600_000,
        acknowledged_utc_ms=None,
        ended_utc_ms=None,
        detail="",
    )
    return replace(base, **changes)


def card(resident_id: str, name: str, bed: str, **changes: Any) -> ResidentCard:
    """A resident asleep in bed."""
    base = ResidentCard(resident_id, name, name[-2:], bed.partition("-")[0], bed, "gw-01", live(), (), night())
    return replace(base, **changes)


def report(**changes: Any) -> dict[str, Any]:
    """A night report as `NightReport.to_json` writes it."""
    base: dict[str, Any] = {
        "night_of": NIGHT,
        "timezone": "Asia/Shanghai",
        "report_version": 1,
        "provisional": False,
        "in_bed_at": "2026-11-22T21:34:10",
        "rise_at": "2026-11-23T06:12:40",
        "night_span_s": 31_110,
        "time_in_bed_s": 30_150,
        "times_out_of_bed": 2,
        "out_of_bed_total_s": 898,
        "out_of_bed_longest_s": 545,
        "assisted_exits": 1,
        "no_data_s": 62,
        "coverage_percent": 99.8,
        "complete": True,
        "turn_overs": 17,
        "heart_rate_bpm": {"mean": 61.4, "min": 54, "max": 88},
        "respiration_per_min": {"mean": 14.1, "min": 11, "max": 19},
        "total_sleep_s": 25_920,
        "sleep_onset_latency_s": 1080,
        "wake_after_sleep_onset_s": 3210,
        "sleep_efficiency_percent": 83.5,
        "awakenings": 3,
        "restlessness": 4.2,
        "irregular_minutes": 6,
        "alarms": {"count": 1, "response_time_median_s": 74},
        "timeline": [
            piece("in_bed_awake", "21:34:10", "21:52:30"),
            piece("in_bed_asleep", "21:52:30", "23:40:00"),
            piece("in_bed_awake", "23:40:00", "23:46:00"),
            piece("in_bed_asleep", "23:46:00", "01:12:20"),
            piece("in_bed_awake", "01:12:20", "01:14:05"),
            piece("out", "01:14:05", "01:23:10"),
            piece("in_bed_awake", "01:23:10", "01:31:00"),
            piece("in_bed_asleep", "01:31:00", "03:05:00"),
            piece("no_data", "03:05:00", "03:06:02"),
            piece("in_bed_asleep", "03:06:02", "04:41:30"),
            piece("out", "04:41:30", "04:47:23"),
            piece("in_bed_awake", "04:47:23", "04:55:00"),
            piece("in_bed_asleep", "04:55:00", "06:01:00"),
            piece("in_bed_awake", "06:01:00", "06:12:40"),
        ],
        "versus_usual": None,
        "sleep_note": "Sleep is an estimate from movement, heart and breath, without EEG.",
    }
    base.update(changes)
    return base


def piece(state: str, start: str, end: str) -> dict[str, str]:
    """One stretch of the timeline; times after noon belong to the day before."""

    def local(clock: str) -> str:
        return f"2026-11-{'22' if clock > '12' else '23'}T{clock}"

    return {"state": state, "start": local(start), "end": local(end)}


def minutes() -> tuple[MinuteRow, ...]:
    """Eight and a half hours of minutes with a hole, from 21:34 local."""
    start = NOW_UTC_MS - (13 * 60 + 26) * 60_000
    rows = []
    for n in range(518):
        if 331 <= n <= 333 or 220 <= n <= 229:
            continue
        swing = ((n * 37) % 11) / 3 + (8 if 236 > n > 229 else 0)
        drift = abs(260 - n) / 40
        movement = (n * 7) % 13 // 12 * 9
        rows.append(MinuteRow(start + n * 60_000, int(56 + drift + swing), int(12 + swing), movement, 0, 60, 0, 60))
    return tuple(rows)


class SmallPlatform:
    """A `ReceiverPort` over plain rows."""

    def __init__(self, *cards: ResidentCard) -> None:
        self.cards = {each.resident_id: each for each in cards}
        self.reports: dict[str, dict[str, Any]] = {}
        self.alarm_rows: list[AlarmRow] = []
        self.events: tuple[EventRow, ...] = ()
        self.minute_rows: tuple[MinuteRow, ...] = ()
        self.connected = True
        self._changed = asyncio.Condition()
        self._version = 0
        self._touched: frozenset[str] = frozenset()

    def now_utc_ms(self) -> int:
        return NOW_UTC_MS

    def broker_connected(self) -> bool:
        return self.connected

    def database_committing(self) -> bool:
        return True

    async def hook_counts(self) -> Sequence[HookCount]:
        return ()

    def withheld(self, resident_id: str | None) -> frozenset[str]:
        return frozenset()

    async def residents(self) -> Sequence[ResidentCard]:
        return sorted(self.cards.values(), key=lambda each: (each.room, each.bed))

    async def resident(self, resident_id: str, night_of: str | None = None) -> ResidentPage | None:
        found = self.cards.get(resident_id)
        if found is None:
            return None
        known = found.night is not None and night_of in (None, found.night.night_of)
        shown = found.night if known else None
        nights = (found.night,) if found.night else ()
        told = self.reports.get(resident_id) if known else None
        measured = self.minute_rows if night_of in (None, NIGHT) else ()
        return ResidentPage(found, shown, told, nights, self.events, measured)

    async def alarms(self, open_only: bool = False, limit: int = 200) -> Sequence[AlarmRow]:
        return self.alarm_rows[:limit]

    async def gaps(self) -> Sequence[GapRow]:
        return ()

    async def stats(self) -> PlatformStats:
        return PlatformStats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        seen = self._version
        while True:
            async with self._changed:
                while self._version == seen:
                    await self._changed.wait()
                seen = self._version
            yield self._touched

    async def put(self, *cards: ResidentCard) -> None:
        """Replaces residents and tells every page."""
        for each in cards:
            self.cards[each.resident_id] = each
        async with self._changed:
            self._version += 1
            self._touched = frozenset(each.resident_id for each in cards)
            self._changed.notify_all()
