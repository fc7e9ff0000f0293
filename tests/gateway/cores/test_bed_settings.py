"""bed_settings: what a lead's form means, field by field, and how it stands above the configuration file."""

from __future__ import annotations

import pytest

from gateway.cores.bed_settings import BaseSettings, BedSettings, blank_form, differences, effective, read_form
from gateway.cores.profile import SHIPPED, ProfileError
from tests.gateway.web.managed_gateway import form

ZONE = "Asia/Shanghai"
BASE = BaseSettings("standard", {"settle_s": 30, "allowed_s": 300, "windows": [{"start": "20:00", "end": "05:00"}]})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"profile": "best"}, "profile"),
        ({"allowed": "-1"}, "allowed"),
        ({"allowed": "ten"}, "allowed"),
        ({"allowed": "1e9"}, "allowed"),
        ({"w0_start": ""}, "w0_start"),
        ({"w0_end": "25:00"}, "w0_end"),
        ({"w0_end": "21:00"}, "w0_start"),
        ({"w1_start": "22:00", "w1_end": "23:00", "w1_day1": "on"}, "w1_start"),
        ({f"w0_day{day}": "" for day in "1234567"}, "w0_day1"),
        ({"w0_all_day": "on", "w0_allowed": "x"}, "w0_allowed"),
        ({"hours": "sometimes"}, "hours"),
        ({"w0_start": "", "w0_end": ""}, "hours"),
        ({"why": " "}, "why"),
        ({"why": "x" * 201}, "why"),
    ],)
def test_a_wrong_field_is_named_and_nothing_is_taken(changes: dict[str, str], field: str) -> None:
    read = read_form(form(**changes), BASE, ZONE)
    assert read.settings is None
    assert field in [error.field for error in read.errors]


def test_every_wrong_field_is_named_not_only_the_first() -> None:
    read = read_form(form(profile="best", allowed="x", w0_end="9", why=""), BASE, ZONE)
    assert [error.field for error in read.errors] == ["profile", "allowed", "w0_end", "why"]


def test_without_saved_settings_the_file_is_in_force() -> None:
    profile = effective(BASE, None, ZONE)
    assert (profile.settle_s, profile.windows[0].start_min, profile.windows[0].allowed_s) == (30, 20 * 60, 300)


def test_saved_hours_and_allowance_replace_those_of_the_file_and_leave_the_rest() -> None:
    profile = effective(BASE, BedSettings("wanderer"), ZONE)
    assert (profile.windows, profile.repeat_count, profile.settle_s) == (SHIPPED["wanderer"].windows, 3, 30)
    assert effective(BASE, BedSettings("standard", None, 60), ZONE).windows[0].allowed_s == 60
    assert effective(BASE, BedSettings("standard", ()), ZONE).windows == ()


def test_a_windows_own_allowance_stands_above_the_beds() -> None:
    windows = ({"start": "20:00", "end": "22:00", "allowed_s": 120}, {"start": "22:00", "end": "06:00"})
    profile = effective(BASE, BedSettings("standard", windows, 600), ZONE)
    assert [window.allowed_s for window in profile.windows] == [120, 600]


def test_a_form_shows_what_was_saved_and_reads_back_the_same() -> None:
    windows = ({"days": "17", "start": "20:00", "end": "22:00", "allowed_s": 150}, {"days": "1", "all_day": True})
    own = BedSettings("standard", windows[:1], 600)
    for settings in (BedSettings("bedbound"), BedSettings("standard", (), 90), own):
        assert read_form({**blank_form(settings), "why": "x"}, BASE, ZONE).settings == settings
    overlapping = read_form({**blank_form(BedSettings("standard", windows)), "why": "x"}, BASE, ZONE)
    assert [error.field for error in overlapping.errors] == ["w0_start"]


def test_settings_survive_the_store() -> None:
    settings = BedSettings("standard", ({"start": "20:00", "end": "22:00"},), 60)
    assert BedSettings.from_body(settings.to_body()) == settings


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ProfileError, match="best"):
        effective(BASE, BedSettings("best"), ZONE)


def test_differences_name_only_what_changed() -> None:
    assert differences(SHIPPED["standard"], SHIPPED["bedbound"]) == {"reposition_s": (0, 7200)}
