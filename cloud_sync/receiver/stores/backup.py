"""Backup of a receiver into a folder while it runs, restore into an empty place, and the check of either.

| file | is |
|---|---|
| `manifest.json` | version, instant, rows of each table, SHA-256 of each other file; in clear |
| `receiver.db` or `receiver.dump` | SQLite's online copy; pg_dump's custom format of one snapshot |
| `people.db`, `enrolment.db` | SQLite's online copies, where the data folder has them |
| `names.key`, `command.key` | where keys are wanted: without names.key the names cannot be read |
| `authority.tar` | where keys are wanted, the folder of the site's authority: its key signs all certificates |

All files but the manifest are sealed with a passphrase (cloud_sync.sealing, the label is the file's name) on their way
into the folder, which may be anywhere: in clear they lie only in the receiver's own data folder, for a while. Backups
of format 1, before this, were not sealed; they can still be restored.

A backup folder appears whole or not at all. A restore overwrites nothing. Gateways then send again what they were acked
for since (`rewind`), as far as they keep it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.minute_sums import unpack_minutes
from cloud_sync.receiver.stores.opening import open_existing
from cloud_sync.receiver.stores.packs import open_pack
from cloud_sync.receiver.stores.sqlite_file import schema_versions
from cloud_sync.sealing import open_sealed, seal_file

__all__ = ["BackupError", "Manifest", "back_up", "check_database", "check_folder", "restore"]

MANIFEST = "manifest.json"
FORMAT, FORMAT_UNSEALED = 2, 1
SQLITE_COPY, POSTGRES_DUMP = "receiver.db", "receiver.dump"
SIDE_FILES = ("people.db", "enrolment.db")
KEY_FILES = ("names.key", "command.key")
AUTHORITY_TAR = "authority.tar"
AUTHORITY_BYTES_MAX = 16 * 1024 * 1024
BLOCK_BYTES = 1 << 20


class BackupError(ValueError):
    """What was named is no backup, or is in the way; the message says where, why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup folder holds."""

    format: int
    kind: str  # sqlite | postgresql
    version: int  # of the schema
    made_utc_ms: int
    rows: Mapping[str, int]  # table -> rows
    files: Mapping[str, str]  # file -> SHA-256

    @property
    def is_sealed(self) -> bool:
        return self.format != FORMAT_UNSEALED


def back_up(
    where: Path | str, data: Path, folder: Path, with_keys: bool, now_utc_ms: int, passphrase: str,
    authority: Path | None = None,
) -> Manifest:  # fmt: skip
    """Seal copies of the database at `where` and the files of `data`, which may be in use, into a new `folder`; with
    the keys, the folder of the authority too."""
    if folder.exists():
        raise BackupError(f"{folder} is there already: name a new folder for each backup")
    open_existing(where).close()
    data.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        with _in_clear(data) as clear:
            kind, version, rows = _copy_database(where, clear)
            for name in SIDE_FILES:
                if (data / name).exists():
                    _copy_sqlite(data / name, clear / name)
            for name in KEY_FILES if with_keys else ():
                if (data / name).exists():
                    shutil.copyfile(data / name, clear / name)
            if with_keys and authority is not None:
                _pack_folder(authority, clear / AUTHORITY_TAR)
            for file in sorted(clear.iterdir()):
                seal_file(file, partial / file.name, passphrase, file.name)
                file.unlink()
        files = {file.name: _sha256(file) for file in sorted(partial.iterdir())}
        manifest = Manifest(FORMAT, kind, version, now_utc_ms, rows, files)
        (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
        (partial / MANIFEST).chmod(0o600)
        _sync(partial / MANIFEST)
        partial.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


def check_folder(folder: Path, passphrase: str | None = None) -> Manifest:
    """The manifest of a backup whose files are all as they were written, and open if there is a passphrase.

    BackupError, SealError."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        files = dict(manifest.files)
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder} is no backup: {MANIFEST}: {error}") from error
    if manifest.format not in (FORMAT, FORMAT_UNSEALED) or manifest.kind not in ("sqlite", "postgresql"):
        raise BackupError(f"{folder}: written by a later sleepbelt; use that one")
    for name, digest in files.items():
        if Path(name).name != name or not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise BackupError(f"{folder / name} is missing or damaged; take another backup")
        if passphrase is not None and manifest.is_sealed:
            deque(open_sealed(folder / name, passphrase, name), maxlen=0)
    return manifest


