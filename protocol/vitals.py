"""A stretch of one belt's readings: what the gateway keeps a minute at a time and sends to the cloud.

A reading is one live report, one a second. Seconds without a report are runs in `gaps`; a value that a report could not
give is None there and simply not in its column, while the reason column says why. Nothing is ever a made-up zero.
Rates are whole numbers a minute, qualities are kept in steps of ten: tenths of a bpm would double the bytes
(facts/SYNC.md, "Encoding"). The bytes are in vitals_wire.py, those of the first version in vitals_wire_1.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "CHUNK_SECONDS_MAX",
    "COLUMN_MAX",
    "QUALITIES",
    "QUALITY_STEP",
    "RATE_MAX",
    "REASON_OF_RATE",
    "ChunkColumns",
    "Minute",
    "Reading",
    "VitalsChunk",
    "chunk_of",
]

CHUNK_SECONDS_MAX = 600  # bounds what a few bytes of runs can make a receiver build
RATE_MAX = 400
QUALITY_STEP = 10

# Columns of a chunk in the order in which they travel, and the highest value of each. Reasons stand before their rates.
COLUMN_MAX = {
    "occupancy": 2,
    "occupancy_reason": 255,
    "heart_reason": 255,
    "heart_rate_bpm": RATE_MAX,
    "heart_quality": 100 // QUALITY_STEP,
    "respiration_reason": 255,
    "respiration_per_min": RATE_MAX,
    "respiration_quality": 100 // QUALITY_STEP,
    "movement": 100,
    "turn_overs": 255,
    "flags": 65_535,
}
QUALITIES = ("heart_quality", "respiration_quality")
REASON_OF_RATE = {"heart_rate_bpm": "heart_reason", "respiration_per_min": "respiration_reason"}


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
            step = QUALITY_STEP if name in QUALITIES else 1
            values: list[int] = []
            for i in range(0, len(pairs), 2):
                values += [pairs[i] * step] * pairs[i + 1]
            columns[name] = values
        for name, reason in REASON_OF_RATE.items():
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


_READING_COLUMNS = tuple(field.name for field in fields(Reading))[1:]


def _moved(reading: Reading, second: int) -> Reading:
    values = {name: getattr(reading, name) for name in Reading.__slots__}
    return Reading(**{**values, "second": second})
