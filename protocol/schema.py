"""Tables of small integer keys: how a frozen dataclass crosses to the cloud as a map, and comes back checked.

A table is a tuple of `Field`s: key, attribute name, check. Keys are never reused; a field that equals its dataclass
default is left out; a decoder skips keys it does not know. One check serves both directions, so nothing can be sent
that would be refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache, partial
from math import isfinite
from typing import Any, TypeVar

__all__ = [
    "BatchError",
    "Field",
    "Stamp",
    "boolean",
    "from_map",
    "integer",
    "mapping",
    "optional",
    "stamp",
    "text",
    "to_map",
]

UTC_MS_MAX = 253_402_300_799_000  # the year 9999
T = TypeVar("T")
Check = Callable[[Any], Any]


class BatchError(ValueError):
    """Bytes or values that the cloud protocol refuses; `code` is stable, for acks, quarantine and counters.

    BatchError
    +-- PackingError's cases, carried over by code: too_large, bomb, not_zstd, not_msgpack, too_deep, not_packable
    +-- bad_shape, bad_value, unknown_kind, wrong_version
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stamp:
    """When, on the sender's elapsed clock of one boot, and what its wall clock said (trusted or not)."""

    boot_id: int
    elapsed_ms: int
    utc_ms: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class Field:
    key: int
    name: str
    check: Check


def to_map(item: object, table: tuple[Field, ...]) -> dict[int, Any]:
    """The item's fields by key, defaults left out; BatchError names the field that may not be sent."""
    defaults = _defaults(type(item))
    wire: dict[int, Any] = {}
    for field in table:
        value = getattr(item, field.name)
        if field.name in defaults and value == defaults[field.name]:
            continue
        checked = _checked(field, value)
        wire[field.key] = _wire(checked)
    return wire


def from_map(cls: type[T], table: tuple[Field, ...], wire: Any) -> T:
    """The dataclass from its map; unknown keys are skipped, missing ones take the default or raise BatchError."""
    if not isinstance(wire, dict):
        raise BatchError("bad_shape", f"{cls.__name__}: not a map")
    defaults = _defaults(cls)
    values: dict[str, Any] = {}
    for field in table:
        if field.key in wire:
            values[field.name] = _checked(field, wire[field.key])
        elif field.name in defaults:
            values[field.name] = defaults[field.name]
        else:
            raise BatchError("bad_shape", f"{cls.__name__}: {field.name} (key {field.key}) is missing")
    return cls(**values)


def integer(low: int, high: int) -> Check:
    """An int in [low, high]; bool is none."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{_short(value)} is not a whole number from {low} to {high}")
        return value

    return check


def text(longest: int, shortest: int = 0) -> Check:
    """A str of shortest to longest characters without control characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise ValueError(f"{_short(value)} is not a text of {shortest} to {longest} characters")
        if value.isascii() and value.isprintable():
            return value
        if any(ord(char) < 0x20 or 0xD800 <= ord(char) <= 0xDFFF for char in value):
            raise ValueError(f"{_short(value)} holds a control character")
        return value

    return check


def optional(check: Check) -> Check:
    """None, or what `check` takes."""
    return lambda value: None if value is None else check(value)


def boolean(value: Any) -> bool:
    """True or False, nothing that merely looks like it."""
    if type(value) is not bool:
        raise ValueError(f"{_short(value)} is neither true nor false")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A map that JSON can carry too: text keys, finite numbers, no bytes; its size is bounded by the packing limits."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{_short(value)} is not a map")
    _check_plain(value)
    return dict(value)


def stamp(value: Any) -> Stamp:
    """A Stamp, or its array [boot_id, elapsed_ms, utc_ms, trusted]; later versions may append."""
    if isinstance(value, Stamp):
        parts: list[Any] = [value.boot_id, value.elapsed_ms, value.utc_ms, value.trusted]
    elif isinstance(value, list) and len(value) >= 4:
        parts = value
    else:
        raise ValueError(f"{_short(value)} is not [boot_id, elapsed_ms, utc_ms, trusted]")
    boot_id, elapsed_ms, utc_ms = parts[0], parts[1], parts[2]
    return Stamp(
        integer(0, 2**64 - 1)(boot_id),
        integer(0, 2**53)(elapsed_ms),
        integer(0, UTC_MS_MAX)(utc_ms),
        boolean(parts[3]),
    )


def _checked(field: Field, value: Any) -> Any:
    try:
        return field.check(value)
    except ValueError as error:
        raise BatchError("bad_value", f"{field.name}: {error}") from None


def _wire(value: Any) -> Any:
    if isinstance(value, Stamp):
        return [value.boot_id, value.elapsed_ms, value.utc_ms, value.trusted]
    return value


def _defaults(cls: type) -> dict[str, Any]:
    return {name: make() for name, make in _default_makers(cls)}


@cache
def _default_makers(cls: type) -> tuple[tuple[str, Callable[[], Any]], ...]:
    makers: list[tuple[str, Callable[[], Any]]] = []
    for field in fields(cls):
        if field.default is not MISSING:
            makers.append((field.name, partial(_same, field.default)))
        elif field.default_factory is not MISSING:
            makers.append((field.name, field.default_factory))
    return tuple(makers)


def _same(value: Any) -> Any:
    return value


def _check_plain(value: Any) -> None:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"{_short(value)} has a key that is no text")
        for inner in value.values():
            _check_plain(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_plain(inner)
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} is not a number that can be sent")
    elif value is not None and not isinstance(value, (str, int)):
        raise ValueError(f"{_short(value)} cannot be sent")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