def restore(
    folder: Path, where: Path | str, data: Path, passphrase: Callable[[], str], authority: Path | None = None
) -> Manifest:
    """Put a backup into a data folder without a database, or an empty PostgreSQL database, and check what is there.

    The authority's folder goes to `authority`, which must not be there yet, else to `data`/authority. `passphrase` is
    asked for if the backup is sealed. BackupError, SealError, StoreError, OSError."""
    manifest = check_folder(folder)
    if manifest.version > _newest_version(where) or (manifest.kind == "sqlite") != isinstance(where, Path):
        wanted = "a data folder" if manifest.kind == "sqlite" else "a PostgreSQL URL"
        raise BackupError(f"{folder} has {manifest.kind} of version {manifest.version}: it needs {wanted} and a "
                          "sleepbelt that knows that version")  # fmt: skip
    names = [name for name in manifest.files if name not in (POSTGRES_DUMP, AUTHORITY_TAR)]
    there = [name for name in names if (data / name).exists()]
    if there:
        raise BackupError(f"{data} has {', '.join(there)} already: stop the receiver and move that folder away")
    home = (authority or data / "authority") if AUTHORITY_TAR in manifest.files else None
    if home is not None and home.exists() and any(home.iterdir()):
        raise BackupError(f"{home} is there already: move the authority's folder away, or set receiver.authority")
    asked = passphrase() if manifest.is_sealed else None
    if asked is not None:
        _try(folder, manifest, asked)
    data.mkdir(parents=True, exist_ok=True)
    with _in_clear(data) as clear:
        for name in manifest.files:
            _take_out(folder / name, clear / name, asked)
        if isinstance(where, str):
            _restore_postgres(where, clear / POSTGRES_DUMP)
        check_database(clear / SQLITE_COPY if isinstance(where, Path) else where, manifest.rows)
        if home is not None:
            _unpack_folder(clear / AUTHORITY_TAR, home)
        for name in names:
            (clear / name).rename(data / name)
        _sync(data)
    return manifest


def _try(folder: Path, manifest: Manifest, passphrase: str) -> None:
    """SealError for a wrong passphrase, before anything is made."""
    for name in sorted(manifest.files)[:1]:
        next(open_sealed(folder / name, passphrase, name))


def _take_out(source: Path, target: Path, passphrase: str | None) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if passphrase is not None:
            file.writelines(open_sealed(source, passphrase, source.name))
        else:
            with source.open("rb") as unsealed:
                shutil.copyfileobj(unsealed, file, BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _in_clear(data: Path) -> Iterator[Path]:
    """A folder for what is not sealed: beside the database, for its owner alone, gone afterwards."""
    folder = data / "backup.clear"
    shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_database(where: Path | str, rows: Mapping[str, int] | None = None) -> dict[str, int]:
    """Rows of each table, all packs opened; StoreError if anything is damaged or differs from `rows`."""
    with closing(_reading(where)) as database:
        if isinstance(where, Path):
            _check_sqlite(database)
        found = _rows(database, rows or _tables(database))
        if rows is not None and found != rows:
            wrong = [f"{name} {found[name]} for {count}" for name, count in rows.items() if found[name] != count]
            raise StoreError(f"{database.where} differs from its backup: rows of {', '.join(wrong)}")
        # A backup of before version 5 has its minutes in a table.
        for bed_id, start_ms, body, minutes in _packs(database, "NULL" if "minutes" in found else "minutes"):
            try:
                deque(open_pack(body) if body else (), maxlen=0)
                deque(unpack_minutes(0, minutes), maxlen=0)
            except ValueError as error:
                raise StoreError(f"{database.where}: the pack of bed {bed_id} at {start_ms}: {error}") from error
    return found


def _pack_folder(folder: Path, target: Path) -> None:
    try:
        with tarfile.open(target, "w") as tar:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.is_symlink():
                    tar.add(file, str(file.relative_to(folder)), recursive=False)
    except OSError as error:
        raise StoreError(f"cannot copy the authority's folder {folder}: {error}") from error


def _unpack_folder(source: Path, folder: Path) -> None:
    """Every file for its owner alone, whole or not at all."""
    partial = folder.with_name(folder.name + ".restoring")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        with tarfile.open(source) as tar:
            if sum(entry.size for entry in tar.getmembers()) > AUTHORITY_BYTES_MAX:
                raise BackupError(f"{source} is larger than any authority's folder")
            tar.extractall(partial, filter="data")
        for file in partial.rglob("*"):
            file.chmod(0o700 if file.is_dir() else 0o600)
            _sync(file)
        if folder.exists():
            folder.rmdir()  # empty, as was looked at
        partial.rename(folder)
        _sync(folder.parent)
    except tarfile.TarError as error:
        raise BackupError(f"{source} is damaged: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy_database(where: Path | str, folder: Path) -> tuple[str, int, dict[str, int]]:
    if isinstance(where, Path):
        _copy_sqlite(where, folder / SQLITE_COPY)
        with closing(_reading(folder / SQLITE_COPY)) as database:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            return "sqlite", version, _rows(database, _tables(database))
    from cloud_sync.receiver.stores import pg_programs

    with _snapshot(where) as (database, snapshot):
        version = int(database.execute("SELECT max(version) FROM sleepbelt_schema").fetchone()[0])
        pg_programs.dump(where, folder / POSTGRES_DUMP, snapshot)
        return "postgresql", version, _rows(database, _tables(database))


def _newest_version(where: Path | str) -> int:
    if isinstance(where, Path):
        return max(schema_versions())
    from cloud_sync.receiver.stores.postgres import newest_version

    return newest_version()


def _copy_sqlite(source: Path, target: Path) -> None:
    """A consistent copy of a file that may be written to meanwhile; no writer waits for it."""
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0)) as old, \
                closing(sqlite3.connect(target)) as new:  # fmt: skip
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StoreError(f"cannot copy {source} to {target}: {error}; is the disk full?") from error


