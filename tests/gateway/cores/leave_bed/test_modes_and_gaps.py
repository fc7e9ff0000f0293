"""Rules 13 to 19: assist, maintenance, away, silent belts, restarts, untrusted time."""

from __future__ import annotations

from tests.gateway.cores.leave_bed.nights import EVERYTHING, do, empty, night, occupied, only


def test_assist_pressed_again_starts_over() -> None:
    events = empty("23:00:00"), do("23:10:00", "assist"), do("23:20:00", "assist")
    assert only("alarm_raise", *events) == ["23:35:00 alarm_raise medium"]


def test_assist_leaves_a_latched_alarm_to_its_own_answer() -> None:
    events = empty("23:00:00"), occupied("23:21:00"), do("23:30:00", "assist")
    assert "23:30:00 ack" not in night(*events)


def test_the_end_of_assist_lets_the_old_deadline_stand() -> None:
    events = empty("23:00:00"), do("23:01:00", "assist")
    assert only("alarm_raise", *events) == ["23:20:00 alarm_raise medium"]


def test_a_prealert_held_back_by_assist_comes_when_it_ends() -> None:
    events = empty("23:00:00"), do("23:01:00", "assist")
    assert only("prealert", *events, profile={"prealert_s": 600}) == ["23:16:00 prealert"]


def test_maintenance_ends_a_latched_alarm() -> None:
    events = empty("23:00:00"), occupied("23:21:00"), do("23:30:00", "maintenance_on")
    assert only("alarm_clear", *events) == ["23:30:00 alarm_clear maintenance"]


def test_after_maintenance_the_bed_must_settle_again() -> None:
    events = do("22:30:00", "maintenance_on"), do("22:40:00", "maintenance_off"), empty("22:40:54")
    assert only("exit", *events) == []


def test_a_minute_after_maintenance_the_bed_is_armed() -> None:
    events = do("22:30:00", "maintenance_on"), do("22:40:00", "maintenance_off"), empty("22:40:55")
    assert only("exit", *events) == ["22:41:00 exit"]


def test_maintenance_clears_belt_offline_and_reports_it_anew_when_it_ends() -> None:
    events = do("22:00:00", "link_down"), do("22:10:00", "maintenance_on"), do("22:20:00", "maintenance_off")
    assert night(*events) == [
        "22:01:30 tech_raise belt_offline",
        "22:10:00 tech_clear belt_offline",
        "22:20:00 tech_raise belt_offline",
    ]


def test_away_has_no_limit() -> None:
    assert night(do("21:40:00", "away_on"), empty("21:50:00"), end="2026-11-24T09:00:00") == []


def test_presence_from_before_away_is_no_notice() -> None:
    assert night(do("21:40:00", "away_on"), do("21:50:00", "away_on")) == []


def test_a_silent_belt_does_not_confirm_an_exit() -> None:
    events = empty("23:00:00"), do("23:00:03", "link_down"), do("23:00:30", "link_up", state="occupied", state_age_s=20)
    assert only("exit", *events) == []


def test_an_exit_unconfirmed_when_last_heard_keeps_its_since() -> None:
    events = empty("23:00:00"), do("23:00:03", "link_down"), do("23:05:00", "link_up", state="empty", state_age_s=2)
    assert only("exit alarm_raise", *events) == ["23:05:00 exit", "23:20:00 alarm_raise medium"]


def test_an_alarm_of_a_silent_belt_is_raised_at_its_deadline() -> None:
    events = empty("23:00:00"), do("23:05:00", "link_down")
    assert only("alarm_raise", *events) == ["23:20:00 alarm_raise medium"]


def test_a_state_older_than_the_gap_begins_where_the_belt_was_last_heard() -> None:
    events = do("23:00:00", "link_down"), do("23:10:00", "link_up", state="empty", state_age_s=5000)
    assert only("alarm_raise", *events) == ["23:20:00 alarm_raise medium"]


