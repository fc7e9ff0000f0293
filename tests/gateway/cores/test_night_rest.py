"""Which time is the night (NIGHT_REPORT.md)."""

from __future__ import annotations

import pytest

from gateway.cores.night import build_report
from gateway.cores.night_input import parse_facts
from tests.gateway.cores.night_cases import local, night_facts, night_json, spans


def bounds(*presences: tuple[str, str | None], **more: object) -> tuple[object, object]:
    night = night_json(night_facts(*presences, **more))
    return night["in_bed_at"], night["rise_at"]


def test_one_presence_is_the_night_from_bed_entry_to_rise() -> None:
    assert bounds(("21:30", "06:10")) == (local("21:30"), local("06:10"))


def test_a_gap_of_exactly_two_hours_outside_the_window_joins() -> None:
    assert bounds(("15:00", "20:00"), ("22:00", "06:00")) == (local("15:00"), local("06:00"))


def test_a_gap_of_two_hours_and_a_second_outside_the_window_separates() -> None:
    assert bounds(("15:00", "19:59:59"), ("22:00", "06:00")) == (local("22:00"), local("06:00"))


def test_a_long_gap_wholly_inside_the_window_joins() -> None:
    night = night_json(night_facts(("21:00", "22:00"), ("02:00", "06:00")))
    assert (night["in_bed_at"], night["out_of_bed_total_s"]) == (local("21:00"), 4 * 3600)


def test_a_long_gap_that_leaves_the_window_by_a_second_separates() -> None:
    assert bounds(("21:00", "21:59:59"), ("02:00", "06:00")) == (local("02:00"), local("06:00"))


def test_the_rest_with_most_presence_inside_the_window_wins_over_a_longer_one() -> None:
    assert bounds(("12:30", "22:30"), ("01:00", "04:00"), night_window=["00:00", "06:00"]) == (
        local("01:00"),
        local("04:00"),
    )


def test_all_presence_inside_the_window_belongs_to_one_rest() -> None:
    rests = (("20:00", "23:00"), ("04:00", "07:00"))
    assert bounds(*rests, night_window=["22:00", "05:00"]) == (local("20:00"), local("07:00"))


@pytest.mark.parametrize(("end", "recorded"), [("23:00", True), ("22:59:59", False)])
def test_a_night_needs_sixty_minutes_inside_the_window(end: str, recorded: bool) -> None:
    report = build_report(parse_facts(night_facts(("15:00", end))))
    assert (report is not None) is recorded


def test_presence_in_pieces_adds_up_to_sixty_minutes() -> None:
    assert bounds(("22:00", "22:30"), ("04:00", "04:30")) == (local("22:00"), local("04:30"))


def test_a_nap_of_the_afternoon_is_no_night() -> None:
    assert build_report(parse_facts(night_facts(("13:00", "15:00")))) is None


def test_no_presence_is_no_night() -> None:
    assert build_report(parse_facts(night_facts())) is None


def test_touching_presences_are_one_and_no_exit() -> None:
    assert night_json(night_facts(("22:00", "02:00"), ("02:00", "06:00")))["times_out_of_bed"] == 0


def test_presences_may_come_in_any_order() -> None:
    assert bounds(("03:00", "06:00"), ("22:00", "02:00")) == (local("22:00"), local("06:00"))


def test_a_night_window_after_midnight_belongs_to_the_waking_day() -> None:
    assert bounds(("00:30", "01:30"), night_window=["00:30", "05:00"]) == (local("00:30"), local("01:30"))


class TestCutsAtNoon:
    def test_a_bed_entry_before_noon_is_not_known_and_the_rest_is_counted_from_noon(self) -> None:
        facts = night_facts(("12:00", "06:00"))
        facts["occupancy"][0]["start"] = "2026-11-23T09:00:00"
        night = night_json(facts)
        assert (night["in_bed_at"], night["rise_at"], night["night_span_s"]) == (None, local("06:00"), 18 * 3600)
        assert night["timeline"][0]["start"] == local("12:00")

    def test_a_rise_after_noon_is_not_known_and_final(self) -> None:
        night = night_json(night_facts(("22:00", "+13:00")))
        assert (night["rise_at"], night["night_span_s"], night["provisional"]) == (None, 14 * 3600, False)

    def test_times_at_noon_itself_are_no_cuts(self) -> None:
        night = night_json(night_facts(("12:00", "11:59"), ("11:59", "+12:00")))
        assert (night["in_bed_at"], night["rise_at"]) == (local("12:00"), "2026-11-24T12:00:00")

    def test_time_to_fall_asleep_is_not_known_without_the_bed_entry(self) -> None:
        facts = night_facts(("12:00", "06:00"), epochs=[])
        facts["occupancy"][0]["start"] = "2026-11-23T09:00:00"
        facts["epochs"] = [{"start": local(f"23:{m:02d}"), "stage": "sleep"} for m in range(10)] + [
            {"start": local(f"23:{m:02d}:30"), "stage": "sleep"} for m in range(10)
        ]
        night = night_json(facts)
        assert (night["sleep_onset_latency_s"], night["total_sleep_s"]) == (None, 600)

    def test_a_rest_of_the_day_before_does_not_reach_over_noon(self) -> None:
        facts = night_facts(("22:00", "06:00"))
        facts["occupancy"].insert(0, {"state": "present", "start": "2026-11-23T08:00:00", "end": "2026-11-23T11:30:00"})
        assert night_json(facts)["in_bed_at"] == local("22:00")


class TestStillPresent:
    def test_an_open_presence_is_provisional_without_rise(self) -> None:
        night = night_json(night_facts(("22:00", None), as_of=local("03:00")))
        assert (night["provisional"], night["rise_at"], night["night_span_s"]) == (True, None, 5 * 3600)

    def test_an_open_presence_runs_to_noon_without_as_of(self) -> None:
        night = night_json(night_facts(("22:00", None)))
        assert (night["provisional"], night["rise_at"], night["night_span_s"]) == (True, None, 14 * 3600)

    def test_an_as_of_after_noon_does_not_lengthen_the_night(self) -> None:
        night = night_json(night_facts(("22:00", None), as_of="2026-11-24T15:00:00"))
        assert (night["provisional"], night["rise_at"], night["night_span_s"]) == (True, None, 14 * 3600)

    def test_a_presence_that_ends_after_as_of_is_still_running_then(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), as_of=local("03:00")))
        assert (night["provisional"], night["rise_at"], night["night_span_s"]) == (True, None, 5 * 3600)

    def test_a_presence_that_ended_before_as_of_is_not_provisional(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), as_of=local("06:30")))
        assert (night["provisional"], night["rise_at"]) == (False, local("06:00"))

    def test_a_presence_of_the_morning_after_leaves_the_night_final(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), ("09:00", None), as_of=local("10:00")))
        assert (night["provisional"], night["rise_at"]) == (False, local("06:00"))

    def test_too_little_so_far_is_no_night_yet(self) -> None:
        assert build_report(parse_facts(night_facts(("22:00", None), as_of=local("22:59")))) is None


def test_silence_does_not_unmake_the_night() -> None:
    night = night_json(night_facts(("22:00", "06:00"), silences=spans(("22:30", "06:00"))))
    assert (night["time_in_bed_s"], night["coverage_percent"]) == (1800, 6.2)