@contextmanager
def _snapshot(url: str) -> Iterator[tuple[Database, str]]:
    """The database as it is now, whatever is written meanwhile, and the snapshot's name for pg_dump."""
    from cloud_sync.receiver.stores.postgres import PostgresDatabase

    with closing(PostgresDatabase(url)) as database:
        database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield database, database.execute("SELECT pg_export_snapshot()").fetchall()[0][0]


def _restore_postgres(url: str, file: Path) -> None:
    from cloud_sync.receiver.stores import pg_programs
    from cloud_sync.receiver.stores.postgres import PostgresDatabase, is_empty

    with closing(PostgresDatabase(url)) as database:
        if not is_empty(database):
            raise BackupError(f"{database.where} holds tables: give the URL of an empty database (createdb)")
    pg_programs.restore(url, file)


def _reading(where: Path | str) -> Database:
    if isinstance(where, Path):
        from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase, open_for_reading

        try:
            return SqliteDatabase(open_for_reading(where), where)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read {where}: {error}") from error
    from cloud_sync.receiver.stores.postgres import PostgresDatabase

    return PostgresDatabase(where)


def _check_sqlite(database: Database) -> None:
    try:
        found = [row[0] for row in database.execute("PRAGMA integrity_check(5)").fetchall()]
        orphans = database.execute("PRAGMA foreign_key_check").fetchall()
    except database.errors as error:
        raise StoreError(f"{database.where} is damaged: {error}") from error
    if found != ["ok"] or orphans:
        raise StoreError(f"{database.where} is damaged: {'; '.join(found)}; {len(orphans)} rows point nowhere")


def _tables(database: Database) -> list[str]:
    """Names of all tables; partitions are parts of theirs."""
    kinds = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    if database.for_update:
        kinds = ("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
                 "AND relnamespace = current_schema()::regnamespace")  # fmt: skip
    return sorted(name for (name,) in _all(database, kinds))


def _rows(database: Database, tables: Any) -> dict[str, int]:
    return {name: int(_all(database, f'SELECT count(*) FROM "{name}"')[0][0]) for name in sorted(tables)}


def _packs(database: Database, minutes: str) -> Iterator[tuple[int, int, bytes, bytes]]:
    """(bed_id, start, body, minutes) of every pack, a bed's day at a time."""
    days = _all(database, "SELECT DISTINCT bed_id, start_utc_ms / 86400000 FROM packs")
    for bed_id, day in days:
        start = day * 86_400_000
        for start_ms, body, of_pack in _all(
            database,
            f"SELECT start_utc_ms, body, {minutes} FROM packs "
            "WHERE bed_id = ? AND start_utc_ms >= ? AND start_utc_ms < ?",
            bed_id, start, start + 86_400_000,
        ):  # fmt: skip
            yield bed_id, start_ms, bytes(body), bytes(of_pack or b"")


def _all(database: Database, sql: str, *values: Any) -> list[Any]:
    try:
        return database.execute(sql, values).fetchall()
    except database.errors as error:
        raise StoreError(f"cannot read {database.where}: {error}") from error


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
