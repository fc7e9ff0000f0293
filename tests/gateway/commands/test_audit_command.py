"""`sleepbelt audit`: the evidence of a store, printed and verified, also beside a running gateway."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.commands.audit import main
from gateway.cores.audit import AuditEntry, canonical, link
from gateway.store_evidence import AccountRow, SettingsRow, audit_head, settings_rows
from gateway.store_files import EventRow, StoreFiles, Writes

DAY_MS = 1_795_363_200_000  # 2026-11-22T16:00:00Z


def written(folder: Path) -> StoreFiles:
    files = StoreFiles(folder)
    files.commit(Writes(events=[EventRow(1, DAY_MS, True, "A", "alarm_raise", "medium", "9")]))
    files.commit(Writes(
        events=[EventRow(2, DAY_MS + 5000, True, "A", "ack", "", "11", "carer")],
        audit=[AuditEntry(DAY_MS + 90_000_000, 3, True, "settings", "A", "lead", "{}", "asked by the family")],
    ))  # fmt: skip
    return files


def tampered(folder: Path, statement: str) -> None:
    """What somebody could do who also takes the triggers away."""
    with closing(sqlite3.connect(folder / "events.db")) as db, db:
        for name in ("update", "delete", "replace"):
            db.execute(f"DROP TRIGGER audit_refuses_{name}")
        db.execute(statement)


def test_records_are_printed_in_order_with_who_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path)  # the gateway still runs and holds its files alone
    assert main(["--store", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "2026-11-22T16:00:05Z" in lines[1]
    assert "by carer" in lines[1]
    assert "because: asked by the family" in lines[2]
    assert main(["--store", str(tmp_path), "--since", "2026-11-23", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["position"], json.loads(line)["kind"]) == (3, "settings")
    files.close()


def test_an_untouched_chain_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path).close()
    assert main(["--store", str(tmp_path), "--verify"]) == 0
    out = capsys.readouterr().out
    assert "3 records" in out
    assert main(["--store", str(tmp_path), "--verify", "--head", out.split("head: ")[1].strip()]) == 0


@pytest.mark.parametrize(
    ("statement", "position", "reason"),
    [
        ("UPDATE audit SET body = replace(body, 'carer', 'other') WHERE position = 2", 2, "changed"),
        ("DELETE FROM audit WHERE position = 2", 2, "missing"),
        ("DELETE FROM audit WHERE position = 3", 3, "cut_off"),
        ("UPDATE audit SET body = NULL, hash = '' WHERE position = 1", 1, "changed"),
    ],
)
def test_the_first_broken_position_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, position: int, reason: str
) -> None:
    written(tmp_path).close()
    if "NULL" in statement:
        statement = statement.replace("NULL", "5")
    tampered(tmp_path, statement)
    assert main(["--store", str(tmp_path), "--verify", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["first_broken"], answer["reason"]) == (False, position, reason)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET body = x'00'", "DELETE FROM audit", "UPDATE settings SET who = 'x'", "DELETE FROM settings",
        "INSERT OR REPLACE INTO audit VALUES (1, x'00', x'00')",
        "INSERT OR REPLACE INTO settings VALUES (1, 0, 0, '', '', '', 'null')",
    ],
)  # fmt: skip
def test_the_tables_refuse_everything_but_inserts(tmp_path: Path, statement: str) -> None:
    files = written(tmp_path)
    files.commit(Writes(settings=[SettingsRow(1, True, "A", "lead", "why", {"profile": "standard"})]))
    files.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db, pytest.raises(sqlite3.IntegrityError, match="inserts"):
        db.execute(statement)


def test_the_chain_goes_on_over_a_restart_and_over_a_commit_that_failed(tmp_path: Path) -> None:
    files = written(tmp_path)
    before = files.evidence(audit_head)
    entry = AuditEntry(1, 1, True, "view")
    bad = Writes(audit=[entry], accounts=[AccountRow("x", None, "pin")])  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        files.commit(bad)
    assert files.evidence(audit_head) == before
    files.close()
    files = StoreFiles(tmp_path)
    files.commit(Writes(audit=[entry]))
    assert files.evidence(audit_head) == link(before, canonical(entry))
    files.close()


def test_damage_does_not_let_positions_be_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path).close()
    tampered(tmp_path, "DELETE FROM audit WHERE position >= 2")
    files = StoreFiles(tmp_path)
    files.commit(Writes(audit=[AuditEntry(1, 1, True, "store_repaired")]))
    files.close()
    assert main(["--store", str(tmp_path), "--verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_broken"] == 2


def test_versions_count_over_all_beds(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(settings=[SettingsRow(1, True, bed, "lead", "why", None) for bed in "AB"]))
    files.commit(Writes(settings=[SettingsRow(2, True, "A", "lead", "why", {"profile": "standard"})]))
    assert [row.version for row in files.evidence(settings_rows)] == [1, 2, 3]
    files.close()


@pytest.mark.parametrize("arguments", [["--since", "soon"], ["--verify", "--head", "x"], []])
def test_bad_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["--store", str(tmp_path), *arguments]) == 2
    assert "sleepbelt audit:" in capsys.readouterr().err
