"""Messages say None for what is absent and refuse what cannot be."""

from __future__ import annotations

import pytest

from protocol import messages
from protocol.wire import beacon, frames

REPORT = (2, 0, 7200, 3, 1234, 7, 86_400_000, 623, 88, 0, 142, 90, 0, 0, 11, 254, 8)


def test_rates_are_in_their_units() -> None:
    report = messages.report_from(REPORT)
    assert (report.occupancy, report.heart_rate_bpm, report.respiration_per_min) == ("occupied", 62.3, 14.2)


def test_absent_rates_are_none_with_their_reason() -> None:
    values = (*REPORT[:7], frames.ABSENT_16, 0, frames.REASON_IRREGULAR, *REPORT[10:])
    report = messages.report_from(values)
    assert (report.heart_rate_bpm, report.heart_reason) == (None, "irregular")


def test_a_mains_powered_belt_has_no_battery_percentage() -> None:
    report = messages.report_from(REPORT)
    assert (report.battery_percent, report.mains) == (None, True)


@pytest.mark.parametrize(("index", "value"), [(0, 3), (8, 101), (9, 6), (12, 9), (13, 200), (15, 150)])
def test_a_report_out_of_range_is_refused_whole(index: int, value: int) -> None:
    with pytest.raises(frames.FrameError):
        messages.report_from((*REPORT[:index], value, *REPORT[index + 1 :]))


def test_a_beacon_of_the_same_second_agrees_with_the_report() -> None:
    report = messages.report_from(REPORT)
    heard = messages.beacon_from(beacon.unpack(beacon.pack(beacon.from_report(REPORT))))
    assert (heard.occupancy, heard.state_age_s) == (report.occupancy, report.state_age_s)
    assert (heard.heart_rate_bpm, heard.respiration_per_min) == (62.0, 14.0)
    assert (heard.mains, heard.battery_percent) == (True, None)


def test_a_minute_longer_than_a_minute_is_refused() -> None:
    body = frames.encode_record(frames.RECORD_MINUTE, (60, 1, 0, *[0] * 15))
    with pytest.raises(frames.FrameError):
        messages.record_from((1, 1, 60_000, frames.RECORD_MINUTE), body)


def test_a_record_of_an_unknown_kind_keeps_its_seq() -> None:
    record = messages.record_from((5, 1, 1000, 99), b"xyz")
    assert record == messages.UnknownRecord(5, 1, 1000, 99, b"xyz")
