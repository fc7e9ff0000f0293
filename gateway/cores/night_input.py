"""A night's facts from a JSON object (`sleepbelt night --facts`), checked field by field.

Beside what NIGHT_REPORT.md lists, three things the platform's own exports may hold are read: `alarms`
[{"raised_at", "answered_at"}], `history` (earlier reports, for `versus_usual`) and per minute
`heart_rate_reason`, `weak_breath_s` and `movement_halves`. A file without them leaves those figures unknown.
`unknown_keys` names the keys nobody reads.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.cores.local_time import YEARS, LocalTimeError, parse_local, zone_of
from gateway.cores.night import past_night
from gateway.cores.night_facts import (
    EPOCH_S,
    MINUTE_S,
    NIGHT_WINDOW,
    Alarm,
    Epoch,
    Minute,
    NightFacts,
    PastNight,
    Presence,
    Span,
)
from gateway.cores.night_rest import considered_span, window_span

HEART_RATE_BPM = (20, 250)
RESPIRATION_PER_MIN = (2, 70)
SECONDS_OF_MINUTE = (0, 60)
TURN_OVERS = (0, 60)
MINUTE_EARLY_S_MAX = 5

_KEYS = {
    "": set(NightFacts.__slots__) - {"as_of_utc_s"} | {"as_of"},
    "occupancy": {"state", "start", "end"},
    "silences": {"start", "end", "reason"},
    "assists": {"start", "end"},
    "minutes": {
        *("at", "heart_rate_bpm", "respiration_per_min", "movement", "turn_overs"),
        *("heart_rate_reason", "weak_breath_s", "movement_halves"),
    },
    "epochs": {"start", "stage"},
    "alarms": {"raised_at", "answered_at"},
}
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(:([0-5]\d))?", re.ASCII)
T = TypeVar("T")


class FactsError(ValueError):
    """A field that cannot be right: `path` such as `occupancy[2].end`, and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def unknown_keys(facts: Mapping[str, Any]) -> list[str]:
    """Paths of keys nobody reads, first of each kind: perhaps misspelt."""
    found = [key for key in facts if key not in _KEYS[""]]
    for name, known in _KEYS.items():
        items = facts.get(name) if name else None
        for item in items if isinstance(items, list) else []:
            found += [f"{name}[].{key}" for key in item if key not in known] if isinstance(item, dict) else []
    return list(dict.fromkeys(found))


def parse_facts(facts: Any) -> NightFacts:
    """The facts of a decoded JSON document; FactsError names the first offending field."""
    if not isinstance(facts, dict):
        raise FactsError("$", f"an object with the night's facts is expected, not {_kind(facts)}")
    zone = _zone(_required(facts, "timezone", ""))
    night_of = _date(_required(facts, "night_of", ""), "night_of")
    as_of = facts.get("as_of")
    bare = NightFacts(
        timezone=zone.key,
        night_of=night_of,
        occupancy=(),
        as_of_utc_s=None if as_of is None else _instant(as_of, zone, "as_of"),
        night_window=_window(facts.get("night_window"), "night_window"),
    )
    if window_span(bare).seconds <= 0:
        raise FactsError("night_window", "ends before it starts (a time before 12:00 is of the waking day)")
    noon = considered_span(bare).end_utc_s
    now = noon if bare.as_of_utc_s is None else bare.as_of_utc_s
    return NightFacts(
        timezone=bare.timezone,
        night_of=bare.night_of,
        as_of_utc_s=bare.as_of_utc_s,
        night_window=bare.night_window,
        occupancy=_occupancy(facts, zone, now, bare.as_of_utc_s),
        silences=_spans(facts, "silences", zone, now),
        assists=_spans(facts, "assists", zone, now),
        minutes=_minutes(facts, zone),
        epochs=_epochs(facts, zone) if facts.get("epochs") is not None else None,
        alarms=_alarms(facts, zone) if facts.get("alarms") is not None else None,
        history=_history(facts),
        report_version=int(_number(facts.get("report_version", 1), (1, 10**9), "report_version", whole=True)),
    )


