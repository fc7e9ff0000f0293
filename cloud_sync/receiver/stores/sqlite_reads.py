"""The reading side on one SQLite file: its own connection, so that pages never wait for a commit nor delay one."""

from pathlib import Path

from cloud_sync.receiver.stores.reads import DatabaseReads
from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase, open_for_reading

__all__ = ["SqliteReads"]


class SqliteReads(DatabaseReads):
    """StoreReads on one SQLite file."""

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteDatabase(open_for_reading(path), path))
