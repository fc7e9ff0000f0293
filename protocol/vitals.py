"""A stretch of one belt's readings as columns: what the gateway keeps a minute at a time and sends to the cloud.

A reading is one live report, one a second. Seconds without a report are runs in `gaps`; a value that a report could not
give is None there and simply not in its column here, while the reason column says why. Nothing is ever a made-up zero.
Rates are whole numbers a minute, qualities are kept in steps of ten: tenths of a bpm would double the bytes
(facts/SYNC.md, "Encoding").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from protocol.columns import (
    ColumnError,
    pack_deltas,
    pack_runs,
    pack_varints,
    unpack_deltas,
    unpack_run_pairs,
    unpack_varints,
)
from protocol.schema import UTC_MS_MAX, BatchError, Field, boolean, from_map, integer, optional, text, to_map

__all__ = ["CHUNK_SECONDS_MAX", "ChunkColumns", "Minute", "Reading", "VitalsChunk", "chunk_of"]

CHUNK_SECONDS_MAX = 600  # bounds what a few bytes of runs can make a receiver build
RATE_MAX = 400
QUALITY_STEP = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """One live report as the cloud keeps it; `second` is belt uptime in whole seconds, absent rates are None."""

    second: int
    occupancy: int  # 0 empty, 1 unclear, 2 occupied
    occupancy_reason: int = 0
    heart_rate_bpm: int | None = None
    heart_quality: int = 0  # 0-100, kept in tens, less than ten off
    heart_reason: int = 0  # 0 only with a rate; see frames.REASON_*
    respiration_per_min: int | None = None
    respiration_quality: int = 0
    respiration_reason: int = 0
    movement: int = 0  # 0-100
    turn_overs: int = 0  # recognised in this second
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """The belt's own record of 60 s; rates are whole numbers a minute, None with no valid second."""

    occupied_s: int
    empty_s: int
    unclear_s: int
    heart_rate_bpm: int | None = None
    heart_rate_bpm_min: int | None = None
    heart_rate_bpm_max: int | None = None
    heart_valid_s: int = 0
    respiration_per_min: int | None = None
    respiration_per_min_min: int | None = None
    respiration_per_min_max: int | None = None
    respiration_valid_s: int = 0
    moving_first_half_s: int = 0
    moving_second_half_s: int = 0
    turn_overs: int = 0
    irregular_s: int = 0
    weak_breath_s: int = 0
    fault_s: int = 0