def _occupancy(facts: Mapping[str, Any], zone: ZoneInfo, now: int, as_of: int | None) -> tuple[Presence, ...]:
    if "occupancy" not in facts:
        raise FactsError("occupancy", "is missing; give the intervals in bed, or [] for none")
    presences: list[Presence] = []
    for path, item in _items(facts, "occupancy"):
        if (state := _required(item, "state", path)) != "present":
            raise FactsError(f"{path}.state", f"{state!r} is not 'present'; only presence is given, gaps are out")
        before = presences[-1].end_utc_s if presences else None
        start = _instant(_required(item, "start", path), zone, f"{path}.start", before)
        end = _end(item, path, zone, start)
        if end is None and as_of is not None and start > as_of:
            raise FactsError(f"{path}.start", "lies after as_of, and a presence without end runs until as_of")
        presences.append(Presence(start, end))
    # Until when a running presence holds the bed: at least its own first second, so that two of them collide.
    ends = [max(now, p.start_utc_s + 1) if p.end_utc_s is None else p.end_utc_s for p in presences]
    _refuse_overlap("occupancy", "start", [(p.start_utc_s, end) for p, end in zip(presences, ends, strict=True)])
    return tuple(presences)


def _spans(facts: Mapping[str, Any], name: str, zone: ZoneInfo, now: int) -> tuple[Span, ...]:
    """Intervals; `end` null = still so at `as_of`."""
    spans: list[Span] = []
    for path, item in _items(facts, name):
        before = spans[-1].end_utc_s if spans else None
        start = _instant(_required(item, "start", path), zone, f"{path}.start", before)
        end = _end(item, path, zone, start)
        spans.append(Span(start, max(now, start) if end is None else end))
    _refuse_overlap(name, "start", [(span.start_utc_s, span.end_utc_s) for span in spans])
    return tuple(spans)


def _minutes(facts: Mapping[str, Any], zone: ZoneInfo) -> tuple[Minute, ...]:
    minutes: list[Minute] = []
    for path, item in _items(facts, "minutes"):
        after = minutes[-1].at_utc_s + 1 if minutes else None
        halves = item.get("movement_halves")
        movement_s = _optional_number(item, "movement", SECONDS_OF_MINUTE, path)
        # A null reason says that nothing kept the rate away; a missing key says nothing at all.
        reason = (item["heart_rate_reason"] or "") if "heart_rate_reason" in item else None
        if reason is not None and not isinstance(reason, str):
            raise FactsError(f"{path}.heart_rate_reason", f"a word is expected, not {_kind(reason)}")
        turn_overs = _optional_number(item, "turn_overs", TURN_OVERS, path, whole=True)
        minutes.append(
            Minute(
                at_utc_s=_instant(_required(item, "at", path), zone, f"{path}.at", after),
                heart_rate_bpm=_optional_number(item, "heart_rate_bpm", HEART_RATE_BPM, path),
                respiration_per_min=_optional_number(item, "respiration_per_min", RESPIRATION_PER_MIN, path),
                movement_s=movement_s,
                turn_overs=None if turn_overs is None else int(turn_overs),
                movement_halves_s=None if halves is None else _halves(halves, f"{path}.movement_halves"),
                heart_rate_reason=reason,
                weak_breath_s=_optional_number(item, "weak_breath_s", SECONDS_OF_MINUTE, path),
            )
        )
    # By the wall clock a minute of a belt may begin a little before the last one ends.
    kept_s = MINUTE_S - MINUTE_EARLY_S_MAX
    _refuse_overlap("minutes", "at", [(minute.at_utc_s, minute.at_utc_s + kept_s) for minute in minutes])
    return tuple(minutes)


