"""A night report as people read it: each figure with its unit, or the reason why it is not known. Pure.

Follows NIGHT_REPORT.md: null is never shown as 0, below 99 % coverage counts are "at least", sleep is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.pages.charts import Piece
from cloud_sync.pages.language import Strings, duration, exact_duration

COMPLETE_PERCENT, SLEEP_PERCENT = 99, 90
REPORT_DUE_H = 6  # the end of the night window that residents have unless told otherwise


@dataclass(frozen=True)
class Figure:
    """One figure of a night: its name, its text (a dash if not known), a unit, and a remark (why, range, usual)."""

    name: str
    value: str
    unit: str = ""
    remark: str = ""
    usual: str = ""


@dataclass(frozen=True)
class Absence:
    """One time out of bed, UTC seconds; `end_s` None: not back when the report was made.

    `known_s`: how much of it is known to have been out; the rest had no data.
    """

    start_s: int
    end_s: int | None
    known_s: int


@dataclass(frozen=True)
class Spell:
    """One stretch in or out of bed, UTC seconds; `start_s` None: in bed since before the day counted.

    `end_s` None: it goes on, or past the day counted. `known_s`: how much of it was recorded; None: nothing.
    """

    state: str  # in_bed | out | no_data: where somebody was is not known
    start_s: int | None
    end_s: int | None
    known_s: int | None
    whole: bool


def report_fields(report: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The fields of a report as a gateway wrote it, bare or under `night`; None where there are no numbers at all."""
    fields = report.get("night", report) if report is not None else None
    return fields if isinstance(fields, Mapping) and "coverage_percent" in fields else None


def is_old(night_of: str, now: datetime) -> bool:
    """True where last night (at local time `now`) has no report: figures of `night_of` are those of an earlier one."""
    last = now.date() if now.hour >= REPORT_DUE_H else now.date() - timedelta(days=1)
    return night_of < last.isoformat()


def night_span(pieces: Sequence[Piece]) -> tuple[int, int] | None:
    """First and last instant of a timeline, UTC seconds."""
    return (pieces[0].start_s, max(piece.end_s for piece in pieces)) if pieces else None


def timeline_pieces(report: Mapping[str, Any], timezone: str) -> list[Piece]:
    """The report's timeline on UTC; its local times carry an offset exactly where they would be ambiguous."""
    zone = ZoneInfo(report.get("timezone") or timezone)
    return [
        Piece(str(entry["state"]), _utc_s(entry["start"], zone), _utc_s(entry["end"], zone))
        for entry in report.get("timeline") or ()
    ]


def absences(pieces: Sequence[Piece], times_out: int | None) -> list[Absence]:
    """Times out of bed in order, as the report counts them; one that lasts to the end of the timeline is not over.

    An absence interrupted only by missing data is one, unless the report's `times_out` says that somebody came back.
    """
    out = [piece for piece in pieces if piece.state == "out"]
    apart = [Absence(piece.start_s, piece.end_s, piece.end_s - piece.start_s) for piece in out]
    found = apart if len(apart) == times_out else _joined(pieces)
    if found and pieces[-1].state == "out":
        found[-1] = Absence(found[-1].start_s, None, found[-1].known_s)
    return found


def spells(pieces: Sequence[Piece], report: Mapping[str, Any]) -> list[Spell]:
    """Every in and out of bed in order: the times out of bed as `absences` has them, and in bed what lies between."""
    span = night_span(pieces)
    if span is None:
        return []
    found: list[Spell] = []
    at_s = span[0]
    for absence in absences(pieces, report.get("times_out_of_bed")):
        found += _in_bed(pieces, at_s, absence.start_s)
        at_s = span[1] if absence.end_s is None else absence.end_s
        whole = absence.end_s is not None and absence.known_s == absence.end_s - absence.start_s
        found.append(Spell("out", absence.start_s, absence.end_s, absence.known_s, whole))
    found += _in_bed(pieces, at_s, span[1])
    if found[0].state == "in_bed" and report.get("in_bed_at") is None:
        found[0] = replace(found[0], start_s=None, whole=False)
    if found[-1].state == "in_bed" and report.get("rise_at") is None:
        found[-1] = replace(found[-1], end_s=None, whole=False)
    return found


