"""store: power cuts, of disks that keep sectors and of disks that garble blocks, lose nothing that was answered for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.store_repair import Opener
from tools.power_cut import PowerCut, SimulatedDisk
from tools.soak_store import Findings, Life, soak


def _ours(disk: SimulatedDisk) -> Opener:
    return disk.open


def _without(setting: str, instead: str) -> Any:
    """The same disk under a store with one of its settings weakened: what the harness must notice."""

    class Weakened:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def __enter__(self) -> Any:
            return self._inner.__enter__()

        def __exit__(self, *error: Any) -> None:
            self._inner.__exit__(*error)

        def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
            return self._inner.execute(sql.replace(setting, instead), values)

    return lambda disk: lambda path: Weakened(disk.open(path))


def test_three_hundred_power_cuts_lose_double_and_corrupt_nothing() -> None:
    findings = soak(300, 11, lambda _: None, _ours)
    assert (findings.lost, findings.corrupt, findings.doubled) == ([], [], [])
    assert findings.cuts == 300
    assert findings.commits > 150


@pytest.mark.parametrize(
    ("setting", "instead", "hostile"),
    [
        ("synchronous=FULL", "synchronous=NORMAL", False),
        ("wal_checkpoint(TRUNCATE)", "user_version", True),
    ],
)
def test_the_cuts_notice_a_store_whose_settings_are_weaker(setting: str, instead: str, hostile: bool) -> None:
    findings = Findings()
    for seed in range(1_000_003, 1_000_023):
        Life(seed, hostile, findings, _without(setting, instead)).run(40)
    assert not findings.clean


def test_the_disk_keeps_what_was_synced_and_nothing_it_never_got(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path, 3, hostile=False)
    db = disk.open(tmp_path / "x.db")
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (1)")
    disk.cut_in(1)
    with pytest.raises(PowerCut):
        db.execute("INSERT INTO t VALUES (2)")
    disk.restart()
    assert disk.open(tmp_path / "x.db").execute("SELECT a FROM t").fetchall() == [(1,)]


def test_stdlib_sqlite_reads_what_a_cut_left(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path, 3, hostile=False)
    db = disk.open(tmp_path / "x.db")
    db.execute("CREATE TABLE t(a)")
    disk.restart()
    (tmp_path / "out").mkdir()
    disk.write_out(tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "x.db") as real:
        assert real.execute("SELECT count(*) FROM t").fetchone() == (0,)
