"""vitals: every accepted report is in exactly one chunk."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cores.vitals import Assembler, minute_of, reading_of
from protocol.batch import VitalsChunk, decode_item, encode_item
from tests.gateway.cores.belt_talk import minute, report

UTC0 = 1_700_000_000_000


def test_a_minute_record_closes_the_chunk_of_its_seconds() -> None:
    assembler = Assembler("A", "belt")
    for second in range(121, 181):
        assert not assembler.report(report(second), UTC0, True)
    (chunk,) = assembler.minute(minute(3, 180), UTC0, True)
    assert chunk.start_second == 120
    assert chunk.start_utc_ms == UTC0 + 120_000
    assert [r.second for r in chunk.readings] == list(range(121, 181))
    assert chunk.minute == minute_of(minute(3, 180))
    assert decode_item(encode_item(chunk)) == chunk


def test_readings_after_the_minute_wait_for_the_next_one() -> None:
    assembler = Assembler("A", "belt")
    for second in range(121, 183):
        assembler.report(report(second), UTC0, True)
    assembler.minute(minute(3, 180), UTC0, True)
    assert assembler.open_readings() == 2


def test_a_minute_from_history_travels_alone() -> None:
    (chunk,) = Assembler("A", "belt").minute(minute(3, 180, boot_id=9), UTC0, False)
    assert (chunk.boot_id, chunk.start_second, chunk.span_s, chunk.readings) == (9, 120, 60, ())
    assert not chunk.trusted


def test_two_reports_of_one_second_are_both_kept() -> None:
    assembler = Assembler("A", "belt")
    for uptime_s in (10.0, 10.4, 11.0):
        assembler.report(report(uptime_s), UTC0, True)
    (chunk,) = assembler.close()
    assert [r.second for r in chunk.readings] == [10, 11, 12]


def test_a_reboot_of_the_belt_closes_the_chunk() -> None:
    assembler = Assembler("A", "belt")
    assembler.report(report(10), UTC0, True)
    (closed,) = assembler.report(report(1, boot_id=2), UTC0 + 20_000, True)
    assert closed.boot_id == 1
    assert assembler.close()[0].boot_id == 2


def test_a_rate_without_value_has_a_reason_and_none_of_both_is_no_signal() -> None:
    assert reading_of(report(1, heart_rate_bpm=None, heart_reason="moving"), None).heart_reason == 3
    assert reading_of(report(1, heart_rate_bpm=None, heart_reason=""), None).heart_reason == 1
    assert reading_of(report(1), None).heart_reason == 0


def test_a_whole_rate_stays_while_the_belts_lies_within_seven_tenths_of_it() -> None:
    assembler = Assembler("A", "belt")
    for second, bpm in enumerate((61.4, 61.6, 61.65, 61.8, 61.4, 61.2, None, 61.2), 10):
        assembler.report(report(second, heart_rate_bpm=bpm), UTC0, True)
    (chunk,) = assembler.close()
    assert [r.heart_rate_bpm for r in chunk.readings] == [61, 61, 61, 62, 62, 61, None, 61]


def test_turn_overs_count_from_the_report_before() -> None:
    assert reading_of(report(1, turn_over_count=5), None).turn_overs == 0
    assert reading_of(report(1, turn_over_count=5), 4).turn_overs == 1
    assert reading_of(report(1, turn_over_count=0), 0xFFFF).turn_overs == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["report", "extra", "gap", "minute", "reboot"]), max_size=200))
def test_every_report_is_in_exactly_one_chunk_that_can_be_sent(story: list[str]) -> None:
    assembler = Assembler("A", "belt")
    boot, uptime_ms, given_reports = 1, 0, 0
    chunks: list[VitalsChunk] = []
    for step in story:
        uptime_ms += {"report": 1000, "extra": 300, "gap": 47_000, "minute": 0, "reboot": 0}[step]
        if step == "reboot":
            boot, uptime_ms = boot + 1, 0
        elif step == "minute":
            uptime_s = max(60, uptime_ms // 1000)
            chunks += assembler.minute(minute(1, uptime_s, boot_id=boot), UTC0, True)
        else:
            given_reports += 1
            chunks += assembler.report(report(uptime_ms / 1000, boot_id=boot), UTC0, True)
    chunks += assembler.close()
    assert sum(len(chunk.readings) for chunk in chunks) == given_reports
    for chunk in chunks:
        assert decode_item(encode_item(chunk)).readings[:1] == chunk.readings[:1]  # type: ignore[union-attr]