def _in_bed(pieces: Sequence[Piece], start_s: int, end_s: int) -> list[Spell]:
    if start_s >= end_s:
        return []
    inside = [piece for piece in pieces if start_s <= piece.start_s < end_s]
    known_s = sum(piece.end_s - piece.start_s for piece in inside if piece.state.startswith("in_bed"))
    if not known_s:
        return [Spell("no_data", start_s, end_s, None, whole=False)]
    return [Spell("in_bed", start_s, end_s, known_s, known_s == end_s - start_s)]


def _joined(pieces: Sequence[Piece]) -> list[Absence]:
    found: list[Absence] = []
    going = False
    for piece in pieces:
        if piece.state == "out":
            seconds = piece.end_s - piece.start_s
            if going:
                found[-1] = Absence(found[-1].start_s, piece.end_s, found[-1].known_s + seconds)
            else:
                found.append(Absence(piece.start_s, piece.end_s, seconds))
            going = True
        elif piece.state != "no_data":
            going = False
    return found


def absence_text(t: Strings, absence: Absence) -> str:
    """How long somebody was out: to the second, `at least` where data is missing, `not back` where it goes on."""
    if absence.end_s is None:
        return t("resident.not_back")
    told = exact_duration(t, absence.known_s)
    whole = absence.known_s == absence.end_s - absence.start_s
    return told if whole else t("residents.at_least", value=told)


def spell_text(t: Strings, spell: Spell) -> str:
    """How long a stretch lasted: to the second, `at least` where not all of it is known, a dash where nothing is."""
    if spell.known_s is None:
        return t("common.none")
    told = exact_duration(t, spell.known_s)
    return told if spell.whole else t("residents.at_least", value=told)


def count_text(t: Strings, value: int | None, coverage_percent: float | None) -> str:
    """A count: `7`, `at least 7` below 99 % coverage, a dash for None."""
    if value is None:
        return t("common.none")
    # An unknown coverage proves nothing complete.
    whole = coverage_percent is not None and coverage_percent >= COMPLETE_PERCENT
    return str(value) if whole else t("residents.at_least", value=value)


def sleep_reason(t: Strings, coverage_percent: float | None) -> str:
    """Why a sleep figure is null."""
    low = coverage_percent is not None and coverage_percent < SLEEP_PERCENT
    return t("residents.why_coverage" if low else "residents.why_unknown")


def figures(
    report: Mapping[str, Any], t: Strings, hidden: frozenset[str] = frozenset()
) -> list[list[Figure]]:
    """All figures of a report in three groups: sleep; out of bed and turning; heart, breath and the record itself.

    `hidden`: fields whose consent was withdrawn.
    """
    view = _View(report, t, hidden)
    return [
        [
            view.clock("in_bed_at", "in_bed_at"),
            view.clock("rise_at", "rise_at"),
            view.span("time_in_bed", "time_in_bed_s"),
            view.sleep_span("total_sleep", "total_sleep_s"),
            view.sleep_span("sleep_onset", "sleep_onset_latency_s"),
            view.sleep_span("waso", "wake_after_sleep_onset_s"),
            view.percent("efficiency", "sleep_efficiency_percent"),
            view.count("awakenings", "awakenings", sleep=True),
        ],
        [
            view.count("times_out", "times_out_of_bed"),
            view.span("out_total", "out_of_bed_total_s"),
            view.span("out_longest", "out_of_bed_longest_s"),
            view.count("assisted_exits", "assisted_exits"),
            view.count("turn_overs", "turn_overs"),
            view.number("restlessness", "restlessness", t("resident.restlessness_unit")),
        ],
        [
            view.rate("heart", "heart_rate_bpm", t("residents.heart_unit")),
            view.rate("respiration", "respiration_per_min", t("residents.heart_unit")),
            view.count("irregular", "irregular_minutes"),
            view.count("weak_breath", "weak_breath_minutes"),
            view.alarms(),
            view.number("coverage", "coverage_percent", "%"),
            view.span("no_data", "no_data_s"),
        ],
    ]


