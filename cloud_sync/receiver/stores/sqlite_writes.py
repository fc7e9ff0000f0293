"""The writing side on one SQLite file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase, open_for_writing
from cloud_sync.receiver.stores.writes import DatabaseWrites

__all__ = ["SqliteWrites"]


class SqliteWrites(DatabaseWrites):
    """StoreWrites on one SQLite file; `remark` says what had to be done to open it."""

    def __init__(self, path: Path) -> None:
        connection, self.remark = open_for_writing(path)
        self._file = SqliteDatabase(connection, path)
        super().__init__(self._file)

    def forget_before(self, data_class: str, utc_ms: int) -> int:
        with self._forgetting():
            return super().forget_before(data_class, utc_ms)

    def erase(self, resident_id: str) -> bool:
        """No byte of it stays, neither in free pages nor in the log."""
        with self._forgetting():
            return super().erase(resident_id)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        try:
            with self._file.forgetting():
                yield
        except SqliteDatabase.errors as error:
            raise StoreError(f"cannot overwrite what was deleted in {self._file.where}: {error}") from error
