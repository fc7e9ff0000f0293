"""What the demo shows: three beds, their nights, and the configuration files of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

TIMEZONE = "Asia/Shanghai"
GATEWAY_ID = "demo-gw-01"
NIGHT_START = time(21, 30)
NIGHT_END = time(7, 0)


@dataclass(frozen=True)
class DemoBed:
    """A bed of the demo: who lies there (invented names), and which night file its belt lives through."""

    label: str
    room: str
    night: str
    resident: str


BEDS = (
    DemoBed("101-1", "101", "demo_absent", "王秀英"),
    DemoBed("101-2", "101", "demo_turning", "李建国"),
    DemoBed("102-1", "102", "demo_quiet", "Margaret Hill"),
)


class PlanError(ValueError):
    """An option of the demo that cannot be used; the text says which and why."""


def night_start_ms(today: date) -> int:
    """UTC milliseconds at which the demo's night begins: 21:30 local yesterday, so that it is last night's."""
    start = datetime.combine(today - timedelta(days=1), NIGHT_START, ZoneInfo(TIMEZONE))
    return round(start.timestamp() * 1000)


def night_end_ms(start_ms: int) -> int:
    """UTC milliseconds at which the demo's night is over: 07:00 local on the next day."""
    begun = datetime.fromtimestamp(start_ms / 1000, ZoneInfo(TIMEZONE))
    end = datetime.combine(begun.date() + timedelta(days=1), NIGHT_END, ZoneInfo(TIMEZONE))
    return round(end.timestamp() * 1000)


def instant_ms(text: str, start_ms: int, option: str) -> int:
    """UTC milliseconds of `HH:MM` in the demo's night; PlanError if it is no time or not within the night."""
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        raise PlanError(f"{option}: {text!r} is no time of day such as 23:10") from None
    begun = datetime.fromtimestamp(start_ms / 1000, ZoneInfo(TIMEZONE))
    day = begun.date() if clock >= NIGHT_START else begun.date() + timedelta(days=1)
    at_ms = round(datetime.combine(day, clock, ZoneInfo(TIMEZONE)).timestamp() * 1000)
    if at_ms > night_end_ms(start_ms):
        raise PlanError(f"{option}: {text} is outside the demo's night, {NIGHT_START:%H:%M} to {NIGHT_END:%H:%M}")
    return at_ms


def interval_ms(text: str, start_ms: int, option: str) -> tuple[int, int]:
    """(from, to) of `HH:MM-HH:MM`; PlanError if it is none or ends before it begins."""
    first, dash, last = text.partition("-")
    if not dash:
        raise PlanError(f"{option}: {text!r} is no interval such as 22:10-23:30")
    begin, end = instant_ms(first, start_ms, option), instant_ms(last, start_ms, option)
    if end <= begin:
        raise PlanError(f"{option}: {text} ends before it begins")
    return begin, end


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def gateway_toml(
    data_dir: Path,
    socket: str,
    belts: Sequence[dict[str, Any]],
    broker_url: str | None,
    port: int,
    beds: Sequence[DemoBed],
) -> str:
    """The gateway's configuration: one bed per belt, in order; without `broker_url` there is no uplink."""
    lines = [
        "[gateway]", f"id = {_quoted(GATEWAY_ID)}", f"timezone = {_quoted(TIMEZONE)}",
        f"data_dir = {_quoted(data_dir)}", "", "[radio]", 'backend = "bumble"', f"adapter = {_quoted(socket)}",
        "", "[web]", 'host = "127.0.0.1"', f"port = {port}", "open_access = true",
        "", "[alerter]", "buzzer_pin = 17", "light_pin = 27", "mock_pins = true",
    ]
    if broker_url is not None:
        lines += ["", "[uplink]", f"url = {_quoted(broker_url)}"]
    for bed, belt in zip(beds, belts, strict=True):
        lines += ["", "[[beds]]", f"label = {_quoted(bed.label)}", f"room = {_quoted(bed.room)}",
                  f"serial = {_quoted(belt['serial'])}", f"key = {_quoted(belt['key'])}"]
    return "\n".join(lines) + "\n"


def residents_toml(beds: Sequence[DemoBed]) -> str:
    """The platform's residents: invented people, one per bed."""
    lines: list[str] = []
    for bed in beds:
        lines += ["[[residents]]", f"name = {_quoted(bed.resident)}", f"room = {_quoted(bed.room)}",
                  f"gateway = {_quoted(GATEWAY_ID)}", f"bed = {_quoted(bed.label)}", ""]
    return "\n".join(lines)