@dataclass(frozen=True, slots=True)
class VitalsChunk:
    """Readings of one belt over `span_s` seconds from belt uptime `start_second`, which was `start_utc_ms`.

    `readings` are in ascending order of `second`, each inside the span. `minute` is the belt's record of the minute
    that starts with the chunk, where there is one; a chunk may hold only that (fetched from the belt's ring).
    """

    bed: str
    belt: str
    boot_id: int
    start_second: int
    start_utc_ms: int
    trusted: bool
    span_s: int
    readings: tuple[Reading, ...] = ()
    minute: Minute | None = None

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Seconds without a reading as (offset from start_second, length) runs."""
        runs = []
        expected = 0
        for reading in self.readings:
            offset = reading.second - self.start_second
            if offset > expected:
                runs.append((expected, offset - expected))
            expected = offset + 1
        if expected < self.span_s:
            runs.append((expected, self.span_s - expected))
        return tuple(runs)


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    """A VitalsChunk as it travels: a receiver checks, sums and stores thousands a second without unrolling readings.

    `runs` holds flat (value, length, value, length ...) lists over the `count` seconds present; `rates` the values of
    the seconds whose reason is 0.
    """

    bed: str
    belt: str
    boot_id: int
    start_second: int
    start_utc_ms: int
    trusted: bool
    span_s: int
    count: int
    gaps: tuple[tuple[int, int], ...]
    runs: dict[str, list[int]]
    rates: dict[str, tuple[int, ...]]
    minute: Minute | None

    def chunk(self) -> VitalsChunk:
        """The same with its readings."""
        return VitalsChunk(
            self.bed, self.belt, self.boot_id, self.start_second, self.start_utc_ms, self.trusted, self.span_s,
            self._readings(), self.minute,
        )  # fmt: skip

    def present_before(self, offset_s: int) -> int:
        """How many of the first `offset_s` seconds have a reading."""
        return offset_s - sum(min(length, offset_s - start) for start, length in self.gaps if start < offset_s)

    def _readings(self) -> tuple[Reading, ...]:
        columns: dict[str, Sequence[int | None]] = {}
        for name, pairs in self.runs.items():
            step = QUALITY_STEP if name in _QUALITIES else 1
            values: list[int] = []
            for i in range(0, len(pairs), 2):
                values += [pairs[i] * step] * pairs[i + 1]
            columns[name] = values
        for name, reason in _RATES.items():
            present = iter(self.rates[name])
            columns[name] = [next(present) if code == 0 else None for code in columns[reason]]
        rows: list[Any] = list(zip(*(columns[name] for name in _READING_COLUMNS), strict=True))
        return tuple(Reading(second, *row) for second, row in zip(self._seconds(), rows, strict=True))

    def _seconds(self) -> list[int]:
        present: list[int] = []
        position = self.start_second
        for offset, length in self.gaps:
            present += range(position, self.start_second + offset)
            position = self.start_second + offset + length
        present += range(position, self.start_second + self.span_s)
        return present


def chunk_of(
    bed: str,
    belt: str,
    boot_id: int,
    utc_ms_at_second_0: int,
    trusted: bool,
    readings: Iterable[Reading],
    minute: Minute | None = None,
) -> VitalsChunk:
    """The chunk of these readings (at least one, in order of arrival), starting at the first of them.

    Reports leave a belt every 1000 ms of its own clock, so two may fall into one whole second: the later one then takes
    the next second, because each report is counted and none may vanish. `utc_ms_at_second_0` maps belt uptime 0 to UTC.
    """
    placed: list[Reading] = []
    for reading in readings:
        if placed and reading.second <= placed[-1].second:
            reading = _moved(reading, placed[-1].second + 1)
        placed.append(reading)
    start = placed[0].second
    span_s = placed[-1].second - start + 1
    return VitalsChunk(
        bed, belt, boot_id, start, utc_ms_at_second_0 + start * 1000, trusted, span_s, tuple(placed), minute
    )


# key -> column of a chunk. Keys are never reused; a column of nothing but zeros is left out.
_COLUMNS = (
    # key, attribute of Reading, kind, highest value
    (20, "occupancy", "runs", 2),
    (21, "occupancy_reason", "runs", 255),
    (22, "heart_reason", "runs", 255),
    (23, "heart_rate_bpm", "deltas", RATE_MAX),
    (24, "heart_quality", "runs", 100 // QUALITY_STEP),
    (25, "respiration_reason", "runs", 255),
    (26, "respiration_per_min", "deltas", RATE_MAX),
    (27, "respiration_quality", "runs", 100 // QUALITY_STEP),
    (28, "movement", "runs", 100),
    (29, "turn_overs", "runs", 255),
    (30, "flags", "runs", 65_535),
)
_READING_COLUMNS = tuple(field.name for field in fields(Reading))[1:]
_QUALITIES = ("heart_quality", "respiration_quality")
_RATES = {"heart_rate_bpm": "heart_reason", "respiration_per_min": "respiration_reason"}

_HEAD = (
    Field(1, "bed", text(64, 1)),
    Field(2, "belt", text(64, 1)),
    Field(3, "boot_id", integer(0, 2**32 - 1)),
    Field(4, "start_second", integer(0, 2**40)),
    Field(5, "start_utc_ms", integer(0, UTC_MS_MAX)),
    Field(6, "trusted", boolean),
    Field(7, "span_s", integer(0, CHUNK_SECONDS_MAX)),
)
_GAPS_KEY = 8
_MINUTE_KEY = 9
_SECONDS = integer(0, 60)
_OPTIONAL_RATE = optional(integer(0, RATE_MAX))


_MINUTE = (
    Field(1, "occupied_s", _SECONDS),
    Field(2, "empty_s", _SECONDS),
    Field(3, "unclear_s", _SECONDS),
    Field(4, "heart_rate_bpm", _OPTIONAL_RATE),
    Field(5, "heart_rate_bpm_min", _OPTIONAL_RATE),
    Field(6, "heart_rate_bpm_max", _OPTIONAL_RATE),
    Field(7, "heart_valid_s", _SECONDS),
    Field(8, "respiration_per_min", _OPTIONAL_RATE),
    Field(9, "respiration_per_min_min", _OPTIONAL_RATE),
    Field(10, "respiration_per_min_max", _OPTIONAL_RATE),
    Field(11, "respiration_valid_s", _SECONDS),
    Field(12, "moving_first_half_s", _SECONDS),
    Field(13, "moving_second_half_s", _SECONDS),
    Field(14, "turn_overs", _SECONDS),
    Field(15, "irregular_s", _SECONDS),
    Field(16, "weak_breath_s", _SECONDS),
    Field(17, "fault_s", _SECONDS),
)


def chunk_to_map(chunk: VitalsChunk) -> dict[int, Any]:
    """The chunk's body map; BatchError if it may not be sent."""
    _check_order(chunk)
    wire = to_map(chunk, _HEAD)
    if gaps := chunk.gaps():
        wire[_GAPS_KEY] = pack_varints(number for run in gaps for number in run)
    if chunk.minute is not None:
        wire[_MINUTE_KEY] = to_map(chunk.minute, _MINUTE)
    for key, name, kind, high in _COLUMNS:
        values = _column(chunk.readings, name)
        if any(not 0 <= value <= high for value in values):
            raise BatchError("bad_value", f"{name}: outside 0 to {high}")
        if name in _RATES:
            if values:
                wire[key] = pack_deltas(values)
        elif any(values):
            wire[key] = pack_runs(values) if kind == "runs" else pack_deltas(values)
    return wire


