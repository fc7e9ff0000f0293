"""The stores, SQLite and PostgreSQL: once only, nothing silently dropped; databases damaged, foreign or too new."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psycopg
import pytest

from cloud_sync.ingest import Arrival, Outcome, examine
from cloud_sync.receiver.home_reads import recorded_minutes, silences
from cloud_sync.receiver.names import KeyFileError, NameBook
from cloud_sync.receiver.stores import base, writes
from cloud_sync.receiver.stores.base import Admission, SealedName, StoreError
from cloud_sync.receiver.stores.opening import open_existing, open_reads, open_writes
from cloud_sync.receiver.stores.postgres import PostgresWrites
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites
from cloud_sync.receiver.stores.tokens import add_token, list_tokens
from protocol.batch import (
    BeltEventItem,
    DeviceState,
    Envelope,
    GapReport,
    decode_item,
    encode_envelope,
    encode_item,
)
from tests.cloud_sync.postgres_server import emptied, postgres_server
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute, night, stamp

NOW = START_UTC_MS + 3_600_000


class Store:
    """Both sides of one database, and a way to let batches arrive."""

    def __init__(self, where: Path | str) -> None:
        self.where = where
        self.writes = open_writes(where)
        self.reads = open_reads(where)

    def take(
        self, *bodies: bytes, seq: int = 1, floor: int = 1, lane: str = "vitals", epoch: str = "e"
    ) -> tuple[Outcome, ...]:
        return self.writes.commit([arrival(*bodies, seq=seq, floor=floor, lane=lane, epoch=epoch)], NOW).outcomes[0]

    def sql(self, statement: str) -> list[Any]:
        """The statement's rows, on a connection of its own."""
        if isinstance(self.where, Path):
            with closing(sqlite3.connect(self.where, isolation_level=None)) as direct:
                return direct.execute(statement).fetchall()
        with psycopg.connect(self.where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self.reads.close()
        self.writes.close()


def arrival(
    *bodies: bytes, seq: int = 1, floor: int = 1, lane: str = "vitals", epoch: str = "e", gateway: str = "gw-01"
) -> Arrival:
    envelope = Envelope(gateway, epoch, seq, floor, tuple(enumerate(bodies)))
    found = examine(f"sb/v1/{gateway}/{lane}", encode_envelope(envelope))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    is_sqlite = request.param == "sqlite"
    opened = Store(tmp_path / "receiver.db" if is_sqlite else emptied(request.getfixturevalue("server")))
    yield opened
    opened.close()


def test_a_chunk_is_stored_with_its_readings_and_minutes(store: Store) -> None:
    assert store.take(encode_item(minute())) == ("stored",)
    counts = store.reads.counts()
    (row,) = store.reads.minutes("gw-01", "101-A", START_UTC_MS, START_UTC_MS + 60_000)
    assert (counts["readings"], counts["chunks"]) == (60, 1)
    assert (row.readings, row.occupied_s, row.turn_overs, row.movement) == (60, 60, 1, 1)


def test_the_same_batch_again_changes_nothing_and_is_acked_again(store: Store) -> None:
    store.take(encode_item(minute()), encode_item(alarm()))
    assert store.take(encode_item(minute()), encode_item(alarm())) == ("repeated", "repeated")
    counts = store.reads.counts()
    assert (counts["readings"], counts["items"], counts["duplicates"]) == (60, 2, 2)


def test_the_same_item_in_another_batch_is_the_same_item(store: Store) -> None:
    store.take(encode_item(minute(number=0)), encode_item(minute(number=1)))
    assert store.take(encode_item(minute(number=1)), seq=2) == ("repeated",)


def test_the_same_key_with_other_contents_is_a_conflict_and_the_first_stays(store: Store) -> None:
    store.take(encode_item(minute(seed=1)))
    assert store.take(encode_item(minute(seed=2))) == ("conflict",)
    counts = store.reads.counts()
    assert (counts["readings"], counts["conflicts"], counts["quarantined"]) == (60, 1, 1)


def test_the_same_seq_of_a_new_epoch_is_another_item(store: Store) -> None:
    store.take(encode_item(minute(seed=1)), epoch="e")
    assert store.take(encode_item(minute(seed=2)), epoch="f") == ("stored",)


def test_poison_is_kept_in_quarantine_and_rejected_each_time(store: Store) -> None:
    assert store.take(b"\xc1poison", encode_item(alarm())) == ("rejected", "stored")
    assert store.take(b"\xc1poison", encode_item(alarm())) == ("rejected", "repeated")
    assert store.reads.counts()["quarantined"] == 1


def test_an_unreadable_message_is_kept_in_quarantine_once(store: Store) -> None:
    garbage = examine("sb/v1/gw-01/alarm", b"garbage")
    assert garbage is not None
    store.writes.commit([garbage, garbage], NOW)
    assert store.reads.counts()["quarantined"] == 1


def test_quarantine_is_bounded_by_bytes_and_rows_and_keeps_the_newest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "QUARANTINE_BYTES_MAX", 50_000)
    for number in range(9):
        poison = examine("sb/v1/gw-01/alarm", bytes([number]) * 10_000)
        assert poison is not None
        store.writes.commit([poison], NOW + number)
    assert store.sql("SELECT noted_utc_ms FROM quarantine ORDER BY 1") == [(NOW + number,) for number in range(4, 9)]
    monkeypatch.setattr(writes, "QUARANTINE_ROWS_MAX", 2)
    store.take(b"\xc1poison")
    assert store.sql("SELECT count(*) FROM quarantine") == [(2,)]


