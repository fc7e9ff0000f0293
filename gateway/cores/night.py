"""The night report: one pure function from facts to figures, as NIGHT_REPORT.md words it.

A number that cannot be known is None, never 0. Where the norm leaves a choice, the choice is this one:
- Presence is taken as recorded when the night is chosen; silence is taken off afterwards.
- A night cut at noon, or still running at `as_of`, has figures of its known part; only the cut time itself is None,
  and SOL with it when the bed entry is the one that is not known.
- A minute counts when any of it was known to be in bed. Minutes, like alarms, that no source gave leave None.
- Awakenings are bouts of WASO: the wake before the final rise is none of them.
- `weak_breath_minutes` is beyond the norm: a figure for attention, never a diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import mean, median
from typing import Any
from zoneinfo import ZoneInfo

from gateway.cores.local_time import local_iso
from gateway.cores.night_arithmetic import (
    Interval,
    Presences,
    SleepFigures,
    divide,
    sleep_figures,
    timeline,
)
from gateway.cores.night_facts import MINUTE_S, Alarm, Epoch, Minute, NightFacts, PastNight, Span
from gateway.cores.night_rest import Rest, find_night, overlap_s, window_span
from gateway.cores.sleep_wake import score_epochs
from protocol.usual import USUAL_FIGURES, Usual, against_usual, usual_figures

NO_NIGHT = "no_night_recorded"
SLEEP_NOTE = "Sleep is an estimate from movement, heart and breath, without EEG."
VALID_MINUTES_MIN = 30
SLEEP_COVERAGE_PERCENT_MIN = 90
COMPLETE_COVERAGE_PERCENT_MIN = 99


@dataclass(frozen=True, slots=True)
class Rate:
    mean: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class AlarmSummary:
    """Alarms from bed entry to the final rise or the end of the night window, whichever is later."""

    count: int
    response_time_median_s: float | None


@dataclass(frozen=True, slots=True)
class NightReport:
    """The fields of NIGHT_REPORT.md, None where not known. Instants UTC seconds; `to_json` prints them local."""

    night_of: date
    timezone: str
    report_version: int
    provisional: bool
    in_bed_at: int | None
    rise_at: int | None
    night_span_s: int
    time_in_bed_s: int
    times_out_of_bed: int
    out_of_bed_total_s: int
    out_of_bed_longest_s: int
    assisted_exits: int
    no_data_s: int
    coverage_percent: float
    complete: bool
    turn_overs: int | None
    heart_rate_bpm: Rate | None
    respiration_per_min: Rate | None
    total_sleep_s: int | None
    sleep_onset_latency_s: int | None
    wake_after_sleep_onset_s: int | None
    sleep_efficiency_percent: float | None
    awakenings: int | None
    restlessness: float | None
    irregular_minutes: int | None
    weak_breath_minutes: int | None
    alarms: AlarmSummary | None
    timeline: tuple[Interval, ...]
    versus_usual: Mapping[str, Usual | None] | None

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object: the norm's field names, local times, whole seconds."""
        zone = ZoneInfo(self.timezone)
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        fields["night_of"] = self.night_of.isoformat()
        for name in ("in_bed_at", "rise_at"):
            fields[name] = None if fields[name] is None else local_iso(fields[name], zone)
        for name in ("heart_rate_bpm", "respiration_per_min", "alarms"):
            fields[name] = None if fields[name] is None else _plain(fields[name])
        fields["timeline"] = [
            {
                "state": piece.state,
                "start": local_iso(piece.span.start_utc_s, zone),
                "end": local_iso(piece.span.end_utc_s, zone),
            }
            for piece in self.timeline
        ]
        if self.versus_usual is not None:
            fields["versus_usual"] = {
                name: None if usual is None else _plain(usual) for name, usual in self.versus_usual.items()
            }
        fields["sleep_note"] = SLEEP_NOTE
        return fields


def report_json(report: NightReport | None) -> dict[str, Any]:
    """The answer of `sleepbelt night --json`: `night` and, when there is none, the `reason`."""
    if report is None:
        return {"night": None, "reason": NO_NIGHT}
    return {"night": report.to_json(), "reason": None}


