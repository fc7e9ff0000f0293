"""When an adapter is to be switched off and on: the rung above reconnecting (facts/RADIO.md, recovery ladder).

A power cycle drops every link of the adapter, so one belt at the edge of its range is no reason for it while others
are served. Instants are real monotonic ms.
"""

from __future__ import annotations

__all__ = ["RadioLadder"]

ALONE_FAILURES = 2  # connects in a row that failed while no session was up
SHARED_FAILURES = 8  # ... and while sessions were up: from two belts at least
SCAN_FAILURES = 2
PAUSE_MS = 30_000
PER_HOUR_MAX = 6
HOUR_MS = 3_600_000


class RadioLadder:
    """Counts what fails on one adapter; `power_cycle_due` says when to act and takes note of it."""

    def __init__(self) -> None:
        self._connects: dict[bytes, int] = {}
        self._scans = 0
        self._cycles_ms: list[int] = []

    def connect_failed(self, serial: bytes) -> None:
        """A belt that was heard could not be connected."""
        self._connects[serial] = self._connects.get(serial, 0) + 1

    def connected(self) -> None:
        """A connect worked, so the adapter does."""
        self._connects.clear()

    def scan_failed(self) -> None:
        """Scanning could not be started."""
        self._scans += 1

    def scan_started(self) -> None:
        """Scanning runs."""
        self._scans = 0

    def power_cycle_due(self, sessions: int, now_ms: int) -> bool:
        """Whether to switch the adapter off and on now; at most once in 30 s and 6 times an hour."""
        if not self._is_stuck(sessions):
            return False
        self._cycles_ms = [at_ms for at_ms in self._cycles_ms if now_ms - at_ms < HOUR_MS]
        if len(self._cycles_ms) >= PER_HOUR_MAX or (self._cycles_ms and now_ms - self._cycles_ms[-1] < PAUSE_MS):
            return False
        self._cycles_ms.append(now_ms)
        self._connects.clear()
        self._scans = 0
        return True

    def _is_stuck(self, sessions: int) -> bool:
        failures = sum(self._connects.values())
        if self._scans >= SCAN_FAILURES or (sessions == 0 and failures >= ALONE_FAILURES):
            return True
        return failures >= SHARED_FAILURES and len(self._connects) >= 2
