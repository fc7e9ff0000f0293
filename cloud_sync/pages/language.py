"""The words of all pages in Chinese and English, and how a visitor's language is chosen."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from cloud_sync.pages.settings import LANGUAGES


class Strings:
    """Texts of one language by dotted key (`board.title`); a key that does not exist is a KeyError."""

    def __init__(self, language: str, texts: dict[str, str]) -> None:
        self.language = language
        self.texts = texts

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of `key` with its {placeholders} filled."""
        text = self.texts[key]
        return text.format(**values) if values else text

    def code(self, group: str, code: str | None) -> str:
        """The text of a code that came over a port; one this version does not know is shown as it is."""
        if not code:
            return ""
        return self.texts.get(f"{group}.{code}", code)

    def detail(self, detail: str) -> str:
        """The words for the detail of an event: a notice, a level, a priority or the reason of an end."""
        if detail[:1] == "L" and detail[1:].isdecimal():
            return self("board.level", level=detail[1:])
        groups = ("clear", "notice", "priority", "rate_reason", "mode", "outcome")
        return next((self.texts[f"{group}.{detail}"] for group in groups if f"{group}.{detail}" in self.texts), detail)


@cache
def strings(language: str) -> Strings:
    """All texts of `zh` or `en`."""
    folder = files("cloud_sync.pages").joinpath("strings")
    texts: dict[str, str] = {}
    for name in (f"{language}.toml", f"{language}_platform.toml", f"{language}_provision.toml"):
        texts |= dict(_flat("", tomllib.loads(folder.joinpath(name).read_text("utf-8"))))
    return Strings(language, texts)


def _flat(prefix: str, table: dict[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in table.items():
        path = f"{prefix}.{key}" if prefix else key
        pairs += _flat(path, value) if isinstance(value, dict) else [(path, str(value))]
    return pairs


def choose_language(cookie: str | None, accept_language: str, default: str) -> str:
    """`zh` or `en`: the visitor's own choice, else the first of ours that the browser asks for, else the site's."""
    if cookie in LANGUAGES:
        return str(cookie)
    wanted: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept_language[:200].split(",")):
        tag, _, parameter = part.strip().lower().partition(";")
        base = tag.partition("-")[0]
        if base in LANGUAGES:
            wanted.append((-_quality(parameter), position, base))
    return min(wanted)[2] if wanted else default


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


def duration(t: Strings, seconds: float | None) -> str:
    """`7 h 12 min`, `45 min`, `38 s`; a dash for None."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return t("common.hours_minutes", hours=hours, minutes=minutes)
    return t("common.minutes", minutes=minutes) if minutes else t("common.seconds", seconds=whole)


def exact_duration(t: Strings, seconds: float) -> str:
    """`9 min 5 s`: to the second below an hour, where people compare it with an allowance; else as `duration`."""
    whole = max(0, int(seconds))
    if 60 <= whole < 3600:
        return t("common.minutes_seconds", minutes=whole // 60, seconds=whole % 60)
    return duration(t, whole)
