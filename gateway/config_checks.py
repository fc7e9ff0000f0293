"""Checks of configuration values: take a raw TOML value, return the value to use, raise NotAllowed(what is allowed)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocol.phrase import Phrase

__all__ = [
    "REQUIRED",
    "Check",
    "Keys",
    "NotAllowed",
    "choice",
    "flag",
    "hexadecimal",
    "meant",
    "mqtt_url",
    "night_window",
    "text",
    "texts",
    "whole",
    "wholes",
    "zone",
]


class NotAllowed(Exception):
    """The value is not allowed; the text says what is."""


Check = Callable[[object], Any]
Keys = Mapping[str, tuple[Check, Any]]
"""key -> (check, default)"""
REQUIRED: Any = object()
"""The default of a key that has none."""


def text(chars_max: int, pattern: str = r".+", allowed: str = Phrase("a text that is not empty")) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > chars_max or not re.fullmatch(pattern, value):
            raise NotAllowed(Phrase(
                "{allowed}, at most {chars_max} characters",
                allowed=allowed, chars_max=chars_max))
        return value

    return check


def texts(count_max: int, chars_max: int) -> Check:
    def check(value: object) -> tuple[str, ...]:
        one = text(chars_max)
        if not isinstance(value, list) or not 1 <= len(value) <= count_max or len(set(map(str, value))) < len(value):
            raise NotAllowed(Phrase("a list of 1 to {count_max} different texts", count_max=count_max))
        return tuple(one(item) for item in value)

    return check


def whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise NotAllowed(Phrase("a whole number from {low} to {high}", low=low, high=high))
        return value

    return check


def wholes(names: tuple[str, ...], low: int, high: int) -> Check:
    """A table of whole numbers under some of these names."""
    def check(value: object) -> Mapping[str, int]:
        if not isinstance(value, Mapping) or not set(value) <= set(names):
            raise NotAllowed(Phrase("a table of {names}", names=', '.join(names)))
        one = whole(low, high)
        return {name: one(number) for name, number in value.items()}

    return check


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise NotAllowed(Phrase("true or false"))
    return value


def choice(*choices: str) -> Check:
    def check(value: object) -> str:
        if value not in choices:
            raise NotAllowed(Phrase(
                "one of {names}{meant}",
                names=', '.join(choices), meant=meant(str(value), choices)))
        return str(value)

    return check


def hexadecimal(size: int, what: str) -> Check:
    def check(value: object) -> bytes:
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * size}}}", value):
            raise NotAllowed(Phrase("{what}: {size} hexadecimal digits", what=what, size=2 * size))
        return bytes.fromhex(value)

    return check


def zone(value: object) -> str:
    try:
        if isinstance(value, str) and value:
            return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise NotAllowed(Phrase("a zone of the IANA database, such as \"Asia/Shanghai\" (unknown_timezone)"))


def night_window(value: object) -> tuple[time, time]:
    """Two times of day as texts; a time from noon on is of the evening before, an end of 12:00 is noon."""
    times = [_time(each) for each in value] if isinstance(value, list) else []
    if len(times) == 2 and times[0] is not None and times[1] is not None:
        start, end = times[0], times[1]
        minutes = [(each.hour * 60 + each.minute - 720) % 1440 for each in (start, end)]
        if minutes[0] < (minutes[1] or 1440):
            return start, end
    raise NotAllowed(Phrase("two times of day between noon and noon, such as [\"22:00\", \"06:00\"]"))


def _time(value: object) -> time | None:
    fits = isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII)
    return time.fromisoformat(str(value)) if fits else None


def mqtt_url(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    try:
        port_valid = parts is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        port_valid = False
    if parts is None or not port_valid or parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise NotAllowed(Phrase(
            "a broker's address such as \"mqtt://192.168.1.10:1883\" or \"mqtts://care.example:8883\""))
    return str(value)


def meant(word: str, choices: tuple[str, ...] | list[str]) -> str:
    import difflib  # for a file with an error in it

    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return Phrase("; did you mean {word}?", word=repr(near[0])) if near else ""
