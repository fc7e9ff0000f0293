"""What a page is told of a bed, and the ward's own clockwork to the millisecond."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cores import facts
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import BedView, Now, Ward
from gateway.cores.leave_bed.ward import in_log_order
from gateway.cores.profile import STANDARD, Profile, Window

START_UTC_MS = 1_795_446_000_000  # 2026-11-23 23:00 in Shanghai
MINUTE = 60_000
OUTSIDE = Profile(windows=(Window(start_min=2 * 60, end_min=4 * 60),), carry_in_s=0)


def at(ms: int, *, trusted: bool = True) -> Now:
    return Now(ms, START_UTC_MS + ms, trusted)


def in_bed(profile: Profile = STANDARD, *beds: str) -> Ward:
    ward = Ward(dict.fromkeys(beds or ("A",), profile), "Asia/Shanghai", at(0))
    for bed in beds or ("A",):
        ward.assume(bed, "occupied", 7200)
    ward.advance(at(0))
    return ward


def after(ward: Ward, *happened: tuple[int, facts.Fact], look_ms: int | None = None) -> BedView:
    """The view of A after these moments."""
    for ms, fact in happened:
        ward.handle(at(ms), fact)
    now_ms = look_ms if look_ms is not None else happened[-1][0]
    ward.advance(at(now_ms))
    return ward.view("A", at(now_ms))


LEFT = (0, facts.Occupancy("A", "empty"))
LATE = 21 * MINUTE


def test_a_bed_without_an_alarm_shows_no_level_and_the_priority_it_would_have() -> None:
    view = after(in_bed(Profile(priority="high")), LEFT, look_ms=6000)
    assert (view.alarm, view.level, view.priority, view.alarm_since_ms) == ("none", 0, "high", None)
    assert (view.out_since_utc_ms, view.deadline_utc_ms) == (START_UTC_MS, START_UTC_MS + 20 * MINUTE)


def test_an_alarm_keeps_the_priority_it_was_raised_with() -> None:
    view = after(in_bed(), LEFT, (LATE, facts.Configure("A", {"priority": "low"})))
    assert (view.alarm, view.level, view.priority) == ("unacknowledged", 1, "medium")
    assert (view.alarm_since_ms, view.deadline_ms, view.sounding) == (20 * MINUTE, None, True)


def test_a_held_absence_shows_no_deadline() -> None:
    view = after(in_bed(), LEFT, (10_000, facts.Occupancy("A", "occupied")), look_ms=21_000)
    assert (view.state, view.deadline_ms, view.prealert) == ("held", None, False)


def test_a_carers_presence_puts_the_shown_deadline_off_to_its_end() -> None:
    pressed_early, pressed_late = (MINUTE, facts.Assist("A")), (10 * MINUTE, facts.Assist("A"))
    assert after(in_bed(), LEFT, pressed_early).deadline_ms == 20 * MINUTE
    assert after(in_bed(), LEFT, pressed_late).deadline_ms == 25 * MINUTE
    assert after(in_bed(OUTSIDE), LEFT, pressed_early).deadline_ms is None


@pytest.mark.parametrize(
    ("then", "realarm_ms"),
    [
        ([], None),
        ([(LATE, facts.Acknowledge("A"))], 31 * MINUTE),
        ([(LATE, facts.Acknowledge("A")), (25 * MINUTE, facts.Assist("A"))], 40 * MINUTE),
        ([(LATE, facts.Acknowledge("A")), (LATE, facts.Occupancy("A", "occupied"))], 31 * MINUTE),
        ([(LATE, facts.Acknowledge("A")), (LATE, facts.Occupancy("A", "occupied", 11))], None),
    ],
)
def test_an_answered_alarm_shows_when_it_calls_again(then: Any, realarm_ms: int | None) -> None:
    assert after(in_bed(), LEFT, (20 * MINUTE, facts.Configure("A", {})), *then).realarm_ms == realarm_ms


@pytest.mark.parametrize(
    ("happened", "armed_ms"),
    [
        ([], None),
        ([(0, facts.AwayOn("A"))], None),
        ([(0, facts.AwayOn("A")), (1000, facts.AwayOff("A"))], 61_000),
        ([(0, facts.AwayOn("A")), (1000, facts.AwayOff("A")), (1000, facts.LinkDown("A"))], None),
        ([LEFT, (6000, facts.Occupancy("A", "occupied")), (16_000, facts.Acknowledge("A"))], 66_000),
        ([LEFT, (6000, facts.Occupancy("A", "occupied"))], None),
    ],
)
def test_a_bed_that_settles_shows_when_it_will_be_armed(happened: Any, armed_ms: int | None) -> None:
    assert after(in_bed(), *(happened or [(0, facts.Acknowledge("A"))])).armed_ms == armed_ms


def test_a_prealert_is_shown() -> None:
    view = after(in_bed(Profile(prealert_s=300)), LEFT, look_ms=16 * MINUTE)
    assert view.prealert


@pytest.mark.parametrize(
    ("happened", "until_ms"),
    [
        ([(0, facts.Assist("A"))], 15 * MINUTE),
        ([(0, facts.Assist("A")), (MINUTE, facts.AwayOn("A"))], None),
        ([(0, facts.MaintenanceOn("A")), (MINUTE, facts.MaintenanceOff("A"))], None),
        ([(0, facts.Assist("A")), (16 * MINUTE, facts.Acknowledge("A"))], None),
    ],
)
def test_a_mode_shows_its_end_while_it_has_one(happened: Any, until_ms: int | None) -> None:
    view = after(in_bed(), *happened)
    assert view.mode_until_ms == until_ms
    assert view.mode_until_utc_ms == (None if until_ms is None else START_UTC_MS + until_ms)


def test_a_silent_belt_is_offline_when_that_is_raised() -> None:
    ward = in_bed()
    assert not after(ward, LEFT).silent
    before = after(ward, (1000, facts.LinkDown("A")))
    assert (before.silent, before.offline) == (True, False)
    assert after(ward, look_ms=92_000).offline


def test_radio_down_shows_on_silent_beds_alone() -> None:
    ward = in_bed(STANDARD, "A", "B")
    ward.handle(at(0), facts.LinkDown("A"), facts.LinkDown("B"))
    down = after(ward, look_ms=90_000)
    assert (down.silent, down.offline) == (True, True)
    ward.handle(at(91_000), facts.Occupancy("A", "occupied"))
    assert [ward.view(bed, at(91_000)).offline for bed in "AB"] == [False, True]


@pytest.mark.parametrize(
    ("profile", "happened", "reason"),
    [
        (STANDARD, [LEFT, (6000, facts.Acknowledge("A")), (7000, facts.LinkDown("A"))], ""),
        (OUTSIDE, [(0, facts.LinkDown("A"))], "silent"),
        (OUTSIDE, [(0, facts.Acknowledge("A"))], "outside_window"),
        (OUTSIDE, [LEFT, (6000, facts.Acknowledge("A"))], "outside_window"),
        (STANDARD, [(0, facts.AwayOn("A")), (0, facts.AwayOff("A"))], "not_settled"),
        (STANDARD, [LEFT, (10_000, facts.Occupancy("A", "occupied")), (25_000, facts.Acknowledge("A"))], ""),
    ],
)
def test_a_bed_is_watched_or_says_why_not(profile: Profile, happened: Any, reason: str) -> None:
    view = after(in_bed(profile), *happened)
    assert (view.watched, view.not_watched_reason) == (not reason, reason)


def test_an_absence_from_before_the_settings_is_watched_although_its_window_is_over() -> None:
    # Out since 05:50, allowed until 06:10; at 06:05 no window is open any more.
    left = (410 * MINUTE, facts.Occupancy("A", "empty"))
    view = after(in_bed(), left, (425 * MINUTE, facts.Acknowledge("A")))
    assert (view.watched, view.window_open, view.deadline_ms) == (True, False, 430 * MINUTE)


def test_who_is_held_outside_the_window_is_not_watched_for_it() -> None:
    back = (10_000, facts.Occupancy("A", "occupied"))
    assert after(in_bed(OUTSIDE), LEFT, back, look_ms=21_000).not_watched_reason == "outside_window"


def test_an_absence_that_no_window_times_is_not_watched_when_one_opens() -> None:
    ward = in_bed(OUTSIDE)
    assert after(ward, LEFT, look_ms=210 * MINUTE).not_watched_reason == "outside_window"
    back = (211 * MINUTE, facts.Occupancy("A", "occupied"))
    assert after(ward, back, look_ms=211 * MINUTE + 11_000).watched


def test_a_moment_of_unclear_does_not_begin_the_absence_anew() -> None:
    unclear = (10_000, facts.Occupancy("A", "unclear"))
    assert after(in_bed(), LEFT, unclear, (20_000, facts.Occupancy("A", "empty")), look_ms=30_000).since_ms == 0


def test_a_belt_first_heard_in_maintenance_opens_no_episode_when_that_ends() -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", at(0))
    ward.handle(at(0), facts.MaintenanceOn("A"))
    ward.handle(at(0), facts.BeltReport("A", "empty", 2))
    ward.handle(at(1000), facts.MaintenanceOff("A"))
    assert ward.advance(at(MINUTE)) == []


def test_a_bed_without_a_resident_is_out_of_bed() -> None:
    ward = Ward({"A": STANDARD}, "Asia/Shanghai", at(0))
    ward.assume("A", "empty", 7200)
    assert after(ward, look_ms=0).not_watched_reason == "out_of_bed"


# --- the ward --------------------------------------------------------------------------------------------------------


def test_beds_and_their_settings_are_told() -> None:
    ward = in_bed(OUTSIDE, "A", "B")
    assert (ward.beds(), ward.profile("B")) == (["A", "B"], OUTSIDE)


def test_a_moment_is_trusted_unless_it_says_otherwise() -> None:
    assert Now(1, 2) == Now(1, 2, True)


def test_the_stored_state_names_its_version() -> None:
    assert in_bed().to_state()["version"] == 1


def test_a_ward_that_begins_late_on_its_axis_knows_the_wall_clock() -> None:
    began = 5 * MINUTE
    ward = Ward({"A": Profile(not_up_by=23 * 60 + 30)}, "Asia/Shanghai", at(began))
    ward.assume("A", "occupied", 7200)
    assert ward.next_deadline_ms() == 30 * MINUTE


def test_nothing_is_due_while_the_gateway_is_down_or_the_bed_unbound() -> None:
    ward = in_bed()
    ward.handle(at(0), facts.LinkDown("A"))
    ward.handle(at(1000), facts.Unbind("A"))
    assert ward.next_deadline_ms() is None
    ward = in_bed()
    ward.handle(at(0), facts.Occupancy("A", "empty"))
    ward.handle(at(1000), facts.GatewayDown())
    assert ward.next_deadline_ms() is None
    assert ward.handle(at(2000), facts.ClockTrust(False)) == []


def test_an_unclear_bed_waits_for_the_next_window_on_the_elapsed_clock() -> None:
    ward = in_bed(OUTSIDE)
    ward.handle(at(0), facts.Occupancy("A", "unclear"))
    ward.advance(at(MINUTE))
    assert ward.next_deadline_ms() == 180 * MINUTE


def test_a_fact_given_without_trusted_time_is_taken_without_it() -> None:
    ward = in_bed(OUTSIDE)
    ward.handle(at(0), facts.Occupancy("A", "empty"))
    ward.handle(at(6000, trusted=False), facts.Configure("A", OUTSIDE.as_mapping()))
    assert ward.next_deadline_ms() == 20 * MINUTE


def test_a_belt_that_is_not_bound_says_nothing_about_the_radio() -> None:
    ward = in_bed(STANDARD, "A", "B", "C")
    ward.handle(at(0), *(facts.LinkDown(bed) for bed in "ABC"))
    ward.handle(at(100_000), facts.Unbind("C"))
    assert ward.handle(at(101_000), facts.Occupancy("C", "occupied")) == []


@pytest.mark.parametrize(("apart_ms", "code"), [(30_000, "radio_down"), (30_001, "belt_offline")])
def test_belts_that_fall_silent_within_thirty_seconds_fall_silent_together(apart_ms: int, code: str) -> None:
    ward = in_bed(STANDARD, "A", "B")
    ward.handle(at(0), facts.LinkDown("A"))
    ward.handle(at(apart_ms), facts.LinkDown("B"))
    (effect,) = ward.advance(at(90_000))
    assert (effect.at_ms, effect.detail) == (90_000, code)


def test_boot_wait_and_radio_down_go_on_in_a_ward_restored_in_between() -> None:
    ward = in_bed(STANDARD, "A", "B")
    ward.handle(at(0), facts.Occupancy("A", "empty"))
    ward.handle(at(MINUTE), facts.GatewayDown())
    ward.handle(at(30 * MINUTE), facts.GatewayUp())
    ward = Ward.from_state(json.loads(json.dumps(ward.to_state())))
    (raised, *_) = ward.advance(at(31 * MINUTE))
    assert (raised.at_ms, raised.event) == (30 * MINUTE + 15_000, "alarm_raise")
    ward.advance(at(32 * MINUTE))
    ward = Ward.from_state(json.loads(json.dumps(ward.to_state())))
    (cleared, *_) = ward.handle(at(33 * MINUTE), facts.Occupancy("B", "occupied", 9000))
    assert (cleared.event, cleared.detail) == ("tech_clear", "radio_down")


def test_a_state_can_be_restored_twice() -> None:
    ward = in_bed(Profile(reposition_s=60, hr_high=100, repeat_count=1, not_up_by=23 * 60 + 2))
    ward.handle(at(1000), facts.Vitals("A", heart_rate_bpm=130))
    ward.advance(at(5000))
    state = json.loads(json.dumps(ward.to_state()))
    kept = json.dumps(state)
    for _ in range(2):
        restored = Ward.from_state(state)
        for second in range(10, 70, 10):
            restored.handle(at(second * 1000), facts.Vitals("A", heart_rate_bpm=130))
        told = restored.handle(at(121_000), facts.Occupancy("A", "empty", 10))
        assert {effect.detail for effect in told} >= {"not_up_by", "reposition", "repeated_exits"}
        assert json.dumps(state) == kept


def test_notices_of_a_second_stand_behind_what_comes_later_in_it() -> None:
    notice, alarm, next_second = (
        Effect(ms, "A", event) for ms, event in ((1, "notice"), (1000, "alarm_raise"), (1001, "audio_on"))
    )
    assert in_log_order([notice, alarm, next_second]) == [alarm, notice, next_second]


def test_vital_notices_come_and_go_to_the_millisecond() -> None:
    ward = in_bed(Profile(hr_high=100))

    def hear(first_s: int, last_s: int, rate: float) -> list[tuple[int, str]]:
        heard = [
            ward.handle(at(s * 1000 + 1), facts.Vitals("A", heart_rate_bpm=rate)) for s in range(first_s, last_s, 9)
        ]
        return [(effect.at_ms, effect.event) for effects in heard for effect in effects]

    assert hear(0, 72, 130) == [(60_001, "notice")]
    assert hear(72, 126, 80) == [(102_001, "notice_clear")]
    assert hear(126, 198, 130) == [(186_001, "notice")]


def test_a_reading_holds_for_ten_seconds_to_the_millisecond() -> None:
    ward = in_bed(Profile(hr_high=100, sustain_s=10))
    ward.handle(at(1), facts.Vitals("A", heart_rate_bpm=130))
    assert [effect.at_ms for effect in ward.advance(at(30_000))] == [10_001]
    ward = in_bed(Profile(hr_high=100, sustain_s=10.001))
    ward.handle(at(1), facts.Vitals("A", heart_rate_bpm=130))
    assert ward.advance(at(30_000)) == []


def test_unclear_is_a_notice_after_sixty_seconds_to_the_millisecond() -> None:
    ward = in_bed()
    ward.handle(at(7), facts.Occupancy("A", "unclear"))
    assert [effect.at_ms for effect in ward.advance(at(2 * MINUTE))] == [60_007]


def test_a_turn_over_before_an_exit_reminds_nobody_of_the_empty_bed() -> None:
    ward = in_bed(Profile(reposition_s=600))
    ward.handle(at(0), facts.TurnOver("A"))
    ward.handle(at(1000), facts.Occupancy("A", "empty"))
    assert [effect.event for effect in ward.advance(at(15 * MINUTE))] == ["exit"]


def test_no_signal_without_any_word_of_the_rates_counts_from_the_first_denial() -> None:
    ward = Ward({"A": Profile(no_signal_s=180)}, "Asia/Shanghai", at(0))
    ward.handle(at(0), facts.BeltReport("A", "occupied", 0))
    ward.handle(at(100_000), facts.Vitals("A", valid=False))
    assert [effect.at_ms for effect in ward.advance(at(6 * MINUTE))] == [280_000]


def test_no_signal_keeps_its_reason_and_without_one_blames_the_sensor() -> None:
    for said, reason in (((facts.WEAK, None), "weak"), ((None, None), "sensor")):
        ward = in_bed(Profile(no_signal_s=180))
        for second, word in enumerate(said):
            ward.handle(at(second * 1000), facts.Vitals("A", valid=False, reason=word))
        assert [effect.reason for effect in ward.advance(at(4 * MINUTE))] == [reason]


def test_sound_that_ends_names_the_rule_that_ended_it() -> None:
    ward = in_bed()
    ward.handle(at(0), facts.Occupancy("A", "empty"))
    ward.advance(at(LATE))
    answered = Ward.from_state(ward.to_state()).handle(at(LATE), facts.Acknowledge("A"))
    ward.handle(at(LATE), facts.Occupancy("A", "occupied"))
    returned = ward.advance(at(LATE + 10_000))
    assert [(e.event, e.rule) for e in (*answered, *returned)] == [
        ("ack", "11"),
        ("audio_off", "11"),
        ("audio_off", "2"),
    ]
