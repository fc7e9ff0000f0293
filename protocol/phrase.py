"""Texts for people that know how they were made: English at once, another language where they are shown.

A Phrase is the English text; `say` gives it in a language whose catalogue has the English template. Values may be
phrases too. Which language a program speaks is the option's or the environment's word (`language_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LANGUAGES", "Phrase", "language_of", "lines", "say"]

LANGUAGES = ("en", "zh")


class Phrase(str):
    """English text of a template with {placeholders} and their values; without values the template is the text."""

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Phrase:
        for name, value in values.items():
            if isinstance(value, BaseException) and len(value.args) == 1 and isinstance(value.args[0], Phrase):
                values[name] = value.args[0]  # an error that was said in a phrase stays one
        made = super().__new__(cls, template.format(**values) if values else template)
        made.template, made.values = template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.template,), self.values


def say(text: object, words: Mapping[str, str]) -> str:
    """The text by a catalogue (English template -> template); what no catalogue knows, and no phrase is, as it is."""
    if not isinstance(text, Phrase):
        return str(text)
    template = words.get(text.template, text.template)
    if not text.values:
        return template
    return template.format(**{
        name: say(value, words) if isinstance(value, Phrase) else value for name, value in text.values.items()
    })  # fmt: skip


def lines(texts: Sequence[object]) -> Phrase:
    """Several texts under one another, each in its own words."""
    return Phrase("\n".join(f"{{line{number}}}" for number in range(len(texts))),
                  **{f"line{number}": text for number, text in enumerate(texts)})  # fmt: skip


def language_of(environment: Mapping[str, str]) -> str:
    """`zh` or `en` by the locale: the first of LC_ALL, LC_MESSAGES and LANG that is set decides."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "zh" if environment[name].lower().startswith("zh") else "en"
    return "en"
