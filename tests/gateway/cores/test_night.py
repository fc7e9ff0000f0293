"""The fields of the night report (NIGHT_REPORT.md, "Fields"), each by its own words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores.night import SLEEP_NOTE, build_report, report_json
from gateway.cores.night_input import parse_facts
from tests.gateway.cores.night_cases import local, minutes, night_facts, night_json, spans, stages

# fmt: off
FIELDS = {
    "in_bed_at", "rise_at", "night_span_s", "time_in_bed_s", "times_out_of_bed", "out_of_bed_total_s",
    "out_of_bed_longest_s", "assisted_exits", "no_data_s", "coverage_percent", "complete", "turn_overs",
    "heart_rate_bpm", "respiration_per_min", "total_sleep_s", "sleep_onset_latency_s", "wake_after_sleep_onset_s",
    "sleep_efficiency_percent", "awakenings", "restlessness", "irregular_minutes", "alarms", "timeline",
    "versus_usual", "report_version", "provisional",
}
# fmt: on


def test_every_field_of_the_norm_is_there() -> None:
    assert set(night_json(night_facts(("22:00", "06:00")))) >= FIELDS


def test_no_night_has_a_reason_and_no_numbers_at_all() -> None:
    answer = report_json(build_report(parse_facts(night_facts(("13:00", "15:00")))))
    assert answer == {"night": None, "reason": "no_night_recorded"}


def test_the_report_says_that_sleep_is_an_estimate() -> None:
    assert night_json(night_facts(("22:00", "06:00")))["sleep_note"] == SLEEP_NOTE


class TestInAndOutOfBed:
    def test_exits_are_counted_summed_and_the_longest_named(self) -> None:
        night = night_json(night_facts(("22:00", "01:00"), ("01:10", "03:00"), ("03:30", "06:00")))
        assert (night["times_out_of_bed"], night["out_of_bed_total_s"], night["out_of_bed_longest_s"]) == (
            2,
            2400,
            1800,
        )
        assert (night["night_span_s"], night["time_in_bed_s"]) == (8 * 3600, 8 * 3600 - 2400)

    def test_the_final_rise_is_no_time_out_of_bed(self) -> None:
        night = night_json(night_facts(("22:00", "06:00")))
        assert (night["times_out_of_bed"], night["out_of_bed_total_s"], night["out_of_bed_longest_s"]) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("assist", "assisted"),
        [(("00:50", "01:05"), 1), (("01:00", "01:05"), 1), (("00:50", "01:00"), 0), (("01:01", "01:10"), 0)],
    )
    def test_an_exit_during_an_assist_is_assisted(self, assist: tuple[str, str], assisted: int) -> None:
        night = night_json(night_facts(("22:00", "01:00"), ("01:10", "06:00"), assists=spans(assist)))
        assert (night["assisted_exits"], night["times_out_of_bed"]) == (assisted, 1)

    def test_the_final_rise_during_an_assist_is_no_assisted_exit(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), assists=spans(("05:50", "06:10"))))
        assert night["assisted_exits"] == 0


class TestNoData:
    def test_silence_while_present_is_neither_in_nor_out(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), silences=spans(("01:00", "01:30"))))
        assert (night["no_data_s"], night["time_in_bed_s"], night["out_of_bed_total_s"]) == (1800, 7 * 3600 + 1800, 0)
        assert night["night_span_s"] == 8 * 3600

    def test_silence_over_an_exit_takes_its_part_of_the_time_out(self) -> None:
        night = night_json(night_facts(("22:00", "01:00"), ("01:30", "06:00"), silences=spans(("01:10", "01:40"))))
        assert (night["times_out_of_bed"], night["out_of_bed_total_s"], night["no_data_s"]) == (1, 600, 1800)
        assert night["time_in_bed_s"] == 8 * 3600 - 600 - 1800

    def test_a_gap_that_is_silent_throughout_is_no_known_exit(self) -> None:
        night = night_json(night_facts(("22:00", "01:00"), ("01:30", "06:00"), silences=spans(("01:00", "01:30"))))
        assert (night["times_out_of_bed"], night["out_of_bed_longest_s"], night["no_data_s"]) == (0, 0, 1800)

    def test_silence_outside_the_night_is_not_counted(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), silences=spans(("20:00", "22:00"), ("06:00", "08:00"))))
        assert (night["no_data_s"], night["coverage_percent"], night["complete"]) == (0, 100.0, True)

    @pytest.mark.parametrize(
        ("silent_until", "coverage", "complete"),
        [("01:04:48", 99.0, True), ("01:04:49", 99.0, False), ("01:09:36", 98.0, False)],
    )
    def test_complete_is_at_least_99_percent_exactly(self, silent_until: str, coverage: float, complete: bool) -> None:
        night = night_json(night_facts(("22:00", "06:00"), silences=spans(("01:00", silent_until))))
        assert (night["coverage_percent"], night["complete"]) == (coverage, complete)

    @pytest.mark.parametrize(("silent_until", "known"), [("01:48", True), ("01:48:01", False)])
    def test_below_90_percent_the_sleep_figures_are_not_known(self, silent_until: str, known: bool) -> None:
        night = night_json(
            night_facts(("22:00", "06:00"), silences=spans(("01:00", silent_until)), epochs=stages("22:00", "s960"))
        )
        names = ("total_sleep_s", "sleep_onset_latency_s", "wake_after_sleep_onset_s", "awakenings")
        figures = [night[name] for name in (*names, "sleep_efficiency_percent")]
        assert [figure is not None for figure in figures] == [known] * 5

    def test_a_night_of_silence_alone_has_no_sleep_and_no_coverage(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), silences=spans(("22:00", None))))
        assert (night["coverage_percent"], night["time_in_bed_s"], night["restlessness"]) == (0.0, 0, None)
        assert [piece["state"] for piece in night["timeline"]] == ["no_data"]


class TestRates:
    def test_mean_to_one_decimal_min_and_max_of_valid_minutes(self) -> None:
        records = minutes("22:00", 29, heart_rate_bpm=60) + minutes("22:29", 1, heart_rate_bpm=70)
        night = night_json(night_facts(("22:00", "06:00"), minutes=records))
        assert night["heart_rate_bpm"] == {"mean": 60.3, "min": 60, "max": 70}

    def test_fewer_than_thirty_valid_minutes_leave_a_rate_unknown(self) -> None:
        records = minutes("22:00", 29, heart_rate_bpm=60, respiration_per_min=14)
        records += minutes("22:29", 1, heart_rate_bpm=None, respiration_per_min=15)
        night = night_json(night_facts(("22:00", "06:00"), minutes=records))
        assert night["heart_rate_bpm"] is None
        assert night["respiration_per_min"] == {"mean": 14.0, "min": 14, "max": 15}

    def test_minutes_outside_the_night_do_not_count(self) -> None:
        records = minutes("21:30", 30, heart_rate_bpm=90) + minutes("22:00", 30, heart_rate_bpm=60)
        night = night_json(night_facts(("22:00", "06:00"), minutes=records + minutes("06:00", 5, heart_rate_bpm=99)))
        assert night["heart_rate_bpm"] == {"mean": 60.0, "min": 60, "max": 60}

    def test_minutes_out_of_bed_and_in_silence_do_not_count(self) -> None:
        records = minutes("01:00", 30, heart_rate_bpm=110, turn_overs=1) + minutes("22:00", 30, heart_rate_bpm=60)
        night = night_json(
            night_facts(("22:00", "01:00"), ("01:10", "06:00"), silences=spans(("01:10", "01:30")), minutes=records)
        )
        assert night["heart_rate_bpm"] == {"mean": 60.0, "min": 60, "max": 60}
        assert night["turn_overs"] is None


class TestMovement:
    def test_turn_overs_are_added_up(self) -> None:
        records = minutes("22:00", 3, turn_overs=2) + minutes("22:03", 1, turn_overs=None)
        assert night_json(night_facts(("22:00", "06:00"), minutes=records))["turn_overs"] == 6

    def test_turn_overs_nobody_counted_are_not_zero(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), minutes=minutes("22:00", 60, heart_rate_bpm=60)))
        assert (night["turn_overs"], night["restlessness"]) == (None, None)

    def test_restlessness_is_movement_minutes_per_hour_in_bed(self) -> None:
        records = minutes("22:00", 12, movement=1) + minutes("22:12", 100, movement=0)
        night = night_json(night_facts(("22:00", "02:00"), ("02:30", "06:30"), minutes=records))
        assert night["restlessness"] == 1.5

    def test_irregular_minutes_need_a_source_that_tells_the_reason(self) -> None:
        silent = night_json(night_facts(("22:00", "06:00"), minutes=minutes("22:00", 9, heart_rate_bpm=None)))
        records = minutes("22:00", 9, heart_rate_bpm=None, heart_rate_reason="irregular", weak_breath_s=0)
        records += minutes("22:09", 9, heart_rate_bpm=60, heart_rate_reason=None, weak_breath_s=12)
        told = night_json(night_facts(("22:00", "06:00"), minutes=records))
        assert (silent["irregular_minutes"], told["irregular_minutes"]) == (None, 9)
        assert (silent["weak_breath_minutes"], told["weak_breath_minutes"]) == (None, 9)


def sleep_of(pattern: str, *presences: tuple[str, str | None], **more: Any) -> dict[str, Any]:
    presences = presences or (("22:00", "06:00"),)
    return night_json(night_facts(*presences, epochs=stages("22:00", pattern), **more))


class TestSleep:
    def test_total_sleep_counts_every_sleep_epoch(self) -> None:
        assert sleep_of("w40 s5 w5 s900 w10")["total_sleep_s"] == 905 * 30

    def test_onset_is_the_first_of_ten_sleep_epochs_in_a_row(self) -> None:
        assert sleep_of("w40 s9 w1 s10 w900")["sleep_onset_latency_s"] == 50 * 30

    def test_asleep_from_the_first_epoch_is_a_latency_of_zero(self) -> None:
        assert sleep_of("s960")["sleep_onset_latency_s"] == 0

    def test_ten_epochs_with_an_exit_between_are_not_in_a_row(self) -> None:
        night = sleep_of("s6 -2 s6 w10 s10 w900", ("22:00", "22:03"), ("22:04", "06:00"))
        assert night["sleep_onset_latency_s"] == 24 * 30

    def test_ten_epochs_with_silence_between_are_not_in_a_row(self) -> None:
        night = sleep_of("s14 w10 s10 w900", silences=spans(("22:03", "22:04")))
        assert night["sleep_onset_latency_s"] == 24 * 30

    def test_wake_after_onset_ends_with_the_last_sleep_epoch(self) -> None:
        assert sleep_of("w40 s100 w20 s100 w700")["wake_after_sleep_onset_s"] == 20 * 30

    def test_time_out_of_bed_is_wake_after_onset(self) -> None:
        night = sleep_of("s100 w2 -20 w3 s100", ("22:00", "22:51"), ("23:01", "06:00"))
        assert (night["wake_after_sleep_onset_s"], night["awakenings"]) == (25 * 30, 1)

    def test_time_without_data_is_no_wake(self) -> None:
        night = sleep_of("s960", silences=spans(("01:00", "01:10")))
        assert (night["wake_after_sleep_onset_s"], night["total_sleep_s"]) == (0, 8 * 3600 - 600)

    def test_an_awakening_lasts_five_minutes_at_least(self) -> None:
        assert sleep_of("s100 w9 s100 w10 s100 w11 s630")["awakenings"] == 2

    def test_silence_between_two_short_wakes_joins_them_to_no_awakening(self) -> None:
        night = sleep_of("s120 w6 s4 w6 s824", silences=spans(("23:03", "23:05")))
        assert night["awakenings"] == 0

    def test_lying_awake_before_the_final_rise_is_no_awakening(self) -> None:
        assert sleep_of("s100 w860")["awakenings"] == 0

    def test_wake_before_onset_is_no_awakening(self) -> None:
        assert sleep_of("s5 w20 s935")["awakenings"] == 0

    def test_efficiency_is_sleep_over_the_span_less_no_data(self) -> None:
        night = sleep_of("s480 w480", silences=spans(("05:40", "06:00")))
        assert night["sleep_efficiency_percent"] == round(100 * 4 * 3600 / (8 * 3600 - 1200), 1)

    def test_efficiency_keeps_time_out_of_bed_in_its_denominator(self) -> None:
        night = sleep_of("s120 -120 s720", ("22:00", "23:00"), ("00:00", "06:00"))
        assert night["sleep_efficiency_percent"] == 87.5

    def test_never_asleep_is_no_sleep_and_no_onset(self) -> None:
        night = sleep_of("w960")
        assert (night["total_sleep_s"], night["sleep_efficiency_percent"]) == (0, 0.0)
        assert (night["sleep_onset_latency_s"], night["wake_after_sleep_onset_s"], night["awakenings"]) == (None,) * 3

    def test_an_epoch_cut_by_an_exit_counts_with_what_is_left_of_it(self) -> None:
        night = sleep_of("s960", ("22:00", "02:00:10"), ("02:10:10", "06:00"))
        assert night["total_sleep_s"] == 8 * 3600 - 600

    def test_in_bed_without_a_given_epoch_is_awake(self) -> None:
        night = sleep_of("s100 -20 s100 w700")
        assert (night["total_sleep_s"], night["wake_after_sleep_onset_s"]) == (6000, 600)

    def test_without_epochs_and_minutes_sleep_is_not_known(self) -> None:
        night = night_json(night_facts(("22:00", "01:00"), ("01:10", "06:00")))
        assert (night["total_sleep_s"], night["sleep_efficiency_percent"], night["awakenings"]) == (None,) * 3
        assert [piece["state"] for piece in night["timeline"]] == ["in_bed", "out", "in_bed"]


def test_the_timeline_covers_the_night_without_hole_or_overlap() -> None:
    night = sleep_of("w20 s100 w2 -20 s818", ("22:00", "23:01"), ("23:11", "06:00"), silences=spans(("02:00", "02:10")))
    assert [(piece["state"], piece["start"][11:], piece["end"][11:]) for piece in night["timeline"]] == [
        ("in_bed_awake", "22:00:00", "22:10:00"),
        ("in_bed_asleep", "22:10:00", "23:00:00"),
        ("in_bed_awake", "23:00:00", "23:01:00"),
        ("out", "23:01:00", "23:11:00"),
        ("in_bed_asleep", "23:11:00", "02:00:00"),
        ("no_data", "02:00:00", "02:10:00"),
        ("in_bed_asleep", "02:10:00", "06:00:00"),
    ]


class TestAlarms:
    def test_alarms_a_source_does_not_hold_are_not_known(self) -> None:
        assert night_json(night_facts(("22:00", "06:00")))["alarms"] is None

    def test_alarms_are_counted_with_the_median_response(self) -> None:
        raised = [("01:20", "01:21"), ("02:20", "02:23"), ("03:00", None), ("05:30", "05:35")]
        alarms = [
            {"raised_at": local(start), "answered_at": None if end is None else local(end)} for start, end in raised
        ]
        night = night_json(night_facts(("22:00", "05:00"), alarms=alarms))
        assert night["alarms"] == {"count": 4, "response_time_median_s": 180}

    def test_an_alarm_of_the_next_morning_is_not_of_the_night(self) -> None:
        night = night_json(night_facts(("22:00", "05:00"), alarms=[{"raised_at": local("09:00"), "answered_at": None}]))
        assert night["alarms"] == {"count": 0, "response_time_median_s": None}


class TestVersusUsual:
    @staticmethod
    def history(count: int, **changes: Any) -> list[dict[str, Any]]:
        """Reports of the nights before, newest first: night i has i * 60 s more in bed than 7 h."""
        night = night_json(night_facts(("22:00", "06:00")))
        return [
            {**night, "night_of": f"2026-11-{23 - i:02d}", "time_in_bed_s": 7 * 3600 + 60 * i, **changes}
            for i in range(count)
        ]

    def test_it_is_not_known_before_five_nights(self) -> None:
        assert night_json(night_facts(("22:00", "06:00"), history=self.history(4)))["versus_usual"] is None

    def test_median_spread_and_difference_of_the_resident_s_own_nights(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), history=self.history(5)))
        assert night["versus_usual"]["time_in_bed_s"] == {
            "median": 7 * 3600 + 120,
            "spread": 60,
            "nights": 5,
            "difference": 3600 - 120,
        }

    def test_only_the_last_fourteen_count(self) -> None:
        usual = night_json(night_facts(("22:00", "06:00"), history=self.history(20)))["versus_usual"]["time_in_bed_s"]
        assert (usual["nights"], usual["median"]) == (14, 7 * 3600 + 390)

    @pytest.mark.parametrize("changes", [{"complete": False}, {"provisional": True}])
    def test_incomplete_and_provisional_nights_do_not_count(self, changes: dict[str, bool]) -> None:
        history = self.history(4) + self.history(1, **changes)
        assert night_json(night_facts(("22:00", "06:00"), history=history))["versus_usual"] is None

    def test_the_night_itself_and_later_ones_are_no_history(self) -> None:
        history = [*self.history(4), {**self.history(1)[0], "night_of": "2026-11-24"}]
        assert night_json(night_facts(("22:00", "06:00"), history=history))["versus_usual"] is None

    def test_a_figure_unknown_on_those_nights_is_not_compared(self) -> None:
        night = night_json(night_facts(("22:00", "06:00"), history=self.history(5)))
        assert night["versus_usual"]["total_sleep_s"] is None


class TestClockChanges:
    @staticmethod
    def berlin(night_of: str, start: str, end: str, **more: Any) -> dict[str, Any]:
        return night_json(
            {
                "timezone": "Europe/Berlin",
                "night_of": night_of,
                "occupancy": [{"state": "present", "start": start, "end": end}],
                **more,
            }
        )

    def test_the_autumn_night_is_an_hour_longer(self) -> None:
        night = self.berlin("2026-10-25", "2026-10-24T22:00:00", "2026-10-25T06:00:00")
        assert (night["night_span_s"], night["rise_at"]) == (9 * 3600, "2026-10-25T06:00:00")

    def test_the_spring_night_is_an_hour_shorter(self) -> None:
        assert self.berlin("2026-03-29", "2026-03-28T22:00:00", "2026-03-29T06:00:00")["night_span_s"] == 7 * 3600

    @pytest.mark.parametrize(("end", "span_s"), [("02:30:00+02:00", 16200), ("02:30:00+01:00", 19800)])
    def test_an_ambiguous_time_is_told_apart_by_its_offset_and_printed_with_it(self, end: str, span_s: int) -> None:
        night = self.berlin("2026-10-25", "2026-10-24T22:00:00", f"2026-10-25T{end}")
        assert (night["night_span_s"], night["rise_at"]) == (span_s, f"2026-10-25T{end}")

    def test_an_ambiguous_time_without_offset_is_the_first(self) -> None:
        assert self.berlin("2026-10-25", "2026-10-24T22:00:00", "2026-10-25T02:30:00")["night_span_s"] == 16200

    def test_the_minutes_of_a_doubled_hour_fall_into_both_of_its_passes(self) -> None:
        twice = [f"2026-10-25T02:{m:02d}:00" for m in range(60)]
        records = [{"at": at, "heart_rate_bpm": 60} for at in twice] + [
            {"at": at, "heart_rate_bpm": 70} for at in twice
        ]
        night = self.berlin("2026-10-25", "2026-10-24T22:00:00", "2026-10-25T06:00:00", minutes=records)
        assert night["heart_rate_bpm"] == {"mean": 65.0, "min": 60, "max": 70}
