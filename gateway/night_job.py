"""Night reports from the gateway's own store: computed when the night window is over, again when late data arrive.

Each change of the figures is a new version; store and cloud get the same report, so board and platform never disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from gateway.clock import GatewayClock
from gateway.config import BedConfig, Config
from gateway.cores.night_facts import Alarm, NightFacts, Span
from gateway.cores.night_gather import Gatherer, night_of
from gateway.cores.profile import Profile
from gateway.store import Store
from gateway.store_files import EventRow, NightRow, StoreFiles, Writes
from protocol.batch import NightReportItem, Stamp, VitalsChunk, decode_item, encode_item

__all__ = ["NightJob", "stored_facts"]

PROVISIONAL_EVERY_S = 900  # a night that still runs changes with each minute


@dataclass(frozen=True, slots=True)
class _Report:
    fields: dict[str, Any]
    version: int


class NightJob:
    """Recomputes what new chunks touched. `run_once` may be called at any pace."""

    def __init__(self, config: Config, store: Store, clock: GatewayClock) -> None:
        self._config = config
        self._beds = {bed.label: bed for bed in config.beds}
        self._store = store
        self._clock = clock
        self._touched: set[tuple[str, date]] = set()
        self._told_s: dict[tuple[str, date], int] = {}

    def use(self, bed: str, profile: Profile) -> None:
        """The bed's settings have changed: its confirmation times decide what counts as time in bed."""
        self._beds[bed] = replace(self._beds[bed], profile=profile)

    def touched(self, writes: Writes) -> None:
        """Committed data: the nights they belong to are looked at again."""
        timezone = self._config.gateway.timezone
        self._touched |= {(chunk.bed, night_of(chunk.start_utc_ms // 1000, timezone)) for chunk in writes.kept_chunks}
        self._touched |= {
            (record.bed, night_of(record.utc_ms // 1000, timezone))
            for record in writes.records if record.utc_ms is not None
        }

    def look_at(self, moments: Iterable[tuple[str, int]]) -> None:
        """(bed, UTC ms) of stored rows that got another time: the nights they belong to are looked at again."""
        timezone = self._config.gateway.timezone
        self._touched |= {(bed, night_of(utc_ms // 1000, timezone)) for bed, utc_ms in moments}

    async def run_once(self) -> None:
        """Compute every touched night whose window is over; nothing while time is not trusted."""
        if not self._clock.trusted():
            return
        now_s = self._clock.utc_ms() // 1000
        for bed, night in sorted(self._touched):
            if bed not in self._beds:
                self._touched.discard((bed, night))
            elif now_s >= self._window_end_s(self._beds[bed], night):
                await self._report(self._beds[bed], night, now_s)

    def _window_end_s(self, bed: BedConfig, night: date) -> int:
        # Imported when a night is over: the estimator's tables are not needed before.
        from gateway.cores.night_rest import window_span

        facts = NightFacts(self._config.gateway.timezone, night, (), night_window=bed.night_window)
        return window_span(facts).end_utc_s

    async def _report(self, bed: BedConfig, night: date, now_s: int) -> None:
        key = (bed.label, night)
        report = await self._store.call(lambda files: _compute(files, bed, night, self._config, now_s))
        if report is not None and report.fields.get("provisional"):
            if now_s - self._told_s.get(key, 0) < PROVISIONAL_EVERY_S:
                return
        else:
            self._touched.discard(key)
        if report is None:
            return
        self._told_s[key] = now_s
        anchor = self._clock.anchor()
        boot = int(anchor.boot_id.replace("-", "")[:15], 16)
        at = Stamp(boot, max(0, anchor.elapsed_ms), anchor.utc_ms, anchor.trusted)
        item = NightReportItem(bed.label, at, night.isoformat(), report.version, report.fields)
        row = NightRow(bed.label, night.isoformat(), report.version, json.dumps(report.fields))
        self._store.put(Writes(nights=[row], vitals_items=[encode_item(item)]))


def stored_facts(
    files: StoreFiles, bed: str, night: date, timezone: str, confirm_s: tuple[float, float, float], now_s: int | None
) -> NightFacts:
    """The facts of one bed's night in the store; confirm_s = (exit, entry, assist) seconds of the bed's profile."""
    exit_confirm_s, entry_confirm_s, assist_s = confirm_s
    gatherer = Gatherer(timezone, night, round(exit_confirm_s), round(entry_confirm_s))
    start_ms, end_ms = gatherer.span.start_utc_s * 1000, gatherer.span.end_utc_s * 1000
    # A chunk may begin before noon and reach into the night.
    for body in files.chunks(bed, start_ms - 600_000, end_ms):
        item = decode_item(body)
        if isinstance(item, VitalsChunk):
            gatherer.chunk(item)
    for record in files.records(bed, start_ms, end_ms):
        if record.kind == "occupancy" and record.utc_ms is not None:
            gatherer.occupancy(record.utc_ms // 1000, record.fields["new_state"], record.fields["state_age_s"])
    events = files.events(bed, start_ms, end_ms)
    from gateway.cores.night import past_night

    others = [json.loads(row.report) for row in files.nights(bed) if row.night_of != night.isoformat()]
    version = next((row.version for row in files.nights(bed) if row.night_of == night.isoformat()), 0) + 1
    as_of = None if now_s is None or now_s >= gatherer.span.end_utc_s else now_s
    return gatherer.facts(
        as_of,
        [Span(e.utc_ms // 1000, e.utc_ms // 1000 + round(assist_s)) for e in events
         if e.event == "action" and e.detail == "assist"],
        _alarms(events),
        [past_night(report) for report in others if "night_of" in report],
        version,
    )


def _compute(files: StoreFiles, bed: BedConfig, night: date, config: Config, now_s: int) -> _Report | None:
    """The report, if it says something that the stored one does not; in the store's thread.

    That there was no night is told once it is over and, by what came late, no longer.
    """
    from gateway.cores.night import build_report, report_json

    profile = bed.profile
    confirm_s = (profile.exit_confirm_s, profile.entry_confirm_s, profile.assist_s)
    stored = stored_facts(files, bed.label, night, config.gateway.timezone, confirm_s, now_s)
    facts = replace(stored, night_window=bed.night_window)
    built = build_report(facts)
    known = next((row for row in files.nights(bed.label) if row.night_of == night.isoformat()), None)
    if built is None:
        if known is None and not (facts.minutes or facts.occupancy):
            return None  # what touched it was told before the clock was set and has got another time since
        is_over = facts.as_of_utc_s is None
        fields = report_json(None)
        is_told = known is not None and json.loads(known.report) == fields
        return _Report(fields, facts.report_version) if is_over and not is_told else None
    if known is not None:
        same = replace(built, report_version=known.version).to_json()
        if json.loads(json.dumps(same)) == json.loads(known.report):
            return None
    return _Report(built.to_json(), facts.report_version)


def _alarms(events: Iterable[EventRow]) -> list[Alarm]:
    alarms: list[Alarm] = []
    for event in events:
        at = event.utc_ms // 1000
        if event.event == "alarm_raise":
            alarms.append(Alarm(at, None))
        elif event.event == "ack" and alarms and alarms[-1].answered_utc_s is None:
            alarms[-1] = Alarm(alarms[-1].raised_utc_s, at)
    return alarms
