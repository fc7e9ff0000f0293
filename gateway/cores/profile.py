"""A bed's settings: the defaults, the profiles that are shipped, and the check of everything a person may write.

One truth for every default of LEAVE_BED.md. `Profile` is immutable; `merged` gives a changed one or raises
`ProfileError`, so nothing is ever half changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.cores.plain import plain

WINDOW_EMPTY = "window_empty"
WINDOW_OVERLAP = "window_overlap"
UNKNOWN_TIMEZONE = "unknown_timezone"
INVALID = "invalid"

REFUSED_CODES = (WINDOW_EMPTY, WINDOW_OVERLAP, UNKNOWN_TIMEZONE)
"""The codes a scenario's `configure` is `refused` with; `invalid` makes the file itself malformed."""

MINUTES_PER_DAY = 24 * 60
DURATION_S_MAX = 7 * 86400
NUMBER_MAX = 10**15
DEFAULT_TIMEZONE = "Asia/Shanghai"
WINDOWS_MAX = 64


class ProfileError(ValueError):
    """A setting that cannot be taken. `code` for the log, `field` where it stands, the message says why."""

    def __init__(self, code: str, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.code = code
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Window:
    """When the absence rule applies, in local wall minutes; `end_min` <= `start_min` is the next day (rule 8)."""

    days: str = "1234567"
    start_min: int = 22 * 60
    end_min: int = 6 * 60
    all_day: bool = False
    allowed_s: float = 1200

    def span(self) -> tuple[int, int]:
        """(start, end) in minutes from the start of the day the window belongs to; end up to 2880."""
        if self.all_day:
            return 0, MINUTES_PER_DAY
        return self.start_min, self.end_min + (MINUTES_PER_DAY if self.end_min <= self.start_min else 0)

    def as_mapping(self) -> dict[str, Any]:
        """As written in a scenario or on a page."""
        if self.all_day:
            return {"days": self.days, "all_day": True, "allowed_s": self.allowed_s}
        return {
            "days": self.days,
            "start": clock_text(self.start_min),
            "end": clock_text(self.end_min),
            "allowed_s": self.allowed_s,
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """Every setting of one bed. Durations in seconds, times of day in minutes from local midnight, None = off."""

    timezone: str | None = None
    """None: the facility's."""
    windows: tuple[Window, ...] = (Window(),)
    allowed_s: float = 1200
    exit_confirm_s: float = 5
    entry_confirm_s: float = 10
    settle_s: float = 60
    carry_in_s: float = 3600
    tail: str = "run_out"
    latch: str = "visual"
    escalate_after_s: float = 180
    max_level: int = 3
    realarm_s: float = 600
    assist_s: float = 900
    maintenance_max_s: float = 3600
    offline_after_s: float = 90
    boot_wait_s: float = 15
    prealert_s: float = 0
    priority: str = "medium"
    require_vitals: bool = False
    repeat_count: int = 0
    repeat_span_s: float = 7200
    not_in_bed_by: int | None = None
    not_up_by: int | None = None
    not_up_lookback_s: float = 3600
    hr_high: float | None = None
    hr_low: float | None = None
    rr_high: float | None = None
    rr_low: float | None = None
    sustain_s: float = 60
    reposition_s: float = 0
    no_signal_s: float = 0

    def merged(self, changes: Mapping[str, Any], where: str = "profile") -> Profile:
        """This profile with `changes` (keys as in a scenario's `profile`) on top; `ProfileError` if any is wrong."""
        return _merged(self, changes, where)

    def to_state(self) -> dict[str, Any]:
        """JSON-able; `from_state` gives the same profile back."""
        return plain(self) | {"windows": [plain(window) for window in self.windows]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Profile:
        return cls(**{**state, "windows": tuple(Window(**window) for window in state["windows"])})

    def as_mapping(self) -> dict[str, Any]:
        """The settings as a person writes them: `Profile().merged(p.as_mapping())` is `p`."""
        written = plain(self) | {"windows": [window.as_mapping() for window in self.windows]}
        del written["allowed_s"]  # it would set every window; each window already says its own
        for name in _CLOCK_FIELDS:
            minutes = written[name]
            written[name] = None if minutes is None else clock_text(minutes)
        return written


def clock_text(minutes: int) -> str:
    """1320 -> "22:00"."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def clock_minutes(text: Any, where: str) -> int:
    """ "22:00" -> 1320; `ProfileError` unless it is HH:MM from 00:00 to 23:59."""
    parts = text.split(":") if isinstance(text, str) else []
    good = len(parts) == 2 and all(len(part) == 2 and part.isascii() and part.isdigit() for part in parts)
    if not good or int(parts[0]) > 23 or int(parts[1]) > 59:
        raise ProfileError(INVALID, where, f"must be a time of day HH:MM, got {text!r}")
    return int(parts[0]) * 60 + int(parts[1])


def _seconds(value: Any, where: str) -> float:
    number = _number(value, where)
    if not 0 <= number <= DURATION_S_MAX:
        raise ProfileError(INVALID, where, f"must be 0 to {DURATION_S_MAX} seconds, got {value!r}")
    return number


def _seconds_above_zero(value: Any, where: str) -> float:
    number = _seconds(value, where)
    if number < 1:
        raise ProfileError(INVALID, where, f"must be at least 1 second, got {value!r}")
    return number


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProfileError(INVALID, where, f"must be a number, got {value!r}")
    if not -NUMBER_MAX <= value <= NUMBER_MAX:  # false for NaN too
        raise ProfileError(INVALID, where, f"must be a number up to {NUMBER_MAX}")
    return value


def _limit(value: Any, where: str) -> float | None:
    if value is None:
        return None
    number = _number(value, where)
    if not 0 < number <= 400:
        raise ProfileError(INVALID, where, f"must be above 0 and at most 400, or null for off, got {value!r}")
    return number


def _whole(low: int, high: int) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ProfileError(INVALID, where, f"must be a whole number {low} to {high}, got {value!r}")
        return value

    return check


def _one_of(*allowed: str) -> Callable[[Any, str], str]:
    def check(value: Any, where: str) -> str:
        if value not in allowed:
            raise ProfileError(INVALID, where, f"must be one of {', '.join(allowed)}, got {value!r}")
        return str(value)

    return check


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ProfileError(INVALID, where, f"must be true or false, got {value!r}")
    return value


def _clock_or_off(value: Any, where: str) -> int | None:
    return None if value is None or value == "off" else clock_minutes(value, where)


def _timezone_or_facility(value: Any, where: str) -> str | None:
    return None if value is None else timezone_name(value, where)


def timezone_name(value: Any, where: str) -> str:
    """The name of an IANA zone; `ProfileError` `unknown_timezone` for any other text."""
    if not isinstance(value, str):
        raise ProfileError(INVALID, where, f"must be the name of a time zone, got {value!r}")
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        reason = f"there is no time zone {value!r} (names look like Asia/Shanghai)"
        raise ProfileError(UNKNOWN_TIMEZONE, where, reason) from unknown
    return value


_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "timezone": _timezone_or_facility,
    "allowed_s": _seconds,
    "exit_confirm_s": _seconds,
    "entry_confirm_s": _seconds,
    "settle_s": _seconds,
    "carry_in_s": _seconds,
    "tail": _one_of("run_out", "stop_at_end"),
    "latch": _one_of("visual", "none"),
    "escalate_after_s": _seconds_above_zero,
    "max_level": _whole(1, 9),
    "realarm_s": _seconds_above_zero,
    "assist_s": _seconds,
    "maintenance_max_s": _seconds_above_zero,
    "offline_after_s": _seconds_above_zero,
    "boot_wait_s": _seconds,
    "prealert_s": _seconds,
    "priority": _one_of("low", "medium", "high"),
    "require_vitals": _flag,
    "repeat_count": _whole(0, 100),
    "repeat_span_s": _seconds_above_zero,
    "not_in_bed_by": _clock_or_off,
    "not_up_by": _clock_or_off,
    "not_up_lookback_s": _seconds,
    "hr_high": _limit,
    "hr_low": _limit,
    "rr_high": _limit,
    "rr_low": _limit,
    "sustain_s": _seconds_above_zero,
    "reposition_s": _seconds,
    "no_signal_s": _seconds,
}
_CLOCK_FIELDS = ("not_in_bed_by", "not_up_by")
SETTINGS = (*_CHECKS, "windows")
"""Every key a profile may have."""


def _merged(base: Profile, changes: Mapping[str, Any], where: str) -> Profile:
    if not isinstance(changes, Mapping):
        raise ProfileError(INVALID, where, f"must be an object of settings, got {changes!r}")
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "windows":
            continue
        if name not in _CHECKS:
            raise ProfileError(INVALID, f"{where}.{name}", "is no setting of a profile")
        values[name] = _CHECKS[name](value, f"{where}.{name}")
    allowed_s = values.get("allowed_s", base.allowed_s)
    windows = base.windows
    if "windows" in changes:
        windows = _windows(changes["windows"], allowed_s, f"{where}.windows")
    if "allowed_s" in values:
        windows = tuple(replace(window, allowed_s=allowed_s) for window in windows)
    return replace(base, **values, windows=windows)


def _windows(value: Any, allowed_s: float, where: str) -> tuple[Window, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ProfileError(INVALID, where, f"must be a list of windows, got {value!r}")
    if len(value) > WINDOWS_MAX:
        raise ProfileError(INVALID, where, f"has {len(value)} windows; at most {WINDOWS_MAX}")
    windows = tuple(_window(one, allowed_s, f"{where}[{index}]") for index, one in enumerate(value))
    _refuse_overlap(windows, where)
    return windows


def _window(value: Any, allowed_s: float, where: str) -> Window:
    if not isinstance(value, Mapping):
        raise ProfileError(INVALID, where, f"must be an object with days, start and end, got {value!r}")
    unknown = sorted(set(value) - {"days", "start", "end", "all_day", "allowed_s"})
    if unknown:
        raise ProfileError(INVALID, f"{where}.{unknown[0]}", "is no field of a window")
    days = value.get("days", "1234567")
    if not isinstance(days, str) or not days or set(days) - set("1234567") or len(set(days)) != len(days):
        raise ProfileError(INVALID, f"{where}.days", f'must be ISO weekdays as in "1234567", got {days!r}')
    allowed_s = _seconds(value["allowed_s"], f"{where}.allowed_s") if "allowed_s" in value else allowed_s
    if _flag(value.get("all_day", False), f"{where}.all_day"):
        if "start" in value or "end" in value:
            raise ProfileError(INVALID, f"{where}.all_day", "stands in place of start and end; give one or the other")
        return Window(days, 0, 0, True, allowed_s)
    for name in ("start", "end"):
        if name not in value:
            raise ProfileError(INVALID, f"{where}.{name}", "is missing (or say all_day: true)")
    start_min, end_min = (clock_minutes(value[name], f"{where}.{name}") for name in ("start", "end"))
    if start_min == end_min:
        reason = f"starts and ends at {value['start']}, so it is never open; for a whole day use all_day: true"
        raise ProfileError(WINDOW_EMPTY, where, reason)
    return Window(days, start_min, end_min, False, allowed_s)


def _refuse_overlap(windows: Sequence[Window], where: str) -> None:
    """Rule 8: over the whole week, the last night of one week running into the first day of the next."""
    week = 7 * MINUTES_PER_DAY
    spans = []
    for index, window in enumerate(windows):
        start, end = window.span()
        spans += [(int(day) * MINUTES_PER_DAY + start, int(day) * MINUTES_PER_DAY + end, index) for day in window.days]
    spans.sort()
    for (_, end, index), (start, _, other) in zip(spans, [*spans[1:], *((s + week, e, i) for s, e, i in spans[:1])],
                                                  strict=True):
        if start < end:
            reason = f"overlaps windows[{index}]" if other != index else "overlaps itself on the next day"
            raise ProfileError(WINDOW_OVERLAP, f"{where}[{other}]", reason)


STANDARD = Profile()
SHIPPED: Mapping[str, Profile] = {
    "standard": STANDARD,
    "high-fall-risk": STANDARD.merged({"allowed_s": 0, "exit_confirm_s": 3, "priority": "high"}),
    "independent": STANDARD.merged({"allowed_s": 2400}),
    "wanderer": STANDARD.merged({"allowed_s": 600, "repeat_count": 3, "repeat_span_s": 7200}),
    "bedbound": STANDARD.merged({"reposition_s": 7200}),
    "palliative": STANDARD.merged({"windows": [], "no_signal_s": 180}),
}
"""The profiles of LEAVE_BED.md "Profiles to ship", by name."""
