"""Which database the receiver keeps in: a file of its own, or PostgreSQL by URL."""

from pathlib import Path

from cloud_sync.receiver.stores import sqlite_file
from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.sqlite_reads import SqliteReads
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites
from cloud_sync.receiver.stores.writes import DatabaseWrites

__all__ = ["open_existing", "open_reads", "open_writes"]


def open_writes(where: Path | str) -> DatabaseWrites:
    """The writing side of an SQLite file or a postgresql:// URL; StoreError if it cannot be used."""
    if isinstance(where, Path):
        return SqliteWrites(where)
    from cloud_sync.receiver.stores.postgres import PostgresWrites  # psycopg takes its time to load

    return PostgresWrites(where)


def open_reads(where: Path | str) -> StoreReads:
    """The reading side of what `open_writes` has opened before."""
    if isinstance(where, Path):
        return SqliteReads(where)
    from cloud_sync.receiver.stores.postgres import PostgresReads

    return PostgresReads(where)


def open_existing(where: Path | str) -> Database:
    """A further connection for a command, beside receivers that may be running; StoreError if it is not ready."""
    if isinstance(where, Path):
        return sqlite_file.open_existing(where)
    from cloud_sync.receiver.stores import postgres

    return postgres.open_existing(where)
