"""Scenario files (LEAVE_BED.md "Scenario file"): from checked JSON to a history, and from decisions to log lines.

Pure: the caller reads the file and prints. Everything a person can write wrongly is a `ScenarioError` that names the
field and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.cores.effects import ALL_EVENTS, WATCHED_BY_DEFAULT, Effect
from gateway.cores.facts import OCCUPIED, RAW_STATES
from gateway.cores.history import Happening, Start, run_history
from gateway.cores.profile import DEFAULT_TIMEZONE, Profile, ProfileError, timezone_name
from gateway.cores.scenario_events import read_events
from gateway.cores.scenario_fields import (
    Fields,
    ScenarioError,
    TimeLine,
    printable,
    read_flag,
    read_seconds,
    required_text,
)

DEFAULT_BEDS: tuple[str, ...] = ("A",)
DEFAULT_STATE_AGE_S = 7200.0
SPAN_S_MAX = 31 * 86400

_KEYS = (
    "id", "title", "start", "timezone", "times", "beds", "profile", "initial", "events", "end", "watch", "expect",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scenario:
    """One checked scenario; instants in UTC milliseconds."""

    id: str
    title: str
    timezone: str
    log_in_utc: bool
    beds: tuple[str, ...]
    profile: Profile
    start: Start
    start_ms: int
    end_ms: int
    happenings: tuple[tuple[int, Happening], ...]
    watch: tuple[str, ...]
    expect: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One log line and the decision behind it."""

    text: str
    effect: Effect


def read_scenario(document: Any) -> Scenario:
    """Check a parsed scenario file; ScenarioError names the field and the reason."""
    fields = Fields(document, "", _KEYS)
    timezone = fields.take("timezone", _timezone, DEFAULT_TIMEZONE)
    beds = fields.take("beds", _beds, DEFAULT_BEDS)
    profile = _profile(fields.take("profile", lambda value, _: value, {}))
    line = TimeLine(fields.need("start", required_text), timezone)
    end_ms = line.at_ms(fields.need("end", required_text), "end")
    if not line.start_ms < end_ms <= line.start_ms + SPAN_S_MAX * 1000:
        raise ScenarioError("end", f"must lie after start, at most {SPAN_S_MAX // 86400} days, got {document['end']!r}")
    return Scenario(
        id=fields.need("id", required_text),
        title=fields.take("title", _text, ""),
        timezone=timezone,
        log_in_utc=fields.take("times", _times, "local") == "utc",
        beds=beds,
        profile=profile,
        start=_initial(fields.take("initial", lambda value, _: value, {})),
        start_ms=line.start_ms,
        end_ms=end_ms,
        happenings=read_events(fields.need("events", _list), beds, line, end_ms, profile),
        watch=fields.take("watch", _watch, WATCHED_BY_DEFAULT),
        expect=fields.take("expect", _expect, None),
    )


def run_scenario(scenario: Scenario, profile: Profile | None = None) -> list[Line]:
    """The watched lines of the log, in its order; `profile` in place of the scenario's own if given."""
    profiles = dict.fromkeys(scenario.beds, profile or scenario.profile)
    effects = run_history(
        profiles, scenario.timezone, scenario.start_ms, scenario.end_ms, scenario.happenings, scenario.start
    )
    zone = UTC if scenario.log_in_utc else ZoneInfo(scenario.timezone)
    several = len(scenario.beds) > 1
    return [
        Line(log_line(effect, zone, several_beds=several), effect)
        for effect in effects
        if effect.event in scenario.watch
    ]


def log_line(effect: Effect, zone: ZoneInfo | Any, *, several_beds: bool) -> str:
    """`HH:MM:SS event detail`; the bed stands before the event if there are several. Never earlier than decided."""
    at = datetime.fromtimestamp(-(-effect.at_ms // 1000), zone)
    clock = at.strftime("%H:%M:%S") + ("Z" if zone is UTC else "")
    event = f"{effect.bed}.{effect.event}" if several_beds and effect.bed is not None else effect.event
    return " ".join(part for part in (clock, event, effect.detail) if part)


def _timezone(value: Any, where: str) -> str:
    try:
        return timezone_name(value, where)
    except ProfileError as wrong:
        raise ScenarioError(wrong.field, wrong.reason, wrong.code) from wrong


def _profile(value: Any) -> Profile:
    try:
        return Profile().merged(value, "profile")
    except ProfileError as wrong:
        raise ScenarioError(wrong.field, wrong.reason, wrong.code) from wrong


def _initial(value: Any) -> Start:
    fields = Fields(value, "initial", ("state", "state_age_s", "first_contact"))
    return Start(
        fields.take("state", _raw_state, OCCUPIED),
        fields.take("state_age_s", read_seconds, DEFAULT_STATE_AGE_S),
        fields.take("first_contact", read_flag, False),
    )


def _raw_state(value: Any, where: str) -> str:
    if value not in RAW_STATES:
        raise ScenarioError(where, f"must be one of {', '.join(RAW_STATES)}, got {value!r}")
    return str(value)


def _times(value: Any, where: str) -> str:
    if value not in ("local", "utc"):
        raise ScenarioError(where, f'must be "local" or "utc", got {value!r}')
    return str(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ScenarioError(where, f"must be a text, got {value!r}")
    return printable(value, where)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ScenarioError(where, f"must be a list, got {value!r}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(one, f"{where}[{index}]") for index, one in enumerate(_list(value, where)))


def _expect(value: Any, where: str) -> tuple[str, ...] | None:
    return None if value is None else _texts(value, where)


def _beds(value: Any, where: str) -> tuple[str, ...]:
    beds = _texts(value, where)
    if not beds or any(not bed or bed != bed.strip() for bed in beds) or len(set(beds)) != len(beds):
        raise ScenarioError(where, f"must be one or more different names, got {value!r}")
    return beds


def _watch(value: Any, where: str) -> tuple[str, ...]:
    watch = _texts(value, where)
    for index, name in enumerate(watch):
        if name not in ALL_EVENTS:
            raise ScenarioError(f"{where}[{index}]", f"is no event of the log: {name!r}")
    return watch


def as_result(scenario: Scenario, lines: list[Line]) -> Mapping[str, Any]:
    """The JSON object of one file: id, log, ok (null without an expectation)."""
    log = [line.text for line in lines]
    return {"id": scenario.id, "log": log, "ok": None if scenario.expect is None else log == list(scenario.expect)}
