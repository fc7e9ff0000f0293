"""store: what is committed is there after a kill, in the order given, freed only by the cloud's ack."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from gateway.store import GATHER_ROWS_MAX, Store, StoreOutbox
from gateway.store_files import Chunk, EventRow, NightRow, RecordRow, StoreFiles, Writes
from gateway.store_repair import StoreBusyError, StoreError

DAY1, DAY2 = 1_700_000_000_000, 1_700_100_000_000


def chunk(body: bytes, at: int = DAY1) -> Chunk:
    return Chunk("A", at, body)


def record(seq: int, item: bytes | None = b"item") -> RecordRow:
    return RecordRow("belt", seq, "A", 1, 1000, DAY1, "occupancy", {"new_state": "empty"}, item)


def bodies(files: StoreFiles, lane: str) -> list[bytes]:
    return [item.body for item in files.pending(lane, 0, 10**6)]


def test_a_lanes_items_come_back_in_the_order_given_over_files_and_restarts(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"1"), chunk(b"2", DAY2)], vitals_items=[b"3"]))
    files.close()
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"4")]))
    assert bodies(files, LANE_VITALS) == [b"1", b"2", b"3", b"4"]
    assert [item.seq for item in files.pending(LANE_VITALS, 0, 10**6)] == [1, 2, 3, 4]
    assert not files.repairs


def test_only_an_ack_frees_an_item_and_the_floor_is_the_lowest_unacked(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"1", b"2", b"3"]))
    files.acked(LANE_ALARM, [2, 2, 99, 0])
    assert bodies(files, LANE_ALARM) == [b"1", b"3"]
    assert files.floor(LANE_ALARM) == 1
    files.acked(LANE_ALARM, [1])
    assert files.floor(LANE_ALARM) == 3
    files.close()
    assert bodies(StoreFiles(tmp_path), LANE_ALARM) == [b"3"]


def test_pending_keeps_to_the_limit_but_gives_at_least_one(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"x" * 100, b"y" * 100]))
    assert len(files.pending(LANE_ALARM, 0, 10)) == 1
    assert len(files.pending(LANE_ALARM, 0, 200)) == 2
    assert files.pending(LANE_ALARM, 2, 200) == []


def test_a_record_asked_for_twice_crosses_to_the_cloud_once(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(records=[record(5)]))
    files.commit(Writes(records=[record(5), record(6, b"other")]))
    assert bodies(files, LANE_VITALS) == [b"item", b"other"]
    assert [row.seq for row in files.records("A", 0, 2 * DAY1)] == [5, 6]


def test_a_rejected_item_is_freed_and_remembered(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"1"]))
    files.rejected(LANE_ALARM, {1: "bad_value"})
    assert files.pending(LANE_ALARM, 0, 100) == []
    assert files.floor(LANE_ALARM) == 2


def test_retention_drops_whole_days_but_nothing_the_cloud_has_not_got(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"1"), chunk(b"2", DAY2)]))
    files.drop_before(DAY2, DAY2, "2000-01-01")
    assert bodies(files, LANE_VITALS) == [b"1", b"2"]
    files.acked(LANE_VITALS, [1])
    files.drop_before(DAY2, DAY2, "2000-01-01")
    assert len(list(tmp_path.glob("vitals-????????.db"))) == 1
    assert bodies(files, LANE_VITALS) == [b"2"]


def test_state_log_and_nights_are_read_back(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    event = EventRow(1, DAY1, True, "A", "ack", "", "11", "carer-1")
    files.commit(Writes(state={"a": 1}, belts={"b": {"next_seq": 7}}, events=[event]))
    files.commit(Writes(nights=[NightRow("A", "2026-11-24", 2, "{}")]))
    assert files.state() == {"a": 1, "belts": {"b": {"next_seq": 7}}}
    assert files.events("A", 0, 2 * DAY1) == [event]
    assert files.nights("A")[0].version == 2


def test_a_second_gateway_is_kept_out(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    with pytest.raises(StoreBusyError, match="another gateway"):
        StoreFiles(tmp_path)
    files.close()


def test_a_folder_that_cannot_be_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(StoreError, match=str(file)):
        StoreFiles(file)


def test_a_file_of_garbage_is_put_aside_and_the_gateway_starts(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(state={"a": 1}, chunks=[chunk(b"1")]))
    epoch = files.epoch
    files.close()
    (tmp_path / "events.db").write_bytes(b"garbage" * 1000)
    again = StoreFiles(tmp_path)
    (repair,) = again.repairs
    assert repair.aside.read_bytes().startswith(b"garbage")
    assert repair.epoch == epoch
    assert again.epoch != epoch
    assert bodies(again, LANE_VITALS) == [b"1"]


def test_what_a_damaged_file_took_is_named_and_the_rest_goes_on_in_a_new_stream(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(alarm_items=[b"alarm"], chunks=[chunk(bytes([n % 250]) * 400) for n in range(200)]))
    epoch = files.epoch
    files.close()
    day = next(tmp_path.glob("vitals-????????.db"))
    damaged = bytearray(day.read_bytes())
    damaged[8 * 4096 : 10 * 4096] = bytes(2 * 4096)
    day.write_bytes(damaged)
    again = StoreFiles(tmp_path)
    kept = bodies(again, LANE_VITALS)
    lost = sum(last - first + 1 for lane, first, last in again.repairs[0].lost if lane == LANE_VITALS)
    assert 0 < lost < 200
    assert len(kept) + lost == 200
    assert again.repairs[0].epoch == epoch != again.epoch
    assert bodies(again, LANE_ALARM) == [b"alarm"]


def test_a_chunk_that_rotted_is_told_as_rejected_and_never_sent(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"good"), chunk(b"will rot")]))
    files.close()
    with closing(sqlite3.connect(next(tmp_path.glob("vitals-????????.db")))) as db, db:
        db.execute("UPDATE chunks SET body = ? WHERE seq = 2", (b"has rot.",))
    again = StoreFiles(tmp_path)
    assert bodies(again, LANE_VITALS) == [b"good"]
    assert again.bad_chunks == 1


_WRITER = """
import sys
from pathlib import Path
from gateway.store_files import Chunk, StoreFiles, Writes
files = StoreFiles(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    body = str(number).encode()
    files.commit(Writes(state={"n": number}, alarm_items=[body], chunks=[Chunk("A", 1_700_000_000_000, body)]))
    print(number, flush=True)
"""


def test_after_kill_9_everything_that_was_committed_is_there_once(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(60):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().split()] or [60]
    process.wait()
    files = StoreFiles(tmp_path)
    state = files.state()
    assert state is not None
    assert state["n"] >= said[-1]
    for lane in (LANE_ALARM, LANE_VITALS):
        items = files.pending(lane, 0, 10**7)
        assert [int(item.body) for item in items][: said[-1]] == list(range(1, said[-1] + 1))
        assert [item.seq for item in items] == list(range(1, len(items) + 1))
    assert not files.repairs


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Store]:
    store = await Store.open(folder)
    writer = asyncio.create_task(store.run())
    try:
        yield store
    finally:
        writer.cancel()
        await store.close()


async def test_a_belt_is_acknowledged_only_after_the_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        committed: list[Writes] = []
        store.on_committed = committed.append
        store.put(Writes(records=[record(1)], belt_acks={"belt": 1}))
        assert not committed
        await store.flushed()
        assert committed[0].belt_acks == {"belt": 1}


async def test_waiting_for_an_item_ends_when_it_is_committed(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        outbox = StoreOutbox(store)
        waiting = asyncio.create_task(outbox.wait(LANE_ALARM, 0))
        await asyncio.sleep(0)
        assert not waiting.done()
        store.put(Writes(alarm_items=[b"1"]))
        await asyncio.wait_for(waiting, 5)
        assert [item.body for item in await outbox.pending(LANE_ALARM, 0, 100)] == [b"1"]


async def test_what_comes_while_the_disk_is_busy_is_committed_together(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        batches: list[Writes] = []
        store.on_committed = batches.append
        for number in range(50):
            store.put(Writes(state={"n": number}, alarm_items=[b"x"]))
        await store.flushed()
        assert len(batches) <= 2
        assert await store.call(lambda files: files.state()) == {"n": 49, "belts": {}}


async def test_minutes_wait_for_company_and_go_with_the_next_event(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        store.gather_s = lambda: 3600.0
        committed: list[int] = []
        store.on_committed = lambda writes: committed.append(len(writes.kept_chunks))
        for belt in range(3):
            store.put(Writes(chunks=[chunk(b"minute")], belts={f"b{belt}": {}}, belt_acks={f"b{belt}": 1}))
        await asyncio.sleep(0.05)
        assert committed == []
        store.put(Writes(events=[EventRow(1, DAY1, True, "A", "exit", "", "1")]))
        await store.grown(LANE_VITALS, 2)
        assert committed == [3]
        store.put(Writes(chunks=[chunk(b"minute")]))
        await store.flushed()
        assert committed == [3, 1]
        store.gather_s = lambda: 0.01
        store.put(Writes(chunks=[chunk(b"minute")]))
        await store.grown(LANE_VITALS, 4)
        assert committed == [3, 1, 1]


async def test_a_belts_history_does_not_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as store:
        store.gather_s = lambda: 3600.0
        for _ in range(GATHER_ROWS_MAX):
            store.put(Writes(chunks=[chunk(b"minute")]))
        await store.grown(LANE_VITALS, GATHER_ROWS_MAX - 1)


def test_chunks_of_a_commit_that_ended_between_its_files_are_not_kept_beside_their_repetition(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"1")]))
    files.close()
    day = next(tmp_path.glob("vitals-????????.db"))
    with closing(sqlite3.connect(day)) as db, db:
        db.execute("INSERT INTO chunks SELECT epoch, 2, bed, start_utc_ms, body, crc, floor, 0 FROM chunks")
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[chunk(b"2")]))
    assert [(item.seq, item.body) for item in files.pending(LANE_VITALS, 0, 10**6)] == [(1, b"1"), (2, b"2")]