class _View:
    def __init__(self, report: Mapping[str, Any], t: Strings, hidden: frozenset[str]) -> None:
        self._report, self._t, self._hidden = report, t, hidden
        coverage = report.get("coverage_percent")
        self._coverage = float(coverage) if coverage is not None else None
        self._usual_of: Mapping[str, Any] = report.get("versus_usual") or {}

    def clock(self, name: str, field: str) -> Figure:
        value = self._report.get(field)
        label = self._t(f"resident.{name}")
        if value is not None:
            return Figure(label, str(value)[11:16], remark=str(value)[5:10])
        running = field == "rise_at" and self._report.get("provisional")
        why = self._t("resident.still_in_bed" if running else "resident.before_noon")
        return Figure(label, self._t("common.none"), remark=self._why(field, why))

    def _why(self, field: str, else_: str) -> str:
        return self._t("residents.no_consent") if field in self._hidden else else_

    def span(self, name: str, field: str) -> Figure:
        return self._figure(name, field, lambda value: duration(self._t, value))

    def sleep_span(self, name: str, field: str) -> Figure:
        return self._figure(name, field, lambda value: duration(self._t, value), sleep=True)

    def percent(self, name: str, field: str) -> Figure:
        return self._figure(name, field, lambda value: f"{value:g}", "%", sleep=True)

    def number(self, name: str, field: str, unit: str) -> Figure:
        return self._figure(name, field, lambda value: f"{value:g}", unit)

    def count(self, name: str, field: str, *, sleep: bool = False) -> Figure:
        return self._figure(name, field, lambda value: count_text(self._t, value, self._coverage), sleep=sleep)

    def rate(self, name: str, field: str, unit: str) -> Figure:
        value, label = self._report.get(field), self._t(f"resident.{name}")
        if value is None:
            return Figure(label, self._t("common.none"), remark=self._t("residents.why_minutes"))
        spread = self._t("resident.range", min=f"{value['min']:g}", max=f"{value['max']:g}")
        return Figure(label, f"{value['mean']:.1f}", unit, spread, self._usual(field, lambda usual: f"{usual:.1f}"))

    def alarms(self) -> Figure:
        value, label = self._report.get("alarms"), self._t("resident.alarms")
        if value is None:
            why = self._why("alarms", self._t("residents.why_unknown"))
            return Figure(label, self._t("common.none"), remark=why)
        answer_s = value.get("response_time_median_s")
        answered = "" if answer_s is None else exact_duration(self._t, answer_s)
        remark = self._t("resident.response", duration=answered) if answered else ""
        return Figure(label, str(value["count"]), remark=remark)

    def _figure(self, name: str, field: str, text: Any, unit: str = "", *, sleep: bool = False) -> Figure:
        value, label = self._report.get(field), self._t(f"resident.{name}")
        if value is None:
            why = sleep_reason(self._t, self._coverage) if sleep else self._t("residents.why_unknown")
            return Figure(label, self._t("common.none"), remark=self._why(field, why))
        plain = duration if field.endswith("_s") else None
        usual = self._usual(field, (lambda v: plain(self._t, v)) if plain else (lambda v: f"{v:g}"))
        return Figure(label, text(value), unit, usual=usual)

    def _usual(self, field: str, text: Any) -> str:
        usual = self._usual_of.get(field)
        return self._t("resident.usual", value=text(usual["median"])) if usual else ""


def _utc_s(local: str, zone: ZoneInfo) -> int:
    at = datetime.fromisoformat(local)
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())
