"""Wall time of the reference model: scenario times, labels, and the windows of rules 6 and 8."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DEFAULT_WINDOWS: list[dict[str, Any]] = [{"days": "1234567", "start": "22:00", "end": "06:00", "allowed_s": 1200}]

Window = Mapping[str, Any]


def clock_minutes(text: str) -> int:
    """Minutes after midnight of "HH:MM"."""
    hours, minutes = text.split(":")[:2]
    return int(hours) * 60 + int(minutes)


def first_valid(local: datetime, zone: ZoneInfo, *, second_pass: bool) -> datetime:
    """UTC instant of a wall time; inside the spring gap the first valid instant (rule 8)."""
    utc = local.replace(tzinfo=zone, fold=1 if second_pass else 0).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local.replace(fold=0):
        return utc
    # In the gap: the earliest second whose wall time is past the asked one, found by walking.
    probe = local.replace(tzinfo=zone, fold=1).astimezone(UTC) - timedelta(hours=3)
    while probe.astimezone(zone).replace(tzinfo=None, fold=0) < local.replace(fold=0):
        probe += timedelta(minutes=1)
    return probe


class WallTime:
    """Elapsed seconds since the scenario's start <-> UTC <-> the facility's wall time."""

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        self.zone = ZoneInfo(scenario.get("timezone", "Asia/Shanghai"))
        self.start_is_utc = str(scenario["start"]).endswith("Z")
        self.utc_labels = scenario.get("times", "local") == "utc"
        self.start_utc = self._absolute(str(scenario["start"]))
        self.end_s = self.elapsed_s(str(scenario["end"]))

    def _absolute(self, text: str) -> datetime:
        if text.endswith("Z"):
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
        return datetime.fromisoformat(text).replace(tzinfo=self.zone).astimezone(UTC)

    def elapsed_s(self, text: str) -> int:
        """Elapsed second of an `at`: a full date-time, or a time of day (before `start`: the next day)."""
        if "T" in text:
            return round((self._absolute(text) - self.start_utc).total_seconds())
        zone = UTC if self.start_is_utc or text.endswith("Z") else self.zone
        start = self.start_utc.astimezone(zone).replace(tzinfo=None)
        moment = datetime.combine(start.date(), time.fromisoformat(text.rstrip("Z")))
        if moment < start:
            moment += timedelta(days=1)
        return round((moment.replace(tzinfo=zone).astimezone(UTC) - self.start_utc).total_seconds())

    def label(self, at_s: int) -> str:
        """HH:MM:SS of the log: local, or UTC with a Z."""
        utc = self.start_utc + timedelta(seconds=at_s)
        return f"{utc:%H:%M:%S}Z" if self.utc_labels else f"{utc.astimezone(self.zone):%H:%M:%S}"

    def wall(self, at_s: int, step_s: int) -> datetime:
        """Local wall time as the gateway's (stepped) clock shows it."""
        return (self.start_utc + timedelta(seconds=at_s + step_s)).astimezone(self.zone)

    def is_first_pass(self, minute: str, at_s: int, step_s: int) -> bool:
        """Whether this second begins the minute "HH:MM" of the local day (rule 8: first pass, first valid instant)."""
        shown = self.wall(at_s, step_s)
        if shown.second:
            return False
        asked = datetime.combine(shown.date(), time.fromisoformat(minute))
        return shown.astimezone(UTC) == first_valid(asked, self.zone, second_pass=False)

    def window_instants(
        self, windows: list[dict[str, Any]], around_s: int, step_s: int
    ) -> list[tuple[int, int, Window]]:
        """(start, end, window) in elapsed seconds for the days around an instant, by start."""
        day = self.wall(around_s, step_s).date()
        found = []
        for window in windows:
            for shift in range(-2, 3):
                local_day = day + timedelta(days=shift)
                if str(local_day.isoweekday()) in window["days"]:
                    start, end = self._one_window(window, local_day, step_s)
                    found.append((start, end, window))
        return sorted(found, key=lambda item: item[0])

    def _one_window(self, window: Window, day: date, step_s: int) -> tuple[int, int]:
        midnight = datetime.combine(day, time())
        start_min = 0 if window.get("all_day") else clock_minutes(window["start"])
        end_min = 24 * 60 if window.get("all_day") else clock_minutes(window["end"])
        if end_min <= start_min:
            end_min += 24 * 60
        start = first_valid(midnight + timedelta(minutes=start_min), self.zone, second_pass=False)
        end = first_valid(midnight + timedelta(minutes=end_min), self.zone, second_pass=True)
        return self._elapsed(start) - step_s, self._elapsed(end) - step_s

    def _elapsed(self, utc: datetime) -> int:
        return round((utc - self.start_utc).total_seconds())


def config_error(windows: list[dict[str, Any]], timezone: str | None) -> str | None:
    """The code of rule 8's configuration errors, or None."""
    if timezone is not None:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError):
            return "unknown_timezone"
    week = 7 * 24 * 60
    taken = bytearray(week)
    for window in windows:
        start_min = 0 if window.get("all_day") else clock_minutes(window["start"])
        end_min = 24 * 60 if window.get("all_day") else clock_minutes(window["end"])
        if start_min == end_min:
            return "window_empty"
        length = (end_min - start_min) % (24 * 60) or 24 * 60
        for day in window["days"]:
            first = (int(day) - 1) * 24 * 60 + start_min
            for minute in range(first, first + length):
                if taken[minute % week]:
                    return "window_overlap"
                taken[minute % week] = 1
    return None
