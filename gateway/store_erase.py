"""Erasing one bed's records from the gateway's files: from tables, free pages and logs, so that no byte is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from protocol.batch import AlarmEvent, BatchError, BeltEventItem, NightReportItem, decode_item

__all__ = ["ErasedBed", "delete_bed", "erase_chunks", "runs_of", "scrub", "tells_of"]

@dataclass(frozen=True, slots=True)
class ErasedBed:
    """What an erasure did; `unsent`: (lane, first seq, last seq) that the cloud will never get."""

    rows: int
    redacted: int  # records of the audit
    unsent: tuple[tuple[str, int, int], ...]


def tells_of(body: bytes, bed: str, from_utc_ms: int, to_utc_ms: int) -> bool:
    """Whether an item of the outbox tells of a bed in [from, to); one that cannot be read tells of nobody."""
    try:
        item = decode_item(body)
    except BatchError:
        return False
    if isinstance(item, NightReportItem):
        return item.bed == bed and from_utc_ms <= _night_utc_ms(item.night_of) < to_utc_ms
    if isinstance(item, AlarmEvent | BeltEventItem):
        return item.bed == bed and from_utc_ms <= item.at.utc_ms < to_utc_ms
    return False


def delete_bed(
    db: sqlite3.Connection, bed: str, from_utc_ms: int, to_utc_ms: int, items: Mapping[str, set[int]]
) -> int:
    """Delete a bed's rows of events.db in [from, to), and the items of these seqs, inside the caller's transaction."""
    span = (bed, from_utc_ms, to_utc_ms)
    gone = db.execute("DELETE FROM events WHERE bed = ? AND utc_ms >= ? AND utc_ms < ?", span).rowcount
    # A record whose time is not known may be of anybody who had the bed: it has no place in any night.
    gone += db.execute(
        "DELETE FROM belt_records WHERE bed = ? AND (utc_ms IS NULL OR utc_ms >= ? AND utc_ms < ?)", span
    ).rowcount
    nights = [night for (night,) in db.execute("SELECT night_of FROM nights WHERE bed = ?", (bed,))
              if from_utc_ms <= _night_utc_ms(night) < to_utc_ms]  # fmt: skip
    db.executemany("DELETE FROM nights WHERE bed = ? AND night_of = ?", [(bed, night) for night in nights])
    for lane, seqs in items.items():
        found = db.executemany("DELETE FROM outbox WHERE lane = ? AND seq = ?", [(lane, seq) for seq in sorted(seqs)])
        gone += max(0, found.rowcount)
    return gone + len(nights)


def erase_chunks(db: sqlite3.Connection, bed: str, from_utc_ms: int, to_utc_ms: int) -> int:
    """Delete a bed's chunks in [from, to) from a day's file; how many. A file that has none is not written."""
    db.execute("PRAGMA secure_delete=ON")  # also where the power goes before the file is written anew
    gone = db.execute("DELETE FROM chunks WHERE bed = ? AND start_utc_ms >= ? AND start_utc_ms < ?",
                      (bed, from_utc_ms, to_utc_ms)).rowcount  # fmt: skip
    if gone or db.execute("PRAGMA freelist_count").fetchone()[0]:
        scrub(db)
    return gone


def scrub(db: sqlite3.Connection) -> None:
    """Write the file anew without its free pages, and empty its log."""
    db.execute("PRAGMA temp_store=MEMORY")  # no copy in a temporary file
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def runs_of(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Inclusive runs of ascending seqs."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        runs[-1:] = [(runs[-1][0], seq)] if runs and seq == runs[-1][1] + 1 else [*runs[-1:], (seq, seq)]
    return runs


def _night_utc_ms(night_of: str) -> int:
    """An instant within the night that ends on this date: its midnight in UTC, half a day off at most."""
    return round(datetime.fromisoformat(night_of).replace(tzinfo=UTC).timestamp() * 1000)
