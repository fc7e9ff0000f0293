"""Settings: defaults, merging, and an error that names the field for everything that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores.profile import SHIPPED, Profile, ProfileError, Window


def test_the_defaults_are_those_of_the_specification() -> None:
    profile = Profile()
    assert profile.windows == (Window("1234567", 22 * 60, 6 * 60, False, 1200),)
    assert (profile.exit_confirm_s, profile.entry_confirm_s, profile.settle_s, profile.carry_in_s) == (5, 10, 60, 3600)
    assert (profile.escalate_after_s, profile.max_level, profile.realarm_s, profile.assist_s) == (180, 3, 600, 900)
    assert (profile.maintenance_max_s, profile.offline_after_s, profile.boot_wait_s) == (3600, 90, 15)
    assert (profile.tail, profile.latch, profile.priority, profile.prealert_s) == ("run_out", "visual", "medium", 0)


def test_the_shipped_profiles_differ_as_specified() -> None:
    assert SHIPPED["high-fall-risk"].windows[0].allowed_s == 0
    assert (SHIPPED["high-fall-risk"].exit_confirm_s, SHIPPED["high-fall-risk"].priority) == (3, "high")
    assert SHIPPED["independent"].windows[0].allowed_s == 2400
    wanderer = SHIPPED["wanderer"]
    assert (wanderer.windows[0].allowed_s, wanderer.repeat_count, wanderer.repeat_span_s) == (600, 3, 7200)
    assert SHIPPED["bedbound"].reposition_s == 7200
    assert (SHIPPED["palliative"].windows, SHIPPED["palliative"].no_signal_s) == ((), 180)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_survives_being_stored_and_being_written(name: str) -> None:
    assert Profile.from_state(SHIPPED[name].to_state()) == SHIPPED[name]
    assert Profile().merged(SHIPPED[name].as_mapping()).windows == SHIPPED[name].windows


def test_allowed_s_sets_every_window() -> None:
    windows = [{"days": "12", "start": "20:00", "end": "21:00", "allowed_s": 1}, {"days": "3", "all_day": True}]
    profile = Profile().merged({"windows": windows, "allowed_s": 77})
    assert [window.allowed_s for window in profile.windows] == [77, 77]


def test_a_refused_change_leaves_the_profile_as_it_was() -> None:
    profile = Profile()
    with pytest.raises(ProfileError):
        profile.merged({"allowed_s": 5, "windows": [{"days": "1", "start": "22:00", "end": "22:00"}]})
    assert profile == Profile()


NIGHT = {"start": "22:00", "end": "06:00"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"windows": [{"days": "1", "start": "22:00", "end": "22:00"}]}, "window_empty", "profile.windows[0]"),
    ({"windows": [NIGHT, {"start": "05:59", "end": "07:00"}]}, "window_overlap", "profile.windows[1]"),
    ({"windows": [NIGHT | {"days": "7"}, {"days": "1", "all_day": True}]}, "window_overlap", "profile.windows["),
    ({"timezone": "Asia"}, "unknown_timezone", "profile.timezone"),
    ({"timezone": "../etc/passwd"}, "unknown_timezone", "profile.timezone"),
    ({"timezone": 8}, "invalid", "profile.timezone"),
    ({"windows": [{"days": "18", "start": "22:00", "end": "06:00"}]}, "invalid", "profile.windows[0].days"),
    ({"windows": [{"days": "11", "start": "22:00", "end": "06:00"}]}, "invalid", "profile.windows[0].days"),
    ({"windows": [{"start": "24:00", "end": "06:00"}]}, "invalid", "profile.windows[0].start"),
    ({"windows": [{"start": "22:00"}]}, "invalid", "profile.windows[0].end"),
    ({"windows": [{"all_day": True, "start": "22:00"}]}, "invalid", "profile.windows[0].all_day"),
    ({"windows": [{"start": "22:00", "end": "06:00", "allowd_s": 5}]}, "invalid", "profile.windows[0].allowd_s"),
    ({"windows": "22:00-06:00"}, "invalid", "profile.windows"),
    ({"windows": [None]}, "invalid", "profile.windows[0]"),
    ({"settle_s": -1}, "invalid", "profile.settle_s"),
    ({"settle_s": float("nan")}, "invalid", "profile.settle_s"),
    ({"settle_s": True}, "invalid", "profile.settle_s"),
    ({"settle_s": "60"}, "invalid", "profile.settle_s"),
    ({"escalate_after_s": 0}, "invalid", "profile.escalate_after_s"),
    ({"max_level": 0}, "invalid", "profile.max_level"),
    ({"max_level": 2.5}, "invalid", "profile.max_level"),
    ({"tail": "stop"}, "invalid", "profile.tail"),
    ({"require_vitals": 1}, "invalid", "profile.require_vitals"),
    ({"not_up_by": "8:00"}, "invalid", "profile.not_up_by"),
    ({"hr_high": 0}, "invalid", "profile.hr_high"),
    ({"colour": "red"}, "invalid", "profile.colour"),
]


@pytest.mark.parametrize(("changes", "code", "field"), WRONG)
def test_what_cannot_be_is_refused_with_its_field(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(ProfileError) as wrong:
        Profile().merged(changes)
    assert wrong.value.code == code
    assert field in wrong.value.field


def test_windows_that_touch_do_not_overlap() -> None:
    assert len(Profile().merged({"windows": [NIGHT, {"start": "06:00", "end": "22:00"}]}).windows) == 2