def test_a_floor_over_everything_stored_proves_that_nothing_is_missing(store: Store) -> None:
    store.take(encode_item(alarm()), encode_item(alarm()), seq=1)
    store.take(encode_item(alarm()), seq=3, floor=3)
    assert store.reads.gaps(10) == []


def test_what_the_floor_passes_without_being_here_is_a_gap(store: Store) -> None:
    store.take(encode_item(alarm()), seq=1)
    store.take(encode_item(alarm()), seq=9, floor=6)
    (gap,) = store.reads.gaps(10)
    assert (gap.first_seq, gap.last_seq) == (2, 5)
    assert store.reads.counts()["missing"] == 4


def test_a_gap_closes_when_its_seqs_come_after_all(store: Store) -> None:
    store.take(encode_item(alarm()), seq=9, floor=4)
    store.take(encode_item(alarm()), seq=2, floor=4)
    assert [(gap.first_seq, gap.last_seq) for gap in store.reads.gaps(10)] == [(3, 3), (1, 1)]
    store.take(encode_item(alarm()), seq=1)
    store.take(encode_item(alarm()), seq=3)
    assert store.reads.gaps(10) == []


def test_a_gateway_that_lost_its_store_explains_the_gap(store: Store) -> None:
    store.take(encode_item(minute()), epoch="old")
    store.take(encode_item(GapReport(stamp(), "vitals", "old", 1, 4, "store_lost")), epoch="new")
    (gap,) = store.reads.gaps(10)
    assert (gap.epoch, gap.first_seq, gap.last_seq, gap.reason) == ("old", 2, 4, "store_lost")


def test_alarm_events_in_any_order_give_the_same_alarm(store: Store) -> None:
    store.take(encode_item(alarm("ack", at_s=60)), seq=2, lane="alarm")
    assert store.reads.open_alarms() == []
    store.take(encode_item(alarm(level=1)), seq=1, lane="alarm")
    (row,) = store.reads.open_alarms()
    assert (row.state, row.bed, row.acknowledged_utc_ms) == ("acknowledged", "101-A", START_UTC_MS + 60_000)


def test_a_closed_alarm_is_no_open_one(store: Store) -> None:
    store.take(encode_item(alarm()), encode_item(alarm("alarm_clear", at_s=5, detail="away")), lane="alarm")
    assert store.reads.open_alarms() == []
    assert [row.state for row in store.reads.alarms(10)] == ["closed"]


def test_the_newest_version_of_a_night_is_shown_and_older_ones_are_kept(store: Store) -> None:
    store.take(encode_item(night(version=2, turn_overs=20)), encode_item(night(version=1, turn_overs=10)))
    assert store.reads.latest_nights()["gw-01", "101-A"].turn_overs == 20
    assert store.sql("SELECT count(*) FROM nights") == [(2,)]


