"""Rules 1 to 12 and 20 to 23, one sentence each; the shipped scenarios show the same rules as whole nights."""

from __future__ import annotations

from tests.gateway.cores.leave_bed.nights import do, empty, night, occupied, only, unclear

RAISED = ["23:20:00 alarm_raise medium", "23:20:00 audio_on"]
EMPTY_BED = {"state": "empty", "state_age_s": 20000}


def test_empty_for_less_than_exit_confirm_is_no_exit() -> None:
    assert only("exit", empty("23:00:00"), occupied("23:00:04")) == []


def test_empty_for_exit_confirm_is_an_exit() -> None:
    assert only("exit", empty("23:00:00"), occupied("23:00:06")) == ["23:00:05 exit"]


def test_a_repeated_report_does_not_restart_the_confirmation() -> None:
    assert only("exit", empty("23:00:00"), empty("23:00:03"), empty("23:00:04")) == ["23:00:05 exit"]


def test_a_late_report_is_confirmed_at_once_by_its_age() -> None:
    log = only("exit alarm_raise", empty("23:01:00", state_age_s=60))
    assert log == ["23:01:00 exit", "23:20:00 alarm_raise medium"]


def test_events_of_one_second_all_apply_before_it_is_judged() -> None:
    assert only("alarm_raise ack ack_ignored", empty("23:00:00"), do("23:20:00", "acknowledge"), end="23:20:05") == [
        "23:20:00 ack_ignored",
        "23:20:00 alarm_raise medium",
    ]


def test_a_bed_settled_at_the_second_of_the_confirmed_exit_is_left_as_a_settled_one() -> None:
    left = occupied("22:10:00"), empty("22:10:55")
    assert only("exit", *left, initial=EMPTY_BED) == ["22:11:00 exit"]


def test_settling_in_one_second_less_opens_no_episode() -> None:
    left = occupied("22:10:00"), empty("22:10:54")
    assert only("exit", *left, initial=EMPTY_BED) == []


def test_a_held_episode_closes_at_settle_after_the_start_of_presence() -> None:
    assert only("return", empty("23:00:00"), occupied("23:05:00")) == ["23:06:00 return"]


def test_leaving_again_before_settling_keeps_the_first_out_since() -> None:
    events = empty("23:00:00"), occupied("23:10:00"), empty("23:10:50")
    assert only("exit return alarm_raise", *events, end="23:21:00") == ["23:00:05 exit", "23:20:00 alarm_raise medium"]


def test_no_alarm_is_raised_while_held() -> None:
    events = empty("23:00:00"), occupied("23:19:40"), empty("23:20:20")
    assert only("alarm_raise", *events, end="23:30:00") == ["23:20:25 alarm_raise medium"]


def test_an_exit_before_the_window_is_counted_from_its_start() -> None:
    assert only("alarm_raise", empty("21:40:00"), end="22:30:00") == ["22:20:00 alarm_raise medium"]


def test_an_exit_at_the_end_of_a_window_is_outside() -> None:
    assert night(empty("2026-11-24T06:00:00"), end="2026-11-24T08:00:00") == []


def test_stop_at_end_drops_a_deadline_that_falls_on_the_end() -> None:
    left = empty("2026-11-24T05:40:00")
    assert night(left, end="2026-11-24T06:10:00", profile={"tail": "stop_at_end"}) == []


def test_stop_at_end_lets_an_earlier_deadline_alarm() -> None:
    left = empty("2026-11-24T05:39:59")
    log = only("alarm_raise", left, end="2026-11-24T06:10:00", profile={"tail": "stop_at_end"})
    assert log == ["05:59:59 alarm_raise medium"]


def test_a_touch_over_the_deadline_that_becomes_a_return_raises_nothing() -> None:
    assert only("alarm_raise", empty("23:00:00"), occupied("23:19:55")) == []


def test_unclear_after_a_touch_lets_the_alarm_out() -> None:
    events = empty("23:00:00"), occupied("23:19:58"), unclear("23:20:03")
    assert only("alarm_raise", *events, end="23:21:00") == ["23:20:03 alarm_raise medium"]


def test_acknowledging_with_nothing_to_acknowledge_is_ignored() -> None:
    assert night(do("23:00:00", "acknowledge")) == ["23:00:00 ack_ignored"]


