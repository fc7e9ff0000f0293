"""What a new configuration changes, for whoever has to say yes to it: beds and settings, without anything secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ADMIN_SECTIONS", "changed_sections", "changes", "removed_beds"]

ADMIN_SECTIONS = ("web", "uplink", "webhooks", "home_assistant")
"""Who gets in, and who is told: by these somebody could come to residents' data."""
HIDDEN = ("url", "key", "key_file", "platform_key", "accounts", "secret_file")
SHOWN_CHARS_MAX = 60


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each change as `{"change": CODE, ...}`: bed_added, bed_removed, bed_changed, setting_changed."""
    found: list[dict[str, str]] = []
    was, will = _beds(before), _beds(after)
    found += [{"change": "bed_added", "bed": bed, "room": str(will[bed].get("room", ""))}
              for bed in will if bed not in was]
    found += [{"change": "bed_removed", "bed": bed} for bed in removed_beds(before, after)]
    for bed in [bed for bed in will if bed in was]:
        old, new = _flat("", was[bed]), _flat("", will[bed])
        found += [{"change": "bed_changed", "bed": bed, "key": key, **_values(key, old, new)}
                  for key in _differing(old, new)]
    for section in changed_sections(before, after):
        old, new = _flat(section, before.get(section, {})), _flat(section, after.get(section, {}))
        found += [{"change": "setting_changed", "key": key, **_values(key, old, new)} for key in _differing(old, new)]
    return found


def removed_beds(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Beds that are no more."""
    will = _beds(after)
    return [bed for bed in _beds(before) if bed not in will]


def changed_sections(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Sections, other than the beds, that are not as they were."""
    names = [name for name in dict.fromkeys([*before, *after]) if name != "beds"]
    return [name for name in names if (before.get(name) or {}) != (after.get(name) or {})]


def _beds(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {bed["label"]: bed for bed in raw.get("beds", ())}


def _flat(path: str, value: Any) -> dict[str, Any]:
    """Values by dotted key; a list of tables by number."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        value = {str(number): each for number, each in enumerate(value, 1)}
    if not isinstance(value, dict) or path.rpartition(".")[2] in HIDDEN:
        return {path: value}
    flat: dict[str, Any] = {}
    for key, each in value.items():
        flat |= _flat(f"{path}.{key}" if path else key, each)
    return flat


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]


def _values(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    hidden = any(part in HIDDEN for part in key.split("."))
    return {name: _shown(values.get(key), hidden) for name, values in (("before", old), ("after", new))}


def _shown(value: Any, hidden: bool) -> str:
    if value in (None, [], {}):
        return "–"
    text = "***" if hidden else str(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."
