"""The stores on PostgreSQL 15 or newer: any number of receivers on one database, vitals partitioned by UTC day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import groupby, islice
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.minute_sums import FIELDS
from cloud_sync.receiver.stores.pack_rows import CHUNK_MS_MAX, DAY_MS, PACK_TYPES, minutes_alone
from cloud_sync.receiver.stores.reads import DatabaseReads
from cloud_sync.receiver.stores.writes import DatabaseWrites

__all__ = [
    "PostgresDatabase",
    "PostgresReads",
    "PostgresWrites",
    "is_empty",
    "newest_version",
    "open_existing",
    "shown_url",
]

LOCK = 0x5342_5256  # advisory: one worker at a time migrates or makes partitions
HOUR_MS = 3_600_000
FOLDED_AT_ONCE = 1_000
PAST_DAYS, FUTURE_DAYS = 400, 2  # other days (a clock that was never set) share one partition
CONNECT_TIMEOUT_S = 5
PARTITIONED = ("packs",)
MINUTES_INTO_PACKS = 5  # the version that did it
SCHEMA_TABLE = "sleepbelt_schema"


def shown_url(url: str) -> str:
    """The URL for people: without user and password."""
    parts = conninfo_to_dict(url)
    return f"postgresql://{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


class PostgresWrites(DatabaseWrites):
    """StoreWrites on the database of a URL, brought to this version; StoreError if it cannot be used."""

    def __init__(self, url: str) -> None:
        database = PostgresDatabase(url)
        try:
            with database.locked():
                _migrate(database)
        except psycopg.Error as error:
            raise StoreError(f"cannot use the database {database.where}: {error}") from error
        super().__init__(database)


class PostgresReads(DatabaseReads):
    """StoreReads on the database of a URL."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDatabase(url))


def open_existing(url: str) -> PostgresDatabase:
    """A further connection to a database of this very version, which may be in use; StoreError otherwise."""
    database = PostgresDatabase(url)
    try:
        tables = _tables(database)
        current = _current_version(database) if SCHEMA_TABLE in tables else 0
    except psycopg.Error as error:
        raise StoreError(f"cannot use the database {database.where}: {error}") from error
    if current != max(_versions()):
        database.close()
        raise StoreError(f"{database.where} is no receiver's database of version {max(_versions())}: start the "
                         "receiver of this sleepbelt once, which brings its database up to date")
    return database


def is_empty(database: PostgresDatabase) -> bool:
    """True while the database holds no table at all."""
    return not _tables(database)


class PostgresDatabase:
    """Database on one PostgreSQL connection, made again when it breaks."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    data_errors: tuple[type[Exception], ...] = (psycopg.DataError, psycopg.IntegrityError)
    for_update = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self.where = shown_url(url)
        except psycopg.Error as error:
            raise StoreError(f"receiver.database: not a PostgreSQL URL: {error}") from None
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            raise StoreError(
                f"cannot connect to {self.where}: {str(error).strip()}; "
                "is the server running, are user and password right?"
            ) from error
        self._days: set[int] = set()

    def begin(self) -> None:
        self._alive().execute("BEGIN")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        with suppress(psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def execute(self, sql: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        return self._alive().execute(_translated(sql), values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        if rows:
            self._connection.cursor().executemany(_translated(sql), rows)

    def insert(self, table: str, types: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        if rows:
            # One statement with an array a column: a third of what a statement a row costs on both sides.
            arrays = ", ".join(f"%b::{name}[]" for name in types)
            statement = f"INSERT INTO {table} SELECT * FROM unnest({arrays}) {conflict}"
            self._alive().execute(statement.encode(), [list(column) for column in zip(*rows, strict=True)])

    @contextmanager
    def streamed(self, statement: str) -> Iterator[Iterator[Any]]:
        """Rows of a SELECT as they come, within the transaction that is open."""
        with self._alive().cursor("streamed") as cursor:
            yield iter(cursor.execute(_translated(statement)))

    def prepare_days(self, start_utc_ms: Iterable[int], now_utc_ms: int) -> None:
        """Partitions for these days, outside of any transaction: making one waits for all that is under way."""
        # What begins in the last seconds of a day may have its first reading in the next.
        days = {(start + more) // DAY_MS for start in start_utc_ms for more in (0, CHUNK_MS_MAX)} - self._days
        today = now_utc_ms // DAY_MS
        wanted = [day for day in sorted(days) if today - PAST_DAYS <= day <= today + FUTURE_DAYS]
        if wanted:
            with self.locked():
                for day in wanted:
                    self._make_partitions(day)
        self._days |= days

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all workers that ask for this."""
        self._alive().execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))

    def close(self) -> None:
        self._connection.close()

    def _make_partitions(self, day: int) -> None:
        name = datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d")
        for table in PARTITIONED:
            # Rows of this day that lie in the default partition already (a wrong clock) keep it from getting its own.
            with suppress(psycopg.errors.CheckViolation):
                self._connection.execute(
                    sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                        sql.Identifier(f"{table}_{name}"), sql.Identifier(table), day * DAY_MS, (day + 1) * DAY_MS
                    )
                )

    def _alive(self) -> psycopg.Connection[Any]:
        if self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)


@cache
def _translated(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _migrate(database: PostgresDatabase) -> None:
    versions = _versions()
    tables = _tables(database)
    if tables and SCHEMA_TABLE not in tables:
        raise StoreError(f"{database.where} holds tables of another program; give a database of its own")
    current = _current_version(database) if tables else 0
    if current > max(versions):
        raise StoreError(
            f"{database.where} has version {current}, this sleepbelt knows versions up to {max(versions)}: "
            "start the newer sleepbelt"
        )
    for version in range(current + 1, max(versions) + 1):
        database.begin()
        try:
            database.execute("CREATE TABLE IF NOT EXISTS sleepbelt_schema (version INTEGER PRIMARY KEY)")
            database.execute(versions[version])
            if version == MINUTES_INTO_PACKS:
                _fold_minutes(database)
            database.execute("INSERT INTO sleepbelt_schema VALUES (?)", (version,))
            database.commit()
        except psycopg.Error:
            database.rollback()
            raise


def _fold_minutes(database: PostgresDatabase) -> None:
    """Each bed's hour of minute rows as one pack without chunks, within the transaction that is open."""
    columns = ", ".join(FIELDS)
    with database.streamed(f"SELECT bed_id, utc_ms, {columns} FROM minutes ORDER BY bed_id, utc_ms") as rows:
        hours = groupby(rows, key=lambda row: (row[0], row[1] // HOUR_MS))
        packs = (minutes_alone(bed_id, ((row[1], row[2:]) for row in of_hour)) for (bed_id, _), of_hour in hours)
        while some := list(islice(packs, FOLDED_AT_ONCE)):
            database.insert("packs", PACK_TYPES, some)
    database.execute("DROP TABLE minutes")


def newest_version() -> int:
    """The schema version of this sleepbelt."""
    return max(_versions())


def _tables(database: PostgresDatabase) -> set[str]:
    return {row[0] for row in database.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")}


def _current_version(database: PostgresDatabase) -> int:
    return int(database.execute("SELECT coalesce(max(version), 0) FROM sleepbelt_schema").fetchall()[0][0])


def _versions() -> dict[int, str]:
    folder = resources.files("cloud_sync.receiver.stores") / "schema_postgres"
    return {
        int(match[1]): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if (match := re.fullmatch(r"(\d{4})\.sql", entry.name))
    }
