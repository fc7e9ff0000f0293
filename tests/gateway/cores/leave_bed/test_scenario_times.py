"""When an event of a scenario file is: times of day, full times, clock changes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores.scenario import read_scenario
from gateway.cores.scenario_fields import ScenarioError, TimeLine
from tests.gateway.cores.leave_bed.nights import do, empty, only, scenario

LONDON_AUTUMN: dict[str, Any] = {"start": "2026-10-24T23:00:00", "timezone": "Europe/London"}


def test_a_time_of_day_before_the_start_belongs_to_the_next_day() -> None:
    line = TimeLine("2026-11-23T21:30:00", "Asia/Shanghai")
    assert line.at_ms("21:30:00", "at") == line.start_ms
    assert line.at_ms("21:29:59", "at") == line.start_ms + 86_399_000


def test_a_time_with_a_z_is_utc() -> None:
    line = TimeLine("2026-11-23T21:30:00", "Asia/Shanghai")
    assert line.at_ms("2026-11-23T13:30:10Z", "at") == line.start_ms + 10_000


def test_a_start_in_utc_makes_times_of_day_utc() -> None:
    line = TimeLine("2026-11-23T21:30:00Z", "Asia/Shanghai")
    assert line.at_ms("22:30:00", "at") == line.start_ms + 3_600_000


def test_a_repeated_local_time_below_its_first_pass_is_the_second() -> None:
    events = [do("01:40:00", "assist"), do("01:20:00", "assist")]
    happenings = read_scenario(scenario(events, "03:00:00", **LONDON_AUTUMN)).happenings
    assert happenings[1][0] - happenings[0][0] == 40 * 60_000


def test_a_skipped_local_time_is_refused() -> None:
    with pytest.raises(ScenarioError, match="skipped"):
        TimeLine("2027-03-28T01:30:00", "Europe/London")


def test_the_log_is_local_or_utc_as_asked() -> None:
    left = empty("2026-11-23T15:00:00Z")
    assert only("alarm_raise", left, end="23:21:00") == ["23:20:00 alarm_raise medium"]
    assert only("alarm_raise", left, end="23:21:00", times="utc") == ["15:20:00Z alarm_raise medium"]


def test_a_decision_between_two_seconds_is_never_logged_early() -> None:
    assert only("exit", empty("23:00:00"), profile={"exit_confirm_s": 2.5}) == ["23:00:03 exit"]
