"""Columns of whole numbers as bytes: varints, deltas and runs, the inside of a vitals chunk.

A column is a tuple of ints, one for each reading that is present. Its length is known from elsewhere, so no encoding
here carries it: every decoder is told how many values to expect and refuses anything else.

| encoding | for | bytes |
|---|---|---|
| deltas | rates: slow numbers | first value, then differences, each a zigzag varint |
| runs | states, reasons, flags: long equal stretches | (value, length) pairs, each a varint |
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate

__all__ = [
    "ColumnError",
    "pack_deltas",
    "pack_runs",
    "pack_varints",
    "unpack_deltas",
    "unpack_run_pairs",
    "unpack_runs",
    "unpack_varints",
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


def pack_deltas(values: Sequence[int]) -> bytes:
    """First value and differences as zigzag varints: 1 byte a value while it moves by less than 64."""
    previous = 0
    steps = []
    for value in values:
        step = value - previous
        steps.append(step * 2 if step >= 0 else -step * 2 - 1)
        previous = value
    return pack_varints(steps)


def unpack_deltas(data: bytes, count: int) -> tuple[int, ...]:
    """Inverse of `pack_deltas`: exactly `count` values, else ColumnError."""
    steps = unpack_varints(data)
    if len(steps) != count:
        raise ColumnError(f"{len(steps)} values where {count} belong")
    return tuple(accumulate([(step >> 1) ^ -(step & 1) for step in steps]))


def pack_runs(values: Sequence[int]) -> bytes:
    """(value, length) pairs of equal neighbours."""
    pairs: list[int] = []
    for value in values:
        if pairs and pairs[-2] == value:
            pairs[-1] += 1
        else:
            pairs += [value, 1]
    return pack_varints(pairs)


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


def unpack_runs(data: bytes, count: int) -> tuple[int, ...]:
    """Inverse of `pack_runs`: exactly `count` values, else ColumnError; never makes more than `count`."""
    pairs = unpack_run_pairs(data, count)
    values: list[int] = []
    for value, length in zip(pairs[::2], pairs[1::2], strict=True):
        values += [value] * length
    return tuple(values)
