"""Stored nights, replayed: what would have alarmed under other settings. Serves the preview of the settings page and
`sleepbelt replay --from-store`.

The store's thread reads an hour at a time, so that commits of a running gateway wait for no more than that; the
replay itself runs in whatever thread the caller chooses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.cores.effects import Effect
from gateway.cores.history import run_history
from gateway.cores.night_facts import NightFacts
from gateway.cores.night_gather import night_of
from gateway.cores.night_rest import considered_span
from gateway.cores.past_facts import (
    EndedAbsence,
    HeardSecond,
    StateChange,
    StoredNight,
    history_of,
)
from gateway.cores.profile import Profile
from gateway.items import GATEWAY_UP
from gateway.store_files import EventRow, StoreFiles
from protocol.batch import VitalsChunk, decode_item
from protocol.messages import OCCUPANCIES, REASONS
from protocol.wire.frames import FLAG_SENSOR_FAULT

__all__ = [
    "PastNight",
    "PreviewNight",
    "gather",
    "gather_now",
    "last_nights",
    "preview_json",
    "preview_night",
    "seconds_of",
    "span_of",
    "would_have",
]

SLICE_MS = 3_600_000
CHUNK_MS_MAX = 600_000  # a chunk that starts this long before may reach into a slice
RECORDS_BEFORE_MS = 12 * 3_600_000  # a change this long before tells since when the first state has lasted
NIGHTS_PREVIEWED = 7


@dataclass(frozen=True, slots=True)
class PastNight:
    """One bed's night (noon to noon, or to now) as stored: what it would tell the rules, and what was decided then."""

    night_of: date
    stored: StoredNight
    log: tuple[EventRow, ...]

    @property
    def heard_s(self) -> int:
        """Seconds with a reading."""
        return len(self.stored.seconds)


Ask = Callable[[Callable[[StoreFiles], Any]], Awaitable[Any]]
"""Runs a function of the files where they live (`Store.call`)."""


def span_of(night: date, timezone: str) -> tuple[int, int]:
    """UTC ms of the noons before and after the night that ends on the morning of `night`."""
    span = considered_span(NightFacts(timezone, night, ()))
    return span.start_utc_s * 1000, span.end_utc_s * 1000


