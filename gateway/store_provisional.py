"""Rows that were written before the clock was set, given their time once it is.

What a belt told lies on its own axis (boot, uptime); what the gateway decided on its elapsed one. Once wall time is
trusted, both have a known zero in UTC. A row keeps what it was told with: a chunk's body stays, with a shift beside it,
and its seq; the audit says that the clock was not set. Belt boots of which no live report was heard since stay as they
are.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from protocol.batch import BatchError, ChunkColumns, VitalsChunk, decode_columns, decode_item, encode_item

__all__ = ["BEGIN", "PROVISIONAL", "Move", "Placed", "Zeros", "begin_text", "chunk_moves", "move_chunks", "place_rows",
           "shifted"]  # fmt: skip

PROVISIONAL = "provisional"
BEGIN = ("", 0)  # before all days
CHUNKS_AT_ONCE = 500  # looked at in one call: a few ms and a few hundred kB, then an alarm's commit may come between
SAME_MS = 2_000  # no step of the clock, only drift


@dataclass(frozen=True, slots=True)
class Zeros:
    """UTC ms of the zero of each clock that is known: belts' by (serial in hex, boot), the gateway's elapsed axis,
    which is exact since `since_elapsed_ms`, the start of the machine's present boot."""

    belts: Mapping[tuple[str, int], int]
    gateway_utc_ms: int
    since_elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Placed:
    """(bed, UTC ms) of what got its time, the clocks of what still waits, and where to go on: (day, rowid)."""

    moved: set[tuple[str, int]]
    left: set[tuple[str, int]]
    after: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A chunk's row and its true start; `shift_ms` leads from the start in its body to it."""

    rowid: int
    seq: int
    start_utc_ms: int
    shift_ms: int


def begin_text(db: sqlite3.Connection, next_seq: int) -> str:
    """Where the rows that may be wrong begin: vitals seq, belt record, event."""
    (record,) = db.execute("SELECT coalesce(max(rowid), 0) FROM belt_records").fetchone()
    (event,) = db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    return f"{next_seq} {record} {event}"


def chunk_moves(
    db: sqlite3.Connection, epoch: str, begun: str, zeros: Zeros, placed: Placed, after_rowid: int, limit: int
) -> tuple[list[Move], int, int]:
    """The chunks to be moved among the next `limit` of a day's file; how many were looked at, and the last one."""
    rows = db.execute(
        "SELECT rowid, seq, bed, start_utc_ms, body, crc FROM chunks "
        "WHERE rowid > ? AND +epoch = ? AND +seq >= ? AND shift_ms = 0 ORDER BY rowid LIMIT ?",  # +: by rowid, unsorted
        (after_rowid, epoch, int(begun.split()[0]), limit),
    ).fetchall()
    moves = []
    for rowid, seq, bed, start_ms, body, crc in rows:
        chunk = _columns(body) if zlib.crc32(body) == crc else None
        if chunk is None or chunk.trusted:
            continue
        zero_ms = zeros.belts.get((chunk.belt, chunk.boot_id))
        if zero_ms is None:
            placed.left.add((chunk.belt, chunk.boot_id))
            continue
        true_ms = max(0, zero_ms + chunk.start_second * 1000)
        if abs(true_ms - start_ms) > SAME_MS:
            placed.moved.add((bed, true_ms))
            moves.append(Move(rowid, seq, true_ms, true_ms - chunk.start_utc_ms))
    return moves, len(rows), rows[-1][0] if rows else after_rowid


def move_chunks(source: sqlite3.Connection, target: sqlite3.Connection, moves: Sequence[Move]) -> None:
    """Put rows into the file of their true day, with their seqs, before they leave the other."""
    if source is target:
        with source:
            source.execute("BEGIN IMMEDIATE")
            source.executemany("UPDATE chunks SET start_utc_ms = ?, shift_ms = ? WHERE rowid = ?",
                               [(move.start_utc_ms, move.shift_ms, move.rowid) for move in moves])  # fmt: skip
        return
    with target:
        target.execute("BEGIN IMMEDIATE")
        for move in moves:
            (row,) = source.execute("SELECT epoch, seq, bed, body, crc, floor FROM chunks WHERE rowid = ?",
                                    (move.rowid,))  # fmt: skip
            target.execute(
                "INSERT OR IGNORE INTO chunks(epoch, seq, bed, body, crc, floor, start_utc_ms, shift_ms) "
                "VALUES (?,?,?,?,?,?,?,?)", (*row, move.start_utc_ms, move.shift_ms))  # fmt: skip
    with source:
        source.execute("BEGIN IMMEDIATE")
        source.executemany("DELETE FROM chunks WHERE rowid = ?", [(move.rowid,) for move in moves])


def place_rows(db: sqlite3.Connection, begun: str, zeros: Zeros, placed: Placed) -> None:
    """The belts' records and the log's lines, inside the caller's transaction."""
    _, record, event = map(int, begun.split())
    rows = db.execute(
        "SELECT rowid, bed, belt, boot_id, uptime_ms, utc_ms FROM belt_records WHERE rowid > ? AND utc_ms IS NOT NULL",
        (record,),
    ).fetchall()
    for rowid, bed, belt, boot_id, uptime_ms, utc_ms in rows:
        zero_ms = zeros.belts.get((belt, boot_id))
        if zero_ms is None:
            placed.left.add((belt, boot_id))
        elif abs(zero_ms + uptime_ms - utc_ms) > SAME_MS:
            placed.moved.add((bed, zero_ms + uptime_ms))
            db.execute("UPDATE belt_records SET utc_ms = ? WHERE rowid = ?", (zero_ms + uptime_ms, rowid))
    lines = (event, zeros.since_elapsed_ms)
    which = "FROM events WHERE id > ? AND elapsed_ms >= ? AND trusted = 0"
    placed.moved.update(
        (bed, zeros.gateway_utc_ms + elapsed_ms)
        for bed, elapsed_ms in db.execute(f"SELECT bed, elapsed_ms {which}", lines) if bed
    )  # fmt: skip
    db.execute(
        "UPDATE events SET utc_ms = elapsed_ms + ?, trusted = 1 WHERE id > ? AND elapsed_ms >= ? AND trusted = 0",
        (zeros.gateway_utc_ms, *lines),
    )


def shifted(body: bytes, shift_ms: int) -> bytes:
    """A chunk as if it had been told with the clock set."""
    chunk = decode_item(body)
    assert isinstance(chunk, VitalsChunk)
    return encode_item(replace(chunk, start_utc_ms=chunk.start_utc_ms + shift_ms, trusted=True))


def _columns(body: bytes) -> ChunkColumns | None:
    try:
        chunk = decode_columns(body)
    except BatchError:
        return None
    return chunk if isinstance(chunk, ChunkColumns) else None
