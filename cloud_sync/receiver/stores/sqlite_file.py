"""Opening the receiver's SQLite file: settings, versions, and what happens to a file that is damaged or too new."""

import fcntl
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.minute_sums import FIELDS, MINUTE_MS, pack_minutes
from cloud_sync.receiver.stores.packs import make_pack

__all__ = ["SqliteDatabase", "open_existing", "open_for_reading", "open_for_writing", "schema_versions"]

APPLICATION_ID = 0x5342_5256  # "SBRV": a file of somebody else is not touched
BUSY_TIMEOUT_S = 10.0


class SqliteDatabase:
    """Database on one SQLite connection."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    # OverflowError: a number beyond 64 bits, which sqlite3 raises before it asks SQLite.
    data_errors: tuple[type[Exception], ...] = (sqlite3.DataError, sqlite3.IntegrityError, OverflowError)
    for_update = ""  # BEGIN IMMEDIATE keeps all other writers out

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.where = str(path)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def insert(self, table: str, types: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        self._connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(types))}) {conflict}", rows)

    def prepare_days(self, start_utc_ms: Iterable[int], now_utc_ms: int) -> None: ...

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """What is deleted inside is overwritten in the file and, afterwards, gone from the log beside it."""
        self._connection.execute("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA secure_delete=FAST")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._connection.close()


def schema_versions() -> dict[int, str]:
    """version -> SQL text of every schema file, in order."""
    folder = resources.files("cloud_sync.receiver.stores") / "schema"
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if match := re.fullmatch(r"(\d{4})\.sql", entry.name):
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    return found


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, str]:
    """(connection, remark): the file checked and brought to this version; `remark` says what had to be done.

    A damaged file is renamed aside and a fresh one begun: the gateways still hold 90 days. One from a later version of
    sleepbelt, or one that is no database of ours, is refused with StoreError and left as it is.
    """
    remark = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            connection = _connect(path, "rwc")
            damage = _damage(connection)
            if damage:
                connection.close()
                aside = _rename_aside(path)
                remark = f"{path} is damaged ({damage}); it was renamed to {aside.name} and a fresh database begun"
                connection = _connect(path, "rwc")
            _configure(connection)
            _migrate(connection, path)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"cannot use the database {path}: {error}; check its folder, its owner and the disk"
        ) from error
    return connection, remark


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A second connection that sees what is committed and cannot write."""
    connection = _connect(path, "ro")
    connection.execute("PRAGMA query_only=ON")
    return connection


def open_existing(path: Path) -> SqliteDatabase:
    """A further connection to a database of this very version, which may be in use; StoreError otherwise."""
    try:
        connection = _connect(path, "rw")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error as error:
        hint = "" if path.exists() else "; start sleepbelt receiver once, or name its --data folder"
        raise StoreError(f"cannot use the database {path}: {error}{hint}") from error
    if application != APPLICATION_ID or version != max(schema_versions()):
        connection.close()
        raise StoreError(f"{path} is no receiver's database of version {max(schema_versions())}: start the receiver of "
                         "this sleepbelt once, which brings its database up to date")
    return SqliteDatabase(connection, path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Workers that start at once check, rename and migrate one after the other; the lock dies with its process."""
    with path.with_name(path.name + ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # psow=0: a disk that garbles the block it is writing must not take committed neighbours with it (facts/SYNC.md).
    uri = f"{path.resolve().as_uri()}?mode={mode}&psow=0"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # NORMAL lost acked commits in 77 % of simulated power cuts, FULL none (facts/SYNC.md "Local store").
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=1000")
    connection.execute("PRAGMA foreign_keys=ON")
    # What is deleted is overwritten where that costs no page of its own (`forgetting` overwrites all of it).
    connection.execute("PRAGMA secure_delete=FAST")


def _damage(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # locked, read-only, no space: not damage
        return str(error)
    return "" if row is not None and row[0] == "ok" else str(row[0] if row else "quick_check says nothing")


def _rename_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    counter = 1
    while aside.exists():
        counter += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{counter}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside


class _MinutesOfHour:
    """The minute rows of one bed's hour, as version 5 keeps them."""

    def __init__(self) -> None:
        self._minutes: list[tuple[int, tuple[int, ...]]] = []

    def step(self, utc_ms: int, *sums: int) -> None:
        self._minutes.append((utc_ms // MINUTE_MS, sums))

    def finalize(self) -> bytes:
        self._minutes.sort()
        return pack_minutes(self._minutes[0][0], self._minutes)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    versions = schema_versions()
    newest = max(versions)
    current = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; give another --data folder")
    if current > newest:
        raise StoreError(
            f"{path} has version {current}, this sleepbelt knows versions up to {newest}: "
            "start the newer sleepbelt, or give another --data folder"
        )
    connection.create_function("pack_of_one", 3, lambda *chunk: make_pack([chunk]), deterministic=True)
    connection.create_aggregate("minutes_of_hour", 1 + len(FIELDS), _MinutesOfHour)  # type: ignore[arg-type]
    for version in range(current + 1, newest + 1):
        # One transaction a version, so that a power cut leaves the file at one version or the next.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{versions[version]}\n"
            f"PRAGMA application_id={APPLICATION_ID};\nPRAGMA user_version={version};\nCOMMIT;"
        )