def last_nights(now_utc_ms: int, timezone: str, count: int = NIGHTS_PREVIEWED) -> list[date]:
    """The nights before the one that is running now, the newest first."""
    tonight = night_of(now_utc_ms // 1000, timezone)
    return [tonight - timedelta(days=back) for back in range(1, count + 1)]


async def gather(ask: Ask, bed: str, night: date, timezone: str, until_utc_ms: int | None = None) -> PastNight:
    """Read one night through `ask`, an hour at a time."""
    start_ms, end_ms = span_of(night, timezone)
    end_ms = end_ms if until_utc_ms is None else max(start_ms, min(end_ms, until_utc_ms))
    stored = StoredNight(bed, start_ms, end_ms)
    for at_ms in range(start_ms, end_ms, SLICE_MS):
        until_ms = min(at_ms + SLICE_MS, end_ms)
        stored.seconds += await ask(lambda files, a=at_ms, b=until_ms: _seconds(files, bed, a, b))  # type: ignore[misc]
        await asyncio.sleep(0)
    log = await ask(lambda files: _log(files, stored))
    stored.sort()
    return PastNight(night, stored, tuple(log))


def gather_now(files: StoreFiles, bed: str, night: date, timezone: str) -> PastNight:
    """Read one night from files that nobody else uses."""
    start_ms, end_ms = span_of(night, timezone)
    stored = StoredNight(bed, start_ms, end_ms)
    stored.seconds = _seconds(files, bed, start_ms, end_ms)
    log = _log(files, stored)
    stored.sort()
    return PastNight(night, stored, tuple(log))


def would_have(past: PastNight, profile: Profile, timezone: str) -> list[Effect]:
    """Everything the rules would have decided in that night under `profile`; instants are UTC ms."""
    stored = past.stored
    return run_history(
        {stored.bed: profile}, timezone, stored.start_utc_ms, stored.end_utc_ms, history_of(stored, profile)
    )


def _seconds(files: StoreFiles, bed: str, from_ms: int, to_ms: int) -> list[HeardSecond]:
    found: list[HeardSecond] = []
    for body in files.chunks(bed, from_ms - CHUNK_MS_MAX, to_ms):
        chunk = decode_item(body)
        if isinstance(chunk, VitalsChunk):
            found += [second for second in seconds_of(chunk) if from_ms <= second.utc_s * 1000 < to_ms]
    return found


def seconds_of(chunk: VitalsChunk) -> list[HeardSecond]:
    """A chunk's readings by the second of their wall time."""
    zero_s = chunk.start_utc_ms // 1000 - chunk.start_second
    return [
        HeardSecond(
            utc_s=zero_s + reading.second,
            state=OCCUPANCIES[reading.occupancy],
            heart_rate_bpm=reading.heart_rate_bpm,
            heart_quality=reading.heart_quality,
            heart_reason="sensor_fault" if reading.flags & FLAG_SENSOR_FAULT else REASONS[reading.heart_reason],
            respiration_per_min=reading.respiration_per_min,
            respiration_quality=reading.respiration_quality,
        )
        for reading in chunk.readings
    ]


def _log(files: StoreFiles, stored: StoredNight) -> list[EventRow]:
    """Fill in the belt's records and what people did; the bed's log lines of the night."""
    bed, start_ms, end_ms = stored.bed, stored.start_utc_ms, stored.end_utc_ms
    for record in files.records(bed, start_ms - RECORDS_BEFORE_MS, end_ms):
        assert record.utc_ms is not None
        fields = record.fields
        if record.kind == "occupancy" and fields.get("new_state") in OCCUPANCIES:
            stored.changes.append(StateChange(record.utc_ms, fields["new_state"], float(fields["state_age_s"])))
        elif record.kind == "absence" and record.utc_ms >= start_ms:
            ended_ms = record.utc_ms - (record.uptime_ms - int(fields["ended_uptime_ms"]))
            stored.absences.append(EndedAbsence(ended_ms, float(fields["duration_s"])))
        elif record.kind == "turn_over" and record.utc_ms >= start_ms:
            stored.turn_overs_utc_ms.append(record.utc_ms)
    log = files.events(bed, start_ms, end_ms)
    stored.people = [(row.utc_ms, row.detail) for row in log if row.event == "action"]
    deaf = [*log, *files.events("", start_ms, end_ms)]
    stored.deaf_utc_ms = [row.utc_ms for row in deaf if row.event in ("tech_raise", GATEWAY_UP)]
    return log


# -- the preview -------------------------------------------------------------------------------------------------------

SHOWN_EVENTS = ("alarm_raise", "missed_alarm", "notice", "prealert")


@dataclass(frozen=True, slots=True)
class PreviewNight:
    """One night of a preview; each line is (UTC ms, event, detail)."""

    night_of: str
    heard_share: float  # of the night's 24 h, 0 to 1
    happened: tuple[tuple[int, str, str], ...]
    would_now: tuple[tuple[int, str, str], ...]  # under the settings in force
    would_then: tuple[tuple[int, str, str], ...]  # under the settings that are tried


def preview_night(past: PastNight, now: Profile, then: Profile, timezone: str) -> PreviewNight:
    """What was decided in that night, and what would have been, now and under other settings."""
    stored = past.stored
    span_s = max(1, (stored.end_utc_ms - stored.start_utc_ms) // 1000)
    return PreviewNight(
        night_of=past.night_of.isoformat(),
        heard_share=min(1.0, past.heard_s / span_s),
        happened=tuple((row.utc_ms, row.event, row.detail) for row in past.log if row.event in SHOWN_EVENTS),
        would_now=_shown(would_have(past, now, timezone)),
        would_then=_shown(would_have(past, then, timezone)),
    )


def _shown(effects: Sequence[Effect]) -> tuple[tuple[int, str, str], ...]:
    return tuple((effect.at_ms, effect.event, effect.detail) for effect in effects if effect.event in SHOWN_EVENTS)


def preview_json(night: PreviewNight) -> Mapping[str, Any]:
    """As the HTTP API gives it."""

    def lines(entries: Sequence[tuple[int, str, str]]) -> list[dict[str, Any]]:
        return [
            {"utc": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(), "event": event, "detail": detail}
            for at_ms, event, detail in entries
        ]

    return {
        "night_of": night.night_of,
        "heard_share": round(night.heard_share, 3),
        "happened": lines(night.happened),
        "would_now": lines(night.would_now),
        "would_then": lines(night.would_then),
    }
