"""What a lead sets for a bed: profile, watched hours and allowance, on top of the configuration file.

`BedSettings` is what is saved. The file's other settings of the bed (confirmation times, priority, ...) stay; its own
windows and allowance give way, because the page shows these and nothing else may lie beneath them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cores.profile import INVALID, SHIPPED, Profile, ProfileError

OWN_KEYS = ("windows", "allowed_s")
"""Settings of the page; in the configuration file's overrides they count only until something is saved."""

HOURS_OF_PROFILE, HOURS_OWN, HOURS_OFF = "profile", "own", "off"
WINDOW_ROWS = 4
MINUTES_MAX = 1440
WHY_CHARS_MAX = 200
DAYS = "1234567"


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """What the configuration file says of a bed."""

    profile: str
    overrides: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BedSettings:
    """Saved on the page. `windows` None: those of the profile; () switches the rule off. `allowed_s` None: as there."""

    profile: str
    windows: tuple[Mapping[str, Any], ...] | None = None
    allowed_s: int | None = None

    def to_body(self) -> dict[str, Any]:
        """JSON-able; `from_body` gives the same settings back."""
        windows = None if self.windows is None else [dict(window) for window in self.windows]
        return {"profile": self.profile, "windows": windows, "allowed_s": self.allowed_s}

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> BedSettings:
        windows = body["windows"]
        return cls(str(body["profile"]), None if windows is None else tuple(windows), body["allowed_s"])


def effective(base: BaseSettings, saved: BedSettings | None, timezone: str) -> Profile:
    """The settings in force; ProfileError if they are wrong (field `profile`, `windows[i]...` or `allowed_s`)."""
    name = base.profile if saved is None else saved.profile
    if name not in SHIPPED:
        raise ProfileError(INVALID, "profile", f"must be one of {', '.join(SHIPPED)}, got {name!r}")
    profile = SHIPPED[name].merged({"timezone": timezone})
    if saved is None:
        return profile.merged(base.overrides, "overrides")
    kept = {key: value for key, value in base.overrides.items() if key not in OWN_KEYS}
    own: dict[str, Any] = {}
    if saved.allowed_s is not None:
        own["allowed_s"] = saved.allowed_s
    profile = profile.merged(kept, "overrides").merged(own, "")
    if saved.windows is not None:
        # After the allowance: a window's own one stands above that of all windows.
        profile = profile.merged({"windows": saved.windows}, "")
    return profile


def differences(before: Profile, after: Profile) -> dict[str, tuple[Any, Any]]:
    """Setting -> (before, after), as people write them, for the audit and the page."""
    old, new = before.as_mapping(), after.as_mapping()
    return {key: (old[key], new[key]) for key in old if old[key] != new[key]}