def build_report(facts: NightFacts) -> NightReport | None:
    """The report of the night before `facts.night_of`; None = no night recorded, and no numbers at all."""
    rest = find_night(facts)
    if rest is None:
        return None
    known = divide(rest, facts.silences)
    span_s = rest.span.seconds
    observed_s = span_s - known.no_data_s
    minutes = [minute for minute in facts.minutes if overlap_s(_minute_span(minute), known.in_bed) > 0]
    epochs = _epochs(facts, known, minutes)
    intervals = timeline(known, epochs)
    in_bed_at = rest.span.start_utc_s if rest.in_bed_known else None
    sleep = None
    if epochs is not None and 100 * observed_s >= SLEEP_COVERAGE_PERCENT_MIN * span_s:
        sleep = sleep_figures(intervals, in_bed_at)
    out_s = [exit_.out_s for exit_ in known.exits]
    figures = {
        "time_in_bed_s": known.in_bed_s,
        "times_out_of_bed": len(out_s),
        "out_of_bed_total_s": sum(out_s),
        "turn_overs": _total(minute.turn_overs for minute in minutes),
        "heart_rate_bpm": _rate([m.heart_rate_bpm for m in minutes if m.heart_rate_bpm is not None]),
        "respiration_per_min": _rate([m.respiration_per_min for m in minutes if m.respiration_per_min is not None]),
        "restlessness": _restlessness(minutes, known.in_bed_s),
        **_sleep_fields(sleep, observed_s),
    }
    return NightReport(
        night_of=facts.night_of,
        timezone=facts.timezone,
        report_version=facts.report_version,
        provisional=rest.still_running,
        in_bed_at=in_bed_at,
        rise_at=rest.span.end_utc_s if rest.rise_known else None,
        night_span_s=span_s,
        out_of_bed_longest_s=max(out_s, default=0),
        assisted_exits=sum(1 for exit_ in known.exits if _inside(exit_.at_utc_s, facts.assists)),
        no_data_s=known.no_data_s,
        coverage_percent=round(100 * observed_s / span_s, 1),
        complete=100 * observed_s >= COMPLETE_COVERAGE_PERCENT_MIN * span_s,
        irregular_minutes=_irregular_minutes(minutes),
        weak_breath_minutes=_weak_breath_minutes(minutes),
        alarms=_alarm_summary(facts, rest),
        timeline=intervals,
        versus_usual=versus_usual(figures, facts.night_of, facts.history),
        **figures,
    )


def past_night(report: Mapping[str, Any]) -> PastNight:
    """A stored report (`NightReport.to_json`) as history for a later night; a provisional one is never complete."""
    complete = bool(report["complete"]) and not report["provisional"]
    return PastNight(date.fromisoformat(report["night_of"]), complete, usual_figures(report))


def versus_usual(
    figures: Mapping[str, Any], night_of: date, history: Sequence[PastNight]
) -> dict[str, Usual | None] | None:
    """Each figure against the last 14 complete nights before `night_of`; None before 5 of them."""
    nights = sorted((night for night in history if night.complete and night.night_of < night_of), key=_when)
    return against_usual({name: _comparable(figures[name]) for name in USUAL_FIGURES}, [n.figures for n in nights])


def _when(night: PastNight) -> date:
    return night.night_of


def _comparable(figure: Any) -> float | None:
    value: float | None = figure.mean if isinstance(figure, Rate) else figure
    return value


def _epochs(facts: NightFacts, known: Presences, minutes: Sequence[Minute]) -> Sequence[Epoch] | None:
    """Given epochs, else the scorer's; None = nothing tells sleep from wake."""
    if facts.epochs:
        return sorted(facts.epochs, key=lambda epoch: epoch.start_utc_s)
    return score_epochs(minutes, known.in_bed)


def _sleep_fields(sleep: SleepFigures | None, observed_s: int) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(sleep, name, None) for name in SleepFigures.__slots__}
    fields["sleep_efficiency_percent"] = None if sleep is None else round(100 * sleep.total_sleep_s / observed_s, 1)
    return fields


def _minute_span(minute: Minute) -> Span:
    return Span(minute.at_utc_s, minute.at_utc_s + MINUTE_S)


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _rate(values: Sequence[float]) -> Rate | None:
    if len(values) < VALID_MINUTES_MIN:
        return None
    return Rate(round(mean(values), 1), min(values), max(values))


def _restlessness(minutes: Sequence[Minute], in_bed_s: int) -> float | None:
    """Minutes with movement per hour in bed."""
    movements = [minute.movement_s for minute in minutes if minute.movement_s is not None]
    if not movements or in_bed_s == 0:
        return None
    return round(sum(1 for movement_s in movements if movement_s > 0) * 3600 / in_bed_s, 1)


def _irregular_minutes(minutes: Sequence[Minute]) -> int | None:
    """Minutes without a heart rate because the rhythm was irregular; None where no source tells the reason."""
    reasons = [minute.heart_rate_reason for minute in minutes if minute.heart_rate_reason is not None]
    return sum(1 for reason in reasons if reason == "irregular") if reasons else None


def _weak_breath_minutes(minutes: Sequence[Minute]) -> int | None:
    """Minutes with weak or paused breath; None where no source watches it."""
    told = [minute.weak_breath_s for minute in minutes if minute.weak_breath_s is not None]
    return sum(1 for seconds in told if seconds > 0) if told else None


def _inside(at_utc_s: int, spans: Iterable[Span]) -> bool:
    return any(span.start_utc_s <= at_utc_s < span.end_utc_s for span in spans)


def _alarm_summary(facts: NightFacts, rest: Rest) -> AlarmSummary | None:
    if facts.alarms is None:
        return None
    end_s = max(rest.span.end_utc_s, window_span(facts).end_utc_s)
    known_until_s = end_s if facts.as_of_utc_s is None else min(end_s, facts.as_of_utc_s + 1)
    night = Span(rest.span.start_utc_s, known_until_s)
    alarms: list[Alarm] = [alarm for alarm in facts.alarms if _inside(alarm.raised_utc_s, [night])]
    responses = [alarm.answered_utc_s - alarm.raised_utc_s for alarm in alarms if alarm.answered_utc_s is not None]
    return AlarmSummary(len(alarms), median(responses) if responses else None)


def _plain(value: Rate | AlarmSummary | Usual) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


__all__ = [
    "NO_NIGHT",
    "NightReport",
    "build_report",
    "past_night",
    "report_json",
    "versus_usual",
]
