"""Columns of whole numbers as varints, the inside of a vitals chunk.

A column has one value for each reading that is present. Its length is known from elsewhere, so no encoding here carries
it: every decoder is told how many values to expect and refuses anything else.

| encoding | for | numbers |
|---|---|---|
| steps | what mostly stays as it is | first value, then (distance, zigzag difference) of each change, then 0 |
| marks | what mostly is zero | (distance, value) of each other value, then 0 |
| deltas | kind 4: rates | first value, then differences, zigzag |
| runs | kind 4: all else | (value, length) pairs |
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate

__all__ = [
    "ColumnError",
    "mark_numbers",
    "pack_varints",
    "read_marks",
    "read_steps",
    "step_numbers",
    "unpack_deltas",
    "unpack_run_pairs",
    "unpack_varints",
    "unzigzag",
    "zigzag",
]

VARINT_BYTES_MAX = 5  # 35 bits: no column holds more


class ColumnError(ValueError):
    """A column's bytes do not hold what was promised."""


def pack_varints(values: Iterable[int]) -> bytes:
    """Non-negative ints below 2**35 as little-endian groups of seven bits."""
    out = bytearray()
    for value in values:
        if not 0 <= value < 1 << 7 * VARINT_BYTES_MAX:
            raise ColumnError(f"{value} does not fit a varint")
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def unpack_varints(data: bytes) -> list[int]:
    """Inverse of `pack_varints`; raises ColumnError on a cut, overlong or padded varint."""
    if data.isascii():
        return list(data)  # nearly every column: no number above 127
    if len(data) > 2 and 0 < data[1] < 0x80 <= data[0] and data[2:].isascii():
        return [data[0] & 0x7F | data[1] << 7, *data[2:]]  # a rate above 63, then its small steps
    values = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * VARINT_BYTES_MAX:
                raise ColumnError("a varint is too long")
            continue
        if byte == 0 and shift:
            raise ColumnError("a varint is padded")  # two encodings of one value would break the canonical form
        values.append(value)
        value = shift = 0
    if shift:
        raise ColumnError("a varint is cut off")
    return values


def zigzag(number: int) -> int:
    """0, -1, 1, -2 ... as 0, 1, 2, 3 ..."""
    return number * 2 if number >= 0 else -number * 2 - 1


def unzigzag(number: int) -> int:
    """Inverse of `zigzag`."""
    return (number >> 1) ^ -(number & 1)


def step_numbers(values: Sequence[int]) -> list[int]:
    """The steps of a column; none for a column without values."""
    if not values:
        return []
    numbers = [values[0]]
    last, changed = values[0], 0
    for position, value in enumerate(values):
        if value != last:
            numbers += (position - changed, zigzag(value - last))
            last, changed = value, position
    return [*numbers, 0]


def read_steps(numbers: Sequence[int], at: int, count: int) -> tuple[list[int], int]:
    """Flat (value, length) runs of `count` values (at least one) from numbers[at], and where they end; ColumnError."""
    pairs: list[int] = []
    left = count
    try:
        value = numbers[at]
        while distance := numbers[at + 1]:
            step = numbers[at + 2]
            left -= distance
            if left <= 0 or not step:
                raise ColumnError(f"a change that is none or leaves the {count} values")
            pairs += (value, distance)
            value += (step >> 1) ^ -(step & 1)
            at += 2
    except IndexError:
        raise ColumnError("columns are cut off") from None
    pairs += (value, left)
    return pairs, at + 2


def mark_numbers(values: Sequence[int]) -> list[int]:
    """The marks of a column; none for a column without values."""
    if not values:
        return []
    numbers: list[int] = []
    marked = -1
    for position, value in enumerate(values):
        if value:
            numbers += (position - marked, value)
            marked = position
    return [*numbers, 0]


def read_marks(numbers: Sequence[int], at: int, count: int) -> tuple[list[int], int]:
    """Flat (value, length) runs of `count` values (at least one) from numbers[at], and where they end; ColumnError."""
    pairs: list[int] = []
    left = count
    try:
        while distance := numbers[at]:
            value = numbers[at + 1]
            left -= distance
            if left < 0 or not value:
                raise ColumnError(f"a mark that is none or leaves the {count} values")
            if distance > 1:
                pairs += (0, distance - 1, value, 1)
            elif pairs and pairs[-2] == value:
                pairs[-1] += 1
            else:
                pairs += (value, 1)
            at += 2
    except IndexError:
        raise ColumnError("columns are cut off") from None
    if left:
        pairs += (0, left)
    return pairs, at + 1


def unpack_deltas(data: bytes, count: int) -> tuple[int, ...]:
    """Exactly `count` values, else ColumnError."""
    steps = unpack_varints(data)
    if len(steps) != count:
        raise ColumnError(f"{len(steps)} values where {count} belong")
    return tuple(accumulate(map(unzigzag, steps)))


def unpack_run_pairs(data: bytes, count: int) -> list[int]:
    """The (value, length) pairs of runs that make exactly `count` values, flat; else ColumnError."""
    pairs = unpack_varints(data)
    if len(pairs) % 2:
        raise ColumnError("a run has no length")
    last = -1
    for value in pairs[::2]:
        if value == last:
            raise ColumnError("two runs of one value are one run")
        last = value
    lengths = pairs[1::2]
    if 0 in lengths or sum(lengths) != count:
        raise ColumnError(f"runs of {sum(lengths)} values where {count} belong")
    return pairs
