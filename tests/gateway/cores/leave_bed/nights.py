"""Short words for short nights: events as a scenario file has them, and the log the rules make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.cores.effects import ALL_EVENTS
from gateway.cores.scenario import read_scenario, run_scenario

Event = dict[str, Any]
EVERYTHING = list(ALL_EVENTS)


def do(at: str, event: str, **fields: Any) -> Event:
    return {"at": at, "event": event, **fields}


def empty(at: str, **fields: Any) -> Event:
    return do(at, "occupancy", state="empty", **fields)


def occupied(at: str, **fields: Any) -> Event:
    return do(at, "occupancy", state="occupied", **fields)


def unclear(at: str, **fields: Any) -> Event:
    return do(at, "occupancy", state="unclear", **fields)


def vitals(first: str, seconds: int, **fields: Any) -> list[Event]:
    """A reading every ten seconds for `seconds`, the first at `first`."""
    hours, minutes, rest = (int(part) for part in first.split(":"))
    start = hours * 3600 + minutes * 60 + rest
    times = range(start, start + seconds, 10)
    return [do(f"{t // 3600:02d}:{t // 60 % 60:02d}:{t % 60:02d}", "vitals", **fields) for t in times]


def scenario(events: Sequence[Event], end: str = "23:59:00", **fields: Any) -> Event:
    return {"id": "T", "start": "2026-11-23T21:30:00", "end": end, "events": list(events)} | fields


def night(*events: Event, end: str = "23:59:00", **fields: Any) -> list[str]:
    """The log of a night from 21:30; `fields` as in a scenario file."""
    return [line.text for line in run_scenario(read_scenario(scenario(events, end, **fields)))]


def only(names: str, *events: Event, end: str = "23:59:00", **fields: Any) -> list[str]:
    """The log of these events alone."""
    return night(*events, end=end, watch=names.split(), **fields)