def test_a_second_acknowledgement_is_ignored() -> None:
    events = empty("23:00:00"), do("23:21:00", "acknowledge"), do("23:22:00", "wall_cancel")
    assert only("ack ack_ignored", *events) == ["23:21:00 ack", "23:22:00 ack_ignored"]


def test_the_realarm_stays_at_level_one_where_that_is_the_highest() -> None:
    events = empty("23:00:00"), do("23:21:00", "acknowledge")
    assert only("realarm escalate", *events, profile={"max_level": 1}) == ["23:31:00 realarm L1"]


def test_latch_none_clears_an_unanswered_alarm_at_the_settled_return() -> None:
    events = empty("23:00:00"), occupied("23:21:00")
    assert night(*events, end="23:23:00", profile={"latch": "none"}) == [
        *RAISED,
        "23:21:10 audio_off",
        "23:22:00 alarm_clear returned",
    ]


def test_shortening_the_allowance_alarms_at_once() -> None:
    change = do("23:10:00", "configure", profile={"allowed_s": 60})
    assert only("alarm_raise", empty("23:00:00"), change) == ["23:10:00 alarm_raise medium"]


def test_lengthening_the_allowance_moves_the_deadline() -> None:
    change = do("23:10:00", "configure", profile={"allowed_s": 1800})
    assert only("alarm_raise", empty("23:00:00"), change) == ["23:30:00 alarm_raise medium"]


def test_a_refused_configuration_changes_nothing() -> None:
    bad = {"allowed_s": 60, "windows": [{"days": "1", "start": "22:00", "end": "22:00"}]}
    change = do("23:10:00", "configure", profile=bad)
    assert night(empty("23:00:00"), change, end="23:21:00") == ["23:10:00 refused window_empty", *RAISED]


def test_switching_the_rule_on_again_judges_the_open_episode() -> None:
    window = {"days": "1234567", "start": "22:00", "end": "06:00", "allowed_s": 1200}
    off, on = (do(at, "configure", profile={"windows": w}) for at, w in (("23:05:00", []), ("23:30:00", [window])))
    assert only("alarm_raise", empty("23:00:00"), off, on) == ["23:30:00 alarm_raise medium"]


def test_first_contact_with_an_occupied_bed_arms_it_by_its_age() -> None:
    start = {"state": "occupied", "state_age_s": 30, "first_contact": True}
    assert only("exit", empty("21:31:00"), initial=start) == ["21:31:05 exit"]


def test_first_contact_empty_then_touched_is_no_exit() -> None:
    start = {"state": "empty", "state_age_s": 2, "first_contact": True}
    assert only("exit", occupied("21:30:01"), empty("21:30:04"), initial=start) == []


def test_a_cat_is_no_return() -> None:
    events = empty("23:00:00"), occupied("23:05:00", vitals_valid=False)
    assert only("alarm_raise", *events, profile={"require_vitals": True}) == ["23:20:00 alarm_raise medium"]


def test_a_rate_lost_during_the_confirmation_starts_it_over() -> None:
    flags = [("23:05:00", True), ("23:05:05", False), ("23:05:08", True)]
    events = [occupied(at, vitals_valid=valid) for at, valid in flags]
    log = only("return", empty("23:00:00"), *events, profile={"require_vitals": True})
    assert log == ["23:06:08 return"]


def test_unclear_leaves_a_running_absence_running() -> None:
    assert night(empty("23:00:00"), unclear("23:10:00"), end="23:21:00") == RAISED


def test_unclear_outside_a_window_waits_for_it() -> None:
    assert night(unclear("21:40:00"), end="22:10:00") == ["22:00:00 notice check_bed"]


def test_unclear_on_a_bed_that_is_not_armed_is_no_notice() -> None:
    events = empty("22:30:00"), unclear("22:40:00")
    assert only("notice", *events) == []


def test_unclear_of_a_silent_belt_is_no_notice() -> None:
    assert only("notice", unclear("22:30:00"), do("22:30:30", "link_down")) == []


def test_unbinding_ends_an_answered_alarm_and_everything_after_it() -> None:
    events = empty("23:00:00"), do("23:20:30", "acknowledge"), do("23:21:00", "unbind")
    assert night(*events)[-1] == "23:21:00 alarm_clear unbound"
