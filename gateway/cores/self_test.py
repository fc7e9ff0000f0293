"""Which alert channels are due for their self-test, and whether any way to staff that needs no network is proven.

| | rule |
|---|---|
| when | at the configured hour of the facility's day, every so many days; missed (gateway off), later that day |
| night | never between 21:00 and 07:00, nor while wall time is not trusted: nobody is woken by a test tone |
| alarms | never while an alarm is open: a test must not be mistaken for one, nor hide one |
| proof | holds for 30 days; with none left, later alarms also sound in the room (`untested`) |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.cores.leave_bed import Now

__all__ = ["DAY_FROM_HOUR", "DAY_TO_HOUR", "PROOF_MS", "SelfTests", "TestResult"]

MS_PER_DAY = 86_400_000
PROOF_MS = 30 * MS_PER_DAY
DAY_FROM_HOUR, DAY_TO_HOUR = 7, 21


@dataclass(frozen=True, slots=True)
class TestResult:
    """The last test of one channel; `passed_ms` is the last that passed, None: never."""

    __test__ = False  # not a test of pytest

    at_ms: int
    at_utc_ms: int
    passed: bool
    error: str = ""
    passed_ms: int | None = None


class SelfTests:
    """`reaching_staff`: channel -> whether it reaches staff outside the room without any network."""

    def __init__(
        self,
        reaching_staff: Mapping[str, bool],
        hour: int,
        every_days: int,
        timezone: str,
        now: Now,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """`state`: of `to_state`; KeyError, TypeError or ValueError if it is not of this version."""
        self._reaching_staff = dict(reaching_staff)
        self._hour, self._every_days = hour, every_days
        self._zone = ZoneInfo(timezone)
        self._since_ms = now.now_ms
        self.results: dict[str, TestResult] = {}
        if state is not None:
            self._since_ms = int(state["since_ms"])
            self.results = {str(name): TestResult(**result) for name, result in state["results"].items()}

    def daytime(self, now: Now) -> bool:
        """Whether a test may make a sound now."""
        return now.trusted and DAY_FROM_HOUR <= self._local(now.utc_ms).hour < DAY_TO_HOUR

    def due(self, now: Now, alarming: bool) -> list[str]:
        """The channels to test now, in their configured order."""
        if alarming or not self.daytime(now) or self._local(now.utc_ms).hour < self._hour:
            return []
        today = self._local(now.utc_ms).toordinal()
        return [name for name in self._reaching_staff if today >= self._due_day(name)]

    def done(self, now: Now, channel: str, error: str) -> None:
        """A test ended; `error` empty: passed."""
        before = self.results.get(channel)
        passed_ms = now.now_ms if not error else before.passed_ms if before is not None else None
        self.results[channel] = TestResult(now.now_ms, now.utc_ms, not error, error, passed_ms)

    def untested(self, now: Now) -> bool:
        """True if no staff-reaching channel has passed within 30 days; a new gateway has as long for its first."""
        passed = [
            result.passed_ms
            for name, result in self.results.items()
            if self._reaching_staff.get(name) and result.passed_ms is not None
        ]
        return now.now_ms - max(passed, default=self._since_ms) > PROOF_MS

    def to_state(self) -> dict[str, Any]:
        """JSON-able, for the next start; channels that are configured no longer are forgotten."""
        kept: Iterable[str] = (name for name in self.results if name in self._reaching_staff)
        return {"since_ms": self._since_ms, "results": {name: asdict(self.results[name]) for name in kept}}

    def _local(self, utc_ms: int) -> datetime:
        return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(self._zone)

    def _due_day(self, channel: str) -> int:
        """The local day (ordinal) from which the channel is due; at once if it never was tested."""
        result = self.results.get(channel)
        if result is None:
            return 0
        # A test that failed is repeated the next day: staff may have mended it.
        return self._local(result.at_utc_ms).toordinal() + (self._every_days if result.passed else 1)
