"""A boot without a clock, offline, and the time that comes later: at the gateway and at the receiver."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.ingest import examine
from cloud_sync.outbox import LANE_ALARM, LANE_VITALS, LANES
from cloud_sync.receiver.stores.opening import open_reads, open_writes
from gateway.clock import Anchor, GatewayClock
from gateway.config import Config, load_config
from gateway.night_job import NightJob
from gateway.room import Room
from gateway.store import Store
from gateway.store_files import Chunk, RecordRow, StoreFiles, Writes
from gateway.store_provisional import CHUNKS_AT_ONCE, Zeros
from protocol.batch import Envelope, VitalsChunk, decode_item, encode_envelope, encode_item
from protocol.clock_scale import ClockScale
from tests.cloud_sync.samples import START_UTC_MS, minute
from tests.gateway.cores.belt_talk import SERIAL, hello, report
from tests.gateway.cores.belt_talk import minute as minute_record
from tests.gateway.small_gateway import configuration, running

TRUE_START_S = int(datetime(2026, 11, 23, 21, tzinfo=UTC).timestamp())
WRONG_START_S = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())  # the date of the card's image
OFFLINE_S = 10 * 3600
OFF_MS = 7 * 86_400_000


class BareClock(GatewayClock):
    """A machine without a battery for its clock: wall time begins at the image's date until `sync`."""

    def __init__(self) -> None:
        self.passed_s = 0
        self.is_synced = False
        super().__init__(None, "auto", ClockScale())
        self._trusted = False

    def mono_ms(self) -> int:
        return 1_000_000 + self.passed_s * 1000

    def utc_ms(self) -> int:
        return ((TRUE_START_S if self.is_synced else WRONG_START_S) + self.passed_s) * 1000

    def trusted(self) -> bool:
        return self.is_synced

    def anchor(self) -> Anchor:
        return Anchor("0b007", 60_000 + self.passed_s * 1000, self.elapsed_ms(), self.utc_ms(), self.trusted())


def untrusted(number: int, boot_id: int = 3) -> Chunk:
    start_ms = START_UTC_MS + number * 60_000 - OFF_MS
    chunk = replace(minute(number=number), boot_id=boot_id, start_utc_ms=start_ms, trusted=False)
    return Chunk("101-A", start_ms, encode_item(chunk), 60)


def zeros(**belts: int) -> Zeros:
    return Zeros({("belt-101-A", int(boot.removeprefix("boot_"))): zero for boot, zero in belts.items()}, 0, 0)


