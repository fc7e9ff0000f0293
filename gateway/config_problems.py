"""What can be wrong with a configuration: each problem by its place, what stands there, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ConfigError", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file: the key's path, what was found there, what is allowed."""

    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        found = f": found {self.found}" if self.found else ""
        return f"{self.path}{found}; {self.allowed}"


class ConfigError(Exception):
    """The file is not usable; `problems` lists everything wrong with it, not only the first."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))
