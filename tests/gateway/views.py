"""A bed's view with defaults, for tests of what is made from views."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from gateway.cores.leave_bed import BedView

_DEFAULTS: dict[str, Any] = {
    "state": "present", "alarm": "none", "level": 1, "priority": "medium", "sounding": False, "mode": "active",
    "armed": True, "armed_ms": None, "silent": False, "offline": False, "bound": True, "window_open": True,
    "watched": True, "not_watched_reason": "", "prealert": False, "notices": [],
}  # fmt: skip


def view(bed: str, **changes: Any) -> BedView:
    values: dict[str, Any] = {field.name: _DEFAULTS.get(field.name) for field in fields(BedView)}
    return BedView(**(values | {"bed": bed} | changes))
