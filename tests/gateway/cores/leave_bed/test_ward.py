"""The ward as the gateway uses it: deadlines as data, late calls, restarts from stored state, views."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.cores import facts
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.profile import STANDARD, Profile

START_UTC_MS = round(datetime(2026, 11, 23, 15, tzinfo=UTC).timestamp() * 1000)  # 23:00 in Shanghai
MINUTE = 60_000


def now(ms: int, *, trusted: bool = True) -> Now:
    return Now(ms, START_UTC_MS + ms, trusted)


def in_bed(profile: Profile = STANDARD) -> Ward:
    ward = Ward({"A": profile}, "Asia/Shanghai", now(0))
    ward.assume("A", "occupied", 7200)
    ward.advance(now(0))
    return ward


def events(effects: list[Effect]) -> list[tuple[int, str]]:
    return [(effect.at_ms, effect.event) for effect in effects]


def test_the_next_deadline_is_data() -> None:
    ward = in_bed()
    assert ward.next_deadline_ms() is None
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    assert ward.next_deadline_ms() == 5_000
    ward.advance(now(5_000))
    assert ward.next_deadline_ms() == 20 * MINUTE


def test_a_bed_is_busy_from_a_confirmed_exit_until_absence_and_alarm_are_both_over() -> None:
    """Busy beds are what an update waits for."""
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    assert not ward.is_busy("A")
    ward.advance(now(5_000))
    assert ward.is_busy("A")
    assert ward.view("A", now(5_000)).alarm == "none"
    ward.advance(now(21 * MINUTE))
    assert ward.is_busy("A")
    ward.handle(now(22 * MINUTE), facts.Occupancy("A", "occupied"))
    ward.advance(now(40 * MINUTE))
    view = ward.view("A", now(40 * MINUTE))
    assert (view.out_since_ms, view.alarm) == (None, "latched")
    assert ward.is_busy("A")
    ward.handle(now(40 * MINUTE), facts.Acknowledge("A"))
    assert not ward.is_busy("A")


def test_a_late_call_decides_at_the_deadlines_own_instant() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    late = ward.advance(now(24 * MINUTE))
    assert events(late) == [
        (5_000, "exit"),
        (20 * MINUTE, "alarm_raise"),
        (20 * MINUTE, "audio_on"),
        (23 * MINUTE, "escalate"),
    ]


def test_a_fact_that_comes_late_meets_the_deadlines_before_it_first() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    assert (20 * MINUTE, "alarm_raise") in events(ward.handle(now(21 * MINUTE), facts.Acknowledge("A")))


def test_an_elapsed_clock_that_goes_back_decides_nothing() -> None:
    ward = in_bed()
    ward.handle(now(MINUTE), facts.Occupancy("A", "empty"))
    assert ward.advance(now(0)) == []
    assert ward.next_deadline_ms() == MINUTE + 5_000


def test_every_effect_names_its_rule() -> None:
    ward = in_bed()
    decided = ward.handle(now(0), facts.Occupancy("A", "empty")) + ward.advance(now(30 * MINUTE))
    assert all(effect.rule for effect in decided)


def test_an_alarm_of_a_silent_belt_says_so() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.handle(now(MINUTE), facts.LinkDown("A"))
    raised = [effect for effect in ward.advance(now(21 * MINUTE)) if effect.event == "alarm_raise"]
    assert [effect.reason for effect in raised] == ["silent"]


def test_silence_counts_from_when_the_belt_was_last_heard() -> None:
    ward = in_bed()
    ward.handle(now(10_000), facts.LinkDown("A", last_heard_ms=4_000))
    assert ward.next_deadline_ms() == 94_000


def test_a_crash_without_a_word_sounds_an_unanswered_alarm_again() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.advance(now(21 * MINUTE))
    stored = json.loads(json.dumps(ward.to_state()))
    again = Ward.from_state(stored).handle(now(40 * MINUTE), facts.GatewayUp())
    assert [(effect.at_ms, effect.event, effect.rule) for effect in again] == [(40 * MINUTE, "audio_on", "17")]


def test_time_down_does_not_escalate_after_a_crash() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.advance(now(21 * MINUTE))
    restarted = Ward.from_state(ward.to_state())
    restarted.handle(now(40 * MINUTE), facts.GatewayUp())
    escalated = [effect for effect in restarted.advance(now(43 * MINUTE)) if effect.event == "escalate"]
    assert events(escalated) == [(42 * MINUTE, "escalate")]


def test_state_of_another_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="version"):
        Ward.from_state({"version": 99})


def test_a_fact_about_an_unknown_bed_is_none() -> None:
    assert in_bed().handle(now(0), facts.Occupancy("Z", "empty")) == []


def test_time_lost_and_found_is_logged_for_the_whole_gateway() -> None:
    ward = in_bed()
    lost = ward.advance(now(1_000, trusted=False))
    found = ward.handle(now(2_000, trusted=False), facts.ClockTrust(True))
    assert [(effect.event, effect.bed) for effect in (*lost, *found[:1])] == [
        ("time_untrusted", None),
        ("time_trusted", None),
    ]


def test_a_new_belt_starts_unknown_and_unarmed() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Unbind("A"))
    ward.bind("A", STANDARD, now(MINUTE))
    view = ward.view("A", now(MINUTE))
    assert (view.state, view.armed, view.bound, view.not_watched_reason) == ("unknown", False, True, "silent")


def test_a_minute_before_a_belt_was_bound_has_not_come_for_it() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Unbind("A"))
    profile = Profile(windows=(), not_up_by=23 * 60 + 30)
    ward.bind("A", profile, now(31 * MINUTE))
    early = ward.handle(now(31 * MINUTE), facts.LinkUp("A", "occupied", 7200))
    ward.handle(now(32 * MINUTE), facts.Unbind("A"))
    ward.bind("A", profile, now(24 * 60 * MINUTE + 30 * MINUTE))
    punctual = ward.handle(now(24 * 60 * MINUTE + 30 * MINUTE), facts.LinkUp("A", "occupied", 7200))
    assert [effect.event for effect in early] == []
    assert [effect.detail for effect in punctual] == ["not_up_by"]


@pytest.mark.parametrize(("late_ms", "noticed"), [(0, ["not_up_by"]), (1, [])])
def test_a_minute_set_a_millisecond_late_has_not_come(late_ms: int, noticed: list[str]) -> None:
    ward = in_bed()
    at_half_past = now(30 * MINUTE + late_ms)
    decided = ward.handle(at_half_past, facts.Configure("A", {"not_up_by": "23:30"}))
    assert [effect.detail for effect in decided] == noticed


@pytest.mark.parametrize(("late_ms", "noticed"), [(0, ["not_up_by"]), (1, [])])
def test_a_minute_a_millisecond_before_a_belt_was_bound_has_not_come(late_ms: int, noticed: list[str]) -> None:
    ward = in_bed()
    at_half_past = now(30 * MINUTE + late_ms)
    ward.bind("A", Profile(windows=(), not_up_by=23 * 60 + 30), at_half_past)
    decided = ward.handle(at_half_past, facts.LinkUp("A", "occupied", 7200))
    assert [effect.detail for effect in decided] == noticed


def test_never_occupied_since_belt_boot_is_no_exit() -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", now(0))
    ward.handle(now(0), facts.BeltReport("A", "empty", 60, ever_occupied=False))
    assert ward.advance(now(60 * MINUTE)) == []


def test_the_view_of_a_bed_in_use() -> None:
    view = in_bed().view("A", now(0))
    assert (view.state, view.armed, view.watched, view.alarm, view.mode) == ("present", True, True, "none", "active")


def test_the_view_of_a_running_absence_shows_its_deadline() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.advance(now(5_000))
    view = ward.view("A", now(5_000))
    assert (view.state, view.out_since_ms, view.deadline_ms) == ("absent", 0, 20 * MINUTE)
    assert view.deadline_utc_ms == START_UTC_MS + 20 * MINUTE


def test_the_view_of_a_held_episode() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.handle(now(10_000), facts.Occupancy("A", "occupied"))
    ward.advance(now(20_000))
    assert ward.view("A", now(20_000)).state == "held"


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (facts.MaintenanceOn("A"), "maintenance"),
        (facts.AwayOn("A"), "away"),
        (facts.Assist("A"), "assist"),
        (facts.LinkDown("A"), "silent"),
        (facts.Unbind("A"), "unbound"),
        (facts.GatewayDown(), "gateway_down"),
        (facts.Configure("A", {"windows": []}), "rule_off"),
    ],
)
def test_a_bed_that_is_not_watched_says_why(fact: facts.Fact, reason: str) -> None:
    ward = in_bed()
    ward.handle(now(0), fact)
    view = ward.view("A", now(0))
    assert (view.watched, view.not_watched_reason) == (False, reason)


def test_a_window_end_is_an_instant_of_the_elapsed_clock() -> None:
    # 05:50 in Shanghai is 6 h 50 min from 23:00; the window ends ten minutes later, before the deadline.
    ward = in_bed(Profile(tail="stop_at_end"))
    ward.handle(now(410 * MINUTE), facts.Occupancy("A", "empty"))
    ward.advance(now(410 * MINUTE + 5_000))
    assert ward.next_deadline_ms() == 420 * MINUTE
    assert ward.advance(now(500 * MINUTE)) == []


def test_a_base_before_the_window_is_an_instant_of_the_elapsed_clock() -> None:
    # 21:30 in Shanghai is 22 h 30 min from 23:00; the window opens at 22:00.
    ward = in_bed()
    ward.handle(now(1350 * MINUTE), facts.Occupancy("A", "empty"))
    raised = [effect for effect in ward.advance(now(1420 * MINUTE)) if effect.event == "alarm_raise"]
    assert events(raised) == [(1400 * MINUTE, "alarm_raise")]


def test_a_time_of_day_is_an_instant_of_the_elapsed_clock() -> None:
    ward = in_bed(Profile(not_up_by=8 * 60))
    raised = ward.advance(now(600 * MINUTE))
    assert events(raised) == [(540 * MINUTE, "notice")]


def test_a_clock_that_is_corrected_by_a_second_brings_no_minute_twice() -> None:
    ward = in_bed(Profile(not_up_by=8 * 60))
    eight_ms = 540 * MINUTE
    ward.advance(now(eight_ms))
    corrected = Now(eight_ms + 500, START_UTC_MS + eight_ms - 500)
    ward.handle(corrected, facts.MaintenanceOn("A"), facts.MaintenanceOff("A"))
    assert ward.advance(Now(eight_ms + 60_000, START_UTC_MS + eight_ms + 59_000)) == []


def test_a_shortened_allowance_of_untrusted_time_is_the_smallest_again() -> None:
    ward = in_bed()
    ward.advance(now(1_000, trusted=False))
    ward.handle(now(2_000, trusted=False), facts.Occupancy("A", "empty"))
    ward.advance(now(10_000, trusted=False))
    ward.handle(now(11_000, trusted=False), facts.Configure("A", {"allowed_s": 60}))
    assert ward.next_deadline_ms() == 62_000


def test_a_belt_first_heard_empty_and_then_touched_has_lost_its_exit() -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", now(0))
    ward.handle(now(0), facts.BeltReport("A", "empty", 2))
    ward.handle(now(1_000), facts.Occupancy("A", "occupied"))
    ward.handle(now(2_000), facts.Occupancy("A", "empty"))
    assert ward.advance(now(60 * MINUTE)) == []


def test_a_restored_ward_knows_the_wall_clock_before_it_is_told() -> None:
    ward = in_bed(Profile(not_up_by=8 * 60))
    restored = Ward.from_state(json.loads(json.dumps(ward.to_state())))
    assert restored.next_deadline_ms() == ward.next_deadline_ms() == 540 * MINUTE


def test_a_resumed_exit_sounds_by_rule_5() -> None:
    ward = in_bed()
    ward.handle(now(0), facts.Occupancy("A", "empty"))
    ward.handle(now(21 * MINUTE), facts.Occupancy("A", "occupied"))
    ward.handle(now(21 * MINUTE + 30_000), facts.Occupancy("A", "empty"))
    sounds = [effect.rule for effect in ward.advance(now(22 * MINUTE)) if effect.event == "audio_on"]
    assert sounds == ["5"]


@pytest.mark.parametrize(("age_s", "opens"), [(3600, True), (3601, False)])
def test_first_heard_empty_opens_an_episode_up_to_carry_in_s(age_s: int, opens: bool) -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", now(0))
    heard = ward.handle(now(0), facts.BeltReport("A", "empty", age_s))
    assert ("exit" in [effect.event for effect in heard]) == opens


def test_first_heard_empty_is_still_a_first_contact_after_a_moment_of_unclear() -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", now(0))
    ward.handle(now(0), facts.BeltReport("A", "empty", 2))
    ward.handle(now(1_000), facts.Occupancy("A", "unclear"))
    ward.handle(now(2_000), facts.Occupancy("A", "empty"))
    assert events(ward.advance(now(MINUTE))) == [(7_000, "exit")]
