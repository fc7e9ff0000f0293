"""The tables of the gateway's files, version by version. A later version is a further text, run once; none is edited.

A file says its version in `user_version`; one from a later version of sleepbelt is refused and left as it is.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from typing import Any

from gateway.store_evidence import EVIDENCE_SCHEMA

__all__ = ["EVENTS", "STATE_BYTES_MAX", "VITALS", "FutureVersionError", "migrate", "pack_state", "unpack_state"]

STATE_BYTES_MAX = 64 << 20

_EVENTS_1 = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state(id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS belts(belt TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events(
  id INTEGER PRIMARY KEY, elapsed_ms INTEGER NOT NULL, utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL,
  bed TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, rule TEXT NOT NULL, who TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_bed ON events(bed, utc_ms);
CREATE TABLE IF NOT EXISTS belt_records(
  belt TEXT NOT NULL, seq INTEGER NOT NULL, bed TEXT NOT NULL, boot_id INTEGER NOT NULL, uptime_ms INTEGER NOT NULL,
  utc_ms INTEGER, kind TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE(belt, seq));
CREATE INDEX IF NOT EXISTS records_of_bed ON belt_records(bed, utc_ms);
CREATE TABLE IF NOT EXISTS nights(
  bed TEXT NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, report TEXT NOT NULL,
  PRIMARY KEY(bed, night_of)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox(
  lane TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lanes(
  lane TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, floor INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acked_ahead(lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected(
  lane TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL);
"""
# Acked items stay until retention, so that a cloud restored from a backup can ask for them again (rewind).
_EVENTS_3 = "ALTER TABLE outbox ADD COLUMN utc_ms INTEGER NOT NULL DEFAULT 0;"
# From here on the state is compressed: its 14 kB were half of what a bed's event wrote. An older sleepbelt refuses it.
_EVENTS_4 = "SELECT 1;"
_VITALS_1 = """
CREATE TABLE IF NOT EXISTS chunks(
  epoch TEXT NOT NULL, seq INTEGER NOT NULL, bed TEXT NOT NULL, start_utc_ms INTEGER NOT NULL, body BLOB NOT NULL,
  crc INTEGER NOT NULL, floor INTEGER NOT NULL, UNIQUE(epoch, seq));
CREATE INDEX IF NOT EXISTS chunks_of_bed ON chunks(bed, start_utc_ms);
"""
# With eight belts a minute's commit wrote a page of this index for each of them: more than all else together. A day's
# file is small enough to be read through.
_VITALS_2 = "DROP INDEX IF EXISTS chunks_of_bed;"

# A chunk told before the clock was set stays as it was told (and as it may have been sent); reading adds the shift.
_VITALS_3 = "ALTER TABLE chunks ADD COLUMN shift_ms INTEGER NOT NULL DEFAULT 0;"

EVENTS = (_EVENTS_1, EVIDENCE_SCHEMA, _EVENTS_3, _EVENTS_4)
VITALS = (_VITALS_1, _VITALS_2, _VITALS_3)


class FutureVersionError(Exception):
    """The file was written by a later version of sleepbelt."""


def pack_state(state: dict[str, Any]) -> bytes:
    """What `state.body` holds."""
    return zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)


def unpack_state(body: str | bytes) -> Any:
    """Back from it, also as it was before version 4; ValueError for anything else."""
    if isinstance(body, str):
        return json.loads(body)
    opening = zlib.decompressobj()
    try:
        text = opening.decompress(body, STATE_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"the state does not open: {error}") from None
    if not opening.eof:
        raise ValueError("the state was cut, or is larger than any")
    return json.loads(text)


def migrate(db: sqlite3.Connection, versions: tuple[str, ...]) -> None:
    """Bring an open file to the newest version; FutureVersionError if it is beyond that."""
    (current,) = db.execute("PRAGMA user_version").fetchone()
    if current > len(versions):
        raise FutureVersionError(f"version {current}, this sleepbelt knows versions up to {len(versions)}")
    for number in range(current, len(versions)):
        # One transaction a version: a power cut leaves the file at one version or the next.
        db.executescript(f"BEGIN IMMEDIATE;\n{versions[number]}\nPRAGMA user_version={number + 1};\nCOMMIT;")
