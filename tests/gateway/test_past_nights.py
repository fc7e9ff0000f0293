"""past_nights: a stored night told again, under the settings of then and under others."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

from gateway.cores.past_facts import needs_vitals
from gateway.cores.profile import Profile
from gateway.past_nights import gather, gather_now, last_nights, preview_json, preview_night, span_of, would_have
from gateway.store import Store
from gateway.store_files import Chunk, EventRow, RecordRow, StoreFiles, Writes
from protocol.batch import Reading, VitalsChunk, encode_item

ZONE = "Asia/Shanghai"
NIGHT = date(2026, 11, 23)
START_MS, _ = span_of(NIGHT, ZONE)
EMPTY, OCCUPIED = 0, 2
H = 3600


def at(hour: int, minute: int = 0, second: int = 0) -> int:
    """Seconds after the noon at which the night begins."""
    return ((hour - 12) % 24) * H + minute * 60 + second


class Night:
    """Writes a night into a store: spans of raw states, each second with a reading, back-dated as a belt does."""

    def __init__(self, folder: Path) -> None:
        self.files = StoreFiles(folder)
        self.writes = Writes()
        self.seq = 0

    def span(self, from_s: int, to_s: int, state: int, **rates: Any) -> None:
        rates = rates or ({"heart_rate_bpm": 60, "heart_quality": 90} if state == OCCUPIED else {"heart_reason": 1})
        rates.setdefault("respiration_reason", 1)
        for start in range(from_s, to_s, 60):
            readings = tuple(Reading(second, state, **rates) for second in range(start, min(start + 60, to_s)))
            chunk = VitalsChunk("A", "b", 1, start, START_MS + start * 1000, True, len(readings), readings)
            self.writes.chunks.append(Chunk("A", chunk.start_utc_ms, encode_item(chunk)))

    def changed(self, at_s: int, state: str, age_s: int) -> None:
        self._record(at_s, "occupancy", {"new_state": state, "state_age_s": age_s})

    def absence(self, told_s: int, ended_s: int, duration_s: int) -> None:
        self._record(told_s, "absence", {"ended_uptime_ms": ended_s * 1000, "duration_s": duration_s})

    def event(self, at_s: int, event: str, detail: str = "", bed: str = "A") -> None:
        utc_ms = START_MS + at_s * 1000
        self.writes.events.append(EventRow(at_s * 1000, utc_ms, True, bed, event, detail, ""))

    def kept(self) -> StoreFiles:
        self.files.commit(self.writes)
        return self.files

    def _record(self, at_s: int, kind: str, fields: dict[str, Any]) -> None:
        self.seq += 1
        self.writes.records.append(
            RecordRow("b", self.seq, "A", 1, at_s * 1000, START_MS + at_s * 1000, kind, fields))


def alarms(files: StoreFiles, profile: Profile) -> list[tuple[str, int]]:
    effects = would_have(gather_now(files, "A", NIGHT, ZONE), profile, ZONE)
    wanted = ("alarm_raise", "missed_alarm", "notice")
    return [(e.event, (e.at_ms - START_MS) // 1000) for e in effects if e.event in wanted]


def out_for_15_minutes(folder: Path) -> Night:
    """In bed from 21:00; out 02:00 to 02:15, which the belt recognises 6 s late and dates back."""
    night = Night(folder)
    night.span(at(21), at(2, 0, 6), OCCUPIED)
    night.changed(at(2, 0, 6), "empty", 6)
    night.span(at(2, 0, 6), at(2, 15), EMPTY)
    night.changed(at(2, 15), "occupied", 0)
    night.span(at(2, 15), at(7), OCCUPIED)
    return night


def test_an_absence_alarms_at_the_deadline_of_the_settings_that_are_tried(tmp_path: Path) -> None:
    files = out_for_15_minutes(tmp_path).kept()
    assert alarms(files, Profile()) == []
    assert alarms(files, Profile().merged({"allowed_s": 600})) == [("alarm_raise", at(2, 10))]
    assert alarms(files, Profile().merged({"windows": []})) == []
    assert alarms(files, Profile().merged({"windows": [{"start": "03:00", "end": "06:00", "allowed_s": 60}]})) == []


def test_what_people_did_then_still_counts(tmp_path: Path) -> None:
    night = out_for_15_minutes(tmp_path)
    night.event(at(2, 1), "action", "assist")
    assert alarms(night.kept(), Profile().merged({"allowed_s": 300})) == []


def test_silence_is_no_exit_and_an_absence_inside_it_is_missed_not_raised(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.span(at(21), at(1), OCCUPIED)
    night.event(at(1, 1, 30), "tech_raise", "belt_offline")
    night.span(at(2), at(7), OCCUPIED)
    night.absence(at(2), at(1, 50), 1800)
    assert alarms(night.kept(), Profile()) == [("missed_alarm", at(2))]


def test_a_hole_that_nobody_was_told_of_was_heard_by_beacon(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.span(at(21), at(1), OCCUPIED)
    night.changed(at(1, 10, 6), "empty", 6)
    night.changed(at(1, 50), "occupied", 0)
    night.span(at(2), at(7), OCCUPIED)
    assert alarms(night.kept(), Profile()) == [("alarm_raise", at(1, 30))]


def test_a_running_absence_alarms_although_the_belt_falls_silent(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.span(at(21), at(1), OCCUPIED)
    night.changed(at(1, 0, 6), "empty", 6)
    night.span(at(1), at(1, 5), EMPTY)
    night.event(at(1, 6, 30), "tech_raise", "belt_offline")
    assert alarms(night.kept(), Profile()) == [("alarm_raise", at(1, 20, 0))]


def test_notices_of_rates_are_replayed_where_the_profile_asks_for_them(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.span(at(21), at(23), OCCUPIED)
    night.span(at(23), at(23, 10), OCCUPIED, heart_rate_bpm=130, heart_quality=90)
    night.span(at(23, 10), at(23, 30), OCCUPIED)
    files = night.kept()
    assert not needs_vitals(Profile())
    assert alarms(files, Profile()) == []
    assert alarms(files, Profile().merged({"hr_high": 120})) == [("notice", at(23, 1))]


def test_the_preview_sets_what_happened_beside_what_would_have(tmp_path: Path) -> None:
    night = out_for_15_minutes(tmp_path)
    night.event(at(2, 5), "alarm_raise", "medium")
    past = gather_now(night.kept(), "A", NIGHT, ZONE)
    shown = preview_json(preview_night(past, Profile(), Profile().merged({"allowed_s": 600}), ZONE))
    assert shown["night_of"] == "2026-11-23"
    assert [line["event"] for line in shown["happened"]] == ["alarm_raise"]
    assert (shown["would_now"], [line["utc"] for line in shown["would_then"]]) == ([], ["2026-11-22T18:10:00+00:00"])
    assert shown["heard_share"] == round(10 / 24, 3)


async def test_a_running_gateways_store_is_read_in_slices_to_the_same_end(tmp_path: Path) -> None:
    night = out_for_15_minutes(tmp_path)
    expected = gather_now(night.kept(), "A", NIGHT, ZONE)
    night.files.close()
    store = await Store.open(tmp_path)
    longest_s = 0.0

    async def ask(read: Any) -> Any:
        nonlocal longest_s
        began = time.perf_counter()
        found = await store.call(read)
        longest_s = max(longest_s, time.perf_counter() - began)
        return found

    assert await gather(ask, "A", NIGHT, ZONE) == expected
    assert longest_s < 1.0  # a commit never waits longer than one slice
    await store.close()


def test_the_last_nights_end_before_the_one_that_runs(tmp_path: Path) -> None:
    evening_ms = START_MS + at(21) * 1000
    assert last_nights(evening_ms, ZONE, 2) == [date(2026, 11, 22), date(2026, 11, 21)]
