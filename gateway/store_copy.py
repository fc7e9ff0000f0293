"""Looking into a store beside its running gateway, which holds its files alone: by a consistent copy of them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.store_repair import StoreError
from protocol.phrase import Phrase

__all__ = ["events_copy", "store_copy"]

COPY_TRIES = 20


@contextmanager
def store_copy(folder: Path, days: Sequence[str] | None = ()) -> Iterator[Path]:
    """A folder with a consistent copy of events.db and the vitals files of `days` (YYYYMMDD; None: all of them).

    StoreError if there is no store, or none that stands still long enough to be copied.
    """
    if not (folder / "events.db").is_file():
        raise StoreError(
            Phrase("{folder}: holds no events.db; give the gateway's data folder (gateway.data_dir)", folder=folder)
        )
    names = ["events.db"]
    for file in sorted(folder.glob("vitals-????????.db")):
        if days is None or file.stem.removeprefix("vitals-") in days:
            names.append(file.name)
    with tempfile.TemporaryDirectory(prefix="sleepbelt-copy-") as temporary:
        for name in names:
            _copy_still(folder / name, Path(temporary) / name)
        yield Path(temporary)


@contextmanager
def events_copy(folder: Path) -> Iterator[sqlite3.Connection]:
    """events.db of `folder`, as it is now, read only."""
    with store_copy(folder) as copy, closing(sqlite3.connect(copy / "events.db")) as db:
        db.execute("PRAGMA query_only = ON")
        yield db


def _copy_still(source: Path, target: Path) -> None:
    """Copy a database with its log; again if it was written to meanwhile (a checkpoint would tear the copy)."""
    try:
        for _ in range(COPY_TRIES):
            before = _signs(source)
            for suffix in ("", "-wal"):
                part = source.with_name(source.name + suffix)
                target.with_name(target.name + suffix).unlink(missing_ok=True)
                if part.exists():
                    shutil.copyfile(part, target.with_name(target.name + suffix))
            if _signs(source) == before:
                return
    except OSError as error:
        raise StoreError(
            Phrase("{source}: cannot be read ({why})", source=source, why=error.strerror or error)
        ) from None
    raise StoreError(Phrase("{source}: is written to without a pause; try again, or stop the gateway", source=source))


def _signs(source: Path) -> list[tuple[int, int] | None]:
    signs: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal"):
        part = source.with_name(source.name + suffix)
        status = part.stat() if part.exists() else None
        signs.append(None if status is None else (status.st_mtime_ns, status.st_size))
    return signs