def _halves(value: Any, path: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise FactsError(path, "two numbers are expected: seconds moving in each half of the minute")
    first, second = (_number(half, (0, 30), f"{path}[{i}]") for i, half in enumerate(value))
    return first, second


def _epochs(facts: Mapping[str, Any], zone: ZoneInfo) -> tuple[Epoch, ...]:
    epochs: list[Epoch] = []
    for path, item in _items(facts, "epochs"):
        after = epochs[-1].start_utc_s + EPOCH_S if epochs else None
        start = _instant(_required(item, "start", path), zone, f"{path}.start", after)
        stage = _required(item, "stage", path)
        if stage not in ("sleep", "wake"):
            raise FactsError(f"{path}.stage", f"{stage!r} is neither 'sleep' nor 'wake'")
        epochs.append(Epoch(start, stage == "sleep"))
    _refuse_overlap("epochs", "start", [(epoch.start_utc_s, epoch.start_utc_s + EPOCH_S) for epoch in epochs])
    return tuple(epochs)


def _alarms(facts: Mapping[str, Any], zone: ZoneInfo) -> tuple[Alarm, ...]:
    alarms: list[Alarm] = []
    for path, item in _items(facts, "alarms"):
        raised = _instant(_required(item, "raised_at", path), zone, f"{path}.raised_at")
        answer = item.get("answered_at")
        answered = None if answer is None else _instant(answer, zone, f"{path}.answered_at", raised)
        if answered is not None and answered < raised:
            raise FactsError(f"{path}.answered_at", "lies before raised_at")
        alarms.append(Alarm(raised, answered))
    return tuple(alarms)


def _history(facts: Mapping[str, Any]) -> tuple[PastNight, ...]:
    nights = []
    for path, item in _items(facts, "history"):
        for key in ("night_of", "complete", "provisional"):
            _required(item, key, path)
        _date(item["night_of"], f"{path}.night_of")
        try:
            night = past_night(item)
        except (KeyError, TypeError, ValueError):
            raise FactsError(path, "is no report as `sleepbelt night --json` prints under `night`") from None
        for name, figure in night.figures.items():
            if figure is not None:
                _number(figure, (0, 10**6), f"{path}.{name}")
        nights.append(night)
    return tuple(nights)


def _refuse_overlap(name: str, key: str, intervals: Sequence[tuple[int, int]]) -> None:
    order = sorted(range(len(intervals)), key=lambda i: intervals[i])
    for i, j in itertools.pairwise(order):
        if intervals[j][0] < intervals[i][1]:
            raise FactsError(f"{name}[{j}].{key}", f"overlaps {name}[{i}]")


def _items(facts: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    items = facts.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise FactsError(name, f"a list is expected, not {_kind(items)}")
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise FactsError(f"{name}[{i}]", f"an object is expected, not {_kind(item)}")
    return [(f"{name}[{i}]", item) for i, item in enumerate(items)]


def _required(item: Mapping[str, Any], key: str, path: str) -> Any:
    if key not in item:
        raise FactsError(f"{path}.{key}" if path else key, "is missing")
    return item[key]


def _end(item: Mapping[str, Any], path: str, zone: ZoneInfo, start: int) -> int | None:
    value = _required(item, "end", path)
    if value is None:
        return None
    end = _instant(value, zone, f"{path}.end", start)
    if end < start:
        raise FactsError(f"{path}.end", f"{value} lies before its start {item['start']}")
    return end


def _instant(value: Any, zone: ZoneInfo, path: str, not_before: int | None = None) -> int:
    return _parsed(value, path, lambda text: parse_local(text, zone, not_before))


def _zone(value: Any) -> ZoneInfo:
    return _parsed(value, "timezone", zone_of)


def _date(value: Any, path: str) -> date:
    def parse(text: str) -> date:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) is None:
            raise LocalTimeError(f"{text!r} is no date; write it as 2026-11-24")
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise LocalTimeError(f"{text!r} is no date: {error}") from None
        if day.year not in YEARS:
            raise LocalTimeError(f"{text!r}: the year must lie in {YEARS.start} to {YEARS.stop - 1}")
        return day

    return _parsed(value, path, parse)


def _window(value: Any, path: str) -> tuple[time, time]:
    if value is None:
        return NIGHT_WINDOW
    if not isinstance(value, list) or len(value) != 2:
        raise FactsError(path, 'two local times are expected, such as ["22:00", "06:00"]')
    start, end = (_parsed(edge, f"{path}[{i}]", _clock) for i, edge in enumerate(value))
    return start, end


def _clock(text: str) -> time:
    if _CLOCK.fullmatch(text) is None:
        raise LocalTimeError(f"{text!r} is no time of day; write it as 22:00")
    return time.fromisoformat(text)


def _parsed(value: Any, path: str, parse: Callable[[str], T]) -> T:
    if not isinstance(value, str):
        raise FactsError(path, f"a text is expected, not {_kind(value)}")
    try:
        return parse(value)
    except LocalTimeError as error:
        raise FactsError(path, str(error)) from None


def _optional_number(
    item: Mapping[str, Any], key: str, limits: tuple[int, int], path: str, whole: bool = False
) -> float | None:
    value = item.get(key)
    return None if value is None else _number(value, limits, f"{path}.{key}", whole)


def _number(value: Any, limits: tuple[int, int], path: str, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FactsError(path, f"a number or null is expected, not {_kind(value)}")
    low, high = limits
    if not low <= value <= high:  # also what is not a number at all
        raise FactsError(path, f"{value} is out of range ({low} to {high})")
    if whole and value != int(value):
        raise FactsError(path, f"{value} is no whole number")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
