"""How the platform keeps minutes: those of one pack as one value of some six bytes each, beside the chunks they sum up.

A value is varints. Each minute is a number whose low nine bits say which of its sums differ from the minute before (the
first's from zero) and whose other bits say how many minutes further it lies (the first: behind the pack's own minute;
each other: behind the one right after), then the zigzag difference of each sum that differs, in the order of FIELDS.

A minute may lie in several packs: late data bring a further one, and what a bed had in a minute is the sum over all.
"""

from collections.abc import Iterable, Iterator, Sequence

from cloud_sync.ingest import MinuteSums
from protocol.columns import ColumnError, pack_varints, unpack_varints, zigzag

__all__ = ["FIELDS", "MINUTE_MS", "Sums", "added", "holes_of", "minute_values", "pack_minutes", "unpack_minutes"]

MINUTE_MS = 60_000
# What changes from minute to minute comes first: seven bits are one byte.
FIELDS = (
    "heart_sum", "respiration_sum", "heart_count", "respiration_count", "moving_s", "turn_overs", "readings",
    "occupied_s", "empty_s",
)  # fmt: skip
_BITS = len(FIELDS)
_MASK = (1 << _BITS) - 1
_CHANGED = [tuple(bit for bit in range(_BITS) if mask >> bit & 1) for mask in range(_MASK + 1)]

Sums = tuple[int, ...]  # in the order of FIELDS


def minute_values(minute: MinuteSums) -> Sums:
    """A minute's sums in the order of FIELDS."""
    return tuple(getattr(minute, name) for name in FIELDS)


def added(minutes: Iterable[tuple[int, Sums]]) -> list[tuple[int, Sums]]:
    """(UTC minute, sums) of each minute once, ascending."""
    found: dict[int, Sums] = {}
    for number, sums in minutes:
        known = found.get(number)
        found[number] = sums if known is None else tuple(map(int.__add__, known, sums))
    return sorted(found.items())


def pack_minutes(base: int, minutes: Sequence[tuple[int, Sums]]) -> bytes:
    """The value of minutes that ascend from `base` on, the UTC minute in which their pack begins."""
    numbers: list[int] = []
    last: Sums = (0,) * _BITS
    expected = base
    for number, sums in minutes:
        changes = [(bit, new - old) for bit, (new, old) in enumerate(zip(sums, last, strict=True)) if new != old]
        numbers.append((number - expected) << _BITS | sum(1 << bit for bit, _ in changes))
        numbers += (zigzag(change) for _, change in changes)
        last, expected = sums, number + 1
    return pack_varints(numbers)


def unpack_minutes(base: int, body: bytes) -> Iterator[tuple[int, Sums]]:
    """Inverse of `pack_minutes`; ColumnError if it is damaged."""
    numbers = iter(unpack_varints(body))
    sums = [0] * _BITS
    at = base
    for head in numbers:
        at += head >> _BITS
        for bit in _CHANGED[head & _MASK]:
            change = next(numbers, -1)
            if change < 0:
                raise ColumnError("minutes are cut off")
            sums[bit] += (change >> 1) ^ -(change & 1)  # unzigzag: a call here would be half of the time
        yield at, tuple(sums)
        at += 1


def holes_of(start_utc_ms: int, end_utc_ms: int, minutes: int) -> int:
    """How many UTC minutes of a pack's span have nothing, given how many have something."""
    last = max(start_utc_ms, end_utc_ms - 1000) // MINUTE_MS
    return max(0, last - start_utc_ms // MINUTE_MS + 1 - minutes)
