"""walk_test: each of the eight steps passes at its limit, fails beyond it, and says what it saw."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores.walk_test import STEPS, WalkTest

CHANNELS, POINTS = ("page", "buzzer"), ("page", "button:door")


class Walk:
    """A technician and a belt that reports each second."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.test = WalkTest("101-1", CHANNELS, POINTS, self.now_ms)
        self.occupancy, self.rate, self.moving, self.exits = "empty", False, False, 3
        self.number = 0
        self.mute = False
        self.rssi = -60.0

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ms += 1000
            self.number += 1
            if not self.mute:
                self.test.said(
                    self.now_ms, self.occupancy, rate=self.rate, moving=self.moving, exits=self.exits,
                    report=("report", self.number),
                )  # fmt: skip
                self.test.strength(self.now_ms, self.rssi)
            self.test.advance(self.now_ms)

    def go(self) -> None:
        assert self.test.go(self.now_ms)

    def roll(self, times: int) -> None:
        for _ in range(times):
            self.moving = True
            self.wait(2)
            self.moving = False
            self.wait(5)

    def state(self, name: str) -> tuple[str, str]:
        step = self.test.steps[STEPS.index(name)]
        return step.state, step.reason

    def to(self, name: str) -> None:
        """Pass everything before the step `name`."""
        for step in STEPS[: STEPS.index(name)]:
            getattr(self, f"_{step}")()
            assert self.state(step) == ("passed", ""), step

    def _empty(self) -> None:
        self.go()
        self.wait(60)

    def _lie_down(self) -> None:
        self.go()
        self.occupancy = "occupied"
        self.wait(1)

    def _rate(self) -> None:
        self.rate = True
        self.wait(1)

    def _roll(self) -> None:
        self.go()
        self.roll(2)
        self.test.done(self.now_ms)

    def _get_up(self) -> None:
        self.go()
        self.occupancy, self.rate = "empty", False
        self.wait(4)
        self.test.ward(self.now_ms, "absent")
        self.exits += 1

    def _alarm(self) -> None:
        self.go()
        for channel in CHANNELS:
            self.test.delivered(self.now_ms, channel, 12, "")
            self.test.confirm(self.now_ms, channel, True)
        self.wait(30)

    def _acknowledge(self) -> None:
        self.go()
        for point in POINTS:
            self.test.acknowledged(self.now_ms, point, 40)

    def evidence(self, name: str) -> dict[str, Any]:
        return self.test.steps[STEPS.index(name)].evidence


def test_a_good_bed_passes_all_eight_steps_and_says_what_was_seen() -> None:
    walk = Walk()
    walk.to("radio")
    walk.wait(180)
    assert walk.test.finished
    assert walk.test.passed
    shown = walk.test.to_json()
    assert [step["step"] for step in shown["steps"]] == list(STEPS)
    assert walk.evidence("lie_down") == {"occupied_after_s": 1.0}
    assert walk.evidence("rate") == {"rate_after_s": 1.0}
    assert walk.evidence("roll")["movements"] == 2
    assert walk.evidence("get_up")["absent_after_s"] == 4.0
    assert walk.evidence("radio")["rssi_dbm_median"] == -60.0
    assert walk.evidence("radio")["heard_share"] == 1.0


def test_something_on_an_empty_bed_fails_at_once() -> None:
    walk = Walk()
    walk.go()
    walk.wait(59)
    walk.occupancy = "unclear"
    walk.wait(1)
    assert walk.state("empty") == ("failed", "not_empty")


def test_a_belt_that_was_just_plugged_in_may_be_unclear_first_and_then_no_more() -> None:
    walk = Walk()
    walk.occupancy = "unclear"
    walk.go()
    walk.wait(20)
    walk.occupancy = "empty"
    walk.wait(59)
    assert walk.state("empty") == ("running", "")
    walk.wait(1)
    assert walk.state("empty") == ("passed", "")
    stuck = Walk()
    stuck.occupancy = "unclear"
    stuck.go()
    stuck.wait(31)
    assert stuck.state("empty") == ("failed", "not_empty")


def test_a_belt_that_says_nothing_is_not_an_empty_bed() -> None:
    walk = Walk()
    walk.mute = True
    walk.go()
    walk.wait(60)
    assert walk.state("empty") == ("failed", "silent")


@pytest.mark.parametrize(("seconds", "outcome"), [(15, ("passed", "")), (18, ("failed", "not_occupied"))])
def test_lying_down_has_fifteen_seconds(seconds: int, outcome: tuple[str, str]) -> None:
    walk = Walk()
    walk.to("lie_down")
    walk.go()
    walk.wait(seconds - 1)
    walk.occupancy = "occupied"
    walk.wait(1)
    assert walk.state("lie_down") == outcome


@pytest.mark.parametrize(("seconds", "outcome"), [(120, ("passed", "")), (123, ("failed", "no_rate"))])
def test_a_rate_has_two_minutes(seconds: int, outcome: tuple[str, str]) -> None:
    walk = Walk()
    walk.to("rate")
    walk.wait(seconds - 1)
    walk.rate = True
    walk.wait(1)
    assert walk.state("rate") == outcome


def test_rolling_that_counts_as_an_exit_fails_and_so_does_lying_still() -> None:
    walk = Walk()
    walk.to("roll")
    walk.go()
    walk.roll(1)
    walk.exits += 1
    walk.wait(1)
    assert walk.state("roll") == ("failed", "exit")
    walk.go()
    walk.roll(1)
    walk.test.done(walk.now_ms)
    assert walk.state("roll") == ("failed", "no_movement")
    walk.go()
    walk.roll(2)
    walk.test.done(walk.now_ms)
    assert walk.state("roll") == ("passed", "")


