"""The edges of the rules: what the mutation run (tools/mutation.py) showed to be said by no other test."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.cores.leave_bed.nights import EVERYTHING, do, empty, night, occupied, only, unclear, vitals

FIRST_EMPTY = {"state": "empty", "state_age_s": 2, "first_contact": True}
UNTIL_2310 = {"tail": "stop_at_end", "windows": [{"days": "1234567", "start": "22:00", "end": "23:10"}]}
TWO: dict[str, Any] = {"beds": ["A", "B"]}


# --- rules 6, 7, 18, 20: the deadline --------------------------------------------------------------------------------


def test_an_absence_from_over_an_hour_before_the_window_is_not_timed() -> None:
    left = empty("20:59:59")
    assert night(left, start="2026-11-23T20:50:00", end="23:00:00") == []


def test_new_windows_bring_back_a_deadline_that_the_end_of_the_old_one_dropped() -> None:
    wider = do("23:15:00", "configure", profile={"windows": [{"days": "1234567", "start": "22:00", "end": "06:00"}]})
    assert only("alarm_raise", empty("23:00:00"), wider, profile=UNTIL_2310) == ["23:20:00 alarm_raise medium"]


def test_an_episode_judged_in_trusted_time_is_not_judged_again_when_trust_comes_back() -> None:
    # By the stepped clock it was nine in the morning, outside every window.
    stepped = do("22:00:00", "clock_step", by_s=36000), empty("23:00:00")
    trust = do("23:05:00", "clock", trusted=False), do("23:06:00", "clock", trusted=True)
    assert only("alarm_raise", *stepped, *trust) == []


def test_fewer_windows_sent_during_an_alarm_and_an_allowance_after_them_are_taken() -> None:
    early, late = (
        {"days": "1234567", "start": a, "end": b, "allowed_s": 60} for a, b in (("12:00", "13:00"), ("22:00", "06:00"))
    )
    change = (
        do("23:02:00", "configure", profile={"windows": [late]}),
        do("23:03:00", "configure", profile={"allowed_s": 9}),
    )
    log = only("alarm_raise alarm_clear", empty("23:00:00"), *change, profile={"windows": [early, late]})
    assert log == ["23:01:00 alarm_raise medium"]


def test_settings_are_taken_without_windows_and_without_trusted_time() -> None:
    off = do("22:00:00", "clock", trusted=False), do("22:10:00", "configure", profile={"windows": []})
    assert (
        only("alarm_raise refused", *off, empty("22:30:00"), do("22:40:00", "configure", profile={"latch": "none"}))
        == []
    )


def test_refused_windows_do_not_judge_the_running_absence_again() -> None:
    step = do("23:05:00", "clock_step", by_s=36000)
    bad = do("23:06:00", "configure", profile={"windows": [{"days": "1", "start": "22:00", "end": "22:00"}]})
    assert only("alarm_raise", empty("23:00:00"), step, bad) == ["23:20:00 alarm_raise medium"]


def test_another_time_zone_judges_the_running_absence_again() -> None:
    # 23:10 in Shanghai is 15:10 in London: no window is near.
    moved = do("23:10:00", "configure", profile={"timezone": "Europe/London"})
    assert only("alarm_raise", empty("23:00:00"), moved) == []


def test_a_prealert_is_cleared_once_also_when_the_resident_leaves_again() -> None:
    events = empty("23:00:00"), occupied("23:16:00"), empty("23:16:40"), occupied("23:17:20")
    log = only("prealert prealert_clear", *events, profile={"prealert_s": 300})
    assert log == ["23:15:00 prealert", "23:16:10 prealert_clear"]


# --- rules 3, 5, 13, 15, 21: the start of a history ------------------------------------------------------------------


def test_who_is_in_bed_all_along_was_there_before_away_began() -> None:
    start = {"state": "occupied", "state_age_s": 10}
    assert night(do("21:30:00", "away_on"), initial=start) == []


def test_who_has_only_just_lain_down_returns_while_away() -> None:
    start = {"state": "occupied", "state_age_s": 9}
    assert night(do("21:30:00", "away_on"), initial=start) == ["21:30:01 notice occupied_while_away"]


def test_each_time_of_being_away_has_its_own_notice() -> None:
    events = [empty("21:35:00")]
    for hour in ("22", "23"):
        events += [do(f"{hour}:00:00", "away_on"), occupied(f"{hour}:10:00"), do(f"{hour}:20:00", "away_off"),
                   empty(f"{hour}:21:00")]  # fmt: skip
    assert [line[:8] for line in only("notice", *events)] == ["22:10:10", "23:10:10"]


@pytest.mark.parametrize(("age_s", "raised"), [(60, "22:15:00"), (59, "22:05:00")])
def test_assist_ends_when_the_bed_becomes_armed_and_not_because_it_is(age_s: int, raised: str) -> None:
    events = do("22:00:00", "assist"), empty("22:00:30")
    start = {"state": "occupied", "state_age_s": age_s}
    log = only("alarm_raise", *events, start="2026-11-23T22:00:00", initial=start, profile={"allowed_s": 300})
    assert log == [f"{raised if age_s == 60 else '22:05:30'} alarm_raise medium"]


@pytest.mark.parametrize(("state", "log"), [("empty", ["21:30:00 notice not_in_bed_by"]), ("unclear", [])])
def test_a_history_that_starts_empty_is_absent_and_one_that_starts_unclear_is_not(state: str, log: list[str]) -> None:
    start = {"state": state, "state_age_s": 2}
    assert only("notice", initial=start, end="21:31:00", profile={"not_in_bed_by": "21:30"}) == log


def test_what_people_do_in_the_first_second_comes_before_the_first_contact_is_judged() -> None:
    start = {"state": "empty", "state_age_s": 600, "first_contact": True}
    assert only("exit", do("21:30:00", "maintenance_on"), initial=start) == []


def test_maintenance_during_the_first_confirmation_opens_no_episode_after_it() -> None:
    events = do("21:30:01", "maintenance_on"), do("21:30:02", "maintenance_off")
    assert only("exit", *events, initial=FIRST_EMPTY) == []


# --- rules 16, 17: gaps ----------------------------------------------------------------------------------------------


def test_absences_that_contradict_each_other_are_taken_by_their_ends() -> None:
    told = [{"ended_ago_s": 100, "duration_s": 500}, {"ended_ago_s": 300, "duration_s": 100}]
    up = do("23:00:00", "link_up", state="occupied", state_age_s=100, finished_absences=told)
    profile = {"allowed_s": 400}
    assert only("missed_alarm", do("22:00:00", "link_down"), up, profile=profile) == []


def test_an_absence_that_ended_when_the_belt_was_last_heard_did_not_end_in_the_gap() -> None:
    told = [{"ended_ago_s": 300, "duration_s": 300}]
    up = do("23:10:00", "link_up", state="empty", state_age_s=300, finished_absences=told)
    events = empty("23:00:00"), do("23:05:00", "link_down"), up
    log = only("exit return alarm_raise", *events, profile={"settle_s": 0})
    assert log == ["23:00:05 exit", "23:20:00 alarm_raise medium"]


def test_a_dropout_under_way_when_last_heard_ends_where_the_belt_says() -> None:
    told = [{"ended_ago_s": 596, "duration_s": 4}]
    up = do("23:10:00", "link_up", state="empty", state_age_s=30, finished_absences=told)
    events = empty("23:00:00"), do("23:00:02", "link_down"), up
    assert only("alarm_raise", *events) == ["23:29:30 alarm_raise medium"]


def test_an_absence_from_before_the_gap_that_the_window_dropped_is_not_missed() -> None:
    told = [{"ended_ago_s": 600, "duration_s": 1800}]
    up = do("23:40:00", "link_up", state="occupied", state_age_s=600, finished_absences=told)
    assert only("missed_alarm", empty("23:00:00"), do("23:05:00", "link_down"), up, profile=UNTIL_2310) == []


def test_an_absence_that_a_restart_finds_still_running_is_no_matter_of_the_restart_later() -> None:
    restart = do("23:05:00", "gateway_down"), do("23:30:00", "gateway_up")
    told = do("23:30:02", "belt_report", state="empty", state_age_s=1802)
    assert only("missed_alarm", empty("23:00:00"), *restart, told, occupied("23:40:00"), profile=UNTIL_2310) == []


def test_a_settled_return_told_after_silence_comes_before_the_answer_of_that_second() -> None:
    up = do("23:40:00", "link_up", state="occupied", state_age_s=600)
    events = empty("23:00:00"), do("23:25:00", "link_down"), up, do("23:40:00", "acknowledge")
    log = night(*events, watch=["alarm_latched", "ack", "alarm_clear"])
    assert log == ["23:40:00 alarm_latched", "23:40:00 ack", "23:40:00 alarm_clear acked_after_return"]


@pytest.mark.parametrize("up", ["23:19:50", "23:20:00"])
def test_a_deadline_that_was_not_missed_while_down_does_not_wait_for_the_belt(up: str) -> None:
    restart = do("23:10:00", "gateway_down"), do(up, "gateway_up")
    assert only("alarm_raise", empty("23:00:00"), *restart) == ["23:20:00 alarm_raise medium"]


def test_maintenance_that_ran_out_while_down_has_ended_before_what_people_do_at_boot() -> None:
    events = do("22:00:00", "maintenance_on"), do("22:30:00", "gateway_down"), do("23:30:00", "gateway_up")
    assert night(*events, do("23:30:00", "away_on"), end="23:31:00") == ["23:30:00 tech_raise maintenance_timeout"]


def test_lines_at_boot_stand_before_what_people_do_in_that_second() -> None:
    both = [do("22:00:00", "maintenance_on", bed=bed) for bed in "AB"]
    events = do("22:30:00", "gateway_down"), do("23:30:00", "gateway_up"), do("23:30:00", "acknowledge", bed="A")
    assert night(*both, *events, end="23:31:00", **TWO) == [
        "23:30:00 A.tech_raise maintenance_timeout",
        "23:30:00 B.tech_raise maintenance_timeout",
        "23:30:00 A.ack_ignored",
    ]


# --- rules 22, 23 and the rates --------------------------------------------------------------------------------------


def test_a_repeated_report_of_occupied_makes_no_rate_valid() -> None:
    events = do("22:00:00", "vitals", valid=False), occupied("22:01:00")
    assert only("notice", *events, profile={"no_signal_s": 180}) == ["22:03:00 notice no_signal"]


def test_neither_an_empty_bed_nor_a_link_makes_a_rate_valid() -> None:
    up = do("23:10:00", "link_up", state="occupied", state_age_s=60)
    events = do("22:00:00", "vitals", valid=False), empty("23:00:00"), do("23:05:00", "link_down"), up
    assert only("alarm_raise", *events, profile={"require_vitals": True}) == ["23:20:00 alarm_raise medium"]


def test_a_confirmed_state_that_the_belt_had_no_time_to_tell_clears_no_check_bed() -> None:
    events = unclear("22:30:00"), occupied("22:32:00"), do("22:32:05", "link_down")
    assert only("notice notice_clear", *events, end="22:40:00") == ["22:31:00 notice check_bed"]


def test_no_signal_counts_from_when_the_rate_was_last_lost() -> None:
    flags = [("22:00:00", False), ("22:01:00", True), ("22:02:00", False), ("22:03:00", False)]
    events = [do(at, "vitals", valid=valid) for at, valid in flags]
    assert only("notice", *events, profile={"no_signal_s": 180}) == ["22:05:00 notice no_signal"]


def test_no_signal_is_no_notice_while_the_belt_is_silent() -> None:
    events = do("22:00:00", "vitals", valid=False), do("22:01:00", "link_down")
    assert only("notice", *events, profile={"no_signal_s": 180}) == []


def test_an_exit_clears_no_signal() -> None:
    events = do("22:00:00", "vitals", valid=False), empty("22:10:00")
    log = only("notice notice_clear", *events, end="22:11:00", profile={"no_signal_s": 180})
    assert log == ["22:03:00 notice no_signal", "22:10:05 notice_clear no_signal"]


def test_vitals_of_a_silent_belt_are_none() -> None:
    events = do("22:00:00", "vitals", valid=False), do("22:00:30", "link_down"), do("22:01:00", "vitals", valid=True)
    back = do("22:02:00", "link_up", state="occupied", state_age_s=9000)
    assert only("notice", *events, back, profile={"no_signal_s": 180}) == ["22:03:00 notice no_signal"]


# --- vital notices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "beyond"),
    [
        ({"hr_high": 120}, {"heart_rate_bpm": 120}, False),
        ({"hr_high": 120}, {"heart_rate_bpm": 121}, True),
        ({"hr_low": 45}, {"heart_rate_bpm": 44}, True),
        ({"rr_high": 25}, {"respiration_per_min": 25}, False),
        ({"rr_low": 8}, {"respiration_per_min": 7}, True),
        ({"hr_high": 120}, {"heart_rate_bpm": 130, "quality": 50}, True),
        ({"hr_high": 120}, {"heart_rate_bpm": 130, "quality": 49}, False),
        ({"hr_high": 120}, {"heart_rate_bpm": 130, "valid": False}, False),
        ({"hr_high": 120}, {"heart_rate_bpm": 130, "quality": "poor"}, False),
        ({"hr_high": 120}, {"heart_rate_bpm": 130, "quality": "good"}, True),
    ],
)
def test_a_value_beyond_its_limit_for_a_minute_is_a_notice(setting: Any, value: Any, beyond: bool) -> None:
    (code,) = setting
    log = only("notice", *vitals("22:00:00", 70, **value), profile=setting)
    assert log == ([f"22:01:00 notice {code}"] if beyond else [])


@pytest.mark.parametrize(
    ("setting", "high", "back", "clears"),
    [
        ({"hr_high": 120}, {"heart_rate_bpm": 130}, {"heart_rate_bpm": 117}, True),
        ({"hr_high": 120}, {"heart_rate_bpm": 130}, {"heart_rate_bpm": 118}, False),
        ({"rr_high": 25}, {"respiration_per_min": 30}, {"respiration_per_min": 23}, True),
        ({"rr_high": 25}, {"respiration_per_min": 30}, {"respiration_per_min": 24}, False),
    ],
)
def test_half_a_minute_inside_the_hysteresis_clears_the_notice(
    setting: Any, high: Any, back: Any, clears: bool
) -> None:
    (code,) = setting
    log = only("notice_clear", *vitals("22:00:00", 70, **high), *vitals("22:01:10", 60, **back), profile=setting)
    assert log == ([f"22:01:40 notice_clear {code}"] if clears else [])


def test_the_notice_is_cleared_between_two_readings_if_that_is_when_half_a_minute_is_over() -> None:
    back = [do(f"22:02:{second:02d}", "vitals", heart_rate_bpm=80) for second in (0, 7, 14, 21, 28, 35)]
    high = vitals("22:00:00", 120, heart_rate_bpm=130)
    assert only("notice_clear", *high, *back, profile={"hr_high": 120}) == ["22:02:30 notice_clear hr_high"]


def test_poor_samples_do_not_start_the_time_back_in_range_over() -> None:
    high, low = {"heart_rate_bpm": 130}, {"heart_rate_bpm": 80}
    events = [
        *vitals("22:00:00", 70, **high),
        *vitals("22:01:10", 20, **low),
        *vitals("22:01:30", 20, quality=10, **low),
        *vitals("22:01:50", 30, **low),
    ]
    assert only("notice_clear", *events, profile={"hr_high": 120}) == ["22:02:00 notice_clear hr_high"]


def test_a_value_between_limit_and_hysteresis_starts_the_time_back_in_range_over() -> None:
    events = [*vitals("22:00:00", 70, heart_rate_bpm=130), *vitals("22:01:10", 20, heart_rate_bpm=80),
              *vitals("22:01:30", 10, heart_rate_bpm=119), *vitals("22:01:40", 40, heart_rate_bpm=80)]  # fmt: skip
    assert only("notice_clear", *events, profile={"hr_high": 120}) == ["22:02:10 notice_clear hr_high"]


def test_a_limit_that_is_switched_off_takes_its_notice_with_it() -> None:
    off = do("22:02:00", "configure", profile={"hr_high": None})
    log = only("notice notice_clear", *vitals("22:00:00", 180, heart_rate_bpm=130), off, profile={"hr_high": 120})
    assert log == ["22:01:00 notice hr_high", "22:02:00 notice_clear hr_high"]


def test_time_before_and_during_maintenance_counts_for_no_vital_notice() -> None:
    high = vitals("22:00:00", 190, heart_rate_bpm=130)
    suspended = do("22:00:50", "maintenance_on"), do("22:01:55", "maintenance_off")
    assert only("notice", *high, *suspended, profile={"hr_high": 120}) == ["22:02:55 notice hr_high"]


def test_time_with_the_gateway_down_counts_for_no_vital_notice() -> None:
    up = do("22:00:39", "gateway_up"), do("22:00:39", "belt_report", state="occupied", state_age_s=9000)
    events = *vitals("22:00:00", 90, heart_rate_bpm=130), do("22:00:31", "gateway_down"), *up
    assert only("notice", *events, profile={"hr_high": 120}) == ["22:01:08 notice hr_high"]


# --- times of day, repeated exits, many beds -------------------------------------------------------------------------


def test_without_trusted_time_no_minute_is_known() -> None:
    events = empty("22:40:00"), do("22:50:00", "clock", trusted=False)
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == []


def test_a_minute_in_maintenance_is_not_made_up_for_at_its_end() -> None:
    events = empty("22:40:00"), do("22:59:00", "maintenance_on"), do("23:00:30", "maintenance_off")
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == []


def test_a_minute_comes_every_night() -> None:
    events = [empty("22:40:00"), occupied("23:10:00"), empty("2026-11-24T22:40:00")]
    log = only("notice", *events, end="2026-11-24T23:10:00", profile={"not_in_bed_by": "23:00"})
    assert log == ["23:00:00 notice not_in_bed_by"] * 2


@pytest.mark.parametrize(("by_s", "log"), [(620, []), (600, ["22:50:00 notice not_in_bed_by"])])
def test_a_minute_that_the_clock_is_set_to_comes_and_one_set_beyond_does_not(by_s: int, log: list[str]) -> None:
    events = empty("22:40:00"), do("22:50:00", "clock_step", by_s=by_s)
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == log


@pytest.mark.parametrize(("second", "log"), [("23:00:00", ["23:00:00 notice not_up_by"]), ("23:00:01", [])])
def test_a_minute_comes_in_the_second_it_is_set_and_not_before_it_was_set(second: str, log: list[str]) -> None:
    assert only("notice", do(second, "configure", profile={"not_up_by": "23:00"})) == log


def test_the_minute_in_which_settings_change_still_comes() -> None:
    same_zone = do("23:00:00", "configure", profile={"timezone": "Asia/Shanghai"})
    events = empty("22:40:00"), same_zone, do("23:00:00", "assist")
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == ["23:00:00 notice not_in_bed_by"]


def test_a_minute_of_another_time_zone_has_not_come_before_it_was_set() -> None:
    # In Tokyo, an hour ahead, 23:30 was half an hour ago.
    events = empty("22:40:00"), do("23:00:00", "configure", profile={"timezone": "Asia/Tokyo"})
    assert only("notice", *events, profile={"not_in_bed_by": "23:30", "windows": []}) == []


def test_the_minute_of_boot_comes() -> None:
    events = empty("22:40:00"), do("22:50:00", "gateway_down"), do("23:00:00", "gateway_up")
    assert only("notice", *events, profile={"not_in_bed_by": "23:00"}) == ["23:00:00 notice not_in_bed_by"]


@pytest.mark.parametrize(("second", "log"), [("22:10:00", ["22:10:05 notice repeated_exits"]), ("22:10:01", [])])
def test_exits_a_whole_span_apart_are_inside_it(second: str, log: list[str]) -> None:
    events = empty("22:00:00"), occupied("22:02:00"), empty(second)
    assert only("notice", *events, profile={"repeat_count": 2, "repeat_span_s": 600}) == log


def test_what_people_do_in_one_second_stands_in_the_order_in_which_they_did_it() -> None:
    events = [do("22:00:00", "acknowledge", bed=bed) for bed in "BA"]
    assert night(*events, **TWO) == ["22:00:00 B.ack_ignored", "22:00:00 A.ack_ignored"]


def test_radio_down_counts_from_the_first_belt_also_if_its_bed_is_in_maintenance() -> None:
    silent = do("23:00:00", "link_down", bed="A"), do("23:00:20", "link_down", bed="B")
    log = night(do("22:50:00", "maintenance_on", bed="A"), *silent, end="23:10:00", **TWO)
    assert log == ["23:01:30 tech_raise radio_down"]


def test_an_alarm_of_the_second_of_radio_down_stands_before_it() -> None:
    silent = [do("23:18:30", "link_down", bed=bed) for bed in "AB"]
    log = night(empty("23:00:00", bed="A"), *silent, end="23:21:00", watch=["alarm_raise", "tech_raise"], **TWO)
    assert log == ["23:20:00 A.alarm_raise medium", "23:20:00 tech_raise radio_down"]


def test_after_radio_down_those_still_silent_raise_their_own() -> None:
    beds = ["A", "B", "C"]
    silent = [do("23:00:00", "link_down", bed=bed) for bed in beds]
    back = do("23:05:00", "link_up", bed="B", state="occupied", state_age_s=9000)
    assert night(*silent, back, end="23:10:00", beds=beds) == [
        "23:01:30 tech_raise radio_down",
        "23:05:00 tech_clear radio_down",
        "23:05:00 A.tech_raise belt_offline",
        "23:05:00 C.tech_raise belt_offline",
    ]


def test_everything_is_logged_that_may_be_watched() -> None:
    log = night(empty("23:00:00"), occupied("23:01:00"), do("23:10:00", "clock", trusted=False), watch=EVERYTHING)
    assert [line.split()[1] for line in log] == ["exit", "return", "time_untrusted"]
