"""One bed's records: written out whole, erased to the last byte, with the evidence still whole; retention by class."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS, LANES
from gateway.bed_records import READINGS_FILE, RECORDS_FILE, erase_bed, export_bed
from gateway.commands.provision import main
from gateway.config import ConfigError, load_config
from gateway.cores.audit import ERASED, ERASURE, AuditEntry, erased_positions, positions_text, verify
from gateway.provision_error import ProvisionError
from gateway.store_evidence import SettingsRow, audit_rows, kept_head
from gateway.store_files import Chunk, EventRow, NightRow, RecordRow, StoreFiles, Writes
from protocol.batch import GapReport, decode_item, encode_item
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute, night
from tests.gateway.provisioned import configured, new_belt, provisioning

HOUR_MS = 3_600_000
FROM, TO = START_UTC_MS - 12 * HOUR_MS, START_UTC_MS + 10 * HOUR_MS
NIGHT_OF, LATER_NIGHT = "2026-11-18", "2026-11-25"
MARK = "MARK-OF-A"


def filled(folder: Path) -> StoreFiles:
    """Two beds, in the span and after it; everything of bed A in the span carries MARK somewhere readable."""
    files = StoreFiles(folder)
    for bed, at_ms, mark in (("A", START_UTC_MS, MARK), ("A", TO, "later"), ("B", START_UTC_MS, "other")):
        item = encode_item(alarm(bed=bed, detail=mark, at_s=(at_ms - START_UTC_MS) // 1000))
        night_of = LATER_NIGHT if at_ms == TO else NIGHT_OF
        files.commit(Writes(
            events=[EventRow(1, at_ms, True, bed, "notice", mark, "11")],
            audit=[AuditEntry(at_ms, 1, True, "view", bed, "carer", mark)],
            settings=[SettingsRow(at_ms, True, bed, "lead", mark, None)],
            records=[RecordRow("b" + bed, at_ms % 97, bed, 3, 4, at_ms, "fault", {"said": mark}, item)],
            alarm_items=[item], vitals_items=[encode_item(night(bed, night_of=night_of))],
            chunks=[chunk_of_bed(bed, at_ms, mark)],
            nights=[NightRow(bed, night_of, 1, json.dumps({"said": mark}))],
        ))  # fmt: skip
    return files


def chunk_of_bed(bed: str, at_ms: int, mark: str) -> Chunk:
    from dataclasses import replace

    return Chunk(bed, at_ms, encode_item(replace(minute(bed), belt=mark, start_utc_ms=at_ms)), 60)


def erased(files: StoreFiles, bed: str = "A") -> None:
    erase_bed(files, bed, FROM, TO, AuditEntry(TO, 5, True, ERASURE, who="admin"))


def test_no_byte_of_an_erased_bed_is_left_in_any_file(tmp_path: Path) -> None:
    files = filled(tmp_path)
    (tmp_path / "events.db.damaged-20261101T000000-ab").write_bytes(MARK.encode())
    assert any(MARK.encode() in file.read_bytes() for file in tmp_path.glob("vitals-*"))
    erased(files)
    for closed in (False, True):
        if closed:
            files.close()
        assert [file.name for file in tmp_path.iterdir() if MARK.encode() in file.read_bytes()] == []


def test_what_others_have_and_what_came_later_stays(tmp_path: Path) -> None:
    files = filled(tmp_path)
    erased(files)
    assert files.events("A", FROM, TO) == []
    assert [row.detail for row in files.events("A", TO, TO + 1)] == ["later"]
    assert [row.detail for row in files.events("B", FROM, TO)] == ["other"]
    assert (len(files.nights("A")), len(files.nights("B"))) == (1, 1)
    assert (len(list(files.chunks("A", 0, 2**50))), len(list(files.chunks("B", 0, 2**50)))) == (1, 1)
    assert [row.why for row in files.evidence(_settings)] == ["", "later", "other"]


def _settings(db: sqlite3.Connection) -> list[SettingsRow]:
    from gateway.store_evidence import settings_rows

    return settings_rows(db)


def test_the_lanes_go_on_and_the_cloud_is_told_what_will_not_come(tmp_path: Path) -> None:
    files = filled(tmp_path)
    first = {lane: files.pending(lane, 0, 10**7)[0].seq for lane in LANES}
    erased(files)
    assert all(files.floor(lane) > first[lane] for lane in LANES)
    gaps = [item for one in files.pending(LANE_ALARM, 0, 10**7) if isinstance(item := decode_item(one.body), GapReport)]
    told = {(gap.lane, seq) for gap in gaps for seq in range(gap.first_seq, gap.last_seq + 1)}
    assert {lane for lane, _ in told} == {LANE_ALARM, LANE_VITALS}
    assert {gap.reason for gap in gaps} == {"erased at the gateway"}
    for lane in LANES:
        left = {item.seq for item in files.pending(lane, 0, 10**7)}
        assert left | {seq for of, seq in told if of == lane} == set(range(1, files.next_seq(lane)))
        files.acked(lane, left)
        assert files.floor(lane) == files.next_seq(lane)


def test_the_evidence_stays_whole_and_says_who_erased_what(tmp_path: Path) -> None:
    files = filled(tmp_path)
    erased(files)
    rows = files.evidence(lambda db: list(audit_rows(db)))
    assert files.evidence(lambda db: verify(audit_rows(db), kept_head(db)))[1] is None
    assert [position for position, body, _ in rows if body == ERASED] == [1, 2]
    files.close()
    again = StoreFiles(tmp_path)
    again.commit(Writes(audit=[AuditEntry(TO, 9, True, "view", "B")]))
    assert again.evidence(lambda db: verify(audit_rows(db), kept_head(db)))[1] is None
    with pytest.raises(sqlite3.IntegrityError, match="only gets inserts"):
        again.evidence(lambda db: db.execute("UPDATE audit SET body = x'00' WHERE position = 3"))


def test_a_record_that_somebody_else_emptied_breaks_the_chain(tmp_path: Path) -> None:
    files = filled(tmp_path)
    erased(files)
    files.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.execute("DROP TRIGGER audit_refuses_update")
        db.execute("UPDATE audit SET body = ? WHERE position = 5", (ERASED,))
        _, broken = verify(audit_rows(db))
    assert broken is not None
    assert (broken.position, broken.reason) == (5, "changed")


def test_positions_are_runs_and_come_back() -> None:
    found = [3, 1, 2, 9, 11, 10]
    assert positions_text(found) == "1-3,9-11"
    assert erased_positions(AuditEntry(0, 0, True, ERASURE, detail="1-3,9-11")) == set(found)


def test_an_erasure_that_is_repeated_finds_nothing_more(tmp_path: Path) -> None:
    files = filled(tmp_path)
    erased(files)
    again = erase_bed(files, "A", FROM, TO, AuditEntry(TO, 6, True, ERASURE, who="admin"))
    assert (again.rows, again.redacted, again.unsent) == (0, 0, ())
    assert files.evidence(lambda db: verify(audit_rows(db), kept_head(db)))[1] is None


async def test_an_erasure_that_the_disk_refuses_says_so_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, "A B")
    filled(config.gateway.data_dir).close()
    asked = {"bed": "A", "bed_again": "A", "from_utc_ms": FROM, "to_utc_ms": TO}
    aside = config.gateway.data_dir / "events.db.damaged-20261101T000000-ab"
    aside.write_bytes(MARK.encode())
    async with provisioning(config, new_belt(1)) as site:
        call = site.gateway.operations.call
        with pytest.raises(ProvisionError, match="needs_admin"):
            await call("erase_bed", asked, "tina")

        def refuse(path: Path, missing_ok: bool = False) -> None:
            raise OSError(30, "Read-only file system", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            with pytest.raises(ProvisionError, match="erase_failed"):
                await call("erase_bed", asked, "local:root", admin=True)
        assert aside.exists()
        await call("erase_bed", asked, "local:root", admin=True)
    assert not aside.exists()
    assert [file.name for file in config.gateway.data_dir.iterdir()
            if file.is_file() and MARK.encode() in file.read_bytes()] == []  # fmt: skip


def test_an_export_has_all_of_the_bed_and_the_span_and_nothing_else(tmp_path: Path) -> None:
    files = filled(tmp_path / "data")
    counts = export_bed(tmp_path / "data", "A", FROM, TO, tmp_path / "out")
    files.close()
    text = (tmp_path / "out" / RECORDS_FILE).read_text("utf-8")
    document = json.loads(text)
    assert [row["detail"] for row in document["events"]] == [MARK]
    assert [row["fields"] for row in document["belt_records"]] == [{"said": MARK}]
    assert document["nights"] == [{"said": MARK}]
    assert {row["detail"] for row in document["audit"]} == {MARK}
    assert "later" not in text
    assert "other" not in text
    with (tmp_path / "out" / READINGS_FILE).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert counts["readings"] == len(rows) == 60
    assert rows[0]["utc"] == "2026-11-18T11:07:00Z"
    assert rows[0]["occupancy"] == "occupied"


def test_each_class_is_kept_as_long_as_it_is_set(tmp_path: Path) -> None:
    file = configured(tmp_path).file
    text = file.read_text("utf-8")
    file.write_text(text.replace('id = "gw-01"', 'id = "gw-01"\nretention_days = 30\nretention = { nights = 400 }'))
    assert load_config(file).gateway.retention == {"presence": 30, "vitals": 30, "nights": 400}
    for wrong in ("{ nights = 0 }", "{ rooms = 9 }", "7"):
        file.write_text(text.replace('id = "gw-01"', f'id = "gw-01"\nretention = {wrong}'))
        with pytest.raises(ConfigError, match=r"gateway\.retention"):
            load_config(file)


def test_retention_takes_each_class_at_its_own_time(tmp_path: Path) -> None:
    files = filled(tmp_path)
    for lane in LANES:
        files.acked(lane, range(1, files.next_seq(lane)))
    day_ms = 86_400_000
    files.commit(Writes(chunks=[chunk_of_bed("B", FROM + 3 * day_ms, "new")]))
    files.drop_before(START_UTC_MS + 1, 0, "2000-01-01")
    assert (files.events("B", 0, 2**50), len(files.nights("B"))) == ([], 1)
    assert len(list(files.chunks("B", 0, 2**50))) == 2
    files.drop_before(0, FROM + 2 * day_ms, "2000-01-01")
    assert len(list(files.chunks("B", 0, 2**50))) == 1
    files.drop_before(0, 0, "2026-11-20")
    assert (files.nights("B"), len(files.nights("A"))) == ([], 1)


@pytest.mark.parametrize("is_running", [False, True])
async def test_the_command_exports_and_erases_beside_a_gateway_or_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_running: bool
) -> None:
    config = configured(tmp_path, "A B")
    filled(config.gateway.data_dir).close()
    span = ["--config", str(config.file), "--from", "2026-11-18T00:00", "--to", "2026-11-19", "A"]

    async def both() -> None:
        for language, said in (("en", "Write the bed again"), ("zh", "请再次填写床位")):
            assert await asyncio.to_thread(main, ["erase", *span, "--lang", language]) == 1
            assert said in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["export", *span, "--json", "--out", str(tmp_path / "out")]) == 0
        assert json.loads(capsys.readouterr().out)["readings"] == 60
        assert await asyncio.to_thread(main, ["erase", *span, "--json", "--yes", "A"]) == 0
        assert json.loads(capsys.readouterr().out)["audit_records"] >= 2
        assert await asyncio.to_thread(main, ["erase", *span[:-1], "C", "--yes", "C"]) == 2

    if is_running:
        async with provisioning(config, new_belt(1)):
            await both()
    else:
        await both()
    files = StoreFiles(config.gateway.data_dir)
    assert files.nights("A") == [NightRow("A", "2026-11-25", 1, json.dumps({"said": "later"}))]
    assert [file.name for file in config.gateway.data_dir.iterdir()
            if file.is_file() and MARK.encode() in file.read_bytes()] == []  # fmt: skip