def test_the_latest_night_is_the_one_of_the_latest_waking_date(store: Store) -> None:
    store.take(encode_item(night(night_of="2026-11-24")), encode_item(night(night_of="2026-11-23", version=7)))
    assert store.reads.latest_nights()["gw-01", "101-A"].night_of == "2026-11-24"
    assert [card.night_of for card in store.reads.nights("gw-01", "101-A", 5)] == ["2026-11-24", "2026-11-23"]


def test_events_of_alarms_and_belts_are_one_list_newest_first(store: Store) -> None:
    store.take(
        encode_item(alarm(at_s=10)),
        encode_item(BeltEventItem("101-A", "b", stamp(20), "absence", 3, 1, fields={"duration_s": 30})),
        encode_item(DeviceState("b", "belt", stamp(30), "101-A")),
    )
    rows = store.reads.events("gw-01", "101-A", START_UTC_MS, START_UTC_MS + 60_000, 10)
    assert [(row.event, row.detail, row.source) for row in rows] == [
        ("absence", "duration_s=30", "belt"),
        ("alarm_raise", "", "alarm"),
    ]


def test_what_was_committed_is_there_after_a_restart(store: Store) -> None:
    store.take(encode_item(minute()))
    store.close()
    store.__init__(store.where)  # type: ignore[misc]
    assert store.take(encode_item(minute())) == ("repeated",)


def test_a_commit_that_cannot_be_made_leaves_nothing_behind(store: Store) -> None:
    store.sql("DROP TABLE counters")
    with pytest.raises(StoreError, match="cannot commit"):
        store.take(encode_item(minute()))
    assert store.sql("SELECT count(*) FROM received") == [(0,)]


def test_a_damaged_file_is_renamed_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 64)
    writes = SqliteWrites(path)
    assert "damaged" in writes.remark
    assert writes.commit([arrival(encode_item(alarm()))], NOW).outcomes == (("stored",),)
    writes.close()
    assert len(list(tmp_path.glob("receiver.db.damaged-*"))) == 1