def chunk_from_map(wire: Any) -> VitalsChunk:
    """Inverse of `chunk_to_map`; BatchError on anything that does not add up."""
    return columns_from_map(wire).chunk()


def columns_from_map(wire: Any) -> ChunkColumns:
    """The chunk with every check made but no reading unrolled; BatchError on anything that does not add up."""
    if not isinstance(wire, dict):
        raise BatchError("bad_shape", "VitalsChunk: not a map")
    head = from_map(_Head, _HEAD, wire)
    try:
        gaps = _gaps(head.span_s, _blob(wire.get(_GAPS_KEY, b"")))
        count = head.span_s - sum(length for _, length in gaps)
        runs, rates = _unpack_columns(wire, count)
    except ColumnError as error:
        raise BatchError("bad_value", f"VitalsChunk: {error}") from None
    minute = from_map(Minute, _MINUTE, wire[_MINUTE_KEY]) if _MINUTE_KEY in wire else None
    return ChunkColumns(
        head.bed, head.belt, head.boot_id, head.start_second, head.start_utc_ms, head.trusted, head.span_s,
        count, gaps, runs, rates, minute,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Head:
    bed: str
    belt: str
    boot_id: int
    start_second: int
    start_utc_ms: int
    trusted: bool
    span_s: int


def _check_order(chunk: VitalsChunk) -> None:
    last = chunk.start_second - 1
    for reading in chunk.readings:
        if reading.second <= last or reading.second >= chunk.start_second + chunk.span_s:
            raise BatchError("bad_value", f"readings: second {reading.second} is out of order or outside the span")
        last = reading.second
        for rate, reason in _RATES.items():
            # The reason column decides which seconds have a rate, so the two may not disagree.
            if (getattr(reading, rate) is None) != (getattr(reading, reason) != 0):
                raise BatchError("bad_value", f"{rate}: a rate has reason 0 and an absent one has a reason")


def _column(readings: Sequence[Reading], name: str) -> list[int]:
    values = [getattr(reading, name) for reading in readings]
    if name in _RATES:
        return [value for value in values if value is not None]
    return _steps(values) if name in _QUALITIES else values


def _steps(values: Sequence[int]) -> list[int]:
    """Qualities in steps; a step is held while the value stays less than one away, so that noise makes no runs."""
    steps: list[int] = []
    held = -1
    for value in values:
        if held < 0 or abs(value - held * QUALITY_STEP) >= QUALITY_STEP:
            held = (value + QUALITY_STEP // 2) // QUALITY_STEP
        steps.append(held)
    return steps


def _gaps(span_s: int, packed: bytes) -> tuple[tuple[int, int], ...]:
    """(offset, length) of the seconds without a reading."""
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
    for key, name, _, high in _COLUMNS:
        blob = _blob(wire.get(key, b""))
        values: Sequence[int]
        if name in _RATES:
            reasons = runs[_RATES[name]]
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


def _moved(reading: Reading, second: int) -> Reading:
    values = {name: getattr(reading, name) for name in Reading.__slots__}
    return Reading(**{**values, "second": second})
