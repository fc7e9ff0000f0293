"""The vitals files of a store, one for each UTC day: opened when they are asked for, and only the newest stay open.

An open file takes .7 MiB (its cache, the index of its log), and 90 days of them are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.store_repair import Opener, connect
from gateway.store_schema import VITALS

__all__ = ["OPEN_DAYS", "DayFiles"]

OPEN_DAYS = 2  # today's, and yesterday's for minutes that come late and for the night


class DayFiles:
    """Connections by day (YYYYMMDD); for one thread. sqlite3.Error where a file cannot be opened."""

    def __init__(self, folder: Path, opener: Opener) -> None:
        self._folder, self._opener = folder, opener
        self._open: dict[str, sqlite3.Connection] = {}
        self._newest: dict[str, dict[str, int]] = {}  # day -> epoch -> its highest seq, or one above what was erased

    def file(self, day: str) -> Path:
        """Where the day's file is."""
        return self._folder / f"vitals-{day}.db"

    def on_disk(self) -> list[str]:
        """The days that have a file, oldest first."""
        return sorted(file.stem.removeprefix("vitals-") for file in self._folder.glob("vitals-????????.db"))

    def check(self, day: str) -> None:
        """Look a file over before its first use; sqlite3.DatabaseError if it is damaged."""
        db = connect(self.file(day), VITALS, self._opener)
        try:
            self._newest[day] = _newest(db)
        except sqlite3.Error:
            db.close()
            raise
        self._open[day] = db
        self.rest()

    def __iter__(self) -> Iterator[str]:
        """The days, oldest first."""
        return iter(sorted(self._newest))

    def __getitem__(self, day: str) -> sqlite3.Connection:
        """The day's file, which is made if there is none."""
        if day not in self._open:
            self._open[day] = connect(self.file(day), VITALS, self._opener, check=day not in self._newest)
            self._newest.setdefault(day, {})
        return self._open[day]

    def each(self) -> Iterator[sqlite3.Connection]:
        """Every file in turn, oldest first; what was closed is closed again."""
        for day in self:
            yield self[day]
            self.rest()

    def newest_seq(self, day: str, epoch: str) -> int:
        """No seq of the day is above it; 0 if there is none."""
        return self._newest.get(day, {}).get(epoch, 0)

    def recount(self, day: str) -> None:
        """The day's rows were changed by somebody else than `took` tells of."""
        self._newest[day] = _newest(self[day])

    def took(self, day: str, epoch: str, seq: int) -> None:
        """The day has got chunks up to this seq."""
        of_day = self._newest.setdefault(day, {})
        of_day[epoch] = max(of_day.get(epoch, 0), seq)

    def rest(self) -> None:
        """Close all but the newest."""
        for day in sorted(self._open)[:-OPEN_DAYS]:
            self._open.pop(day).close()

    def forget(self, day: str) -> None:
        """The file is gone from the disk."""
        self._newest.pop(day)
        if day in self._open:
            self._open.pop(day).close()

    def close(self) -> None:
        """Close what is open."""
        for db in self._open.values():
            db.close()


def _newest(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("SELECT epoch, max(seq) FROM chunks GROUP BY epoch").fetchall())
