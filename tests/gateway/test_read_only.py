"""A disk that turns read-only while the gateway runs: alarms go on, it is told, nothing acked is lost, it recovers."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cloud_sync.outbox import LANE_VITALS
from gateway.store_files import Chunk, StoreFiles, Writes
from gateway.store_space import is_full

DAY1, DAY2 = 1_700_000_000_000, 1_700_100_000_000


def test_alarms_sound_on_a_disk_that_turned_read_only_and_nothing_is_acked_until_it_writes_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="sleepbelt-read-only-"))  # pytest's own are closed to others
    folder.chmod(0o755)
    try:
        done = subprocess.run([sys.executable, "-m", "tests.gateway.room_on_bad_disk", str(folder)],
                              capture_output=True, text=True, check=False, timeout=100)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        said = json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder)
    assert said["alarmed on a read-only disk"]
    assert said["acked meanwhile"] == [1]
    assert (said["failing"], said["metrics"], said["failing afterwards"]) == (1, True, 0)
    assert "storage" in said["notices"]
    assert said["log"] == [1, 1]
    assert (said["repairs"], said["alarms stored"]) == (0, 1)
    assert said["stored"] == said["readings"]


def test_a_failed_write_on_a_disk_that_may_not_be_written_is_no_full_disk(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert is_full(error, tmp_path)
    assert not is_full(error, tmp_path / "gone")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert is_full(error, tmp_path / "gone")


def test_a_day_that_cannot_be_removed_is_an_error_of_the_store_and_the_day_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[Chunk("A", DAY1, b"1"), Chunk("A", DAY2, b"2")]))
    files.acked(LANE_VITALS, [1, 2])

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(sqlite3.OperationalError, match="Read-only"):
            files.drop_before(0, DAY2, "1970-01-01")
    assert list(files.chunks("A", 0, 2 * DAY2)) == [b"1", b"2"]
    files.drop_before(0, DAY2, "1970-01-01")
    assert list(files.chunks("A", 0, 2 * DAY2)) == [b"2"]
