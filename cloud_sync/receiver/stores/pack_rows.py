"""Rows of `packs`: what a bed's chunks that came together are stored as, and such a row cut at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloud_sync.ingest import minutes_of
from cloud_sync.receiver.stores.minute_sums import (
    MINUTE_MS,
    Sums,
    added,
    holes_of,
    minute_values,
    pack_minutes,
    unpack_minutes,
)
from cloud_sync.receiver.stores.packs import PACK_CHUNKS_MAX, PackedChunk, make_pack, open_pack
from protocol.batch import ChunkColumns, decode_columns

__all__ = ["CHUNK_MS_MAX", "DAY_MS", "PACK_TYPES", "PackRow", "first_start_ms", "kept_outside", "minutes_alone",
           "pack_row", "pack_rows"]  # fmt: skip

DAY_MS = 86_400_000
CHUNK_MS_MAX = 600_000

PACK_TYPES = ("integer", "bigint", "bigint", "integer", "bytea", "bytea", "smallint")
PackRow = tuple[int, int, int, int, bytes, bytes, int]  # the columns of `packs`


def pack_row(bed_id: int, chunks: Sequence[ChunkColumns], packed: Sequence[PackedChunk]) -> PackRow:
    """The row of chunks of one UTC day, ascending by their start."""
    minutes = added((one.utc_ms // MINUTE_MS, minute_values(one)) for chunk in chunks for one in minutes_of(chunk))
    return _row(bed_id, chunks, packed, minutes)


def pack_rows(bed_id: int, chunks: Iterable[tuple[ChunkColumns, PackedChunk]]) -> Iterator[PackRow]:
    """The rows of chunks in any order: neighbours of one UTC day, at most PACK_CHUNKS_MAX, so that a pack lies in one
    partition."""
    part: list[tuple[ChunkColumns, PackedChunk]] = []
    for pair in sorted(chunks, key=lambda pair: pair[0].start_utc_ms):
        day = pair[0].start_utc_ms // DAY_MS
        if part and (len(part) == PACK_CHUNKS_MAX or day != part[0][0].start_utc_ms // DAY_MS):
            yield pack_row(bed_id, *_unzipped(part))
            part = []
        part.append(pair)
    if part:
        yield pack_row(bed_id, *_unzipped(part))


def _unzipped(
    pairs: Sequence[tuple[ChunkColumns, PackedChunk]]
) -> tuple[Sequence[ChunkColumns], Sequence[PackedChunk]]:
    return [columns for columns, _ in pairs], [packed for _, packed in pairs]


def minutes_alone(bed_id: int, minutes: Iterable[tuple[int, Sums]]) -> PackRow:
    """The row of minutes (UTC ms, sums) that ascend and lie on one day, without the chunks they sum up."""
    return _row(bed_id, (), (), [(utc_ms // MINUTE_MS, sums) for utc_ms, sums in minutes])


def first_start_ms(from_utc_ms: int) -> int:
    """The least start of a pack that may reach behind an instant: the chunks of a pack begin on one UTC day."""
    return (from_utc_ms - CHUNK_MS_MAX) // DAY_MS * DAY_MS


def kept_outside(row: PackRow, from_utc_ms: int, to_utc_ms: int) -> PackRow | None:
    """What remains of a row when its chunks and minutes that begin in [from, to) go; None: nothing."""
    bed_id, start_ms, _, _, body, minutes, holes = row
    packed = [(_columns(one), one) for one in open_pack(body)] if body else []
    chunks = [pair for pair in packed if not from_utc_ms <= pair[0].start_utc_ms < to_utc_ms]
    sums = list(unpack_minutes(start_ms // MINUTE_MS, minutes))
    kept = [one for one in sums if not from_utc_ms <= one[0] * MINUTE_MS < to_utc_ms]
    if len(chunks) == len(packed) and len(kept) == len(sums):
        return row
    if not chunks and not kept:
        return None
    cut = _row(bed_id, [columns for columns, _ in chunks], [one for _, one in chunks], kept)
    return (*cut[:-1], -1) if holes < 0 else cut


def _row(
    bed_id: int, chunks: Sequence[ChunkColumns], packed: Sequence[PackedChunk], minutes: Sequence[tuple[int, Sums]]
) -> PackRow:
    """Of chunks and minutes that ascend, not both empty. The span begins and ends with something recorded: a chunk may
    begin a second before its first reading."""
    spans = [(one.start_utc_ms, one.start_utc_ms + one.span_s * 1000) for one in chunks]
    start_ms, end_ms = spans[0][0] if spans else -1, max((end for _, end in spans), default=-1)
    if minutes and start_ms // MINUTE_MS != minutes[0][0]:
        start_ms = minutes[0][0] * MINUTE_MS
    if minutes and (end_ms - 1000) // MINUTE_MS < minutes[-1][0]:
        end_ms = (minutes[-1][0] + 1) * MINUTE_MS
    return (
        bed_id, start_ms, end_ms, sum(chunk.count for chunk in chunks), make_pack(packed) if packed else b"",
        pack_minutes(start_ms // MINUTE_MS, minutes), holes_of(start_ms, end_ms, len(minutes)),
    )  # fmt: skip


def _columns(packed: PackedChunk) -> ChunkColumns:
    columns = decode_columns(packed[2])
    assert isinstance(columns, ChunkColumns)
    return columns
