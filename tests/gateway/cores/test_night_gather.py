"""night_gather: presences, silences and minutes from chunks and belt records."""

from __future__ import annotations

from datetime import UTC, date, datetime

from gateway.cores.night import build_report
from gateway.cores.night_facts import Presence, Span
from gateway.cores.night_gather import Gatherer, night_of
from gateway.cores.vitals import minute_of
from protocol.batch import Reading, VitalsChunk
from protocol.wire.frames import EMPTY, FLAG_SENSOR_FAULT, OCCUPIED, UNCLEAR
from tests.gateway.cores.belt_talk import minute

NIGHT = date(2026, 11, 24)
START = int(datetime(2026, 11, 23, 22, tzinfo=UTC).timestamp())


def gatherer() -> Gatherer:
    return Gatherer("UTC", NIGHT, 5, 10)


def readings(at: int, states: list[int], flags: int = 0) -> VitalsChunk:
    rows = tuple(Reading(100 + i, state, heart_reason=1, respiration_reason=1, flags=flags)
                 for i, state in enumerate(states))
    return VitalsChunk("A", "b", 1, 100, at * 1000, True, len(states), rows)


def only_minute(at: int, **changes: int) -> VitalsChunk:
    return VitalsChunk("A", "b", 1, 40, at * 1000, True, 60, (), minute_of(minute(1, 100, **changes)))


def presences(of: Gatherer, as_of: int | None = None) -> tuple[Presence, ...]:
    return of.facts(as_of, [], [], [], 1).occupancy


def test_noon_parts_the_nights() -> None:
    assert night_of(START, "UTC") == NIGHT
    assert night_of(START + 13 * 3600, "UTC") == NIGHT
    assert night_of(START + 14 * 3600, "UTC") == date(2026, 11, 25)
    assert night_of(START + 5 * 3600, "Asia/Shanghai") == NIGHT
    assert night_of(START + 6 * 3600, "Asia/Shanghai") == date(2026, 11, 25)


def test_seconds_become_presences_and_unclear_changes_nothing() -> None:
    found = gatherer()
    found.chunk(readings(START, [OCCUPIED] * 100 + [UNCLEAR] * 20 + [OCCUPIED] * 10 + [EMPTY] * 60 + [OCCUPIED] * 50))
    assert presences(found)[0] == Presence(START, START + 130)
    assert presences(found)[1].start_utc_s == START + 190


def test_what_was_too_short_to_confirm_is_no_exit_and_no_return() -> None:
    found = gatherer()
    states = [OCCUPIED] * 60 + [EMPTY] * 4 + [OCCUPIED] * 60 + [EMPTY] * 60 + [OCCUPIED] * 9 + [EMPTY] * 60
    found.chunk(readings(START, states))
    assert presences(found) == (Presence(START, START + 124),)


def test_an_occupancy_record_dates_the_exit_back_to_when_it_happened() -> None:
    found = gatherer()
    # The belt recognised the exit 6 s late: its readings said occupied until then.
    found.chunk(readings(START, [OCCUPIED] * 106 + [EMPTY] * 60))
    found.occupancy(START + 106, "empty", 6)
    assert presences(found) == (Presence(START, START + 100),)


def test_minutes_from_the_ring_fill_a_radio_gap() -> None:
    found = gatherer()
    found.chunk(readings(START, [OCCUPIED] * 60))
    for n in range(1, 5):
        found.chunk(only_minute(START + 60 * n))
    found.chunk(readings(START + 300, [OCCUPIED] * 60))
    facts = found.facts(START + 360, [], [], [], 1)
    assert facts.occupancy == (Presence(START, None),)
    assert [s for s in facts.silences if s.start_utc_s >= START] == []
    assert len(facts.minutes) == 4


def test_a_mixed_minute_from_the_ring_takes_its_change_from_the_record() -> None:
    found = gatherer()
    found.chunk(readings(START, [OCCUPIED] * 60))
    found.chunk(only_minute(START + 60, occupied_s=40, empty_s=20))
    found.occupancy(START + 106, "empty", 6)
    found.chunk(readings(START + 120, [EMPTY] * 60))
    assert presences(found) == (Presence(START, START + 100),)


def test_a_gap_without_any_data_is_a_silence_and_presence_goes_on_over_it() -> None:
    found = gatherer()
    found.chunk(readings(START, [OCCUPIED] * 60))
    found.chunk(readings(START + 600, [OCCUPIED] * 60))
    facts = found.facts(START + 660, [], [], [], 1)
    assert facts.occupancy == (Presence(START, None),)
    assert Span(START + 60, START + 600) in facts.silences


def test_a_lost_packet_is_no_silence_and_a_sensor_fault_is_one() -> None:
    found = gatherer()
    found.chunk(readings(START, [OCCUPIED] * 60))
    found.chunk(readings(START + 62, [OCCUPIED] * 60))
    found.chunk(readings(START + 122, [OCCUPIED] * 60, FLAG_SENSOR_FAULT))
    silences = [s for s in found.facts(START + 182, [], [], [], 1).silences if s.start_utc_s >= START]
    assert silences == [Span(START + 122, START + 182)]


def test_the_same_data_twice_and_in_any_order_give_the_same_facts() -> None:
    chunks = [readings(START, [OCCUPIED] * 60), only_minute(START), readings(START + 60, [EMPTY] * 60)]
    once, again = gatherer(), gatherer()
    for chunk in chunks:
        once.chunk(chunk)
    for chunk in (*reversed(chunks), *chunks):
        again.chunk(chunk)
    assert once.facts(None, [], [], [], 1) == again.facts(None, [], [], [], 1)


def test_assists_that_overlap_are_one() -> None:
    facts = gatherer().facts(None, [Span(10, 30), Span(20, 40)], [], [], 1)
    assert facts.assists == (Span(10, 40),)


def test_somebody_in_bed_from_noon_to_noon_got_in_and_up_at_no_known_time() -> None:
    found = gatherer()
    for n in range(24 * 60):
        found.chunk(only_minute(found.span.start_utc_s + 60 * n))
    report = build_report(found.facts(None, [], [], [], 1))
    assert report is not None
    assert (report.in_bed_at, report.rise_at, report.night_span_s) == (None, None, 86_400)
    assert not report.provisional
