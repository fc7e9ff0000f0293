"""response: how fast alarms were answered, and how many were false, per bed and shift."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.cores.response import LogLine, ShiftError, alarms_of, figures, read_shifts, shift_of

ZONE = ZoneInfo("Asia/Shanghai")
STARTS = read_shifts(["07:00", "15:00", "23:00"])
MIDNIGHT_MS = 1_795_363_200_000  # 2026-11-23 00:00 in Shanghai


def line(at_s: float, event: str, bed: str = "A", detail: str = "") -> LogLine:
    return LogLine(MIDNIGHT_MS + round(at_s * 1000), 500_000 + round(at_s * 1000), bed, event, detail)


def of(rows: Any, bed: str, shift: str) -> Any:
    (row,) = [row for row in rows if (row.bed, row.shift) == (bed, shift)]
    return row


def test_an_alarm_is_measured_to_its_first_answer_and_its_outcome() -> None:
    lines = [line(0, "alarm_raise"), line(30, "ack"), line(600, "realarm"), line(610, "ack"),
             line(700, "outcome", detail="real")]  # fmt: skip
    (alarm,) = alarms_of(lines)
    assert (alarm.answer_s, alarm.outcome_s, alarm.outcome) == (30, 700, "real")


def test_beds_are_answered_each_by_itself() -> None:
    lines = [line(0, "alarm_raise"), line(1, "alarm_raise", "B"), line(5, "ack", "B"), line(9, "ack")]
    assert [(alarm.bed, alarm.answer_s) for alarm in alarms_of(lines)] == [("A", 9), ("B", 4)]


def test_a_new_alarm_takes_the_answers_that_follow() -> None:
    lines = [line(0, "alarm_raise"), line(900, "alarm_raise"), line(920, "ack")]
    assert [alarm.answer_s for alarm in alarms_of(lines)] == [None, 20]


def test_the_outcome_of_an_absence_that_went_unreported_belongs_to_no_alarm() -> None:
    lines = [line(0, "alarm_raise"), line(9, "ack"), line(90, "missed_alarm"), line(95, "outcome", detail="false")]
    (alarm,) = alarms_of(lines)
    assert alarm.outcome == ""


def test_a_step_of_the_wall_clock_changes_no_duration() -> None:
    late = LogLine(MIDNIGHT_MS - 3_600_000, 540_000, "A", "ack")
    assert alarms_of([line(0, "alarm_raise"), late])[0].answer_s == 40


@pytest.mark.parametrize(
    ("hour", "name"),
    [(0, "23:00-07:00"), (6.99, "23:00-07:00"), (7, "07:00-15:00"), (15, "15:00-23:00"), (23.5, "23:00-07:00")],
)
def test_an_alarm_belongs_to_the_shift_on_duty(hour: float, name: str) -> None:
    assert shift_of(MIDNIGHT_MS + round(hour * 3_600_000), ZONE, STARTS) == name


def test_figures_are_for_all_beds_and_each_by_day_and_shift() -> None:
    lines = [
        line(0, "alarm_raise"), line(10, "ack"), line(20, "outcome", detail="false"),
        line(3600, "alarm_raise"), line(3630, "ack"), line(3700, "outcome", detail="real"),
        line(9 * 3600, "alarm_raise", "B"),
    ]  # fmt: skip
    rows = figures(alarms_of(lines), ZONE, STARTS)
    assert [(row.bed, row.shift) for row in rows][:5] == [
        ("", ""), ("", "07:00-15:00"), ("", "15:00-23:00"), ("", "23:00-07:00"), ("A", "")
    ]  # fmt: skip
    night = of(rows, "A", "23:00-07:00")
    assert (night.alarms, night.answered, night.answer_s_median, night.answer_s_max) == (2, 2, 20, 30)
    assert (night.real, night.false, night.nuisance_rate) == (1, 1, 0.5)
    assert of(rows, "", "").nuisance_rate == 0.333
    day = of(rows, "B", "07:00-15:00")
    assert (day.alarms, day.answered, day.answer_s_median, day.nuisance_rate) == (1, 0, None, 0.0)
    assert of(rows, "B", "15:00-23:00").nuisance_rate is None


@pytest.mark.parametrize("value", [[], "07:00", ["7:00"], ["07:00", "07:00"], ["25:00"], [7], ["07:00"] * 9])
def test_shifts_that_make_no_day_are_refused(value: Any) -> None:
    with pytest.raises(ShiftError, match="shifts"):
        read_shifts(value)
