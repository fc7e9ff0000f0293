"""store: older and newer versions of its files, a cloud that was restored, and disks that are full or read-only."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from gateway.cores.audit import verify
from gateway.store_evidence import audit_rows, kept_head
from gateway.store_files import Chunk, EventRow, StoreFiles, Writes
from gateway.store_repair import StoreError
from gateway.store_schema import EVENTS, STATE_BYTES_MAX, VITALS, unpack_state

VERSIONS = Path(__file__).parent / "store_versions"
DAY1, DAY2 = 1_700_000_000_000, 1_700_100_000_000


def first_version(folder: Path) -> Path:
    for name, text in (("events.db", "events-1.sql"), ("vitals-20231114.db", "vitals-1.sql")):
        with closing(sqlite3.connect(folder / name)) as db:
            db.executescript((VERSIONS / text).read_text())
    return folder


def seqs(files: StoreFiles, lane: str) -> list[int]:
    return [item.seq for item in files.pending(lane, 0, 10**7)]


def test_the_first_versions_files_open_with_all_they_held(tmp_path: Path) -> None:
    files = StoreFiles(first_version(tmp_path))
    assert not files.repairs
    assert files.epoch == "0123456789abcdef"
    assert files.state() == {"n": 1, "belts": {}}
    assert [row.event for row in files.events("A", 0, 2 * DAY1)] == ["exit"]
    assert [row.seq for row in files.records("A", 0, 2 * DAY1)] == [5]
    assert [row.version for row in files.nights("A")] == [2]
    assert (seqs(files, LANE_ALARM), seqs(files, LANE_VITALS)) == ([2], [1, 2, 3])
    files.commit(Writes(alarm_items=[b"new"], chunks=[Chunk("A", DAY1, b"new")]))
    assert (seqs(files, LANE_ALARM), seqs(files, LANE_VITALS)) == ([2, 4], [1, 2, 3, 4])


def test_of_every_version_but_the_newest_a_file_is_kept_to_migrate_from() -> None:
    assert {file.name for file in VERSIONS.glob("*.sql")} >= {
        *(f"events-{number}.sql" for number in range(1, len(EVENTS))),
        *(f"vitals-{number}.sql" for number in range(1, len(VITALS))),
    }


@pytest.mark.parametrize("number", range(1, len(EVENTS)))
def test_every_earlier_versions_events_open_and_take_new_ones(tmp_path: Path, number: int) -> None:
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.executescript((VERSIONS / f"events-{number}.sql").read_text())
    files = StoreFiles(tmp_path)
    assert (files.repairs, files.state()) == ([], {"n": 1, "belts": {}})
    assert [row.event for row in files.events("A", 0, 2 * DAY1)] == ["exit"]
    held = files.evidence(lambda db: len(list(audit_rows(db))))
    assert held == (0 if number == 1 else 1)
    files.commit(Writes(events=[EventRow(9, DAY1, True, "A", "entry", "", "2")], alarm_items=[b"new"]))
    assert files.evidence(lambda db: verify(audit_rows(db), kept_head(db)))[1] is None
    assert seqs(files, LANE_ALARM) == [2, 4]
    files.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(EVENTS),)


def test_the_state_of_a_ward_is_less_than_a_page_to_write(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    profile = {name: number for number, name in enumerate(f"setting_number_{i}" for i in range(60))}
    state = {"beds": {f"bed-{bed}": {"profile": profile, "since_ms": 8_643_357_840 + bed} for bed in range(8)}}
    files.commit(Writes(state=state))
    assert files.state() == {**state, "belts": {}}
    files.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        assert db.execute("SELECT typeof(body), length(body) < 4000 FROM state").fetchone() == ("blob", 1)


CUT, NO_JSON, NO_MAP = zlib.compress(b"{}")[:-1], zlib.compress(b"{"), zlib.compress(b"[1]")


@pytest.mark.parametrize("body", [b"", b"x", CUT, NO_JSON, NO_MAP, "{"])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, body: bytes | str) -> None:
    StoreFiles(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db, db:
        db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (body,))
    with closing(StoreFiles(tmp_path)) as files:
        assert files.state() is None


def test_a_state_that_unpacks_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than any"):
        unpack_state(zlib.compress(b"[" + b" " * STATE_BYTES_MAX + b"]"))


@pytest.mark.parametrize("number", range(1, len(VITALS)))
def test_every_earlier_versions_vitals_open_and_take_new_ones(tmp_path: Path, number: int) -> None:
    first_version(tmp_path)
    (tmp_path / "vitals-20231114.db").unlink()
    with closing(sqlite3.connect(tmp_path / "vitals-20231114.db")) as db:
        db.executescript((VERSIONS / f"vitals-{number}.sql").read_text())
    files = StoreFiles(tmp_path)
    assert (files.repairs, list(files.chunks("A", 0, 2 * DAY1))) == ([], [b"chunk"] * 2)
    files.commit(Writes(chunks=[Chunk("A", DAY1 + 120_000, b"new")]))
    assert list(files.chunks("A", 0, 2 * DAY1)) == [b"chunk", b"chunk", b"new"]
    files.close()
    with closing(sqlite3.connect(tmp_path / "vitals-20231114.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(VITALS),)


def test_a_minute_of_eight_belts_is_few_pages_to_write(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    for number in range(600):
        files.commit(Writes(chunks=[Chunk(f"bed-{bed}", DAY1 + 60_000 * number, bytes(200)) for bed in range(8)]))
    log = tmp_path / "vitals-20231114.db-wal"
    begun = log.stat().st_size
    before = log.read_bytes()
    files.commit(Writes(chunks=[Chunk(f"bed-{bed}", DAY1, bytes(200)) for bed in range(8)]))
    after = log.read_bytes()
    frames = sum(before[at : at + 4120] != after[at : at + 4120] for at in range(32, len(after), 4120))
    assert frames <= 8, f"{frames} pages, the log went from {begun} to {len(after)} bytes"


def test_a_damaged_file_of_the_first_version_is_salvaged_into_the_newest(tmp_path: Path) -> None:
    first_version(tmp_path)
    image = bytearray((tmp_path / "events.db").read_bytes())
    image[-4096:] = b"\xff" * 4096
    (tmp_path / "events.db").write_bytes(image)
    files = StoreFiles(tmp_path)
    assert len(files.repairs) == 1
    assert files.state() == {"n": 1, "belts": {}}
    assert [item.body for item in files.pending(LANE_ALARM, 0, 10**6)] == [b"one"]


@pytest.mark.parametrize("name", ["events.db", "vitals-20231114.db"])
def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[Chunk("A", DAY1, b"1")]))
    files.close()
    with closing(sqlite3.connect(tmp_path / name)) as db:
        db.execute(f"PRAGMA user_version={len(EVENTS) + 7}")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(StoreError, match="newer sleepbelt"):
        StoreFiles(tmp_path)
    assert (tmp_path / name).read_bytes() == before


def test_a_restored_cloud_gets_again_what_is_still_kept(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"1", b"2", b"3"], chunks=[Chunk("A", DAY1, b"c")], vitals_items=[b"v"]))
    files.acked(LANE_ALARM, [1, 2, 3])
    files.acked(LANE_VITALS, [1, 2])
    assert files.rewind(LANE_ALARM, 2) == []
    assert files.rewind(LANE_VITALS, 1) == []
    files.close()
    files = StoreFiles(tmp_path)
    assert (seqs(files, LANE_ALARM), seqs(files, LANE_VITALS)) == ([2, 3], [1, 2])
    files.acked(LANE_ALARM, [2, 3])
    assert files.floor(LANE_ALARM) == 4


def test_what_retention_took_is_named_when_the_cloud_asks_for_it(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[Chunk("A", DAY1, b"1"), Chunk("A", DAY1, b"2")]))
    files.commit(Writes(chunks=[Chunk("A", DAY2, b"3")]))
    files.acked(LANE_VITALS, [1, 2, 3])
    files.drop_before(DAY2, DAY2, "2000-01-01")
    assert files.rewind(LANE_VITALS, 1) == [(1, 2)]
    assert seqs(files, LANE_VITALS) == [3]
    files.acked(LANE_VITALS, [3])
    assert files.floor(LANE_VITALS) == 4


def test_a_rewind_past_years_of_seqs_that_retention_took_writes_no_row_for_each(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[Chunk("A", DAY1, b"1")], vitals_items=[b"2"]))
    files.close()
    with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as db:
        db.execute("UPDATE lanes SET next_seq = 30000000, floor = 30000000 WHERE lane = 'vitals'")
        db.execute("UPDATE outbox SET seq = 29999999 WHERE lane = 'vitals'")
    with closing(sqlite3.connect(tmp_path / "vitals-20231114.db", isolation_level=None)) as db:
        db.execute("UPDATE chunks SET seq = 29999990")
    files = StoreFiles(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert files.rewind(LANE_VITALS, 1) == [(1, 29_999_989), (29_999_991, 29_999_998)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert seqs(files, LANE_VITALS) == [29_999_990, 29_999_999]
    files.acked(LANE_VITALS, [29_999_990, 29_999_999])
    assert files.floor(LANE_VITALS) == 30_000_000


def test_a_rewind_to_what_was_never_acked_changes_nothing(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"1", b"2"]))
    files.acked(LANE_ALARM, [1])
    assert files.rewind(LANE_ALARM, 2) == files.rewind(LANE_ALARM, 99) == files.rewind(LANE_ALARM, 0) == []
    assert seqs(files, LANE_ALARM) == [2]


_FULL_DISK = """
import json, os, sqlite3, sys
from pathlib import Path
from gateway.store_files import Chunk, EventRow, StoreFiles, Writes