def times(files: StoreFiles) -> list[tuple[int, bool]]:
    found = []
    for body in files.chunks("101-A", 0, 2**50):
        chunk = decode_item(body)
        assert isinstance(chunk, VitalsChunk)
        found.append(((chunk.start_utc_ms - START_UTC_MS) // 60_000, chunk.trusted))
    return found


def test_chunks_get_their_time_and_the_file_of_their_day_but_stay_as_they_were_sent(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(chunks=[Chunk("101-A", START_UTC_MS - 60_000, encode_item(
        replace(minute(), start_utc_ms=START_UTC_MS - 60_000, trusted=False)), 60)]))  # of an earlier time: left alone
    files.begin_provisional()
    files.commit(Writes(chunks=[untrusted(n) for n in range(3)]))
    sent = [item.body for item in files.pending(LANE_VITALS, 0, 10**7)]
    placed = files.place(zeros(boot_3=START_UTC_MS))
    assert placed is not None
    assert (placed.left, len(placed.moved)) == (set(), 3)
    assert times(files) == [(-1, False), (0, True), (1, True), (2, True)]
    assert sorted(file.name for file in tmp_path.glob("vitals-????????.db")) == [
        "vitals-20261111.db", "vitals-20261118.db"]  # fmt: skip
    assert [item.body for item in files.pending(LANE_VITALS, 0, 10**7)] == sent
    assert files.place(zeros(boot_3=START_UTC_MS)) is None
    files.close()
    assert times(StoreFiles(tmp_path))[1:] == [(0, True), (1, True), (2, True)]


def test_a_boot_that_nothing_anchors_waits_and_survives_a_restart(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.begin_provisional()
    record = RecordRow("belt-101-A", 9, "101-A", 2, 5_000, START_UTC_MS - OFF_MS, "fault", {})
    files.commit(Writes(chunks=[untrusted(0, boot_id=2), untrusted(1)], records=[record]))
    placed = files.place(zeros(boot_3=START_UTC_MS))
    assert placed is not None
    assert placed.left == {("belt-101-A", 2)}
    files.close()
    files = StoreFiles(tmp_path)
    files.begin_provisional()
    placed = files.place(zeros(boot_2=START_UTC_MS - 3_600_000))
    assert placed is not None
    assert not placed.left
    assert times(files) == [(-60, True), (1, True)]
    assert [row.utc_ms for row in files.records("101-A", 0, 2**50)] == [START_UTC_MS - 3_600_000 + 5_000]


@pytest.mark.parametrize("restart", [False, True])
def test_a_week_of_chunks_is_put_right_a_few_at_a_time_and_alarms_come_between(tmp_path: Path, restart: bool) -> None:
    files = StoreFiles(tmp_path)
    files.begin_provisional()
    count = 3 * CHUNKS_AT_ONCE + 7  # over a midnight of the wrong time and one of the true
    for first in range(0, count, 100):
        chunks = [untrusted(n, boot_id=2 if n % 300 == 1 else 3) for n in range(first, min(count, first + 100))]
        files.commit(Writes(chunks=chunks))
    files.acked(LANE_VITALS, range(1, 900))
    before = [item.body for item in files.pending(LANE_VITALS, 0, 10**7)]
    known = zeros(boot_3=START_UTC_MS)
    calls, placed = 0, files.place(known)
    while placed is not None and placed.after is not None:
        calls += 1
        assert len(placed.moved) <= CHUNKS_AT_ONCE
        files.commit(Writes(alarm_items=[b"an alarm"]))
        if restart:
            files.close()
            files = StoreFiles(tmp_path)
            placed = files.place(known)  # from the beginning: what has its time is passed over
        else:
            placed = files.place(known, placed)
    assert placed is not None
    assert placed.left == {("belt-101-A", 2)}
    assert calls >= 3
    assert [number for number, trusted in times(files) if trusted] == [n for n in range(count) if n % 300 != 1]
    assert [item.body for item in files.pending(LANE_VITALS, 0, 10**7)] == before
    assert len(files.pending(LANE_ALARM, 0, 10**7)) == calls
    placed = files.place(zeros(boot_2=START_UTC_MS, boot_3=START_UTC_MS))
    assert placed is not None
    assert (len(placed.moved), placed.left) == (6, set())
    assert times(files) == [(n, True) for n in range(count)]


def test_a_cut_while_a_chunk_moves_doubles_nothing(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.begin_provisional()
    files.commit(Writes(chunks=[untrusted(0), untrusted(1), Chunk("101-A", START_UTC_MS + 600_000, b"of the day", 0)]))
    before = files.pending(LANE_VITALS, 0, 10**7)
    files.close()
    # Into the file of the true day, and the power goes before the rows have left the other.
    with closing(sqlite3.connect(tmp_path / "vitals-20261118.db")) as db, db:
        db.execute("ATTACH ? AS wrong", (str(tmp_path / "vitals-20261111.db"),))
        db.execute("INSERT INTO chunks SELECT epoch, seq, bed, start_utc_ms + ?, body, crc, floor, ? FROM wrong.chunks",
                   (OFF_MS, OFF_MS))  # fmt: skip
    files = StoreFiles(tmp_path)
    files.place(zeros(boot_3=START_UTC_MS))
    assert files.pending(LANE_VITALS, 0, 10**7) == before
    files.close()
    with closing(sqlite3.connect(tmp_path / "vitals-20261111.db")) as db:
        assert db.execute("SELECT count(*) FROM chunks").fetchone() == (0,)


async def test_a_night_of_a_boot_without_a_clock_offline_is_the_night_it_would_have_been(tmp_path: Path) -> None:
    """The room is offline for ten hours with the image's date; then a time server and the cloud are reached."""
    late, late_minutes = await night_and_cloud(tmp_path / "late", is_late=True)
    timely, timely_minutes = await night_and_cloud(tmp_path / "timely", is_late=False)
    assert late["night_of"] == date(2026, 11, 24).isoformat()
    assert late == timely
    assert late_minutes == timely_minutes
    assert late_minutes[0] // 1000 - TRUE_START_S in range(121)
    assert len(late_minutes) >= OFFLINE_S // 60 - 2


async def test_a_gateway_that_knows_the_time_puts_right_what_it_wrote_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.NIGHT_EVERY_S", 0.1)
    config = configuration(tmp_path)
    files = StoreFiles(config.gateway.data_dir)
    files.begin_provisional()
    early = replace(minute("A"), belt=SERIAL.hex(), boot_id=1, start_second=940, start_utc_ms=5_000, trusted=False)
    early = replace(early, readings=tuple(replace(one, second=940 + one.second) for one in early.readings))
    files.commit(Writes(chunks=[Chunk("A", 5_000, encode_item(early), 60)]))
    files.close()
    async with running(config) as talk:
        talk.open()
        await talk.until(lambda bed: bed["state"] == "present", keep=lambda: talk.report("occupied", 100))
        zero_ms = talk.gateway.room.zeros().belts[SERIAL.hex(), 1]
        async with asyncio.timeout(10):
            while True:
                starts = await talk.gateway._store.call(lambda files: [
                    chunk.start_utc_ms for body in files.chunks("A", 10**12, 2**50)
                    if isinstance(chunk := decode_item(body), VitalsChunk) and chunk.start_second == 940])  # fmt: skip
                if starts:
                    break
                await asyncio.sleep(0.05)
    assert abs(starts[0] - zero_ms - 940_000) < 20_000  # at twenty times the speed


def configured(folder: Path) -> Config:
    folder.mkdir()
    file = folder / "gateway.toml"
    file.write_text('[gateway]\nid = "gw-01"\ntimezone = "UTC"\ndata_dir = "d"\n[[beds]]\nlabel = "101-A"\n'
                    f'serial = "{SERIAL.hex()}"\nkey = "{"00" * 16}"\n')  # fmt: skip
    file.chmod(0o600)
    return load_config(file)


async def night_and_cloud(folder: Path, is_late: bool) -> tuple[dict[str, Any], list[int]]:
    """The gateway's report of the night, and the minutes that a receiver has of it."""
    config, clock = configured(folder), BareClock()
    clock.is_synced = not is_late
    store = await Store.open(folder / "d")
    if is_late:
        await store.call(lambda files: files.begin_provisional())
    handed: list[Writes] = []
    room = Room(config, clock, None, handed.append, lambda *_: True, lambda _: None, lambda _: None)
    nights = NightJob(config, store, clock)

    async def commit() -> None:
        while handed:
            writes = handed.pop(0)
            await store.call(lambda files, writes=writes: files.commit(writes))  # type: ignore[misc]
            nights.touched(writes)

    room.start()
    await belt_night(room, clock, commit)
    clock.is_synced = True
    speak(room, clock, OFFLINE_S)
    room.advance()
    room.finish()  # closes the chunk, the first with a trusted time
    await commit()
    placed = await store.call(lambda files: files.place(room.zeros()))
    while placed is not None:
        assert not placed.left
        nights.look_at(placed.moved)
        if placed.after is None:
            break
        placed = await store.call(partial(StoreFiles.place, zeros=room.zeros(), so_far=placed))
    assert is_late == (placed is not None)
    clock.passed_s = OFFLINE_S + 6 * 3600
    await nights.run_once()
    (row,) = store._pending.nights
    minutes = await store.call(sent_minutes(folder / "receiver.db"))
    await store.close()
    return json.loads(row.report), minutes


async def belt_night(room: Room, clock: BareClock, commit: Callable[[], Any]) -> None:
    from gateway.radio import Opened

    room.radio_event(Opened(SERIAL, clock.elapsed_ms(), hello(uptime_s=1000)))
    for second in range(0, OFFLINE_S, 20):
        speak(room, clock, second)
        if second % 60 == 40:
            record = minute_record(second // 60 + 1, 1000 + second + 19)
            room.radio_event(heard(clock, record))
        if second % 3600 == 0:
            await commit()
    await commit()


def speak(room: Room, clock: BareClock, second: int) -> None:
    clock.passed_s = second
    room.radio_event(heard(clock, report(1000 + second, record_seq=second // 60)))


def heard(clock: BareClock, message: Any) -> Any:
    from gateway.radio import Heard

    return Heard(SERIAL, clock.elapsed_ms(), message)


def sent_minutes(database: Path) -> Callable[[StoreFiles], list[int]]:
    """Deliver all that the store holds to a receiver, the vitals first; the minutes that it then has."""

    def deliver(files: StoreFiles) -> list[int]:
        writes = open_writes(database)
        for lane in reversed(LANES):
            items = files.pending(lane, 0, 10**8)
            for first in range(0, len(items), 60):
                part = items[first : first + 60]
                pairs = tuple((item.seq - part[0].seq, item.body) for item in part)
                arrival = examine(f"sb/v1/gw-01/{lane}", encode_envelope(Envelope("gw-01", "e", part[0].seq, 1, pairs)))
                assert arrival is not None
                assert not arrival.code
                writes.commit([arrival], START_UTC_MS)
        for _ in range(20):  # what one commit leaves, a later one does
            writes.commit([], START_UTC_MS)
        writes.close()
        reads = open_reads(database)
        found = [row.utc_ms for row in reads.minutes("gw-01", "101-A", 0, 2**50)]
        reads.close()
        return found

    assert LANES[0] == LANE_ALARM
    return deliver
