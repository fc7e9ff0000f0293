"""Reading fields of a scenario file: required and optional ones, times, numbers; errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")
SECONDS_MAX = 366 * 86400
NUMBER_MAX = 10**15
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?(Z?)", re.ASCII)
_DATE_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?(Z?)", re.ASCII)


class ScenarioError(ValueError):
    """A scenario that cannot be taken: `field` (as events[3].at), why, and a configuration code if it has one."""

    def __init__(self, field: str, reason: str, code: str = "") -> None:
        super().__init__(f"{field or 'the file'}: {reason}" + (f" ({code})" if code and code != "invalid" else ""))
        self.field = field
        self.reason = reason
        self.code = code


class Fields:
    """The fields of one JSON object, of which only `known` ones may exist."""

    def __init__(self, value: Any, where: str, known: Sequence[str]) -> None:
        if not isinstance(value, dict):
            raise ScenarioError(where, f"must be an object {{...}}, got {_short(value)}")
        self._where = where
        self._values = value
        for name in value:
            if name not in known:
                raise ScenarioError(self.path(name), f"is unknown here; known: {', '.join(known)}")

    def path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def need(self, name: str, read: Callable[[Any, str], T]) -> T:
        """The field, checked by `read`; an error if it is missing."""
        if name not in self._values:
            raise ScenarioError(self.path(name), "is missing")
        return read(self._values[name], self.path(name))

    def take(self, name: str, read: Callable[[Any, str], T], default: T) -> T:
        """The field, checked by `read`, or `default`."""
        return self.need(name, read) if name in self._values else default


class TimeLine:
    """The instants of one scenario: full times, and times of day of which one before `start` is of the next day."""

    def __init__(self, start: str, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._not_before_ms = 0
        self._start_in_utc = start.endswith("Z")
        match = _DATE_TIME.fullmatch(start)
        if match is None:
            raise ScenarioError("start", f"must be a date and time as 2026-11-23T21:30:00, got {start!r}")
        self._start = self._wall(match.groups(), start, "start")
        self.start_ms = self._not_before_ms = self._to_ms(self._start, self._start_in_utc, start, "start")

    def at_ms(self, text: str, where: str, not_before_ms: int | None = None) -> int:
        """UTC ms of `text`; local time unless it ends in Z (a time of day is meant as `start` is).

        A local time that exists twice is the first one that is not before `not_before_ms` (default: `start`).
        """
        if not_before_ms is not None:
            self._not_before_ms = not_before_ms
        match = _DATE_TIME.fullmatch(text)
        if match is not None:
            return self._to_ms(self._wall(match.groups(), text, where), match[7] == "Z", text, where)
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise ScenarioError(where, f"must be a time as 23:00:00 or 2026-11-23T23:00:00, got {text!r}")
        in_utc = self._start_in_utc or match[4] == "Z"
        start = datetime.fromtimestamp(self.start_ms // 1000, UTC if in_utc else self._zone).replace(tzinfo=None)
        day = (str(start.year).zfill(4), f"{start.month:02d}", f"{start.day:02d}")
        wall = self._wall((*day, match[1], match[2], match[3]), text, where)
        if wall.time() < start.time():
            wall += timedelta(days=1)
        return self._to_ms(wall, in_utc, text, where)

    def _wall(self, parts: Sequence[str | None], text: str, where: str) -> datetime:
        year, month, day, hour, minute, second = (int(part or 0) for part in parts[:6])
        try:
            date(year, month, day)
            wall = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - made aware below
        except ValueError as impossible:
            raise ScenarioError(where, f"is no time that exists, got {text!r} ({impossible})") from impossible
        if not 1971 <= wall.year <= 2199:
            raise ScenarioError(where, f"must lie in the years 1971 to 2199, got {text!r}")
        return wall

    def _to_ms(self, wall: datetime, in_utc: bool, text: str, where: str) -> int:
        if in_utc:
            return round(wall.replace(tzinfo=UTC).timestamp()) * 1000
        instants = [round(wall.replace(tzinfo=self._zone, fold=fold).timestamp()) * 1000 for fold in (0, 1)]
        if datetime.fromtimestamp(instants[0] // 1000, self._zone).replace(tzinfo=None) != wall:
            raise ScenarioError(where, f"is skipped by the clock change in this time zone, got {text!r}")
        return instants[1] if instants[0] < self._not_before_ms <= instants[1] else instants[0]


def required_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ScenarioError(where, f"must be a text, got {_short(value)}")
    return printable(value, where)


def printable(text: str, where: str) -> str:
    """`text`, if it can be written out at all (half a surrogate pair cannot)."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ScenarioError(where, f"holds a character that is none: {_short(text)}")
    return text


def read_flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError(where, f"must be true or false, got {_short(value)}")
    return value


def read_number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScenarioError(where, f"must be a number, got {_short(value)}")
    if not -NUMBER_MAX <= value <= NUMBER_MAX:  # false for NaN too
        raise ScenarioError(where, f"must be a number up to {NUMBER_MAX}, got {_short(value)}")
    return value


def read_seconds(value: Any, where: str) -> float:
    """A duration or age, 0 or more."""
    number = read_number(value, where)
    if not 0 <= number <= SECONDS_MAX:
        raise ScenarioError(where, f"must be 0 to {SECONDS_MAX} seconds, got {_short(value)}")
    return number


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) > NUMBER_MAX:
        return "a number of many digits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
