"""A vitals chunk as bytes (item kind 8): all columns in one byte string, as their changes.

What stays the same from chunk to chunk stands together in front, so that zstd finds it in one piece; seconds without a
change cost nothing. Against kind 4 (vitals_wire_1.py) an in-bed hour takes a quarter fewer bytes on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.columns import (
    ColumnError,
    mark_numbers,
    pack_varints,
    read_marks,
    read_steps,
    step_numbers,
    unpack_varints,
    unzigzag,
    zigzag,
)
from protocol.schema import UTC_MS_MAX, BatchError, Field, boolean, from_map, integer, text, to_map
from protocol.vitals import (
    CHUNK_SECONDS_MAX,
    COLUMN_MAX,
    QUALITIES,
    QUALITY_STEP,
    RATE_MAX,
    REASON_OF_RATE,
    ChunkColumns,
    Minute,
    Reading,
    VitalsChunk,
)
from protocol.vitals_wire_1 import unpack_gaps

__all__ = ["chunk_to_map", "columns_from_map"]

MINUTE_S = 60
_MARKED = ("movement", "turn_overs")  # mostly zero; all others mostly stay as they are
_SECOND_MAX = 2**40
_GAPS_KEY, _MINUTE_KEY, _COLUMNS_KEY = 7, 9, 10


@dataclass(frozen=True, slots=True)
class _Head:
    bed: str
    belt: str
    boot_id: int
    zero_utc_ms: int  # of the belt's uptime 0: the same in chunk after chunk
    trusted: bool
    span_s: int
    start_second: int


_HEAD = (
    Field(1, "bed", text(64, 1)),
    Field(2, "belt", text(64, 1)),
    Field(3, "boot_id", integer(0, 2**32 - 1)),
    Field(4, "zero_utc_ms", integer(-1000 * _SECOND_MAX, UTC_MS_MAX)),
    Field(5, "trusted", boolean),
    Field(6, "span_s", integer(0, CHUNK_SECONDS_MAX)),
    Field(8, "start_second", integer(0, _SECOND_MAX)),
)


def chunk_to_map(chunk: VitalsChunk) -> dict[int, Any]:
    """The chunk's body map; BatchError if it may not be sent."""
    _check_order(chunk)
    if not 0 <= chunk.start_utc_ms <= UTC_MS_MAX:
        raise BatchError("bad_value", f"start_utc_ms: {chunk.start_utc_ms} is no instant from 1970 to 9999")
    head = _Head(
        chunk.bed, chunk.belt, chunk.boot_id, chunk.start_utc_ms - 1000 * chunk.start_second, chunk.trusted,
        chunk.span_s, chunk.start_second,
    )  # fmt: skip
    wire = to_map(head, _HEAD)
    if gaps := chunk.gaps():
        wire[_GAPS_KEY] = pack_varints(number for run in gaps for number in run)
    if chunk.minute is not None:
        wire[_MINUTE_KEY] = pack_varints(_minute_numbers(chunk.minute))
    if chunk.readings:
        wire[_COLUMNS_KEY] = pack_varints(_column_numbers(chunk.readings))
    return wire


def columns_from_map(wire: dict[Any, Any]) -> ChunkColumns:
    """The chunk with every check made but no reading unrolled; BatchError on anything that does not add up."""
    head = from_map(_Head, _HEAD, wire)
    start_utc_ms = head.zero_utc_ms + 1000 * head.start_second
    if not 0 <= start_utc_ms <= UTC_MS_MAX:
        raise BatchError("bad_value", f"VitalsChunk: starts at {start_utc_ms} ms, no instant from 1970 to 9999")
    try:
        gaps = unpack_gaps(head.span_s, _blob(wire, _GAPS_KEY))
        count = head.span_s - sum(length for _, length in gaps)
        runs, rates = _read_columns(unpack_varints(_blob(wire, _COLUMNS_KEY)), count)
        minute = _minute(unpack_varints(_blob(wire, _MINUTE_KEY))) if _MINUTE_KEY in wire else None
    except ColumnError as error:
        raise BatchError("bad_value", f"VitalsChunk: {error}") from None
    return ChunkColumns(
        head.bed, head.belt, head.boot_id, head.start_second, start_utc_ms, head.trusted, head.span_s,
        count, gaps, runs, rates, minute,
    )  # fmt: skip


def _check_order(chunk: VitalsChunk) -> None:
    last = chunk.start_second - 1
    for reading in chunk.readings:
        if reading.second <= last or reading.second >= chunk.start_second + chunk.span_s:
            raise BatchError("bad_value", f"readings: second {reading.second} is out of order or outside the span")
        last = reading.second
        for rate, reason in REASON_OF_RATE.items():
            # The reason column decides which seconds have a rate, so the two may not disagree.
            if (getattr(reading, rate) is None) != (getattr(reading, reason) != 0):
                raise BatchError("bad_value", f"{rate}: a rate has reason 0 and an absent one has a reason")


# -- columns -----------------------------------------------------------------------------------------------------------


