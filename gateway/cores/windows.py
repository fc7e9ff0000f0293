"""Local wall-clock windows on the UTC axis (rule 8), clock changes included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.cores.profile import MINUTES_PER_DAY, Window

DAY_MS = 86_400_000
_DAYS_AHEAD = 9


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """One opening [start, end) of `windows[index]`, UTC milliseconds."""

    start_utc_ms: int
    end_utc_ms: int
    index: int


def local_instant_utc_ms(day: date, minute: int, zone_name: str, *, second_pass: bool = False) -> int:
    """UTC ms of local `minute` of `day` (may exceed one day). A repeated time is the first pass unless `second_pass`;
    a skipped one is the first valid instant after the gap."""
    zone = ZoneInfo(zone_name)
    days, minute = divmod(minute, MINUTES_PER_DAY)
    wall = datetime.combine(day + timedelta(days=days), datetime.min.time()) + timedelta(minutes=minute)
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return _utc_ms(late if second_pass else early)
    # Skipped: fold=1 lies before the change, fold=0 after it; the change itself is between them.
    before, after = late, early
    offset_before = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset_before:
            before = middle
        else:
            after = middle
    return _utc_ms(after)


def covering(windows: tuple[Window, ...], zone_name: str, utc_ms: int) -> Opening | None:
    """The opening that holds `utc_ms`, if any."""
    for opening in _openings_around(windows, zone_name, utc_ms // DAY_MS):
        if opening.start_utc_ms <= utc_ms < opening.end_utc_ms:
            return opening
    return None


def upcoming(windows: tuple[Window, ...], zone_name: str, utc_ms: int) -> Opening | None:
    """The first opening that starts after `utc_ms`, if one does within a week."""
    for opening in _openings_around(windows, zone_name, utc_ms // DAY_MS):
        if opening.start_utc_ms > utc_ms:
            return opening
    return None


def last_occurrence_utc_ms(minute: int, zone_name: str, utc_ms: int) -> int:
    """The latest instant at or before `utc_ms` at which the local clock came to `minute` of its day."""
    return max(at for at in _daily(minute, zone_name, utc_ms // DAY_MS) if at <= utc_ms)


def next_occurrence_utc_ms(minute: int, zone_name: str, utc_ms: int) -> int:
    """The first instant after `utc_ms` at which the local clock comes to `minute` of its day."""
    return min(at for at in _daily(minute, zone_name, utc_ms // DAY_MS) if at > utc_ms)


@lru_cache(maxsize=512)
def _openings_around(windows: tuple[Window, ...], zone_name: str, utc_day: int) -> tuple[Opening, ...]:
    middle = _utc_date(utc_day)
    openings = []
    for offset in range(-3, _DAYS_AHEAD + 1):
        day = middle + timedelta(days=offset)
        for index, window in enumerate(windows):
            if str(day.isoweekday()) in window.days:
                start, end = window.span()
                opening = Opening(
                    local_instant_utc_ms(day, start, zone_name),
                    local_instant_utc_ms(day, end, zone_name, second_pass=True),
                    index,
                )
                if opening.start_utc_ms < opening.end_utc_ms:
                    openings.append(opening)
    return tuple(sorted(openings))


@lru_cache(maxsize=512)
def _daily(minute: int, zone_name: str, utc_day: int) -> tuple[int, ...]:
    middle = _utc_date(utc_day)
    return tuple(local_instant_utc_ms(middle + timedelta(days=offset), minute, zone_name) for offset in range(-2, 4))


def _utc_date(utc_day: int) -> date:
    # A clock without a battery may say anything; a day outside the calendar is taken for the nearest inside it.
    return date.fromordinal(min(max(utc_day, -700_000), 2_900_000) + date(1970, 1, 1).toordinal())


def _utc_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
