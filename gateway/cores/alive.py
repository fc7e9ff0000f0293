"""Whether every part of the alarm path still takes its turns: what a heartbeat stands for."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["TURN_LIMIT_MS", "Alive"]

TURN_LIMIT_MS = 4_000
"""Every part takes a turn at least once a second; one that has not for this long hangs."""


class Alive:
    """Parts report their turns; a part that was never heard of counts as hanging."""

    def __init__(self, parts: Iterable[str], limit_ms: int = TURN_LIMIT_MS) -> None:
        self._turn_ms: dict[str, int | None] = dict.fromkeys(parts)
        self._limit_ms = limit_ms

    def turn(self, part: str, now_ms: int) -> None:
        """The part did its work once more; KeyError for one that was not named before."""
        if part not in self._turn_ms:
            raise KeyError(part)
        self._turn_ms[part] = now_ms

    @property
    def is_complete(self) -> bool:
        """Whether every part has taken a turn since the start."""
        return all(at is not None for at in self._turn_ms.values())

    def hanging(self, now_ms: int) -> list[str]:
        """The parts that took no turn in time; empty: everything lives."""
        return [part for part, at in self._turn_ms.items() if at is None or now_ms - at > self._limit_ms]
