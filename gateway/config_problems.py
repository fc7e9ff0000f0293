"""What can be wrong with a configuration: each problem by its place, what stands there, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.phrase import Phrase, lines

__all__ = ["ConfigError", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file: the key's path, what was found there, what is allowed."""

    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return str(self.phrase())

    def phrase(self) -> Phrase:
        """The whole of it, for the reader's language."""
        if not self.found:
            return Phrase("{path}; {allowed}", path=self.path, allowed=self.allowed)
        return Phrase("{path}: found {found}; {allowed}", path=self.path, found=self.found, allowed=self.allowed)


class ConfigError(Exception):
    """The file is not usable; `problems` lists everything wrong with it, not only the first."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__(lines([
            Phrase("{file}: {problem}", file=file, problem=problem.phrase()) for problem in problems]))  # fmt: skip
