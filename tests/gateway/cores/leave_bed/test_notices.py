"""The other notices: pre-alert, times of day, repeated exits, vital notices, no signal, reposition, radio_down."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores import facts
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.profile import SHIPPED, Profile
from tests.gateway.cores.leave_bed.nights import do, empty, night, occupied, only, vitals

TWO: dict[str, Any] = {"beds": ["A", "B"]}


def test_a_prealert_never_comes_before_the_base() -> None:
    assert only("prealert", empty("21:50:00"), end="22:30:00", profile={"prealert_s": 3600}) == ["22:00:00 prealert"]


def test_no_prealert_without_any_allowance() -> None:
    profile = {"prealert_s": 300, "allowed_s": 0}
    assert only("prealert alarm_raise", empty("23:00:00"), profile=profile) == ["23:00:05 alarm_raise medium"]


def test_a_prealert_is_not_cleared_after_its_alarm() -> None:
    events = empty("23:00:00"), occupied("23:21:00")
    log = only("prealert prealert_clear alarm_raise", *events, profile={"prealert_s": 300})
    assert log == ["23:15:00 prealert", "23:20:00 alarm_raise medium"]


def test_not_in_bed_by_is_not_for_who_is_in_bed() -> None:
    assert night(profile={"not_in_bed_by": "23:00"}) == []


def test_not_in_bed_by_looks_at_that_minute_only() -> None:
    assert only("notice", empty("23:00:10"), profile={"not_in_bed_by": "23:00"}) == []


def test_not_up_by_needs_presence_without_a_break() -> None:
    events = empty("22:30:00"), occupied("22:31:00")
    profile = {"not_up_by": "23:00", "not_up_lookback_s": 1741}
    assert only("notice", *events, profile=profile) == []
    assert only("notice", *events, profile=profile | {"not_up_lookback_s": 1740}) == ["23:00:00 notice not_up_by"]


def test_a_minute_the_clock_jumped_over_never_came() -> None:
    step = do("22:50:00", "clock_step", by_s=3600)
    assert only("notice", empty("22:40:00"), step, profile={"not_in_bed_by": "23:00"}) == []


def test_a_minute_that_passed_while_the_gateway_was_down_is_not_made_up_for() -> None:
    events = empty("22:40:00"), do("22:55:00", "gateway_down"), do("23:05:00", "gateway_up")
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == []


def test_exits_outside_the_windows_do_not_count_as_repeated() -> None:
    events = [state(f"21:{m}:00") for m in ("32", "36", "40") for state in (empty,)]
    pairs = [event for one in events for event in (one, occupied(one["at"][:-2] + "30"))]
    assert only("notice", *pairs, end="21:55:00", profile={"repeat_count": 2}) == []


def test_poor_samples_neither_count_nor_reset() -> None:
    high = {"heart_rate_bpm": 130, "quality": 90}
    poor = {"heart_rate_bpm": 80, "quality": 10}
    events = vitals("22:00:00", 30, **high) + vitals("22:00:30", 120, **poor) + vitals("22:02:30", 40, **high)
    assert only("notice", *events, profile={"hr_high": 120}) == ["22:03:00 notice hr_high"]


def test_half_a_minute_back_in_range_starts_the_count_over() -> None:
    high, low = {"respiration_per_min": 30}, {"respiration_per_min": 16}
    events = vitals("22:00:00", 50, **high) + vitals("22:00:50", 30, **low) + vitals("22:01:20", 50, **high)
    assert only("notice", *events, profile={"rr_high": 25}) == []


def test_a_reading_holds_ten_seconds_at_most() -> None:
    events = [do(f"22:{minute:02d}:00", "vitals", heart_rate_bpm=40) for minute in range(5)]
    assert only("notice", *events, profile={"hr_low": 50}) == []
    six = [*events, do("22:05:00", "vitals", heart_rate_bpm=40)]
    assert only("notice", *six, profile={"hr_low": 50}) == ["22:05:10 notice hr_low"]


@pytest.mark.parametrize("reason", [facts.WEAK, facts.MOVING, facts.SENSOR])
def test_no_signal_says_which_of_three_reasons(reason: str) -> None:
    now = Now(0, 1_795_442_400_000)
    ward = Ward({"A": SHIPPED["palliative"]}, "Asia/Shanghai", now)
    ward.assume("A", "occupied", 7200)
    ward.handle(now, facts.Vitals("A", valid=False, reason=reason))
    (effect,) = ward.advance(Now(180_000, now.utc_ms + 180_000))
    assert (effect.at_ms, effect.event, effect.detail, effect.reason) == (180_000, "notice", "no_signal", reason)


def test_a_turn_over_answers_the_reposition_reminder_and_starts_it_over() -> None:
    now = Now(0, 1_795_442_400_000)
    ward = Ward({"A": Profile(reposition_s=600)}, "Asia/Shanghai", now)
    ward.assume("A", "occupied", 0)
    raised = ward.advance(Now(700_000, now.utc_ms + 700_000))
    cleared = ward.handle(Now(800_000, now.utc_ms + 800_000), facts.TurnOver("A"))
    again = ward.advance(Now(1_500_000, now.utc_ms + 1_500_000))
    assert [(e.at_ms, e.event) for e in (*raised, *cleared, *again)] == [
        (600_000, "notice"),
        (800_000, "notice_clear"),
        (1_400_000, "notice"),
    ]


def test_radio_down_counts_from_the_first_belt_and_is_raised_once() -> None:
    events = do("23:00:00", "link_down", bed="A"), do("23:00:30", "link_down", bed="B")
    assert night(*events, **TWO) == ["23:01:30 tech_raise radio_down"]


def test_a_belt_heard_in_between_prevents_radio_down() -> None:
    up = do("23:01:00", "link_up", bed="A", state="occupied", state_age_s=100)
    events = do("23:00:00", "link_down", bed="A"), do("23:00:30", "link_down", bed="B"), up
    assert night(*events, **TWO) == ["23:02:00 B.tech_raise belt_offline"]


def test_a_belt_under_maintenance_counts_for_radio_down() -> None:
    silent = [do("23:00:00", "link_down", bed=bed) for bed in "AB"]
    assert night(do("22:50:00", "maintenance_on", bed="A"), *silent, **TWO) == [
        "23:01:30 tech_raise radio_down",
        "23:50:00 A.tech_raise maintenance_timeout",
    ]


def test_notices_stand_last_in_their_second_over_all_beds() -> None:
    profile = {"not_in_bed_by": "23:00", "allowed_s": 600}
    events = empty("22:40:00", bed="A"), empty("22:50:00", bed="B")
    log = only("notice alarm_raise", *events, end="23:01:00", profile=profile, **TWO)
    assert log == [
        "22:50:00 A.alarm_raise medium",
        "23:00:00 B.alarm_raise medium",
        "23:00:00 A.notice not_in_bed_by",
        "23:00:00 B.notice not_in_bed_by",
    ]


def test_away_and_not_maintenance_is_when_an_occupied_bed_is_a_notice() -> None:
    events = empty("22:00:00"), do("22:05:00", "maintenance_on"), occupied("22:10:00")
    assert only("notice", *events) == []


def test_a_return_confirmed_after_away_has_ended_is_no_notice() -> None:
    events = do("22:00:00", "away_on"), empty("22:05:00"), occupied("22:10:00"), do("22:10:10", "away_off")
    assert only("notice", *events) == []


def test_no_signal_counts_from_the_start_of_presence() -> None:
    events = do("22:00:00", "vitals", valid=False), empty("22:01:00"), occupied("22:10:00", vitals_valid=False)
    log = only("notice notice_clear", *events, end="22:14:00", profile={"no_signal_s": 180})
    assert log == ["22:13:00 notice no_signal"]


def test_repeated_exits_are_quiet_for_a_span_after_the_notice() -> None:
    events = [state(f"{at}") for at, state in (
        ("22:00:00", empty), ("22:05:00", occupied), ("22:30:00", empty), ("22:35:00", occupied),
        ("22:40:00", empty), ("22:45:00", occupied), ("23:10:00", empty),
    )]  # fmt: skip
    profile = {"repeat_count": 2, "repeat_span_s": 2400}
    log = only("notice", *events, profile=profile)
    assert log == ["22:30:05 notice repeated_exits", "23:10:05 notice repeated_exits"]


@pytest.mark.parametrize("rate", [{"heart_rate_bpm": 60}, {"respiration_per_min": 14}])
def test_either_rate_is_a_valid_rate(rate: dict[str, Any]) -> None:
    events = do("22:00:00", "vitals", valid=False), do("22:01:00", "vitals", **rate)
    assert only("notice", *events, profile={"no_signal_s": 90}) == []


def test_a_reading_without_any_rate_is_none() -> None:
    events = do("22:00:00", "vitals"), do("22:01:00", "vitals")
    assert only("notice", *events, profile={"no_signal_s": 90}) == ["22:01:30 notice no_signal"]
