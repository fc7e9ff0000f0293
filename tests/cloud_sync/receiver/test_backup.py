"""Backup while a receiver runs, restore into an empty place, check of either; on both databases."""

from __future__ import annotations

import getpass
import hashlib
import json
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cloud_sync.authority import load_authority, open_authority
from cloud_sync.commands.platform import main
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.stores.base import Admission, StoreError
from cloud_sync.receiver.stores.opening import open_writes
from cloud_sync.sealing import open_sealed
from protocol.batch import encode_item
from tests.cloud_sync.receiver.test_stores import NOW, Store, arrival, server, store
from tests.cloud_sync.samples import alarm, minute, night

__all__ = ["server", "store"]

SECOND_DATABASE = "restored"
PASSPHRASE = "correct horse battery staple"


def passphrase_file(folder: Path, text: str = PASSPHRASE) -> Path:
    file = folder / "passphrase"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture(autouse=True)
def _typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed at the terminal where no file is named."""
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PASSPHRASE)


class Place:
    """A data folder and its database, as the command is told of them."""

    def __init__(self, data: Path, url: str | None) -> None:
        self.data = data
        self.where: Path | str = url or data / "receiver.db"
        self._words = ["--data", str(data), *(["--database", url] if url else [])]

    def do(self, *words: str | Path) -> int:
        return main([*map(str, words), *self._words])


@pytest.fixture
def full(store: Store, tmp_path: Path) -> Place:
    """A receiver's folder and database with something of everything."""
    place = Place(tmp_path, store.where if isinstance(store.where, str) else None)
    names = NameBook(tmp_path / "names.key")
    store.writes.admit([Admission(names.seal("r-1", "Wang Xiulan"), "gw-01", "101-A", "101")], NOW)
    store.take(*(encode_item(minute(number=number)) for number in range(30)), b"\xc1poison", encode_item(night()))
    store.take(encode_item(alarm()), lane="alarm")
    (tmp_path / "command.key").write_bytes(b"k" * 32)
    return place


@pytest.fixture
def empty(full: Place, tmp_path: Path) -> Place:
    """Another place of the same kind, with nothing in it."""
    if isinstance(full.where, Path):
        return Place(tmp_path / "new", None)
    with psycopg.connect(full.where, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {SECOND_DATABASE}")
        connection.execute(f"CREATE DATABASE {SECOND_DATABASE}")
    return Place(tmp_path / "new", full.where.rpartition("/")[0] + "/" + SECOND_DATABASE)


def test_a_restored_backup_has_all_that_was_committed_when_it_was_made(
    full: Place, empty: Place, store: Store, tmp_path: Path
) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    before = (store.reads.counts(), store.reads.alarms(9), list(store.reads.chunks("gw-01", "101-A", 0, 2**50)))
    store.take(encode_item(minute(number=99)), seq=100)
    assert empty.do("restore", tmp_path / "b") == 0
    restored = Store(empty.where)
    after = (restored.reads.counts(), restored.reads.alarms(9),
             list(restored.reads.chunks("gw-01", "101-A", 0, 2**50)))  # fmt: skip
    names = NameBook(empty.data / "names.key").open_all(restored.reads.names())
    again = restored.take(*(encode_item(minute(number=number)) for number in range(30)))
    restored.close()
    assert after == before
    assert names == {"r-1": "Wang Xiulan"}
    assert set(again) == {"repeated"}
    assert (empty.data / "command.key").read_bytes() == b"k" * 32


def test_a_restored_database_asks_gateways_for_what_came_after_the_backup(
    full: Place, empty: Place, store: Store, tmp_path: Path
) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    assert empty.do("restore", tmp_path / "b") == 0
    restored = Store(empty.where)
    # The gateway was acked for seqs 33 to 39 by the database that is gone.
    committed = restored.writes.commit([arrival(encode_item(minute(number=40)), seq=40, floor=40)], NOW)
    restored.close()
    assert committed.rewinds == (33,)


def test_a_backup_while_batches_are_committed_is_of_one_moment(
    full: Place, empty: Place, store: Store, tmp_path: Path
) -> None:
    stop = threading.Event()
    counts: list[int] = []

    def write() -> None:
        with closing(open_writes(store.where)) as writes:
            while not stop.is_set():
                number = 1000 + len(counts)
                writes.commit([arrival(encode_item(minute(number=number)), seq=number)], NOW)
                counts.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    while len(counts) < 20:
        assert writer.is_alive()
    assert full.do("backup", tmp_path / "b") == 0
    at_end = len(counts)
    stop.set()
    writer.join()
    assert empty.do("restore", tmp_path / "b") == 0
    restored = Store(empty.where)
    chunks = list(restored.reads.chunks("gw-01", "101-A", 0, 2**50))
    counted = restored.reads.counts()
    restored.close()
    assert 30 + 20 <= len(chunks) <= 30 + at_end
    assert (counted["chunks"], counted["readings"]) == (len(chunks), 60 * len(chunks))


def test_without_keys_the_backup_names_nobody(full: Place, empty: Place, store: Store, tmp_path: Path) -> None:
    assert full.do("backup", tmp_path / "b", "--without-keys") == 0
    assert not list((tmp_path / "b").glob("*.key"))
    assert empty.do("restore", tmp_path / "b") == 0
    restored = Store(empty.where)
    assert NameBook(empty.data / "names.key").open_all(restored.reads.names()) == {"r-1": "?"}
    restored.close()


def test_a_backup_is_for_its_owner_alone(full: Place, tmp_path: Path) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "b").iterdir()} == {0o600}


