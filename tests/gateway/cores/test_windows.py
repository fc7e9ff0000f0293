"""Rule 8: local windows on the UTC axis, clock changes included."""

from __future__ import annotations

from datetime import UTC, date, datetime

from gateway.cores.profile import Window
from gateway.cores.windows import covering, local_instant_utc_ms, next_occurrence_utc_ms, upcoming

LONDON, SHANGHAI = "Europe/London", "Asia/Shanghai"
SPRING, AUTUMN = date(2027, 3, 28), date(2026, 10, 25)


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_repeated_time_is_the_first_pass_or_the_second() -> None:
    assert local_instant_utc_ms(AUTUMN, 90, LONDON) == utc("2026-10-25T00:30")
    assert local_instant_utc_ms(AUTUMN, 90, LONDON, second_pass=True) == utc("2026-10-25T01:30")


def test_a_skipped_time_is_the_first_valid_instant() -> None:
    for minute in (60, 90, 119):
        assert local_instant_utc_ms(SPRING, minute, LONDON) == utc("2027-03-28T01:00")
        assert local_instant_utc_ms(SPRING, minute, LONDON, second_pass=True) == utc("2027-03-28T01:00")
    assert local_instant_utc_ms(SPRING, 120, LONDON) == utc("2027-03-28T01:00")


def test_half_an_hour_can_be_skipped_too() -> None:
    assert local_instant_utc_ms(date(2026, 10, 4), 2 * 60 + 15, "Australia/Lord_Howe") == utc("2026-10-03T15:30")


def test_a_window_that_lies_in_the_skipped_hour_never_opens() -> None:
    windows = (Window("7", 65, 110),)
    assert covering(windows, LONDON, utc("2027-03-28T01:00")) is None


def test_a_window_holds_its_start_and_not_its_end() -> None:
    windows = (Window(),)
    inside = [covering(windows, SHANGHAI, utc(f"2026-11-23T{clock}")) for clock in ("13:59:59", "14:00:00")]
    assert [opening is not None for opening in inside] == [False, True]
    late = [covering(windows, SHANGHAI, utc(f"2026-11-23T{clock}")) for clock in ("21:59:59", "22:00:00")]
    assert [opening is not None for opening in late] == [True, False]


def test_a_window_belongs_to_the_weekday_it_starts_on() -> None:
    windows = (Window("1", 22 * 60, 6 * 60),)  # 2026-11-23 is a Monday
    assert covering(windows, SHANGHAI, utc("2026-11-23T20:00")) is not None  # Tuesday 04:00
    assert covering(windows, SHANGHAI, utc("2026-11-22T20:00")) is None  # Monday 04:00


def test_all_day_is_the_whole_local_day() -> None:
    windows = (Window("7", 0, 0, all_day=True),)
    opening = covering(windows, LONDON, utc("2026-10-25T12:00"))
    assert opening is not None
    assert opening.end_utc_ms - opening.start_utc_ms == 25 * 3_600_000


def test_the_next_opening_is_found_over_the_week() -> None:
    windows = (Window("7", 23 * 60, 60),)
    opening = upcoming(windows, SHANGHAI, utc("2026-11-23T00:00"))
    assert opening is not None
    assert opening.start_utc_ms == utc("2026-11-29T15:00")


def test_a_time_of_day_comes_once_a_day() -> None:
    first = next_occurrence_utc_ms(90, LONDON, utc("2026-10-24T12:00"))
    second = next_occurrence_utc_ms(90, LONDON, first)
    assert (first, second) == (utc("2026-10-25T00:30"), utc("2026-10-26T01:30"))
