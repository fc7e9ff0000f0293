"""Room for alarms on a full disk: a file that is given up when events.db finds no space, and made again later."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

__all__ = ["DiskFullError", "Reserve", "is_full", "is_writable"]

RESERVE_BYTES = 4 * 1024 * 1024  # a day of alarms, events and state of a full ward


def is_full(error: sqlite3.Error, folder: Path) -> bool:
    """The disk or a quota is full: dropping something helps. On one that may not be written (after an error the kernel
    mounts it read-only; SQLite only says that a write failed) nothing would."""
    if isinstance(error, DiskFullError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return True
    return code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC) and is_writable(folder)


def is_writable(folder: Path) -> bool:
    """Whether files may be made in the folder; a read-only file system says so here."""
    return os.access(folder, os.W_OK, effective_ids=True)


class DiskFullError(sqlite3.OperationalError):
    """Vitals are refused: what is left of the disk belongs to alarms."""


class Reserve:
    """`reserve` in the data folder: RESERVE_BYTES of the disk that only events.db may have."""

    def __init__(self, folder: Path, size: int = RESERVE_BYTES) -> None:
        self._file = folder / "reserve"
        self._size = size
        self._is_made = self._file.exists() and self._file.stat().st_size >= size

    def make(self) -> bool:
        """Take the space if there is plenty; True if it is taken now. A disk without room is no error here."""
        if self._is_made:
            return True
        try:
            if shutil.disk_usage(self._file.parent).free >= 3 * self._size:
                with self._file.open("ab") as file:
                    os.posix_fallocate(file.fileno(), 0, self._size)
                self._is_made = True
        except OSError:
            self.release()
        return self._is_made

    def release(self) -> bool:
        """To events.db alone: nothing else may be written until `make` has it again. False: none left."""
        self._is_made = False
        try:
            self._file.unlink()
        except OSError:
            return False
        return True