def _column_numbers(readings: Sequence[Reading]) -> list[int]:
    numbers: list[int] = []
    for name, high in COLUMN_MAX.items():
        values = [value for value in (getattr(reading, name) for reading in readings) if value is not None]
        if name in QUALITIES:
            values = _held_steps(values)
        if any(not 0 <= value <= high for value in values):
            raise BatchError("bad_value", f"{name}: outside 0 to {high}")
        numbers += mark_numbers(values) if name in _MARKED else step_numbers(values)
    return numbers


def _held_steps(values: Sequence[int]) -> list[int]:
    """Qualities in steps; a step is held while the value stays less than one away, so that noise makes no changes."""
    steps: list[int] = []
    held = -1
    for value in values:
        if held < 0 or abs(value - held * QUALITY_STEP) >= QUALITY_STEP:
            held = (value + QUALITY_STEP // 2) // QUALITY_STEP
        steps.append(held)
    return steps


def _read_columns(numbers: list[int], count: int) -> tuple[dict[str, list[int]], dict[str, tuple[int, ...]]]:
    runs: dict[str, list[int]] = {}
    rates: dict[str, tuple[int, ...]] = {}
    at = 0
    for name, high in COLUMN_MAX.items():
        expected = count if name not in REASON_OF_RATE else _zeros(runs[REASON_OF_RATE[name]])
        if not expected:
            pairs: list[int] = []
        elif name in _MARKED:
            pairs, at = read_marks(numbers, at, expected)
        else:
            pairs, at = read_steps(numbers, at, expected)
        if pairs and (max(pairs[::2]) > high or min(pairs[::2]) < 0):
            raise ColumnError(f"{name} leaves 0 to {high}")
        if name in REASON_OF_RATE:
            rates[name] = _unrolled(pairs)
        else:
            runs[name] = pairs
    if at != len(numbers):
        raise ColumnError(f"{len(numbers) - at} numbers behind the last column")
    return runs, rates


def _zeros(pairs: Sequence[int]) -> int:
    return sum(pairs[i + 1] for i in range(0, len(pairs), 2) if pairs[i] == 0)


def _unrolled(pairs: Sequence[int]) -> tuple[int, ...]:
    values: list[int] = []
    for i in range(0, len(pairs), 2):
        values += [pairs[i]] * pairs[i + 1]
    return tuple(values)


def _blob(wire: dict[Any, Any], key: int) -> bytes:
    value = wire.get(key, b"")
    if not isinstance(value, bytes):
        raise ColumnError("a column is not bytes")
    return value


# -- the belt's own minute ---------------------------------------------------------------------------------------------

_SECONDS_OF_MINUTE = ("occupied_s", "empty_s", "unclear_s", "heart_valid_s", "respiration_valid_s")
_RATES_OF_MINUTE = ("heart_rate_bpm", "respiration_per_min")
_COUNTS_OF_MINUTE = (
    *("moving_first_half_s", "moving_second_half_s", "turn_overs", "irregular_s", "weak_breath_s", "fault_s"),
)


def _minute_numbers(minute: Minute) -> list[int]:
    """Seconds; each rate, then how far its lowest and highest are from it (0 absent); counts; zeros at the end fall."""
    numbers = [getattr(minute, name) for name in _SECONDS_OF_MINUTE]
    for name in _RATES_OF_MINUTE:
        rate, low, high = (getattr(minute, name + end) for end in ("", "_min", "_max"))
        if any(value is not None and not 0 <= value <= RATE_MAX for value in (rate, low, high)):
            raise BatchError("bad_value", f"minute: {name} leaves 0 to {RATE_MAX}")
        numbers.append(0 if rate is None else 1 + rate)
        numbers += [0 if value is None else 1 + zigzag(value - (rate or 0)) for value in (low, high)]
    numbers += [getattr(minute, name) for name in _COUNTS_OF_MINUTE]
    for name in (*_SECONDS_OF_MINUTE, *_COUNTS_OF_MINUTE):
        if not 0 <= getattr(minute, name) <= MINUTE_S:
            raise BatchError("bad_value", f"minute: {name} leaves 0 to {MINUTE_S}")
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def _minute(numbers: Sequence[int]) -> Minute:
    if numbers and not numbers[-1]:
        raise ColumnError("a minute ends in a zero")
    known = len(_SECONDS_OF_MINUTE) + 3 * len(_RATES_OF_MINUTE) + len(_COUNTS_OF_MINUTE)
    left = iter([*numbers[:known], *[0] * (known - len(numbers))])  # a newer gateway may send more
    values: dict[str, int | None] = {name: next(left) for name in _SECONDS_OF_MINUTE}
    for name in _RATES_OF_MINUTE:
        rate = next(left)
        values[name] = rate - 1 if rate else None
        for end in ("_min", "_max"):
            away = next(left)
            values[name + end] = unzigzag(away - 1) + max(0, rate - 1) if away else None
    values |= {name: next(left) for name in _COUNTS_OF_MINUTE}
    for name, value in values.items():
        if value is not None and not 0 <= value <= (MINUTE_S if name.endswith(("_s", "_overs")) else RATE_MAX):
            raise ColumnError(f"minute: {name} is {value}")
    return Minute(**values)  # type: ignore[arg-type]  # only rates may be None
