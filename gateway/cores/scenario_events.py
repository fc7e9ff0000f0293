"""The events of a scenario file, each checked and turned into the fact it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from gateway.cores import facts
from gateway.cores.history import ClockStart, ClockStep, Happening
from gateway.cores.profile import REFUSED_CODES, Profile, ProfileError
from gateway.cores.scenario_fields import (
    SECONDS_MAX,
    Fields,
    ScenarioError,
    TimeLine,
    read_flag,
    read_number,
    read_seconds,
    required_text,
)

EVENTS_MAX = 200_000


def read_events(
    values: Sequence[Any], beds: Sequence[str], line: TimeLine, end_ms: int, profile: Profile
) -> tuple[tuple[int, Happening], ...]:
    """(UTC ms, what happens) of every event in the order of time; those of one second stay in the file's order."""
    if len(values) > EVENTS_MAX:
        raise ScenarioError("events", f"has {len(values)} events; at most {EVENTS_MAX}")
    happenings: list[tuple[int, Happening]] = []
    before_ms = line.start_ms
    for index, value in enumerate(values):
        where = f"events[{index}]"
        name, fields = _event(value, where)
        at_text = fields.need("at", required_text)
        at_ms = line.at_ms(at_text, f"{where}.at", before_ms)
        if at_ms < line.start_ms or at_ms > end_ms:
            raise ScenarioError(f"{where}.at", f"lies outside start and end, got {at_text!r}")
        before_ms = max(before_ms, at_ms)
        _, read = _EVENTS[name]
        for bed in _beds_of(name, fields, beds):
            happenings.append((at_ms, read(fields, bed)))
    return tuple(sorted(happenings, key=itemgetter(0)))


def _event(value: Any, where: str) -> tuple[str, Fields]:
    if not isinstance(value, dict):
        raise ScenarioError(where, f"must be an object {{at, event, ...}}, got {value!r}")
    name = Fields({"event": value["event"]} if "event" in value else {}, where, ("event",)).need("event", required_text)
    if name not in _EVENTS:
        raise ScenarioError(f"{where}.event", f"is no event: {name!r}; there are: {', '.join(_EVENTS)}")
    known, _ = _EVENTS[name]
    own = () if name in _OF_THE_GATEWAY else ("bed",)
    return name, Fields(value, where, ("at", "event", *own, *known))


def _beds_of(name: str, fields: Fields, beds: Sequence[str]) -> Sequence[str]:
    """The bed that is meant. A `configure` that names none of several is for all of them."""
    if name in _OF_THE_GATEWAY:
        return ("",)
    if name == "configure" and len(beds) > 1:
        bed = fields.take("bed", _text_or_none, None)
        if bed is None:
            return beds
    elif len(beds) > 1:
        bed = fields.need("bed", required_text)
    else:
        bed = fields.take("bed", required_text, beds[0])
    if bed not in beds:
        raise ScenarioError(fields.path("bed"), f"is no bed of this file: {bed!r}; there are: {', '.join(beds)}")
    return (bed,)


def _text_or_none(value: Any, where: str) -> str | None:
    return None if value is None else required_text(value, where)


def _state(value: Any, where: str) -> str:
    if value not in facts.RAW_STATES:
        raise ScenarioError(where, f"must be one of {', '.join(facts.RAW_STATES)}, got {value!r}")
    return str(value)


def _occupancy(fields: Fields, bed: str) -> Happening:
    return facts.Occupancy(
        bed,
        fields.need("state", _state),
        fields.take("state_age_s", read_seconds, 0.0),
        vitals_valid=fields.take("vitals_valid", _flag_or_none, None),
    )


def _belt_report(fields: Fields, bed: str) -> Happening:
    return facts.BeltReport(bed, fields.need("state", _state), fields.need("state_age_s", read_seconds))


def _link_up(fields: Fields, bed: str) -> Happening:
    state = fields.need("state", _state)
    return facts.LinkUp(
        bed,
        state,
        fields.need("state_age_s", read_seconds),
        fields.take("finished_absences", _finished, ()),
    )


