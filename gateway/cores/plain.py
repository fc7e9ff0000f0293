"""A dataclass as a dict of its fields, one level deep: `dataclasses.asdict` copies everything below, too."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

__all__ = ["plain"]


def plain(instance: Any) -> dict[str, Any]:
    """Field name -> the value itself, no copy: whoever keeps it copies those that change."""
    kind: Any = type(instance)
    return {name: getattr(instance, name) for name in _names(kind)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
