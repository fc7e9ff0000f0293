"""Vitals chunks as gateways sent them at first (item kind 4): read for ever, written no more (see vitals_wire.py).

They wait in outboxes, stand in stores of 90 days and in the platform's database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.columns import ColumnError, unpack_deltas, unpack_run_pairs, unpack_varints
from protocol.schema import UTC_MS_MAX, BatchError, Field, boolean, from_map, integer, optional, text
from protocol.vitals import CHUNK_SECONDS_MAX, COLUMN_MAX, RATE_MAX, REASON_OF_RATE, ChunkColumns, Minute

__all__ = ["columns_from_map", "unpack_gaps"]


@dataclass(frozen=True, slots=True)
class _Head:
    bed: str
    belt: str
    boot_id: int
    start_second: int
    start_utc_ms: int
    trusted: bool
    span_s: int


_HEAD = (
    Field(1, "bed", text(64, 1)),
    Field(2, "belt", text(64, 1)),
    Field(3, "boot_id", integer(0, 2**32 - 1)),
    Field(4, "start_second", integer(0, 2**40)),
    Field(5, "start_utc_ms", integer(0, UTC_MS_MAX)),
    Field(6, "trusted", boolean),
    Field(7, "span_s", integer(0, CHUNK_SECONDS_MAX)),
)
_GAPS_KEY, _MINUTE_KEY, _FIRST_COLUMN_KEY = 8, 9, 20
_SECONDS = integer(0, 60)
_RATE = optional(integer(0, RATE_MAX))
_MINUTE = (
    Field(1, "occupied_s", _SECONDS),
    Field(2, "empty_s", _SECONDS),
    Field(3, "unclear_s", _SECONDS),
    Field(4, "heart_rate_bpm", _RATE),
    Field(5, "heart_rate_bpm_min", _RATE),
    Field(6, "heart_rate_bpm_max", _RATE),
    Field(7, "heart_valid_s", _SECONDS),
    Field(8, "respiration_per_min", _RATE),
    Field(9, "respiration_per_min_min", _RATE),
    Field(10, "respiration_per_min_max", _RATE),
    Field(11, "respiration_valid_s", _SECONDS),
    Field(12, "moving_first_half_s", _SECONDS),
    Field(13, "moving_second_half_s", _SECONDS),
    Field(14, "turn_overs", _SECONDS),
    Field(15, "irregular_s", _SECONDS),
    Field(16, "weak_breath_s", _SECONDS),
    Field(17, "fault_s", _SECONDS),
)


def columns_from_map(wire: dict[Any, Any]) -> ChunkColumns:
    """The chunk with every check made but no reading unrolled; BatchError on anything that does not add up."""
    head = from_map(_Head, _HEAD, wire)
    try:
        gaps = unpack_gaps(head.span_s, _blob(wire.get(_GAPS_KEY, b"")))
        count = head.span_s - sum(length for _, length in gaps)
        runs, rates = _unpack_columns(wire, count)
    except ColumnError as error:
        raise BatchError("bad_value", f"VitalsChunk: {error}") from None
    minute = from_map(Minute, _MINUTE, wire[_MINUTE_KEY]) if _MINUTE_KEY in wire else None
    return ChunkColumns(
        head.bed, head.belt, head.boot_id, head.start_second, head.start_utc_ms, head.trusted, head.span_s,
        count, gaps, runs, rates, minute,
    )  # fmt: skip


def unpack_gaps(span_s: int, packed: bytes) -> tuple[tuple[int, int], ...]:
    """(offset, length) of the seconds without a reading; ColumnError unless they ascend, apart, inside the span."""
    numbers = unpack_varints(packed)
    if len(numbers) % 2:
        raise ColumnError("a gap has no length")
    position = 0
    for i in range(0, len(numbers), 2):
        offset, length = numbers[i], numbers[i + 1]
        # Neighbouring gaps would be one gap: only the shortest form is accepted.
        if length == 0 or offset + length > span_s or offset < position or (i and offset == position):
            raise ColumnError("gaps are out of order or leave the span")
        position = offset + length
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _unpack_columns(wire: dict[Any, Any], count: int) -> tuple[dict[str, list[int]], dict[str, tuple[int, ...]]]:
    runs: dict[str, list[int]] = {}
    rates: dict[str, tuple[int, ...]] = {}
    for key, (name, high) in enumerate(COLUMN_MAX.items(), _FIRST_COLUMN_KEY):
        blob = _blob(wire.get(key, b""))
        values: Sequence[int]
        if name in REASON_OF_RATE:
            reasons = runs[REASON_OF_RATE[name]]
            present = sum(reasons[i + 1] for i in range(0, len(reasons), 2) if reasons[i] == 0)
            values = rates[name] = unpack_deltas(blob, present)
        else:
            if not blob:
                runs[name] = [0, count] if count else []
                continue
            runs[name] = unpack_run_pairs(blob, count)
            values = runs[name][::2]
        if values and (max(values) > high or min(values) < 0):
            raise ColumnError(f"{name} leaves 0 to {high}")
    return runs, rates


def _blob(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ColumnError("a column is not bytes")
    return value