def _finished(value: Any, where: str) -> tuple[facts.FinishedAbsence, ...]:
    if not isinstance(value, list):
        raise ScenarioError(where, f"must be a list, got {value!r}")
    absences = []
    for index, one in enumerate(value):
        fields = Fields(one, f"{where}[{index}]", ("ended_ago_s", "duration_s"))
        ended_ago_s, duration_s = (fields.need(name, read_seconds) for name in ("ended_ago_s", "duration_s"))
        absences.append(facts.FinishedAbsence(ended_ago_s, duration_s))
    return tuple(absences)


def _vitals(fields: Fields, bed: str) -> Happening:
    return facts.Vitals(
        bed,
        valid=fields.take("valid", _flag_or_none, None),
        heart_rate_bpm=fields.take("heart_rate_bpm", _rate, None),
        respiration_per_min=fields.take("respiration_per_min", _rate, None),
        quality=fields.take("quality", _quality, None),
    )


def _flag_or_none(value: Any, where: str) -> bool | None:
    return None if value is None else read_flag(value, where)


def _rate(value: Any, where: str) -> float | None:
    if value is None:
        return None
    number = read_number(value, where)
    if not 0 <= number <= 400:
        raise ScenarioError(where, f"must be 0 to 400 per minute, or null, got {value!r}")
    return number


def _quality(value: Any, where: str) -> float | None:
    """0 to 100; `good` and `poor` are taken for the ends of that scale."""
    if value is None or value in ("good", "poor"):
        return {None: None, "good": 100.0, "poor": 0.0}[value]
    number = read_number(value, where)
    if not 0 <= number <= 100:
        raise ScenarioError(where, f"must be 0 to 100, got {value!r}")
    return number


def _configure(fields: Fields, bed: str) -> Happening:
    changes = fields.need("profile", lambda value, _: value)
    where = fields.path("profile")
    try:
        Profile().merged(changes, where)
    except ProfileError as wrong:
        # These codes are part of the history: the gateway refuses. Anything else is a mistake in the file.
        if wrong.code not in REFUSED_CODES:
            raise ScenarioError(wrong.field, wrong.reason) from wrong
    return facts.Configure(bed, changes)


def _clock_step(fields: Fields, _: str) -> Happening:
    by_s = fields.need("by_s", read_number)
    if abs(by_s) > SECONDS_MAX:
        raise ScenarioError(fields.path("by_s"), f"must be at most {SECONDS_MAX} seconds, got {by_s!r}")
    return ClockStep(round(by_s * 1000))


_Read = Callable[[Fields, str], Happening]
_EVENTS: Mapping[str, tuple[tuple[str, ...], _Read]] = {
    "occupancy": (("state", "state_age_s", "vitals_valid"), _occupancy),
    "vitals": (("valid", "heart_rate_bpm", "respiration_per_min", "quality"), _vitals),
    "acknowledge": ((), lambda _, bed: facts.Acknowledge(bed)),
    "wall_cancel": ((), lambda _, bed: facts.WallCancel(bed)),
    "assist": ((), lambda _, bed: facts.Assist(bed)),
    "maintenance_on": ((), lambda _, bed: facts.MaintenanceOn(bed)),
    "maintenance_off": ((), lambda _, bed: facts.MaintenanceOff(bed)),
    "away_on": ((), lambda _, bed: facts.AwayOn(bed)),
    "away_off": ((), lambda _, bed: facts.AwayOff(bed)),
    "link_down": ((), lambda _, bed: facts.LinkDown(bed)),
    "link_up": (("state", "state_age_s", "finished_absences"), _link_up),
    "gateway_down": ((), lambda _, __: facts.GatewayDown()),
    "gateway_up": (("clock_trusted",), lambda fields, _: ClockStart(fields.take("clock_trusted", read_flag, True))),
    "belt_report": (("state", "state_age_s"), _belt_report),
    "clock": (("trusted",), lambda fields, _: facts.ClockTrust(fields.need("trusted", read_flag))),
    "clock_step": (("by_s",), _clock_step),
    "configure": (("profile",), _configure),
    "unbind": ((), lambda _, bed: facts.Unbind(bed)),
}
_OF_THE_GATEWAY = ("gateway_down", "gateway_up", "clock", "clock_step")
