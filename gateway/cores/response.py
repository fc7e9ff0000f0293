"""How alarms were answered: response times and the nuisance rate, per bed and shift, from the gateway's own log.

An alarm belongs to the shift in which it was raised (local wall time). Durations are differences of the elapsed clock.
A nuisance is an alarm whose outcome staff gave as false; the rate is over all alarms, whether or not anybody said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.cores.effects import ACK, ALARM_CLEAR, ALARM_RAISE, MISSED_ALARM
from gateway.cores.profile import ProfileError, clock_minutes, clock_text

OUTCOME = "outcome"
COUNTED_EVENTS = (ALARM_RAISE, ACK, ALARM_CLEAR, MISSED_ALARM, OUTCOME)
REAL, ASSISTED, FALSE = "real", "assisted", "false"
SHIFTS_DEFAULT = ("07:00", "15:00", "23:00")
SHIFTS_MAX = 8
EVERY = ""
"""As a bed or a shift: all of them."""


class ShiftError(ValueError):
    """Shift starts that make no day; the message says why."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log, in the order of the log."""

    utc_ms: int
    elapsed_ms: int
    bed: str
    event: str
    detail: str = ""


@dataclass(slots=True)
class AnsweredAlarm:
    """One alarm and what became of it; None: not (yet)."""

    bed: str
    raised_utc_ms: int
    raised_elapsed_ms: int
    answer_s: float | None = None
    outcome_s: float | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one bed (EVERY: all beds) in one shift (EVERY: the whole day). Seconds; None where nothing was measured."""

    bed: str
    shift: str
    alarms: int
    answered: int
    answer_s_median: float | None
    answer_s_p90: float | None
    answer_s_max: float | None
    outcome_s_median: float | None
    real: int
    assisted: int
    false: int
    nuisance_rate: float | None

    def to_json(self) -> dict[str, Any]:
        """As `/api/statistics` gives it; the rate to three decimals."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_shifts(value: Any, where: str = "statistics.shifts") -> tuple[int, ...]:
    """Starts of the shifts in minutes, ascending, from texts like "07:00"; ShiftError."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= SHIFTS_MAX:
        raise ShiftError(f"{where}: a list of 1 to {SHIFTS_MAX} times of day, such as {list(SHIFTS_DEFAULT)}")
    try:
        starts = sorted(clock_minutes(text, f"{where}[{index}]") for index, text in enumerate(value))
    except ProfileError as error:
        raise ShiftError(str(error)) from None
    if len(set(starts)) < len(starts):
        raise ShiftError(f"{where}: two shifts start at the same time")
    return tuple(starts)


def shift_names(starts: Sequence[int]) -> list[str]:
    """ "07:00-15:00", ... in the order of their starts."""
    following = [*starts[1:], starts[0]]
    return [f"{clock_text(start)}-{clock_text(end)}" for start, end in zip(starts, following, strict=True)]


def shift_of(utc_ms: int, zone: ZoneInfo, starts: Sequence[int]) -> str:
    """The name of the shift that was on duty; before the first start of the day it is the last one's night."""
    local = datetime.fromtimestamp(utc_ms / 1000, zone)
    minute = local.hour * 60 + local.minute
    index = max((at for at, start in enumerate(starts) if start <= minute), default=len(starts) - 1)
    return shift_names(starts)[index]


def alarms_of(lines: Iterable[LogLine]) -> list[AnsweredAlarm]:
    """Every alarm raised in the lines, with its first answer and its outcome."""
    alarms: list[AnsweredAlarm] = []
    newest: dict[str, AnsweredAlarm | None] = {}
    for line in lines:
        alarm = newest.get(line.bed)
        if line.event == ALARM_RAISE:
            alarm = newest[line.bed] = AnsweredAlarm(line.bed, line.utc_ms, line.elapsed_ms)
            alarms.append(alarm)
        elif line.event == MISSED_ALARM:
            newest[line.bed] = None  # the outcome that follows is of an absence that nobody was called for
        elif alarm is not None and line.event == ACK and alarm.answer_s is None:
            alarm.answer_s = (line.elapsed_ms - alarm.raised_elapsed_ms) / 1000
        elif alarm is not None and line.event == OUTCOME and not alarm.outcome:
            alarm.outcome = line.detail
            alarm.outcome_s = (line.elapsed_ms - alarm.raised_elapsed_ms) / 1000
    return alarms


def figures(alarms: Sequence[AnsweredAlarm], zone: ZoneInfo, starts: Sequence[int]) -> list[Figures]:
    """All beds first, then each bed with an alarm; of each the whole day first, then every shift."""
    shifts = {id(alarm): shift_of(alarm.raised_utc_ms, zone, starts) for alarm in alarms}
    rows = []
    for bed in (EVERY, *sorted({alarm.bed for alarm in alarms})):
        of_bed = [alarm for alarm in alarms if bed in (EVERY, alarm.bed)]
        rows.append(_figures(bed, EVERY, of_bed))
        rows += [_figures(bed, name, [a for a in of_bed if shifts[id(a)] == name]) for name in shift_names(starts)]
    return rows


def _figures(bed: str, shift: str, alarms: Sequence[AnsweredAlarm]) -> Figures:
    answers = sorted(alarm.answer_s for alarm in alarms if alarm.answer_s is not None)
    outcomes = sorted(alarm.outcome_s for alarm in alarms if alarm.outcome_s is not None)
    said = [alarm.outcome for alarm in alarms]
    return Figures(
        bed=bed,
        shift=shift,
        alarms=len(alarms),
        answered=len(answers),
        answer_s_median=_quantile(answers, 0.5),
        answer_s_p90=_quantile(answers, 0.9),
        answer_s_max=answers[-1] if answers else None,
        outcome_s_median=_quantile(outcomes, 0.5),
        real=said.count(REAL),
        assisted=said.count(ASSISTED),
        false=said.count(FALSE),
        nuisance_rate=round(said.count(FALSE) / len(alarms), 3) if alarms else None,
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Linear between the neighbours (the usual median for a share of one half)."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 3)