folder = Path(sys.argv[1])
DAY1, DAY2 = 1_700_000_000_000, 1_700_100_000_000
def days(): return sorted(file.name for file in folder.glob("vitals-????????.db"))
def fill():
    with open(folder / f"filler{len(list(folder.glob('filler*')))}", "wb", buffering=0) as file:
        try:
            while True: file.write(bytes(4096))
        except OSError: pass
def alarm(n): return EventRow(n, DAY2, True, "A", "alarm_raise", "", "1")

said = {}
files = StoreFiles(folder)
said["reserve"] = (folder / "reserve").stat().st_size
files.commit(Writes(chunks=[Chunk("A", DAY1, os.urandom(100_000)) for _ in range(9)]))
files.acked("vitals", range(1, 10))
files.commit(Writes(chunks=[Chunk("A", DAY2, os.urandom(20_000))]))
fill()
writes = Writes(events=[alarm(1)], alarm_items=[b"1"], chunks=[Chunk("A", DAY2, os.urandom(100_000)) for _ in range(3)])
files.commit(writes)
said["first"] = {"days": days(), "left": len(writes.chunks)}
fill()
refusals = 0
for n in range(2, 40):
    writes = Writes(events=[alarm(n)], alarm_items=[str(n).encode()], belts={"b": {"n": n}}, belt_acks={"b": n},
                    chunks=[Chunk("A", DAY2, os.urandom(100_000))])
    try:
        files.commit(writes)
    except sqlite3.Error as error:
        refusals += 1
        said["why"] = str(error)
        said["kept for later"] = [len(writes.chunks), writes.belt_acks, len(writes.events)]