def test_a_damaged_backup_is_refused_and_nothing_is_restored(
    full: Place, empty: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    file = next(file for file in (tmp_path / "b").iterdir() if file.name in ("receiver.db", "receiver.dump"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    assert full.do("check", tmp_path / "b") == 2
    assert empty.do("restore", tmp_path / "b") == 2
    assert f"{file} is missing or damaged" in capsys.readouterr().err
    assert not empty.data.exists()


def test_a_restore_overwrites_nothing(full: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    assert full.do("restore", tmp_path / "b") == 2
    assert "already" in capsys.readouterr().err
    if isinstance(full.where, str):
        assert Place(tmp_path / "other", full.where).do("restore", tmp_path / "b") == 2
        assert "holds tables" in capsys.readouterr().err
    assert full.do("backup", tmp_path / "b") == 2


def test_nothing_in_a_backup_can_be_read_without_its_passphrase(full: Place, tmp_path: Path) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    assert full.do("backup", tmp_path / "again") == 0
    sealed = {file.name: file.read_bytes() for file in (tmp_path / "b").iterdir() if file.name != "manifest.json"}
    assert {"names.key", "command.key"} < sealed.keys()
    for name, content in sealed.items():
        assert content.startswith(b"SBBK2")
        assert not [word for word in (b"101-A", b"SQLite", b"PGDMP", b"k" * 8, b"gw-01") if word in content]
        assert (tmp_path / "again" / name).read_bytes() != content
    assert not (full.data / "backup.clear").exists()


def test_a_wrong_passphrase_restores_nothing_and_says_so(
    full: Place, empty: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    (tmp_path / "w").mkdir()
    wrong = ("--passphrase-file", passphrase_file(tmp_path / "w", "correct horse battery stable"))
    for place, words in ((empty, ("restore", tmp_path / "b", *wrong)), (full, ("check", tmp_path / "b", *wrong))):
        assert place.do(*words) == 2
        assert "does not open: wrong passphrase" in capsys.readouterr().err
    assert not empty.data.exists()
    assert full.do("check", tmp_path / "b", "--passphrase-file", passphrase_file(tmp_path / "w")) == 0
    assert empty.do("restore", tmp_path / "b", "--passphrase-file", passphrase_file(tmp_path / "w")) == 0


@pytest.mark.parametrize("text", ["short", ""])
def test_a_passphrase_that_guards_nothing_is_refused(
    full: Place, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()
    file = passphrase_file(tmp_path / "w", text)
    assert full.do("backup", tmp_path / "b", "--passphrase-file", file) == 2
    assert not (tmp_path / "b").exists()
    file = passphrase_file(tmp_path / "w")
    file.chmod(0o644)
    assert full.do("backup", tmp_path / "b", "--passphrase-file", file) == 2
    assert "which others may read" in capsys.readouterr().err


def test_a_backup_that_was_cut_is_refused(
    full: Place, empty: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where whoever cut it wrote the manifest anew."""
    assert full.do("backup", tmp_path / "b") == 0
    file = next(file for file in (tmp_path / "b").iterdir() if file.name in ("receiver.db", "receiver.dump"))
    file.write_bytes(file.read_bytes()[:-100])
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    manifest["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    assert empty.do("restore", tmp_path / "b") == 2
    assert f"{file} does not open" in capsys.readouterr().err
    assert not list(empty.data.glob("*"))


def test_a_backup_from_before_they_were_sealed_is_restored(full: Place, empty: Place, tmp_path: Path) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    for name in manifest["files"]:
        content = b"".join(open_sealed(tmp_path / "b" / name, PASSPHRASE, name))
        (tmp_path / "b" / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    assert empty.do("restore", tmp_path / "b") == 0
    assert empty.do("check") == 0


@pytest.mark.parametrize("change", [{"version": 99}, {"kind": "oracle"}, {"files": [1]}, {"format": 3}])
def test_a_manifest_that_is_none_of_ours_is_refused(full: Place, empty: Place, tmp_path: Path, change: Any) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    file = tmp_path / "b" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert empty.do("restore", tmp_path / "b") == 2
    assert not empty.data.exists()


def test_a_backup_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    assert Place(tmp_path / "none", None).do("backup", tmp_path / "b") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_pack_that_is_damaged_is_found_by_the_check(
    full: Place, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert full.do("check", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"]["packs"] == 1
    flip = {True: "CAST(x'00' || substr(body, 2) AS BLOB)", False: r"set_byte(body, 40, 255 - get_byte(body, 40))"}
    store.sql(f"UPDATE packs SET body = {flip[isinstance(store.where, Path)]}")
    assert full.do("check") == 1
    assert "the pack of bed 1" in capsys.readouterr().err


def test_a_restore_that_differs_from_its_manifest_is_an_error(
    full: Place, empty: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert full.do("backup", tmp_path / "b") == 0
    file = tmp_path / "b" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["rows"]["alarms"] += 1
    file.write_text(json.dumps(manifest))
    assert empty.do("restore", tmp_path / "b") == 1
    assert "rows of alarms 1 for 2" in capsys.readouterr().err
    assert not list(empty.data.iterdir())


def test_people_and_enrolments_go_along(tmp_path: Path) -> None:
    place = Place(tmp_path / "data", None)
    open_writes(tmp_path / "data" / "receiver.db").close()
    for name in ("people.db", "enrolment.db"):
        with closing(sqlite3.connect(tmp_path / "data" / name)) as file:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("CREATE TABLE kept (x)")
            file.execute("INSERT INTO kept VALUES (7)")
            file.commit()
            assert place.do("backup", tmp_path / name) == 0
    shutil.rmtree(tmp_path / "data")
    assert place.do("restore", tmp_path / "enrolment.db") == 0
    for name in ("people.db", "enrolment.db"):
        with closing(sqlite3.connect(tmp_path / "data" / name)) as file:
            assert file.execute("SELECT x FROM kept").fetchall() == [(7,)]


def test_a_missing_program_is_named(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloud_sync.receiver.stores import pg_programs

    monkeypatch.setattr(pg_programs, "VERSIONS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="apt-get install postgresql-client"):
        pg_programs.restore(server, tmp_path / "x")


def test_the_authority_comes_back_with_its_keys_and_only_with_keys(full: Place, empty: Place, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority, _ = open_authority(tmp_path / "ca", "Sunny home", datetime.now(UTC))
    (tmp_path / "ca" / "broker").mkdir()
    (tmp_path / "ca" / "broker" / "broker.crt").write_bytes(b"certificate")
    config = tmp_path / "receiver.toml"
    config.write_text('[receiver]\nbroker = "mqtt://127.0.0.1:1883"\nauthority = "ca"\n')
    assert full.do("backup", tmp_path / "b", "--config", config) == 0
    assert full.do("backup", tmp_path / "bare", "--config", config, "--without-keys") == 0
    assert not (tmp_path / "bare" / "authority.tar").exists()
    assert (tmp_path / "b" / "authority.tar").stat().st_mode & 0o777 == 0o600
    assert empty.do("restore", tmp_path / "b") == 0
    home = empty.data / "authority"
    assert load_authority(home).fingerprint == authority.fingerprint
    assert (home / "broker" / "broker.crt").read_bytes() == b"certificate"
    assert all(file.stat().st_mode & 0o077 == 0 for file in home.rglob("*"))


def test_a_restore_puts_no_authority_over_another(full: Place, empty: Place, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    open_authority(tmp_path / "ca", "Sunny home", datetime.now(UTC))
    config = tmp_path / "receiver.toml"
    config.write_text('[receiver]\nbroker = "mqtt://127.0.0.1:1883"\nauthority = "ca"\n')
    assert full.do("backup", tmp_path / "b", "--config", config) == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "ca").iterdir()}
    assert empty.do("restore", tmp_path / "b", "--config", config) == 2
    assert {file.name: file.read_bytes() for file in (tmp_path / "ca").iterdir()} == before
    assert not (empty.data / "names.key").exists()
