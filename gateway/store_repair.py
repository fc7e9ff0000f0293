"""Opening one SQLite file safely: the measured settings, a check, and what to do with a file that is damaged."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.store_schema import FutureVersionError, migrate

__all__ = ["Opener", "StoreBusyError", "StoreError", "connect", "damage", "open_file", "put_aside", "salvage"]

Opener = Callable[[Path], sqlite3.Connection]


class StoreError(Exception):
    """The store cannot be opened or written; the text says where and what to do."""


class StoreBusyError(StoreError):
    """Another gateway has the data folder open."""


def open_file(file: Path) -> sqlite3.Connection:
    """A connection without settings. psow=0: a power cut may garble the whole block that is being written."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?psow=0", uri=True, isolation_level=None, timeout=0,
                           check_same_thread=False)


def connect(
    file: Path, versions: tuple[str, ...], opener: Opener = open_file, *, check: bool = True
) -> sqlite3.Connection:  # fmt: skip
    """One file with the measured settings, checked and migrated; sqlite3.DatabaseError if it is damaged.

    `check` False: it was checked since we started.
    """
    db = opener(file)
    try:
        db.execute("PRAGMA page_size=4096")
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=100")
        db.execute("PRAGMA cache_size=-512")
        (result,) = db.execute("PRAGMA quick_check(1)").fetchone() if check else ("ok",)
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        # After a power cut the log may end in the middle of a block: the next commit would write into a block that
        # holds an acknowledged one, and a second cut could garble both (tools/soak_store.py finds it). An empty log
        # begins at a block of its own.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        migrate(db, versions)
        # Takes the exclusive lock now, not at the first write.
        db.execute("BEGIN IMMEDIATE")
        db.execute("COMMIT")
    except FutureVersionError as error:
        db.close()
        raise StoreError(f"{file} has {error}: start the newer sleepbelt, or set another gateway.data_dir") from None
    except sqlite3.Error:
        db.close()
        raise
    return db


def damage(file: Path, error: sqlite3.DatabaseError) -> str:
    """The reason, if the file is damaged; StoreError for what is no damage (locked, no space, no permission)."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise StoreBusyError(f"{file}: another gateway has this data folder open; stop it or set another "
                             "gateway.data_dir") from None
    if primary in (None, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return str(error)
    raise StoreError(f"{file}: {error}; the gateway needs a data folder it can write (gateway.data_dir)") from None


def put_aside(file: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = file.with_name(f"{file.name}.damaged-{stamp}-{secrets.token_hex(2)}")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(aside: Path, into: sqlite3.Connection, tables: Sequence[str]) -> int:
    """Copy what can be read of the damaged file, from both ends of each table; the number of rows kept."""
    kept = 0
    try:
        source = sqlite3.connect(f"{aside.absolute().as_uri()}", uri=True, isolation_level=None, timeout=0)
    except sqlite3.Error:
        return 0
    for table in tables:
        try:
            # An older version of the file lacks the newer columns; they take their defaults.
            there = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
        except sqlite3.Error:
            continue
        columns = [row[1] for row in into.execute(f"PRAGMA table_info({table})") if row[1] in there]
        if not columns:
            continue
        insert = f"INSERT OR IGNORE INTO {table}({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})"
        for direction in ("ASC", "DESC"):
            try:
                for row in source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1 {direction}"):
                    kept += max(0, into.execute(insert, row).rowcount)
            except sqlite3.Error:
                continue  # the rest of this table, seen from this end, is behind the damage
    source.close()
    return kept