def test_a_missed_absence_is_disclosed_only_with_the_mode_active() -> None:
    absence = [{"ended_ago_s": 600, "duration_s": 1500}]
    up = do("23:00:00", "link_up", state="occupied", state_age_s=600, finished_absences=absence)
    assert only("missed_alarm", do("22:00:00", "link_down"), up) == ["23:00:00 missed_alarm"]
    assisted = do("22:00:00", "link_down"), do("22:59:00", "assist"), up
    assert only("missed_alarm exit", *assisted) == ["23:00:00 exit"]


def test_a_dropout_among_the_finished_absences_is_no_exit() -> None:
    dropout = [{"ended_ago_s": 600, "duration_s": 3}]
    up = do("23:00:00", "link_up", state="occupied", state_age_s=600, finished_absences=dropout)
    assert night(do("22:00:00", "link_down"), up, profile={"allowed_s": 0}, watch=["exit", "missed_alarm"]) == []


def test_a_finished_absence_of_exit_confirm_is_an_exit() -> None:
    absence = [{"ended_ago_s": 600, "duration_s": 5}]
    up = do("23:00:00", "link_up", state="occupied", state_age_s=600, finished_absences=absence)
    log = night(do("22:00:00", "link_down"), up, profile={"allowed_s": 0}, watch=["exit", "missed_alarm"])
    assert log == ["23:00:00 exit", "23:00:00 missed_alarm"]


def test_finished_absences_from_before_the_gap_are_known_already() -> None:
    old = [{"ended_ago_s": 5000, "duration_s": 1500}]
    up = do("23:00:00", "link_up", state="occupied", state_age_s=5000, finished_absences=old)
    assert only("exit missed_alarm", do("22:59:00", "link_down"), up) == []


def test_a_resumed_exit_in_the_gap_makes_no_sound() -> None:
    absences = [{"ended_ago_s": 60, "duration_s": 300}]
    back = do("23:30:00", "link_up", state="occupied", state_age_s=60, finished_absences=absences)
    log = night(empty("23:00:00"), do("23:21:00", "link_down"), back, end="23:31:00", watch=EVERYTHING)
    assert [line for line in log if line.startswith("23:30:00")] == [
        "23:30:00 tech_clear belt_offline",
        "23:30:00 audio_off",
        "23:30:00 return",
        "23:30:00 alarm_latched",
    ]


def test_after_a_restart_a_missed_deadline_waits_for_the_belt() -> None:
    events = empty("23:00:00"), do("23:10:00", "gateway_down"), do("23:25:00", "gateway_up")
    told = do("23:25:07", "belt_report", state="empty", state_age_s=1507)
    assert only("alarm_raise", *events, told) == ["23:25:07 alarm_raise medium"]
    assert only("alarm_raise", *events) == ["23:25:15 alarm_raise medium"]


def test_an_acknowledged_alarm_stays_quiet_over_a_restart_until_its_realarm() -> None:
    events = empty("23:00:00"), do("23:21:00", "acknowledge"), do("23:22:00", "gateway_down")
    log = only("audio_on realarm", *events, do("23:23:00", "gateway_up"), end="23:32:00")
    assert log == ["23:20:00 audio_on", "23:31:00 realarm L2", "23:31:00 audio_on"]


def test_a_latched_alarm_stays_silent_over_a_restart() -> None:
    events = empty("23:00:00"), occupied("23:21:00"), do("23:30:00", "gateway_down"), do("23:31:00", "gateway_up")
    assert only("audio_on", *events) == ["23:20:00 audio_on"]


def test_untrusted_time_opens_every_window_with_the_smallest_allowance() -> None:
    windows = [
        {"days": "1234567", "start": "22:00", "end": "23:00", "allowed_s": 900},
        {"days": "1234567", "start": "02:00", "end": "03:00", "allowed_s": 300},
    ]
    events = do("21:31:00", "clock", trusted=False), empty("21:40:00")
    assert only("alarm_raise", *events, profile={"windows": windows}) == ["21:45:00 alarm_raise medium"]


