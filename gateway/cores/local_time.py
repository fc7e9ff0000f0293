"""Local wall time as people and files write it, to UTC seconds and back; the hours a clock change makes are refused
or told apart, never guessed in silence."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCAL = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.]\d{1,6})?)?(?P<offset>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
YEARS = range(1971, 2200)


class LocalTimeError(ValueError):
    """The text is no instant of that zone; the message says why."""


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name; LocalTimeError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: a folder of the zone database, such as "Asia".
        raise LocalTimeError(f"{name!r} is no time zone; give an IANA name such as 'Asia/Shanghai'") from None


def parse_local(text: str, zone: ZoneInfo, not_before_utc_s: int | None = None) -> int:
    """UTC second of a local time such as `2026-11-23T21:30:00`, fractions dropped.

    A time that exists twice is the one its offset names; without an offset it is the first, or the second where the
    first would lie before `not_before_utc_s`. LocalTimeError: not a time, skipped by a clock change, wrong offset.
    """
    form = _LOCAL.fullmatch(text)
    if form is None:
        raise LocalTimeError(f"{text!r} is no local time; write it as 2026-11-23T21:30:00")
    try:
        written = datetime.fromisoformat(text)
    except ValueError as error:
        raise LocalTimeError(f"{text!r} is no local time: {error}") from None
    if written.year not in YEARS:
        raise LocalTimeError(f"{text!r}: the year must lie in {YEARS.start} to {YEARS.stop - 1}")
    wall = written.replace(tzinfo=None, microsecond=0)
    instants = [at for at in _instants(wall, zone) if _wall(at, zone) == wall]
    if not instants:
        raise LocalTimeError(f"{text!r} does not exist in {zone.key}: a clock change skips it")
    if form["offset"] is None:
        later = [at for at in instants if not_before_utc_s is None or at >= not_before_utc_s]
        return (later or instants)[0]
    instant = int(written.replace(microsecond=0).timestamp())
    if instant not in instants:
        raise LocalTimeError(f"{text!r}: {zone.key} does not have this offset at that time; leave the offset out")
    return instant


def local_iso(utc_s: int, zone: ZoneInfo) -> str:
    """Local `YYYY-MM-DDTHH:MM:SS`; an offset follows only where a clock change makes that reading ambiguous."""
    wall = _wall(utc_s, zone)
    if len({at for at in _instants(wall, zone) if _wall(at, zone) == wall}) > 1:
        return datetime.fromtimestamp(utc_s, zone).isoformat()
    return wall.isoformat()


def _instants(wall: datetime, zone: ZoneInfo) -> list[int]:
    """Both readings of a wall time, earlier first; equal but around a clock change."""
    return sorted({int(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC).timestamp()) for fold in (0, 1)})


def _wall(utc_s: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(utc_s, zone).replace(tzinfo=None, fold=0)
