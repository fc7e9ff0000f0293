"""The languages of commands: `--lang`, else the locale, and the catalogues that have their phrases in Chinese.

A text is a `Phrase` where it is made, in English; here are its other languages, by English template, one file for each
area (phrases/zh_AREA.toml). `--json` says the same in English, whoever reads it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import cache

from protocol.phrase import LANGUAGES, language_of, say

__all__ = ["ENGLISH", "Words", "add_language", "catalogue"]


class Words:
    """Says phrases, and the errors that were made of one, in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalogue = catalogue(language)

    def __call__(self, text: object) -> str:
        if isinstance(text, BaseException):
            text = text.args[0] if len(text.args) == 1 else str(text)
        return say(text, self._catalogue)


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """English template -> template of `language`; empty for English itself."""
    found: dict[str, str] = {}
    if language != "en":
        import tomllib  # a gateway that speaks English reads none of it
        from importlib.resources import files

        for file in sorted(files("cloud_sync").joinpath("phrases").iterdir(), key=lambda file: file.name):
            if file.name.startswith(f"{language}_"):
                found |= tomllib.loads(file.read_text("utf-8"))
    return found


ENGLISH = Words("en")


def add_language(parser: argparse.ArgumentParser, what: str = "language of what is printed") -> None:
    """The option `--lang`, as `options.lang`."""
    chosen = language_of(os.environ)
    parser.add_argument("--lang", choices=LANGUAGES, default=chosen, help=f"{what} (default: the locale's, {chosen})")