def test_an_alarm_of_untrusted_time_stays_when_time_becomes_trusted() -> None:
    start = {"start": "2026-11-23T12:00:00", "profile": {"latch": "none"}}
    events = do("12:01:00", "clock", trusted=False), empty("12:10:00"), do("12:31:00", "clock", trusted=True)
    assert only("alarm_raise alarm_clear", *events, end="13:00:00", **start) == ["12:30:00 alarm_raise medium"]


def test_an_episode_judged_in_trusted_time_keeps_its_judgement() -> None:
    events = empty("23:00:00"), do("23:05:00", "clock", trusted=False)
    assert only("alarm_raise", *events, profile={"allowed_s": 1200}) == ["23:20:00 alarm_raise medium"]


def test_steps_no_longer_count_when_time_becomes_trusted() -> None:
    steps = do("21:31:00", "clock", trusted=False), do("21:32:00", "clock_step", by_s=36000)
    assert only("alarm_raise", *steps, do("21:40:00", "clock", trusted=True), empty("23:00:00")) == [
        "23:20:00 alarm_raise medium"
    ]


def test_a_clock_step_after_the_exit_was_confirmed_changes_nothing() -> None:
    for by_s in (-36000, -3600, 3600, 36000):
        events = empty("23:00:00"), do("23:00:06", "clock_step", by_s=by_s)
        assert only("alarm_raise", *events, end="23:30:00") == ["23:20:00 alarm_raise medium"]


def test_a_return_in_the_second_of_the_deadline_is_missed_after_a_restart() -> None:
    events = empty("23:00:00"), do("23:10:00", "gateway_down"), do("23:30:00", "gateway_up")
    on_time = do("23:30:05", "belt_report", state="occupied", state_age_s=605)
    before = do("23:30:05", "belt_report", state="occupied", state_age_s=606)
    assert only("missed_alarm", *events, on_time) == ["23:30:05 missed_alarm"]
    assert only("missed_alarm", *events, before) == []


def test_what_a_restart_finds_still_empty_is_raised_and_not_missed() -> None:
    events = empty("23:00:00"), do("23:10:00", "gateway_down"), do("23:30:00", "gateway_up")
    told = do("23:30:05", "belt_report", state="empty", state_age_s=1805)
    assert only("missed_alarm alarm_raise", *events, told, occupied("23:40:00")) == ["23:30:05 alarm_raise medium"]


def test_an_absence_disclosed_as_missed_after_a_restart_is_disclosed_once() -> None:
    events = empty("23:00:00"), do("23:10:00", "gateway_down"), do("23:30:00", "gateway_up")
    told = do("23:30:05", "belt_report", state="occupied", state_age_s=205), empty("23:31:00"), occupied("23:31:20")
    assert only("missed_alarm", *events, *told) == ["23:30:05 missed_alarm"]


def test_windows_sent_again_while_time_is_untrusted_judge_a_running_absence_again() -> None:
    window = {"days": "1234567", "start": "22:00", "end": "06:00", "allowed_s": 60}
    change = do("12:30:00", "configure", profile={"windows": [window]})
    events = empty("12:10:00"), do("12:20:00", "clock", trusted=False)
    log = only("alarm_raise", *events, change, start="2026-11-23T12:00:00", end="12:40:00")
    assert log == ["12:30:00 alarm_raise medium"]


def test_a_report_after_silence_denies_its_own_rates_before_it_confirms_anything() -> None:
    silence = empty("23:00:00"), do("23:05:00", "link_down")
    cat = occupied("23:10:00", state_age_s=120, vitals_valid=False)
    assert only("return", *silence, cat, profile={"require_vitals": True}) == []


def test_time_in_assist_before_an_untrusted_restart_does_not_hold_the_realarm_back() -> None:
    events = empty("23:00:00"), do("23:21:00", "assist"), do("23:22:00", "gateway_down")
    up = do("23:30:00", "gateway_up", clock_trusted=False)
    assert only("realarm", *events, up, end="23:32:00") == ["23:31:00 realarm L2"]
