"""Bed scripts: what happens in one bed in one night, read from hil/nights/*.toml.

Times in a file are wall-clock `HH:MM` or `HH:MM:SS`, counted forward from `start` (a time before `start` is after
midnight). Inside Python everything is seconds since `start`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

NIGHTS_DIR = Path(__file__).resolve().parent.parent / "nights"

EVENT_KINDS = {
    "enter": (),
    "exit": ("for_s", "edge_s", "silent"),
    "turn_over": ("for_s",),
    "move": ("for_s", "strength"),
    "breath_pause": ("for_s",),
    "weak": ("for_s", "gain"),
}
INTERFERENCE_KINDS = (
    "pump", "piston", "hvac", "mains", "footsteps", "door", "partner", "pet", "carer", "snoring", "object", "dropout",
)  # fmt: skip
STAGES = ("wake", "light", "deep", "rem")
RHYTHMS = ("sinus", "af", "premature")
RR_MIN_MS, RR_MAX_MS = 250, 4000


class ScriptError(ValueError):
    """A night file that cannot be used; the text says which file, which entry and why."""


@dataclass(frozen=True)
class Resident:
    """The body in the bed. gain 1 = 90 counts p-p per beat at 10 bits (median of the measured beds)."""

    heart_rate_bpm: float = 62.0
    hrv: float = 0.4  # 1 = young adult asleep (twelve beats: CV 5 %, RMSSD 7 %, as measured), .2-.5 = old
    rhythm: str = "sinus"
    premature_share: float = 0.05
    af_interval_cv: float = 0.2
    respiration_per_min: float = 15.0
    cheyne_stokes: bool = False
    gain: float = 1.0
    snr_db: float = 4.0  # beats against everything else the body does, 1-12 Hz
    movements_per_h: float = 6.0
    turn_overs_per_h: float = 2.0


@dataclass(frozen=True)
class Sensor:
    """The channel: counts of `bits`, amplifier rails, white noise (counts rms at 10 bits), clock error."""

    bits: int = 10
    middle: float = 0.5
    rail_low: float = 0.0
    rail_high: float = 0.8
    noise_counts: float = 0.4
    clock_ppm: float = 0.0


@dataclass(frozen=True)
class Event:
    """Something the resident does at at_s."""

    at_s: float
    kind: str
    for_s: float = 0.0
    edge_s: float = 0.0
    strength: float = 1.0
    gain: float = 1.0
    silent: bool = False


@dataclass(frozen=True)
class Interference:
    """A disturbance from from_s to to_s; frequency_hz and counts (p-p at 10 bits) mean what the kind needs."""

    kind: str
    from_s: float
    to_s: float
    frequency_hz: float = 0.0
    counts: float = 0.0


@dataclass(frozen=True)
class Phase:
    """A sleep stage from at_s to the next entry."""

    at_s: float
    stage: str


@dataclass(frozen=True)
class BedScript:
    """One bed, one night: resident, sensor, events in time order, and how long it lasts."""

    name: str
    duration_s: float
    seed: int = 1
    start_of_day_s: int = 0
    title: str = ""
    resident: Resident = field(default_factory=Resident)
    sensor: Sensor = field(default_factory=Sensor)
    events: tuple[Event, ...] = ()
    interference: tuple[Interference, ...] = ()
    hypnogram: tuple[Phase, ...] = ()
    heart_profile: tuple[tuple[float, float], ...] = ()
    respiration_profile: tuple[tuple[float, float], ...] = ()
    rr_ms: tuple[float, ...] = ()  # measured beat intervals instead of generated ones, from the first again at the end

    def presence(self) -> list[tuple[float, float]]:
        """Intervals (start_s, end_s) in bed; an exit with for_s returns by itself, one without waits for `enter`."""
        spans: list[tuple[float, float]] = []
        since: float | None = None
        for event in sorted(self.events, key=lambda e: e.at_s):
            if event.kind == "enter" and since is None:
                since = event.at_s
            elif event.kind == "exit" and since is not None and event.at_s > since:
                spans.append((since, event.at_s))
                since = event.at_s + event.for_s if event.for_s else None
        if since is not None and since < self.duration_s:
            spans.append((since, self.duration_s))
        return [(start, min(end, self.duration_s)) for start, end in spans if start < self.duration_s]

    def with_seed(self, seed: int) -> BedScript:
        """The same script with other random details."""
        return replace(self, seed=seed)


def names() -> list[str]:
    """Names of the night files that come with sleepbelt."""
    return sorted(path.stem for path in NIGHTS_DIR.glob("*.toml"))


def load(name_or_path: str | Path) -> BedScript:
    """Read a night by its name in hil/nights or by path; ScriptError on anything wrong."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = NIGHTS_DIR / f"{name_or_path}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        choice = ", ".join(names())
        raise ScriptError(f"no night called {name_or_path}: choose one of {choice} or a .toml file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScriptError(f"{path}: {error}") from None
    return parse(data, path.stem, path.parent)


def parse(data: Mapping[str, Any], name: str, folder: Path = Path()) -> BedScript:
    """A script from the parsed TOML, whose files lie in `folder`; ScriptError names the entry that is wrong."""
    known = {"title", "start", "end", "seed", "resident", "sensor", "event", "interference", "hypnogram",
             "heart_profile", "respiration_profile", "rr_file"}  # fmt: skip
    if unknown := set(data) - known:
        raise ScriptError(f"{name}: unknown entry {sorted(unknown)[0]}; known are {', '.join(sorted(known))}")
    start_s = _clock(data.get("start", "00:00"), f"{name}: start")

    def since_start(text: object, where: str) -> float:
        return float((_clock(text, f"{name}: {where}") - start_s) % 86400)

    if "end" not in data:
        raise ScriptError(f"{name}: end is missing")
    resident = _fill(Resident, data.get("resident", {}), f"{name}: resident")
    if resident.rhythm not in RHYTHMS:
        raise ScriptError(f"{name}: resident: rhythm {resident.rhythm!r} is none of {', '.join(RHYTHMS)}")
    events = [_event(entry, f"event {i + 1}", name, since_start) for i, entry in enumerate(data.get("event", []))]
    return BedScript(
        name=name,
        duration_s=since_start(data["end"], "end") or 86400.0,
        seed=int(data.get("seed", 1)),
        start_of_day_s=start_s,
        title=str(data.get("title", "")),
        resident=resident,
        sensor=_fill(Sensor, data.get("sensor", {}), f"{name}: sensor"),
        events=tuple(sorted(events, key=lambda e: e.at_s)),
        interference=tuple(
            _interference(entry, f"interference {i + 1}", name, since_start)
            for i, entry in enumerate(data.get("interference", []))
        ),
        hypnogram=tuple(_phase(pair, name, since_start) for pair in data.get("hypnogram", [])),
        heart_profile=_profile(data.get("heart_profile", []), "heart_profile", since_start),
        respiration_profile=_profile(data.get("respiration_profile", []), "respiration_profile", since_start),
        rr_ms=_intervals(folder / str(data["rr_file"]), f"{name}: rr_file") if "rr_file" in data else (),
    )


def _clock(text: object, where: str) -> int:
    parts = str(text).split(":")
    if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
        raise ScriptError(f"{where}: {text!r} is not a time HH:MM or HH:MM:SS")
    hours, minutes, seconds = (*map(int, parts), 0)[:3]
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ScriptError(f"{where}: {text!r} is not a time of day")
    return hours * 3600 + minutes * 60 + seconds


def _fill(shape: type[Any], entry: Mapping[str, Any], where: str, **fixed: Any) -> Any:
    known = shape.__dataclass_fields__
    for key, value in entry.items():
        if key not in known:
            raise ScriptError(f"{where}: unknown field {key}; known are {', '.join(known)}")
        default = known[key].default
        if isinstance(default, (bool, str)) != isinstance(value, (bool, str)):
            raise ScriptError(f"{where}: {key} = {value!r} has the wrong type")
    return shape(**{**entry, **fixed})


def _event(entry: Mapping[str, Any], where: str, name: str, since_start: Any) -> Event:
    kind = entry.get("kind", "")
    if kind not in EVENT_KINDS:
        raise ScriptError(f"{name}: {where}: kind {kind!r} is none of {', '.join(EVENT_KINDS)}")
    rest = {key: value for key, value in entry.items() if key not in ("at", "kind")}
    for key in rest:
        if key not in EVENT_KINDS[kind]:
            raise ScriptError(f"{name}: {where}: {kind} takes no {key}")
    event: Event = _fill(Event, rest, f"{name}: {where}", at_s=since_start(entry.get("at"), where), kind=kind)
    return event


def _interference(entry: Mapping[str, Any], where: str, name: str, since_start: Any) -> Interference:
    kind = entry.get("kind", "")
    if kind not in INTERFERENCE_KINDS:
        raise ScriptError(f"{name}: {where}: kind {kind!r} is none of {', '.join(INTERFERENCE_KINDS)}")
    rest = {key: value for key, value in entry.items() if key not in ("from", "to", "kind")}
    from_s = since_start(entry.get("from"), where)
    to_s = since_start(entry.get("to"), where)
    disturbance: Interference = _fill(Interference, rest, f"{name}: {where}", kind=kind, from_s=from_s, to_s=to_s)
    return disturbance


def _intervals(path: Path, where: str) -> tuple[float, ...]:
    """Beat intervals of a text file, one in milliseconds per line; # begins a comment."""
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{where}: {path}: {error}") from None
    result: list[float] = []
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        try:
            interval_ms = float(text)
        except ValueError:
            interval_ms = 0.0
        if not RR_MIN_MS <= interval_ms <= RR_MAX_MS:
            raise ScriptError(
                f"{where}: {path} line {number}: {text!r} is not an interval of {RR_MIN_MS} to {RR_MAX_MS} ms"
            )
        result.append(interval_ms)
    if not result:
        raise ScriptError(f"{where}: {path} holds no interval: give one in milliseconds per line")
    return tuple(result)


def _phase(pair: Sequence[Any], name: str, since_start: Any) -> Phase:
    if len(pair) != 2 or pair[1] not in STAGES:
        raise ScriptError(f"{name}: hypnogram: {pair!r} is not [time, stage]; stages are {', '.join(STAGES)}")
    return Phase(since_start(pair[0], "hypnogram"), pair[1])


def _profile(pairs: Sequence[Sequence[Any]], where: str, since_start: Any) -> tuple[tuple[float, float], ...]:
    return tuple((since_start(pair[0], where), float(pair[1])) for pair in pairs)
