"""The writing side on one SQLite file."""

from pathlib import Path

from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase, open_for_writing
from cloud_sync.receiver.stores.writes import DatabaseWrites

__all__ = ["SqliteWrites"]


class SqliteWrites(DatabaseWrites):
    """StoreWrites on one SQLite file; `remark` says what had to be done to open it."""

    def __init__(self, path: Path) -> None:
        connection, self.remark = open_for_writing(path)
        super().__init__(SqliteDatabase(connection, path))
