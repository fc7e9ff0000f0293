"""What the demo shows: three beds, their nights, and the configuration files of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hil.synth.script import ScriptError, load

TIMEZONE = "Asia/Shanghai"
GATEWAY_ID = "demo-gw-01"
NIGHTS = ("demo_absent", "demo_turning", "demo_quiet")


@dataclass(frozen=True)
class DemoBed:
    """A bed of the demo and who lies there (invented names)."""

    label: str
    room: str
    resident: str


BEDS = (
    DemoBed("101-1", "101", "王秀英"),
    DemoBed("101-2", "101", "李建国"),
    DemoBed("102-1", "102", "Margaret Hill"),
)


class PlanError(ValueError):
    """An option of the demo that cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Night:
    """The time that the demo plays: UTC milliseconds of its first and last instant."""

    start_ms: int
    end_ms: int

    def clock(self, utc_ms: int) -> str:
        """HH:MM of an instant, local to the facility."""
        return f"{datetime.fromtimestamp(utc_ms / 1000, ZoneInfo(TIMEZONE)):%H:%M}"


def plan_night(names: Sequence[str], today: date) -> Night:
    """The night that the night files `names` (one a bed) describe, as the one that ended last before `today` is over.

    PlanError if there are not as many as beds, one cannot be read, or they do not begin and end together.
    """
    if len(names) != len(BEDS):
        raise PlanError(f"--nights: {len(names)} given; the demo has {len(BEDS)} beds, one night each")
    try:
        scripts = [load(name) for name in names]
    except ScriptError as wrong:
        raise PlanError(f"--nights: {wrong}") from None
    spans = {(script.start_of_day_s, script.duration_s) for script in scripts}
    if len(spans) != 1:
        raise PlanError("--nights: the night files do not begin and end together")
    start_of_day_s, duration_s = spans.pop()
    midnight = datetime.combine(today - timedelta(days=1), time(), ZoneInfo(TIMEZONE))
    start_ms = round((midnight.timestamp() + start_of_day_s) * 1000)
    return Night(start_ms, start_ms + round(duration_s * 1000))


def instant_ms(text: str, night: Night, option: str) -> int:
    """UTC milliseconds of `HH:MM` in the demo's night; PlanError if it is no time or not within the night."""
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        raise PlanError(f"{option}: {text!r} is no time of day such as 23:10") from None
    begun = datetime.fromtimestamp(night.start_ms / 1000, ZoneInfo(TIMEZONE))
    day = begun.date() if clock >= begun.time() else begun.date() + timedelta(days=1)
    at_ms = round(datetime.combine(day, clock, ZoneInfo(TIMEZONE)).timestamp() * 1000)
    if at_ms > night.end_ms:
        span = f"{night.clock(night.start_ms)} to {night.clock(night.end_ms)}"
        raise PlanError(f"{option}: {text} is outside the demo's night, {span}")
    return at_ms


def interval_ms(text: str, night: Night, option: str) -> tuple[int, int]:
    """(from, to) of `HH:MM-HH:MM`; PlanError if it is none or ends before it begins."""
    first, dash, last = text.partition("-")
    if not dash:
        raise PlanError(f"{option}: {text!r} is no interval such as 22:10-23:30")
    begin, end = instant_ms(first, night, option), instant_ms(last, night, option)
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
    platform_key: str | None = None,
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
        lines += [f"platform_key = {_quoted(platform_key)}"] if platform_key else []
    for bed, belt in zip(beds, belts, strict=True):
        lines += ["", "[[beds]]", f"label = {_quoted(bed.label)}", f"room = {_quoted(bed.room)}",
                  f"serial = {_quoted(belt['serial'])}", f"key = {_quoted(belt['key'])}"]
    return "\n".join(lines) + "\n"


def residents_toml(beds: Sequence[DemoBed]) -> str:
    """The platform's residents: invented people, one per bed."""
    lines: list[str] = []
    for bed in beds:
        lines += ["[[resident]]", f"name = {_quoted(bed.resident)}", f"room = {_quoted(bed.room)}",
                  f"gateway = {_quoted(GATEWAY_ID)}", f"bed = {_quoted(bed.label)}", ""]
    return "\n".join(lines)