@pytest.mark.parametrize(("seconds", "outcome"), [(10, ("passed", "")), (13, ("failed", "not_absent"))])
def test_getting_up_has_ten_seconds(seconds: int, outcome: tuple[str, str]) -> None:
    walk = Walk()
    walk.to("get_up")
    walk.go()
    walk.occupancy = "empty"
    walk.wait(seconds)
    walk.test.ward(walk.now_ms, "absent")
    assert walk.state("get_up") == outcome


def test_what_was_heard_in_time_counts_though_it_comes_late() -> None:
    walk = Walk()
    walk.to("lie_down")
    walk.go()
    began_ms = walk.now_ms
    walk.mute = True
    walk.wait(17)
    walk.test.said(began_ms + 15_000, "occupied", rate=False, moving=False, exits=3, report=("report", 9999))
    assert walk.state("lie_down") == ("passed", "")


def test_getting_up_before_the_tap_counts() -> None:
    walk = Walk()
    walk.to("get_up")
    walk.test.ward(walk.now_ms, "absent")
    walk.go()
    assert walk.state("get_up") == ("passed", "")


def test_the_test_alarm_lasts_thirty_seconds_and_every_channel_must_be_confirmed() -> None:
    walk = Walk()
    walk.to("alarm")
    walk.go()
    assert walk.test.effects == ["alarm_on"]
    walk.test.confirm(walk.now_ms, "page", True)
    walk.wait(29)
    assert "alarm_off" not in walk.test.effects
    walk.wait(1)
    assert walk.test.effects == ["alarm_on", "alarm_off"]
    assert walk.state("alarm") == ("running", "")
    walk.test.confirm(walk.now_ms, "buzzer", False)
    assert walk.state("alarm") == ("failed", "not_confirmed")
    assert walk.evidence("alarm")["missing"] == ["buzzer"]


def test_a_confirmation_that_never_comes_fails() -> None:
    walk = Walk()
    walk.to("alarm")
    walk.go()
    walk.wait(151)
    assert walk.state("alarm") == ("failed", "not_confirmed")


@pytest.mark.parametrize(("latency_ms", "outcome"), [(2000, ("passed", "")), (2001, ("failed", "slow"))])
def test_every_point_silences_within_two_seconds(latency_ms: int, outcome: tuple[str, str]) -> None:
    walk = Walk()
    walk.to("acknowledge")
    walk.test.effects.clear()
    walk.go()
    walk.test.acknowledged(walk.now_ms, "page", 30)
    assert walk.test.effects == ["alarm_on", "alarm_on"]  # it sounds again for the next point
    walk.test.acknowledged(walk.now_ms, "button:door", latency_ms)
    assert walk.state("acknowledge") == outcome
    assert walk.test.effects[-1] == "alarm_off"


@pytest.mark.parametrize(("way_ms", "outcome"), [(1970, ("passed", "")), (1971, ("failed", "slow"))])
def test_what_an_answer_was_on_its_way_counts_and_is_told(way_ms: int, outcome: tuple[str, str]) -> None:
    walk = Walk()
    walk.to("acknowledge")
    walk.go()
    walk.test.acknowledged(walk.now_ms, "page", 30)
    walk.test.acknowledged(walk.now_ms, "button:door", 30, way_ms)
    assert walk.state("acknowledge") == outcome
    assert walk.evidence("acknowledge") == {
        "latency_ms": {"page": 30, "button:door": 30 + way_ms},
        "way_ms": {"button:door": way_ms},
    }


def test_a_point_that_nobody_presses_is_named() -> None:
    walk = Walk()
    walk.to("acknowledge")
    walk.go()
    walk.test.acknowledged(walk.now_ms, "page", 30)
    walk.wait(121)
    assert walk.state("acknowledge") == ("failed", "no_answer")
    assert walk.evidence("acknowledge")["missing"] == ["button:door"]


def test_a_weak_radio_fails_with_advice_and_its_repetition_has_three_new_minutes() -> None:
    walk = Walk()
    walk.rssi = -85.0
    walk.to("radio")
    walk.wait(180)
    assert walk.state("radio") == ("failed", "weak")
    assert walk.evidence("radio")["advice"]
    walk.rssi = -60.0
    walk.now_ms += 100  # the technician has moved the gateway, and starts the step again
    walk.go()
    walk.wait(179)
    assert walk.state("radio") == ("running", "")
    walk.wait(1)
    assert walk.state("radio") == ("passed", "")


def test_lost_reports_fail_the_radio() -> None:
    walk = Walk()
    walk.to("radio")
    walk.mute = True
    walk.wait(100)
    walk.mute = False
    walk.wait(60)
    while walk.state("radio")[0] == "running":
        walk.wait(1)
    assert walk.state("radio") == ("failed", "lossy")


def test_a_failed_step_can_be_left_behind_and_then_the_bed_has_not_passed() -> None:
    walk = Walk()
    walk.to("get_up")
    walk.go()
    walk.wait(14)
    walk.test.skip(walk.now_ms)
    walk._alarm()
    walk._acknowledge()
    walk.wait(180)
    assert walk.test.finished
    assert not walk.test.passed


@pytest.mark.parametrize("step", ["alarm", "acknowledge"])
def test_a_real_alarm_ends_the_step_of_a_test_alarm_and_nothing_else(step: str) -> None:
    walk = Walk()
    walk.to(step)
    walk.test.interrupted(walk.now_ms)
    assert walk.state(step) == ("waiting", "")
    walk.go()
    for channel in CHANNELS:
        walk.test.confirm(walk.now_ms, channel, True)
    walk.test.interrupted(walk.now_ms)
    assert walk.state(step) == ("failed", "real_alarm")
    assert walk.test.effects[-1] == "alarm_off"