def test_a_file_with_a_garbled_page_is_renamed_aside(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    writes = SqliteWrites(path)
    for number in range(200):
        writes.commit([arrival(encode_item(minute(number=number)), seq=number + 1)], NOW)
    writes.close()
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    again = SqliteWrites(path)
    again.close()
    assert "damaged" in again.remark


def test_a_database_from_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    SqliteWrites(path).close()
    with sqlite3.connect(path) as direct:
        direct.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="version 99"):
        SqliteWrites(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    with sqlite3.connect(path) as direct:
        direct.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program"):
        SqliteWrites(path)


def test_names_are_found_in_no_byte_of_the_database(tmp_path: Path, store: Store) -> None:
    names = NameBook(tmp_path / "names.key")
    store.writes.admit([Admission(names.seal("r-1", "Wang Xiulan"), "gw-01", "101-A", "101")], NOW)
    files = [file.read_bytes() for file in tmp_path.iterdir()]
    assert not any(b"Wang" in data or b"Xiulan" in data for data in files)
    assert names.open_all(store.reads.names()) == {"r-1": "Wang Xiulan"}


def test_a_name_moved_to_another_resident_does_not_open(tmp_path: Path) -> None:
    names = NameBook(tmp_path / "names.key")
    sealed = names.seal("r-1", "Wang Xiulan")
    assert names.open(type(sealed)("r-2", sealed.nonce, sealed.sealed)) == "?"


def test_a_cut_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.key").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="5 bytes"):
        NameBook(tmp_path / "names.key")


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    NameBook(tmp_path / "names.key")
    assert (tmp_path / "names.key").stat().st_mode & 0o777 == 0o600


def test_a_bed_given_to_another_resident_ends_the_former_assignment(tmp_path: Path, store: Store) -> None:
    names = NameBook(tmp_path / "names.key")
    for resident in ("r-1", "r-2"):
        store.writes.admit([Admission(names.seal(resident, "N"), "gw-01", "101-A", "101")], NOW)
    assert [place.resident_id for place in store.reads.places()] == ["r-2"]


def test_the_night_of_who_had_a_bed_before_is_not_shown_as_the_new_ones(tmp_path: Path, store: Store) -> None:
    names = NameBook(tmp_path / "names.key")
    store.writes.admit([Admission(names.seal("r-1", "N"), "gw-01", "101-A", "101")], NOW)
    store.take(encode_item(night()))
    assert ("gw-01", "101-A") in store.reads.latest_nights()
    store.writes.admit([Admission(names.seal("r-2", "N"), "gw-01", "101-A", "101")], NOW + 10 * 86_400_000)
    assert store.reads.latest_nights() == {}


def test_what_was_recorded_of_a_resident_is_forgotten_by_class_and_does_not_come_back(
    tmp_path: Path, store: Store
) -> None:
    names = NameBook(tmp_path / "names.key")
    store.writes.admit([Admission(names.seal("r-1", "N"), "gw-01", "101-A", "101")], NOW)
    bodies = (encode_item(minute()), encode_item(night()), encode_item(alarm()))
    store.take(*bodies)
    assert store.writes.forget_of("r-1", "vitals", 0, START_UTC_MS) == 0
    assert store.writes.forget_of("r-1", "vitals", 0, 2**53) == 1
    assert store.sql("SELECT count(*) FROM packs") == [(0,)]
    assert store.sql("SELECT count(*) FROM nights") == [(1,)]
    assert store.take(*bodies) == ("repeated", "repeated", "repeated")
    assert store.sql("SELECT count(*) FROM packs") == [(0,)]
    assert store.writes.forget_before("nights", 2**53) == 1
    assert store.writes.discharge("r-1", NOW)
    assert not store.writes.discharge("r-1", NOW)
    assert store.writes.erase("r-1")
    assert not store.writes.erase("r-1")
    for table in ("residents", "resident_names", "assignments", "alarms", "alarm_events"):
        assert store.sql(f"SELECT count(*) FROM {table}") == [(0,)]


def test_of_a_pack_that_reaches_over_a_stays_end_only_what_lies_within_is_forgotten(
    tmp_path: Path, store: Store
) -> None:
    bodies = [encode_item(minute(number=number)) for number in range(6)]
    store.take(*bodies)
    names = NameBook(tmp_path / "names.key")
    begin, end = START_UTC_MS + 2 * 60_000, START_UTC_MS + 4 * 60_000
    for resident, at in (("r-1", START_UTC_MS - 1), ("r-2", begin), ("r-3", end)):
        store.writes.admit([Admission(names.seal(resident, "N"), "gw-01", "101-A", "101")], at)
    assert store.writes.forget_of("r-2", "vitals", 0, 2**53) == 1
    assert store.writes.forget_of("r-2", "vitals", 0, 2**53) == 0
    assert list(store.reads.chunks("gw-01", "101-A", 0, 2**50)) == [*bodies[:2], *bodies[4:]]
    rows = store.reads.minutes("gw-01", "101-A", 0, 2**50)
    assert [(row.utc_ms - START_UTC_MS) // 60_000 for row in rows] == [0, 1, 4, 5]
    assert silences(store.reads, START_UTC_MS, START_UTC_MS + 6 * 60_000)["gw-01", "101-A"] == [(begin, end)]
    assert store.sql("SELECT sum(readings) FROM packs") == [(240,)]


def test_what_comes_late_adds_to_the_minutes_it_belongs_to(store: Store) -> None:
    first, late = minute(number=0, seconds=20), minute(number=0, seed=2)
    store.take(encode_item(minute(number=1)), encode_item(first))
    late = dataclasses.replace(late, start_utc_ms=START_UTC_MS)
    store.take(encode_item(late), seq=9)
    rows = store.reads.minutes("gw-01", "101-A", START_UTC_MS, START_UTC_MS + 120_000)
    assert [(row.utc_ms, row.readings, row.occupied_s) for row in rows] == [
        (START_UTC_MS, 80, 60), (START_UTC_MS + 60_000, 60, 60)]  # fmt: skip


def test_minutes_are_those_that_begin_within_the_asked_time(store: Store) -> None:
    chunk = dataclasses.replace(minute(), start_utc_ms=START_UTC_MS + 30_500)
    store.take(encode_item(chunk))

    def asked(begin_ms: int, end_ms: int) -> list[int]:
        rows = store.reads.minutes("gw-01", "101-A", START_UTC_MS + begin_ms, START_UTC_MS + end_ms)
        return [row.utc_ms - START_UTC_MS for row in rows]

    assert asked(0, 120_000) == [0, 60_000]
    assert asked(0, 1) == [0]
    assert asked(1, 60_000) == []
    assert asked(60_000, 60_001) == [60_000]


def test_a_pack_covers_the_minutes_from_its_first_reading_on(store: Store) -> None:
    # A chunk may begin within the second before its first reading (gateway.cores.vitals).
    early = dataclasses.replace(minute(number=1), start_second=59, span_s=61, start_utc_ms=START_UTC_MS + 60_000 - 863)
    store.take(encode_item(early))
    assert store.sql("SELECT holes FROM packs") == [(0,)]
    (row,) = store.reads.minutes("gw-01", "101-A", 0, 2**50)
    assert (row.utc_ms, row.readings) == (START_UTC_MS + 60_000, 60)
    silent = silences(store.reads, START_UTC_MS, START_UTC_MS + 120_000)["gw-01", "101-A"]
    assert silent == [(START_UTC_MS, START_UTC_MS + 60_000)]


def test_a_month_of_packs_shows_its_holes_whatever_order_they_came_in(store: Store) -> None:
    missing = {7, 8, 20, 33}
    numbers = [number for number in range(40) if number not in missing]
    for seq, number in enumerate(reversed(numbers), start=1):
        store.take(encode_item(minute(number=number)), seq=seq)
    store.take(encode_item(minute(number=20)), encode_item(minute(number=60)), seq=100)  # late, and one with a hole
    silent = silences(store.reads, START_UTC_MS, START_UTC_MS + 61 * 60_000)["gw-01", "101-A"]
    in_minutes = [((begin - START_UTC_MS) // 60_000, (end - START_UTC_MS) // 60_000) for begin, end in silent]
    assert in_minutes == [(7, 9), (33, 34), (40, 60)]
    recorded = recorded_minutes(store.reads, START_UTC_MS, START_UTC_MS + 61 * 60_000)["gw-01", "101-A"]
    assert recorded == 61 - 23


OFF_MS = 7 * 86_400_000  # how far a clock that was not set is off


def untrusted(number: int, boot_id: int = 3) -> bytes:
    """The sample's minute of that number as told before the gateway's clock was set."""
    chunk = minute(number=number)
    return encode_item(dataclasses.replace(
        chunk, boot_id=boot_id, start_utc_ms=chunk.start_utc_ms - OFF_MS, trusted=False))  # fmt: skip


@pytest.mark.parametrize("anchor_first", [False, True])
def test_minutes_told_before_the_clock_was_set_get_their_time_by_an_anchor(store: Store, anchor_first: bool) -> None:
    early, anchor = [untrusted(number) for number in range(150)], encode_item(minute(number=150))
    if anchor_first:
        assert store.take(anchor, seq=151) == ("stored",)
    store.take(*early)
    if not anchor_first:
        assert store.reads.minutes("gw-01", "101-A", START_UTC_MS, START_UTC_MS + 86_400_000) == []
        assert store.take(anchor, seq=151) == ("stored",)
    rows = store.reads.minutes("gw-01", "101-A", 0, 2**50)
    assert [(row.utc_ms - START_UTC_MS) // 60_000 for row in rows] == list(range(151))
    chunks = [decode_item(body) for body in store.reads.chunks("gw-01", "101-A", 0, 2**50)]
    assert chunks == [minute(number=number) for number in range(151)]
    # Sent again as it was told then, it is still the same item.
    assert store.take(*early) == ("repeated",) * 150
    assert store.reads.counts()["readings"] == 151 * 60
    assert store.sql("SELECT count(*) FROM provisional") == [(0,)]


def test_a_minute_of_a_boot_without_an_anchor_keeps_the_time_it_was_told(store: Store) -> None:
    store.take(untrusted(0, boot_id=2), encode_item(minute(number=9)))
    rows = store.reads.minutes("gw-01", "101-A", 0, 2**50)
    assert [row.utc_ms - START_UTC_MS for row in rows] == [-OFF_MS, 9 * 60_000]
    assert store.sql("SELECT source, boot_id FROM provisional") == [("gw-01/belt-101-A", 2)]


def test_another_gateway_cannot_move_what_this_one_sent(store: Store) -> None:
    store.take(untrusted(0))
    wrong = encode_item(dataclasses.replace(minute(number=5), start_utc_ms=START_UTC_MS + 99_000_000))
    store.writes.commit([arrival(wrong, gateway="gw-02")], NOW)
    assert [row.utc_ms for row in store.reads.minutes("gw-01", "101-A", 0, 2**50)] == [START_UTC_MS - OFF_MS]
    store.take(encode_item(minute(number=9)), seq=9)
    assert store.reads.minutes("gw-01", "101-A", 0, 2**50)[0].utc_ms == START_UTC_MS


def test_an_alarm_raised_before_the_clock_was_set_gets_its_time(store: Store) -> None:
    def told(event: str, at_s: int, trusted: bool, boot_id: int = 7) -> bytes:
        at = stamp(at_s)
        if not trusted:
            at = dataclasses.replace(at, utc_ms=at.utc_ms - OFF_MS, trusted=False)
        return encode_item(dataclasses.replace(alarm(event), at=dataclasses.replace(at, boot_id=boot_id)))

    belt_event = BeltEventItem("101-A", "b", dataclasses.replace(stamp(7), utc_ms=5, trusted=False), "fault", 3, 1)
    store.take(told("alarm_raise", 10, False), told("ack", 40, False), told("realarm", 5, False, 6), lane="alarm")
    store.take(encode_item(belt_event))
    (row,) = store.reads.open_alarms()
    assert row.raised_utc_ms == START_UTC_MS + 10_000 - OFF_MS
    store.take(told("time_trusted", 60, True), seq=4, lane="alarm")
    (row,) = store.reads.open_alarms()
    assert (row.raised_utc_ms, row.acknowledged_utc_ms) == (START_UTC_MS + 10_000, START_UTC_MS + 40_000)
    events = store.reads.events("gw-01", "101-A", START_UTC_MS, 2**50, 9)
    assert [(one.event, one.utc_ms - START_UTC_MS, one.trusted) for one in events] == [
        ("time_trusted", 60_000, True), ("ack", 40_000, True), ("alarm_raise", 10_000, True), ("fault", 7_000, True)]
    # Of the boot before nothing is known: it keeps what it was told.
    assert store.sql("SELECT boot_id FROM provisional") == [(6,)]


def test_corrected_minutes_on_postgresql_lie_in_partitions_of_their_true_day(server: str) -> None:
    store = Store(emptied(server))
    store.take(*[untrusted(number) for number in range(3)])
    store.take(encode_item(minute(number=2000)), seq=9)
    days = store.sql("SELECT DISTINCT tableoid::regclass::text FROM packs ORDER BY 1")
    assert days == [("packs_20261118",), ("packs_20261119",)]
    store.close()


_OPENER = """
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites
from cloud_sync.receiver.stores.tokens import add_token, list_tokens
sys.stdin.readline()
folder = Path(sys.argv[1])
sealed = NameBook(folder / "names.key").seal("r", "n")
store = SqliteWrites(folder / "receiver.db")
print(sealed.nonce.hex(), sealed.sealed.hex(), repr(store.remark), flush=True)
"""


def test_receivers_that_start_at_once_on_a_new_folder_share_one_database_and_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    workers = [
        subprocess.Popen([sys.executable, "-c", _OPENER, str(folder)], stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [worker.communicate(timeout=30)[0].split() for worker in workers]
    assert [answer[2] for answer in answers] == ["''"] * 3
    names = NameBook(folder / "names.key")
    assert {names.open(SealedName("r", bytes.fromhex(a), bytes.fromhex(b))) for a, b, _ in answers} == {"n"}


VERSIONS = Path(__file__).parent / "store_versions"
"""Databases as earlier versions wrote them: sqlite3 .dump, and pg_dump --inserts without its settings."""


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_an_earlier_versions_database_opens_with_all_it_held(tmp_path: Path, version: int) -> None:
    path = tmp_path / "receiver.db"
    with closing(sqlite3.connect(path)) as direct:
        direct.executescript((VERSIONS / f"receiver-{version}.sql").read_text())
        direct.execute(f"PRAGMA application_id={0x53425256}")
        direct.execute(f"PRAGMA user_version={version}")
    check_what_earlier_versions_held(Store(path))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_an_earlier_versions_postgresql_opens_with_all_it_held(server: str, version: int) -> None:
    with psycopg.connect(emptied(server), autocommit=True) as direct:
        direct.execute((VERSIONS / f"receiver_postgres-{version}.sql").read_bytes())
    check_what_earlier_versions_held(Store(server))


def check_what_earlier_versions_held(store: Store) -> None:
    counts = store.reads.counts()
    assert (counts["readings"] >= 120, counts["alarms"], counts["rejected"]) == (True, 1, 1)
    old = list(store.reads.chunks("gw-01", "101-A", 0, 2**50))
    assert [decode_item(body) for body in old] == [minute(number=0), minute(number=1)]
    assert [(row.utc_ms, row.readings, row.turn_overs) for row in store.reads.minutes("gw-01", "101-A", 0, 2**50)] == [
        (START_UTC_MS, 60, 1), (START_UTC_MS + 60_000, 60, 1)]  # fmt: skip
    silent = silences(store.reads, START_UTC_MS - 60_000, START_UTC_MS + 180_000)["gw-01", "101-A"]
    assert silent == [(START_UTC_MS - 60_000, START_UTC_MS), (START_UTC_MS + 120_000, START_UTC_MS + 180_000)]
    assert store.take(*old, b"\xc1poison") == ("repeated", "repeated", "rejected")
    assert store.take(encode_item(minute(number=2))) == ("conflict",)
    assert store.take(encode_item(minute(number=3)), encode_item(alarm(alarm_id="a-2")), seq=20) == ("stored", "stored")
    assert {row.alarm_id for row in store.reads.alarms(9)} == {"a-1", "a-2"}
    store.close()
    with closing(open_existing(store.where)) as database:
        add_token(database, "t", "admin", None, NOW)
        assert [token.name for token in list_tokens(database)] == ["t"]


@pytest.mark.parametrize("folder", ["schema", "schema_postgres"])
def test_of_every_version_but_the_newest_a_database_is_kept_to_migrate_from(folder: str) -> None:
    files = (Path(base.__file__).parent / folder).glob("*.sql")
    name = {"schema": "receiver", "schema_postgres": "receiver_postgres"}[folder]
    newest = max(int(file.stem) for file in files)
    kept = {int(file.stem.rpartition("-")[2]) for file in VERSIONS.glob(f"{name}-*.sql")}
    assert kept == set(range(1, newest))


def test_chunks_are_given_back_byte_for_byte_by_bed_and_time(store: Store) -> None:
    bodies = [encode_item(minute(bed, number)) for number in range(5) for bed in ("101-A", "101-B")]
    store.take(*bodies)
    assert sorted(store.reads.chunks("gw-01", "101-B", 0, 2**50)) == sorted(bodies[1::2])
    assert list(store.reads.chunks("gw-01", "101-B", 0, START_UTC_MS)) == []


def test_a_repeated_item_in_one_group_of_batches_is_stored_once(store: Store) -> None:
    bodies = [encode_item(minute(number=number)) for number in range(130)]
    both = store.writes.commit([arrival(*bodies), arrival(*bodies[50:], seq=51)], NOW).outcomes
    assert (set(both[0]), set(both[1])) == ({"stored"}, {"repeated"})
    assert store.reads.counts()["readings"] == 130 * 60


def test_minutes_of_a_clock_that_was_never_set_are_kept_too(store: Store) -> None:
    chunk = dataclasses.replace(minute(), start_utc_ms=5_000, trusted=False)
    assert store.take(encode_item(chunk)) == ("stored",)
    assert sum(row.readings for row in store.reads.minutes("gw-01", "101-A", 0, 120_000)) == 60


def test_vitals_on_postgresql_lie_in_partitions_of_their_day(server: str) -> None:
    store = Store(emptied(server))
    store.take(encode_item(minute()))
    assert store.sql("SELECT DISTINCT tableoid::regclass::text FROM packs") == [("packs_20261118",)]
    store.close()


def test_workers_on_one_postgresql_that_get_the_same_batches_store_each_item_once(server: str) -> None:
    url = emptied(server)
    batches = [arrival(*(encode_item(minute(str(bed), n)) for bed in range(4)), seq=1 + 4 * n) for n in range(30)]
    outcomes: list[Outcome] = []

    def work(order: int) -> None:
        writes = PostgresWrites(url)
        for batch in batches[::order]:
            while True:
                try:
                    outcomes.extend(writes.commit([batch], NOW).outcomes[0])
                    break
                except StoreError:
                    continue  # two that wait for each other: the gateway sends it again
        writes.close()

    workers = [threading.Thread(target=work, args=(order,)) for order in (1, -1, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = Store(url)
    assert (outcomes.count("stored"), outcomes.count("repeated")) == (120, 240)
    assert store.reads.counts()["readings"] == 120 * 60
    assert sum(row.readings for row in store.reads.minutes("gw-01", "0", 0, 2**50)) == 1800
    store.close()


def test_a_postgresql_that_was_restarted_is_used_again(server: str) -> None:
    store = Store(emptied(server))
    store.take(encode_item(minute()))
    store.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
              "AND backend_type = 'client backend'")
    with pytest.raises(StoreError):
        store.take(encode_item(alarm()), seq=2)
    assert store.take(encode_item(alarm()), seq=2) == ("stored",)
    store.close()


def test_a_postgresql_that_turns_read_only_commits_nothing_and_goes_on_afterwards(server: str) -> None:
    store = Store(emptied(server))

    def turn(setting: str) -> None:
        """For all connections from now on; those there are end, so that the next attempt makes a new one."""
        with psycopg.connect(server, autocommit=True, options="-c default_transaction_read_only=off") as direct:
            direct.execute(f"ALTER DATABASE postgres {setting}".encode())
            direct.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                           "AND backend_type = 'client backend'")
        with pytest.raises(StoreError):
            store.take(encode_item(minute()))

    turn("SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreError, match="read-only"):
            store.take(encode_item(minute()))
    finally:
        turn("RESET default_transaction_read_only")
    assert store.take(encode_item(minute())) == ("stored",)
    assert store.sql("SELECT sum(readings) FROM packs") == [(60,)]
    store.close()


def test_a_postgresql_of_another_program_or_of_the_future_is_refused(server: str) -> None:
    url = emptied(server)
    with psycopg.connect(url, autocommit=True) as direct:
        direct.execute("CREATE TABLE theirs (x INTEGER)")
        with pytest.raises(StoreError, match="another program"):
            PostgresWrites(url)
        direct.execute("DROP TABLE theirs")
        PostgresWrites(url).close()
        direct.execute("INSERT INTO sleepbelt_schema VALUES (99)")
        with pytest.raises(StoreError, match="version 99"):
            PostgresWrites(url)


def test_a_postgresql_that_is_away_is_an_error_without_its_password() -> None:
    with pytest.raises(StoreError, match=r"postgresql://127\.0\.0\.1:1/x") as caught:
        PostgresWrites("postgresql://u:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_restored_database_asks_for_what_it_lacks_until_it_came_or_was_explained(store: Store) -> None:
    commit = store.writes.commit
    store.take(encode_item(minute(number=1)))
    assert commit([arrival(encode_item(minute(number=9)), seq=9, floor=9)], NOW).rewinds == (2,)
    again = [encode_item(minute(number=number)) for number in range(2, 7)]
    assert commit([arrival(*again, seq=2, floor=9)], NOW).rewinds == (7,)
    gap = GapReport(stamp(), "vitals", "e", 7, 8, "older than what the gateway keeps")
    assert commit([arrival(encode_item(gap), seq=10, floor=9)], NOW).rewinds == (0,)