said["refusals"] = refusals
said["alarms"] = len(files.events("A", 0, 2 * DAY2))
said["outbox"] = len(files.pending("alarm", 0, 10**6))
said["belt"] = files.state()
for file in folder.glob("filler*"): file.unlink()
files.commit(writes)
said["afterwards"] = [len(writes.chunks), (folder / "reserve").exists()]
files.close()
again = StoreFiles(folder)
said["repairs"] = len(again.repairs)
said["alarms after a restart"] = len(again.events("A", 0, 2 * DAY2))
print(json.dumps(said))
"""


def test_on_a_full_disk_alarms_fit_and_vitals_push_out_acked_days_then_are_refused(tmp_path: Path) -> None:
    assert shutil.which("unshare"), "this test needs unshare (package util-linux) for a small disk of its own"
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "script.py").write_text(_FULL_DISK)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs -o size=24m tmpfs "$1" && exec "$2" "$3" "$1"', "sh", str(disk), sys.executable,
         str(tmp_path / "script.py")],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["reserve"] == 4 * 1024 * 1024
    assert said["first"] == {"days": ["vitals-20231116.db"], "left": 0}
    assert said["refusals"] > 30
    assert "full" in said["why"]
    assert said["kept for later"] == [1, {"b": 39}, 0]
    assert (said["alarms"], said["outbox"]) == (39, 39)
    assert said["afterwards"] == [0, True]
    assert (said["repairs"], said["alarms after a restart"]) == (0, 39)


def test_a_disk_that_takes_no_bytes_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from gateway.store_files import StoreFiles\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "StoreFiles(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "StoreError" in done.stderr.splitlines()[-1]
    assert str(tmp_path) in done.stderr.splitlines()[-1]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def test_a_read_only_disk_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    StoreFiles(tmp_path).close()
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1"', "sh", str(tmp_path),
         sys.executable, "import sys; from pathlib import Path; from gateway.store_files import StoreFiles; "
         "StoreFiles(Path(sys.argv[1]))"],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert "StoreError" in done.stderr.splitlines()[-1]
    assert "gateway.data_dir" in done.stderr.splitlines()[-1]


