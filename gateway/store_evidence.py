"""The tables of events.db that are evidence: the audit chain, the history of settings, and the staff's accounts.

`audit` and `settings` only ever get inserts; triggers refuse anything else, also to whoever opens the file by hand.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cores.audit import ERASED, ERASURE, AuditEntry, Head, canonical, entry_of, link

__all__ = [
    "EVIDENCE_SCHEMA",
    "EVIDENCE_TABLES",
    "AccountRow",
    "SettingsRow",
    "account_rows",
    "append_audit",
    "audit_entries",
    "audit_head",
    "audit_rows",
    "insert_settings",
    "kept_head",
    "put_accounts",
    "redact_bed",
    "settings_rows",
]

_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS {table}_refuses_update BEFORE UPDATE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} only gets inserts'); END;
CREATE TRIGGER IF NOT EXISTS {table}_refuses_delete BEFORE DELETE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} only gets inserts'); END;
CREATE TRIGGER IF NOT EXISTS {table}_refuses_replace BEFORE INSERT ON {table}
  WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})
  BEGIN SELECT RAISE(ABORT, '{table} only gets inserts'); END;
"""
EVIDENCE_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit(position INTEGER PRIMARY KEY, body BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS settings(
  version INTEGER PRIMARY KEY, utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, bed TEXT NOT NULL, who TEXT NOT NULL,
  why TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accounts(
  name TEXT PRIMARY KEY, role TEXT NOT NULL, pin TEXT NOT NULL) WITHOUT ROWID;
""" + "".join(
    _APPEND_ONLY.format(table=table, key=key) for table, key in (("audit", "position"), ("settings", "version"))
)
EVIDENCE_TABLES = ("audit", "settings", "accounts")
_ALLOW_UPDATES = "DROP TRIGGER {table}_refuses_update"
_REFUSE_UPDATES = (
    "CREATE TRIGGER {table}_refuses_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} only gets inserts'); END"
)
_HEAD_KEY = "audit_head"


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """One saved change of a bed's settings. `body` None: back to what the configuration file says.

    `version` 0: given when it is committed; versions count over all beds.
    """

    utc_ms: int
    trusted: bool
    bed: str
    who: str
    why: str
    body: dict[str, Any] | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A sign-in made on the pages; `pin` is a hash (cloud_sync/pages/pins.py), "" removes the account."""

    name: str
    role: str
    pin: str


# -- audit -------------------------------------------------------------------------------------------------------------


def audit_head(db: sqlite3.Connection) -> Head:
    """Where the chain goes on: the head that was kept, also where damage took the newest records themselves."""
    row = db.execute("SELECT position, hash FROM audit ORDER BY position DESC LIMIT 1").fetchone()
    newest = Head() if row is None else Head(int(row[0]), bytes(row[1]))
    kept = kept_head(db)
    return kept if kept is not None and kept.position > newest.position else newest


def kept_head(db: sqlite3.Connection) -> Head | None:
    """The head as written beside the chain; None if there is none or it is garbled."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_HEAD_KEY,)).fetchone()
    try:
        return None if row is None else Head.parse(str(row[0]))
    except ValueError:
        return None


def append_audit(db: sqlite3.Connection, head: Head, entries: Sequence[AuditEntry]) -> Head:
    """Append inside the caller's transaction; the new head."""
    rows = []
    for entry in entries:
        body = canonical(entry)
        head = link(head, body)
        rows.append((head.position, body, head.hash))
    if rows:
        db.executemany("INSERT INTO audit(position, body, hash) VALUES (?,?,?)", rows)
        db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (_HEAD_KEY, head.text()))
    return head


def redact_bed(db: sqlite3.Connection, bed: str, from_utc_ms: int, to_utc_ms: int) -> list[int]:
    """Erase what the records of a bed in [from, to) say, and why its settings were changed then, inside the caller's
    transaction; the positions, which the caller has to write down in a record of kind ERASURE."""
    found = [
        position for position, entry in audit_entries(db, from_utc_ms)
        if entry.bed == bed and entry.utc_ms < to_utc_ms and entry.kind != ERASURE
    ]  # fmt: skip
    for table in ("audit", "settings"):
        db.execute(_ALLOW_UPDATES.format(table=table))
    db.executemany("UPDATE audit SET body = ? WHERE position = ?", [(ERASED, position) for position in found])
    db.execute("UPDATE settings SET why = '' WHERE bed = ? AND utc_ms >= ? AND utc_ms < ?",
               (bed, from_utc_ms, to_utc_ms))  # fmt: skip
    for table in ("audit", "settings"):
        db.execute(_REFUSE_UPDATES.format(table=table))
    return found


def audit_rows(db: sqlite3.Connection) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, canonical bytes, hash) in order, for `verify`."""
    for position, body, digest in db.execute("SELECT position, body, hash FROM audit ORDER BY position"):
        yield int(position), _bytes(body), _bytes(digest)


def audit_entries(
    db: sqlite3.Connection, from_utc_ms: int = 0, last: int | None = None
) -> Iterator[tuple[int, AuditEntry]]:
    """(position, record) in order; only the `last` ones if given. A body that is no record is left out."""
    sql, values = "SELECT position, body FROM audit ORDER BY position", ()
    if last is not None:
        sql = f"SELECT * FROM (SELECT position, body FROM audit ORDER BY position DESC LIMIT {int(last)}) ORDER BY 1"
    for position, body in db.execute(sql, values):
        try:
            entry = entry_of(_bytes(body))
        except (ValueError, TypeError):
            continue
        if entry.utc_ms >= from_utc_ms:
            yield int(position), entry


def _bytes(value: object) -> bytes:
    # Whoever tampers may leave any type there; verification must see it as changed, not stumble over it.
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


# -- settings and accounts -------------------------------------------------------------------------------------------


def insert_settings(db: sqlite3.Connection, rows: Sequence[SettingsRow]) -> None:
    """Append versions inside the caller's transaction."""
    for row in rows:
        db.execute(
            "INSERT INTO settings(version, utc_ms, trusted, bed, who, why, body) "
            "VALUES ((SELECT coalesce(max(version), 0) + 1 FROM settings), ?,?,?,?,?,?)",
            (row.utc_ms, row.trusted, row.bed, row.who, row.why, json.dumps(row.body, sort_keys=True)),
        )


def settings_rows(db: sqlite3.Connection, bed: str | None = None) -> list[SettingsRow]:
    """Every version, oldest first; of one bed if named."""
    rows = db.execute(
        "SELECT utc_ms, trusted, bed, who, why, body, version FROM settings WHERE ? IS NULL OR bed = ? "
        "ORDER BY version", (bed, bed))  # fmt: skip
    return [
        SettingsRow(utc_ms, bool(trusted), of_bed, who, why, json.loads(body), version)
        for utc_ms, trusted, of_bed, who, why, body, version in rows
    ]


def put_accounts(db: sqlite3.Connection, rows: Sequence[AccountRow]) -> None:
    """Add, change or remove accounts inside the caller's transaction."""
    for row in rows:
        if row.pin:
            db.execute("INSERT OR REPLACE INTO accounts(name, role, pin) VALUES (?,?,?)", (row.name, row.role, row.pin))
        else:
            db.execute("DELETE FROM accounts WHERE name = ?", (row.name,))


def account_rows(db: sqlite3.Connection) -> list[AccountRow]:
    """Every account, by name."""
    return [AccountRow(*row) for row in db.execute("SELECT name, role, pin FROM accounts ORDER BY name")]
