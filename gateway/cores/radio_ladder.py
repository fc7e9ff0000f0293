"""What is done about an adapter that is stuck, above reconnecting: which rung, when, and how often at most.

Rungs, lowest first (facts/RADIO.md, recovery ladder): switch the adapter off and on; restart bluetoothd; reset the
adapter (what pulling a USB dongle does); restart the machine. Each drops every link of the adapter, so one belt at the
edge of its range is no reason for any while others are served. A rung that did not help is followed by the next one; a
connect that works ends the episode. Instants are real monotonic ms.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["LIMITS", "Limit", "RadioLadder", "Rung"]

ALONE_FAILURES = 2  # connects in a row that failed while no session was up
SHARED_FAILURES = 8  # ... and while sessions were up: from two belts at least
SCAN_FAILURES = 2
HOUR_MS = 3_600_000
EPISODE_MS_MAX = 600_000  # trouble after that long a peace is new trouble


class Rung(StrEnum):
    """An action, named as the configuration names the highest one allowed."""

    POWER = "power"
    DAEMON = "daemon"
    ADAPTER = "adapter"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a rung is given to work before another is tried, and how often it may be tried in `window_ms`."""

    pause_ms: int
    count_max: int
    window_ms: int = HOUR_MS


LIMITS = {
    Rung.POWER: Limit(20_000, 6),
    Rung.DAEMON: Limit(20_000, 3),
    Rung.ADAPTER: Limit(30_000, 3),
    Rung.REBOOT: Limit(600_000, 1, 24 * HOUR_MS),
}
ORDER = tuple(LIMITS)


class RadioLadder:
    """Counts what fails on one adapter; `due` says which rung to take now and takes note of it."""

    def __init__(self, rungs: Collection[Rung] = (Rung.POWER,)) -> None:
        self._rungs = [rung for rung in ORDER if rung in rungs]
        self._connects: dict[bytes, int] = {}
        self._scans = 0
        self._daemon_is_dead = self._daemon_is_new = False
        self._done: list[tuple[int, Rung]] = []
        self._tried: list[Rung] = []  # in this episode

    def connect_failed(self, serial: bytes) -> None:
        """A belt that was heard could not be connected."""
        self._connects[serial] = self._connects.get(serial, 0) + 1

    def connected(self) -> None:
        """A connect worked, so the adapter does."""
        self._connects.clear()
        self._tried.clear()

    def scan_failed(self, *, daemon_is_dead: bool = False) -> None:
        """Scanning could not be started; with no bluetoothd there is nothing that could switch an adapter."""
        self._scans += 1
        self._daemon_is_dead = daemon_is_dead

    def scan_started(self) -> None:
        """Scanning runs."""
        self._scans = 0
        self._daemon_is_dead = False

    def daemon_is_new(self) -> None:
        """bluetoothd was killed and is there again: the kernel scans on for the dead one, up to 10 s, and refuses the
        new one's scan as long; switching the adapter off and on ends that, and no link is left that it could cost."""
        self._daemon_is_new = True

    def due(self, sessions: int, now_ms: int) -> Rung | None:
        """The rung to take now, None if the adapter works, the last one still has time, or every limit is reached."""
        renew, self._daemon_is_new = self._daemon_is_new and sessions == 0, False
        if renew and Rung.POWER in self._rungs and self._has_turns(Rung.POWER, now_ms):
            return self._take(Rung.POWER, now_ms)
        if not self._is_stuck(sessions):
            return None
        if self._done:
            last_ms, last = self._done[-1]
            if now_ms - last_ms < LIMITS[last].pause_ms:
                return None
            if now_ms - last_ms > EPISODE_MS_MAX:
                self._tried.clear()
        rung = self._next(now_ms)
        return None if rung is None else self._take(rung, now_ms)

    def _take(self, rung: Rung, now_ms: int) -> Rung:
        self._done.append((now_ms, rung))
        self._done = [(at_ms, done) for at_ms, done in self._done if now_ms - at_ms < LIMITS[done].window_ms]
        self._tried.append(rung)
        self._connects.clear()
        self._scans = 0
        return rung

    def _next(self, now_ms: int) -> Rung | None:
        """The lowest rung not tried in this episode; the lower ones again once all were. Reboot only after the rest."""
        usable = [rung for rung in self._rungs if not (rung is Rung.POWER and self._daemon_is_dead)]
        free = [rung for rung in usable if self._has_turns(rung, now_ms)]
        for rung in free:
            if rung not in self._tried and (rung is not Rung.REBOOT or set(usable) - {rung} <= set(self._tried)):
                return rung
        return next((rung for rung in free if rung is not Rung.REBOOT), None)

    def _has_turns(self, rung: Rung, now_ms: int) -> bool:
        limit = LIMITS[rung]
        done = sum(other is rung and now_ms - at_ms < limit.window_ms for at_ms, other in self._done)
        return done < limit.count_max

    def _is_stuck(self, sessions: int) -> bool:
        failures = sum(self._connects.values())
        if self._scans >= SCAN_FAILURES or (sessions == 0 and failures >= ALONE_FAILURES):
            return True
        return failures >= SHARED_FAILURES and len(self._connects) >= 2