# -- the form ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of the form: its name, and a code (text `bed_settings.error_CODE`)."""

    field: str
    code: str


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it was sent: its settings, or what is wrong with it (then `settings` is None), and its texts."""

    texts: Mapping[str, str]
    settings: BedSettings | None
    why: str
    errors: tuple[FieldError, ...]


def blank_form(settings: BedSettings) -> dict[str, str]:
    """The texts of a form that shows these settings; keys as in `read_form`."""
    hours = HOURS_OF_PROFILE if settings.windows is None else HOURS_OWN if settings.windows else HOURS_OFF
    texts = {"profile": settings.profile, "hours": hours, "allowed": _minutes_text(settings.allowed_s), "why": ""}
    for index in range(max(WINDOW_ROWS, len(settings.windows or ()))):
        window = settings.windows[index] if settings.windows and index < len(settings.windows) else None
        texts |= _row_texts(index, window)
    return texts


def _row_texts(index: int, window: Mapping[str, Any] | None) -> dict[str, str]:
    window = window or {}
    days = str(window.get("days", DAYS))
    texts = {
        f"w{index}_start": str(window.get("start", "")),
        f"w{index}_end": str(window.get("end", "")),
        f"w{index}_allowed": _minutes_text(window.get("allowed_s")),
        f"w{index}_all_day": "on" if window.get("all_day") else "",
    }
    return texts | {f"w{index}_day{day}": "on" if day in days else "" for day in DAYS}


def _minutes_text(seconds: Any) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 60:.2f}".rstrip("0").rstrip(".")


def read_form(sent: Mapping[str, str], base: BaseSettings, timezone: str) -> Form:
    """Check a sent form by the profile's own code; every wrong field is named, nothing is half taken."""
    errors: list[FieldError] = []
    profile = sent.get("profile", "")
    if profile not in SHIPPED:
        errors.append(FieldError("profile", "profile"))
    allowed_s = _minutes(sent, "allowed", errors)
    windows: tuple[Mapping[str, Any], ...] | None = None
    rows: list[int] = []
    hours = sent.get("hours", HOURS_OF_PROFILE)
    if hours == HOURS_OFF:
        windows = ()
    elif hours == HOURS_OWN:
        windows, rows = _windows(sent, errors)
        if not windows and not errors:
            errors.append(FieldError("hours", "no_window"))
    elif hours != HOURS_OF_PROFILE:
        errors.append(FieldError("hours", "choice"))
    why = sent.get("why", "").strip()
    if not why or len(why) > WHY_CHARS_MAX:
        errors.append(FieldError("why", "why"))
    settings = None
    if not errors:
        settings = BedSettings(profile, windows, allowed_s)
        try:
            effective(base, settings, timezone)
        except ProfileError as error:
            errors.append(_field_of(error, rows))
            settings = None
    return Form(dict(sent), settings, why, tuple(errors))


def _windows(sent: Mapping[str, str], errors: list[FieldError]) -> tuple[tuple[Mapping[str, Any], ...], list[int]]:
    """The windows of the rows that were filled in, and the numbers of those rows."""
    windows: list[Mapping[str, Any]] = []
    rows: list[int] = []
    index = 0
    while f"w{index}_start" in sent and index < 64:
        start, end = sent.get(f"w{index}_start", "").strip(), sent.get(f"w{index}_end", "").strip()
        all_day = bool(sent.get(f"w{index}_all_day"))
        if start or end or all_day:
            window: dict[str, Any] = {"days": "".join(day for day in DAYS if sent.get(f"w{index}_day{day}"))}
            window |= {"all_day": True} if all_day else {"start": start, "end": end}
            allowed_s = _minutes(sent, f"w{index}_allowed", errors)
            if allowed_s is not None:
                window["allowed_s"] = allowed_s
            try:
                Profile().merged({"windows": [window]}, "")
            except ProfileError as error:
                errors.append(_field_of(error, [index]))
            windows.append(window)
            rows.append(index)
        index += 1
    return tuple(windows), rows


def _field_of(error: ProfileError, rows: Sequence[int]) -> FieldError:
    """The form's field for a field of the profile, such as `.windows[1].start`."""
    path = error.field.lstrip(".")
    if path.startswith("windows["):
        number, _, rest = path.removeprefix("windows[").partition("]")
        row = rows[int(number)] if int(number) < len(rows) else int(number)
        part = rest.lstrip(".") or "start"
        names = {"days": "day1", "start": "start", "end": "end", "all_day": "all_day", "allowed_s": "allowed"}
        return FieldError(f"w{row}_{names.get(part, 'start')}", error.code if error.code != INVALID else part)
    return FieldError("allowed" if path == "allowed_s" else path.partition(".")[0], error.code)


def _minutes(sent: Mapping[str, str], name: str, errors: list[FieldError]) -> int | None:
    """Whole seconds of a number of minutes such as 20 or 2.5; None for an empty field."""
    text = sent.get(name, "").strip()
    if not text:
        return None
    try:
        minutes = float(text) if text.replace(".", "", 1).isdecimal() and text.isascii() else -1.0
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes <= MINUTES_MAX:
        errors.append(FieldError(name, "minutes"))
        return None
    return round(minutes * 60)
