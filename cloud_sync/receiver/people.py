"""Who may sign in to the platform, who looked at whom, what residents consented to, when a bed was not watched.

Beside SQLite all this is a file of its own (people.db): a database that is damaged is begun anew from what the gateways
still hold, and nobody could give back who withdrew what, or who looked. On PostgreSQL it lies in the same database, so
that all workers, on whichever machine, act on one truth; a people.db that is still there is taken over once.
"""

import socket
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.pages.settings import Account
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.database import Database, transaction
from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase

__all__ = [
    "AUDIT_ROWS_MAX",
    "PEOPLE",
    "RETENTION_DAYS",
    "RETENTION_DAYS_MAX",
    "VIEWS_OF_ALL",
    "AuditRow",
    "Consent",
    "People",
    "WatchSpan",
    "open_people",
]

PEOPLE = "people.db"
VERSION = 2
RETENTION_DAYS = {"presence": 1095, "vitals": 400, "nights": 1095}
RETENTION_DAYS_MAX = 36_500
AUDIT_ROWS_MAX = 1_000_000  # beyond it the oldest go: about three years of a home with 60 residents
SPANS_MAX = 500_000
ERASED = "resident_erase"
VIEWS_OF_ALL = ("overview", "alarms", "handover", "handover_pdf", "wall", "admissions", "api")
"""Kinds of audit rows which, without a resident, tell that somebody saw all who were here then."""
_SCHEMA = """
CREATE TABLE accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, pin TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
  number INTEGER PRIMARY KEY, utc_ms INTEGER NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL,
  resident_id TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX audit_resident ON audit (resident_id, utc_ms);
-- When a gateway said that a bed was not watched, and why; stretches of one reason are one row.
CREATE TABLE unwatched (
  number INTEGER PRIMARY KEY, gateway TEXT NOT NULL, bed TEXT NOT NULL, reason TEXT NOT NULL,
  from_utc_ms INTEGER NOT NULL, to_utc_ms INTEGER NOT NULL
);
CREATE INDEX unwatched_time ON unwatched (to_utc_ms);
"""
_SCHEMA_2 = """
-- What a resident (or who speaks for them) said of a class of data; no row: given.
CREATE TABLE consents (
  resident_id TEXT NOT NULL, data_class TEXT NOT NULL, given INTEGER NOT NULL, since_utc_ms INTEGER NOT NULL,
  account TEXT NOT NULL,
  PRIMARY KEY (resident_id, data_class)
) WITHOUT ROWID;
CREATE TABLE retention (data_class TEXT PRIMARY KEY, days INTEGER NOT NULL) WITHOUT ROWID;
"""
_SAY_CONSENT = (
    "ON CONFLICT (resident_id, data_class) DO UPDATE SET given = excluded.given, "
    "since_utc_ms = excluded.since_utc_ms, account = excluded.account "
)
_TAKEN = (
    ("accounts", ("name", "role", "pin"), "ON CONFLICT DO NOTHING"),
    ("audit", ("utc_ms", "kind", "account", "role", "resident_id", "detail"), ""),
    ("unwatched", ("gateway", "bed", "reason", "from_utc_ms", "to_utc_ms"), ""),
    ("consents", ("resident_id", "data_class", "given", "since_utc_ms", "account"),
     f"{_SAY_CONSENT}WHERE consents.since_utc_ms < excluded.since_utc_ms"),
    ("retention", ("data_class", "days"), "ON CONFLICT DO NOTHING"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Somebody signed in, looked at a resident or changed something. Never a resident's name."""

    utc_ms: int
    kind: str  # view | night | overview | handover | alarms | wall | audit | sign_in | account_added ...
    account: str
    role: str
    resident_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WatchSpan:
    """A stretch in which an exit from a bed would have raised no alarm, as its gateway said."""

    gateway: str
    bed: str
    reason: str
    from_utc_ms: int
    to_utc_ms: int


@dataclass(frozen=True, slots=True)
class Consent:
    """Given or withdrawn, since when, and the account that wrote it down."""

    resident_id: str
    data_class: str
    given: bool
    since_utc_ms: int
    account: str


def open_people(database: Path | str, folder: Path) -> "People":
    """The people of a receiver whose database that is (opened before) and whose data folder this is; StoreError."""
    file = folder / PEOPLE
    if isinstance(database, Path):
        return People(_open_file(file))
    from cloud_sync.receiver.stores.postgres import PostgresDatabase  # psycopg takes its time to load

    people = People(PostgresDatabase(database))
    if file.exists():
        _take_over(people, file)
    return people


def _open_file(path: Path) -> SqliteDatabase:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
        version = int(file.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            file.close()
            raise StoreError(f"{path} has version {version}, this sleepbelt knows {VERSION}: start the newer one")
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=FULL")
        if version == 0:
            file.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version=1;COMMIT;")
        if version < VERSION:
            file.executescript(f"BEGIN IMMEDIATE;{_SCHEMA_2}PRAGMA user_version={VERSION};COMMIT;")
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot use {path}: {error}; check its folder, its owner and the disk") from error
    return SqliteDatabase(file, path)


def _take_over(people: "People", path: Path) -> None:
    """What a worker kept on SQLite goes into the database, once; the file is renamed and stays."""
    with closing(_open_file(path)) as file:
        people.take_over(file, f"{socket.gethostname()}:{path.resolve()}:{path.stat().st_ino}")
    try:
        for suffix in ("-wal", "-shm", ""):
            if (part := path.with_name(path.name + suffix)).exists():
                part.rename(path.with_name(f"{path.name}.moved{suffix}"))
    except OSError as error:
        raise StoreError(f"cannot rename {path}, whose content is in the database now: {error}") from error


class People:
    """One connection, used by one thread (StoreThread)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.close()

    def take_over(self, file: SqliteDatabase, name: str) -> None:
        """All of a people.db, unless the file of this `name` was taken before. Of two that know an account the one
        here counts, of two words on a consent the later."""
        with transaction(self._database, f"keep what {file.where} holds") as database:
            if not database.execute("INSERT INTO people_files VALUES (?) ON CONFLICT DO NOTHING", (name,)).rowcount:
                return
            for table, columns, conflict in _TAKEN:
                marks = ", ".join("?" * len(columns))
                names = ", ".join(columns)
                rows = file.execute(f"SELECT {names} FROM {table}").fetchall()
                database.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict}", rows)

    # accounts

    def accounts(self) -> tuple[Account, ...]:
        """All accounts kept here, by name."""
        return tuple(Account(*row) for row in self._all("SELECT name, role, pin FROM accounts ORDER BY name"))

    def put_account(self, account: Account) -> None:
        """Add an account or replace the one of that name."""
        self._do(
            "INSERT INTO accounts VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET role = excluded.role, "
            "pin = excluded.pin",
            account.name, account.role, account.pin,
        )  # fmt: skip

    def remove_account(self, name: str) -> bool:
        """False if there was none."""
        return self._do("DELETE FROM accounts WHERE name = ?", name) > 0

    # consents and retention

    def consents(self) -> Sequence[Consent]:
        """All that was ever said; of a class nobody spoke of there is none."""
        rows = self._all("SELECT resident_id, data_class, given, since_utc_ms, account FROM consents")
        return [Consent(resident, name, bool(given), since, who) for resident, name, given, since, who in rows]

    def put_consents(self, consents: Sequence[Consent]) -> None:
        """Keep them; one that says what was said before keeps its time."""
        for one in consents:
            self._do(
                f"INSERT INTO consents VALUES (?, ?, ?, ?, ?) {_SAY_CONSENT}WHERE consents.given <> excluded.given",
                one.resident_id, one.data_class, int(one.given), one.since_utc_ms, one.account,
            )  # fmt: skip

    def forget_consents(self, resident_id: str) -> None:
        """Of somebody who was erased."""
        self._do("DELETE FROM consents WHERE resident_id = ?", resident_id)

    def retention(self) -> dict[str, int]:
        """Days by data class."""
        return {**RETENTION_DAYS, **dict(self._all("SELECT data_class, days FROM retention"))}

    def put_retention(self, days: Mapping[str, int]) -> None:
        """Keep data of these classes so long."""
        for name, count in days.items():
            self._do(
                "INSERT INTO retention VALUES (?, ?) ON CONFLICT (data_class) DO UPDATE SET days = excluded.days",
                name, count,
            )  # fmt: skip

    # audit

    def note(self, *rows: AuditRow) -> None:
        """Keep what was seen or done, durable on return; StoreError if that is not possible."""
        for row in rows:
            self._do(
                "INSERT INTO audit (utc_ms, kind, account, role, resident_id, detail) VALUES (?, ?, ?, ?, ?, ?)",
                row.utc_ms, row.kind, row.account, row.role, row.resident_id, row.detail[:200],
            )  # fmt: skip
        self._do("DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?", AUDIT_ROWS_MAX)

    def audit(
        self, resident_id: str | None, limit: int, here: tuple[int, int] | None = None
    ) -> Sequence[AuditRow]:
        """Newest first; of one resident where an id is given, with views of all residents while that one was `here`."""
        where, values = "", tuple[object, ...]()
        if resident_id is not None:
            marks = ", ".join("?" * len(VIEWS_OF_ALL))
            where = f"WHERE resident_id = ? OR (resident_id = '' AND kind IN ({marks}) AND utc_ms >= ? AND utc_ms < ?) "
            values = (resident_id, *VIEWS_OF_ALL, *(here or (0, 0)))
        rows = self._all(
            f"SELECT utc_ms, kind, account, role, resident_id, detail FROM audit {where}ORDER BY number DESC LIMIT ?",
            *values, limit,
        )  # fmt: skip
        return [AuditRow(*row) for row in rows]

    def erased(self) -> frozenset[str]:
        """Ids of residents who were erased: they come back by no list."""
        return frozenset(row[0] for row in self._all("SELECT DISTINCT resident_id FROM audit WHERE kind = ?", ERASED))

    # watching

    def add_unwatched(self, spans: Sequence[WatchSpan]) -> None:
        """Keep stretches; one that goes on where the last of that bed and reason ended makes it longer."""
        for span in spans:
            grown = self._do(
                "UPDATE unwatched SET to_utc_ms = CASE WHEN to_utc_ms < ? THEN ? ELSE to_utc_ms END "
                "WHERE number = (SELECT number FROM unwatched "
                "WHERE to_utc_ms >= ? AND gateway = ? AND bed = ? AND reason = ? ORDER BY to_utc_ms DESC LIMIT 1)",
                span.to_utc_ms, span.to_utc_ms, span.from_utc_ms, span.gateway, span.bed, span.reason,
            )  # fmt: skip
            if not grown:
                self._do(
                    "INSERT INTO unwatched (gateway, bed, reason, from_utc_ms, to_utc_ms) VALUES (?, ?, ?, ?, ?)",
                    span.gateway, span.bed, span.reason, span.from_utc_ms, span.to_utc_ms,
                )  # fmt: skip
        self._do("DELETE FROM unwatched WHERE number <= (SELECT max(number) FROM unwatched) - ?", SPANS_MAX)

    def unwatched(self, from_utc_ms: int, to_utc_ms: int) -> Sequence[WatchSpan]:
        """Stretches that reach into [from, to), in order of their beginning."""
        rows = self._all(
            "SELECT gateway, bed, reason, from_utc_ms, to_utc_ms FROM unwatched "
            "WHERE to_utc_ms > ? AND from_utc_ms < ? ORDER BY from_utc_ms",
            from_utc_ms, to_utc_ms,
        )  # fmt: skip
        return [WatchSpan(*row) for row in rows]

    def _all(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except self._database.errors as error:
            raise StoreError(f"cannot read {self._database.where}: {error}") from error

    def _do(self, sql: str, *values: object) -> int:
        try:
            return self._database.execute(sql, values).rowcount
        except self._database.errors as error:
            raise StoreError(f"cannot write {self._database.where}: {error}; is the disk full or read-only?") from error
