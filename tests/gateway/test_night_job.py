"""night_job: a report when the window is over, a new version when late data change it, nothing when they do not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest_asyncio

from gateway.clock import GatewayClock
from gateway.config import load_config
from gateway.cores.vitals import minute_of
from gateway.night_job import NightJob
from gateway.store import Store
from gateway.store_files import Chunk, Writes
from protocol.batch import NightReportItem, VitalsChunk, decode_item, encode_item
from protocol.clock_scale import ClockScale
from tests.gateway.cores.belt_talk import SERIAL, minute

NIGHT = date(2026, 11, 24)
IN_BED = int(datetime(2026, 11, 23, 22, tzinfo=UTC).timestamp())
UP = int(datetime(2026, 11, 24, 5, tzinfo=UTC).timestamp())

EMPTY = {"occupied_s": 0, "empty_s": 60, "turn_overs": 0}


class At(GatewayClock):
    """A clock that says what the test says."""

    said_utc_s = 0

    def utc_ms(self) -> int:
        return self.said_utc_s * 1000 if self.said_utc_s else super().utc_ms()


def chunks(start: int, end: int, **changes: Any) -> Writes:
    bodies = []
    for at in range(start, end, 60):
        item = VitalsChunk(
            "A", SERIAL.hex(), 1, at - IN_BED + 3600, at * 1000, True, 60, (), minute_of(minute(1, 60, **changes))
        )
        bodies.append(Chunk("A", at * 1000, encode_item(item)))
    return Writes(chunks=bodies)


class Room:
    """A night job on a store of its own; `reports` runs it and gives what it would send."""

    def __init__(self, folder: Path, store: Store, bed: str = "") -> None:
        file = folder / "gateway.toml"
        file.write_text(f'[gateway]\nid = "g"\ntimezone = "UTC"\ndata_dir = "d"\n[[beds]]\nlabel = "A"\n{bed}\n')
        self.store, self.clock = store, At(None, "always", ClockScale())
        self.job = NightJob(load_config(file), store, self.clock)

    async def commit(self, writes: Writes) -> None:
        await self.store.call(lambda files: files.commit(writes))
        self.job.touched(writes)

    async def reports(self) -> list[NightReportItem]:
        await self.job.run_once()
        pending = self.store._pending
        self.store._pending = Writes()
        found = [decode_item(body) for body in pending.vitals_items]
        await self.store.call(lambda files: files.commit(pending))
        return [item for item in found if isinstance(item, NightReportItem)]


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    store = await Store.open(tmp_path / "d")
    yield Room(tmp_path, store)
    await store.close()


async def test_a_night_is_reported_once_and_again_when_late_data_arrive(room: Room) -> None:
    await room.commit(chunks(IN_BED, UP - 3600))
    await room.commit(chunks(UP, UP + 1800, **EMPTY))
    room.clock.said_utc_s = UP
    assert await room.reports() == []  # the window is still open

    room.clock.said_utc_s = UP + 2 * 3600
    (first,) = await room.reports()
    assert (first.bed, first.night_of, first.version) == ("A", "2026-11-24", 1)
    assert first.report["times_out_of_bed"] == 0
    assert first.report["no_data_s"] == 3600
    assert await room.reports() == []

    await room.commit(chunks(UP - 3600, UP))
    (second,) = await room.reports()
    assert second.version == 2
    assert second.report["no_data_s"] == 0
    assert second.report["turn_overs"] == 7 * 60
    assert second.report["complete"]

    await room.commit(chunks(UP - 3600, UP))  # the same again: nothing new to say
    assert await room.reports() == []
    (kept,) = await room.store.call(lambda files: files.nights("A"))
    assert json.loads(kept.report) == json.loads(json.dumps(second.report))


async def test_that_there_was_no_night_is_told_once_it_is_over_and_taken_back_by_late_data(room: Room) -> None:
    await room.commit(chunks(IN_BED, IN_BED + 1800))
    await room.commit(chunks(IN_BED + 1800, IN_BED + 3600, **EMPTY))
    room.clock.said_utc_s = UP + 2 * 3600
    assert await room.reports() == []  # until noon there may be more

    await room.commit(chunks(UP + 1800, UP + 3600, **EMPTY))
    room.clock.said_utc_s = UP + 8 * 3600
    (none,) = await room.reports()
    assert (none.version, none.report) == (1, {"night": None, "reason": "no_night_recorded"})
    await room.commit(chunks(UP + 1800, UP + 3600, **EMPTY))
    assert await room.reports() == []  # said already

    await room.commit(chunks(IN_BED + 2 * 3600, IN_BED + 4 * 3600))
    (late,) = await room.reports()
    assert (late.version, late.report["time_in_bed_s"]) == (2, 2 * 3600 + 1800)
    # A night that was none is no night to compare with either.
    assert late.report["versus_usual"] is None


async def test_a_night_that_was_none_does_not_stop_the_next_ones_report(room: Room) -> None:
    await room.commit(chunks(IN_BED, IN_BED + 1800))
    await room.commit(chunks(IN_BED + 1800, IN_BED + 3600, **EMPTY))
    room.clock.said_utc_s = UP + 8 * 3600
    assert [item.report["night"] for item in await room.reports()] == [None]
    day = 24 * 3600
    await room.commit(chunks(IN_BED + day, UP + day))
    room.clock.said_utc_s = UP + day + 2 * 3600
    (next_one,) = await room.reports()
    assert next_one.night_of == "2026-11-25"


async def test_a_bed_with_a_window_of_its_own_has_its_night_there(room: Room, tmp_path: Path) -> None:
    late = Room(tmp_path, room.store, 'night_window = ["02:00", "09:00"]')
    morning = UP - 2 * 3600  # 03:00; in the usual window the three hours before were a gap
    await late.commit(chunks(IN_BED, IN_BED + 2 * 3600))
    await late.commit(chunks(IN_BED + 2 * 3600, morning, **EMPTY))
    await late.commit(chunks(morning, morning + 19_800))
    await late.commit(chunks(morning + 19_800, morning + 21_600, **EMPTY))
    late.clock.said_utc_s = UP + 3 * 3600
    assert await late.reports() == []  # 08:00: this window is still open
    late.clock.said_utc_s = UP + 4 * 3600
    (night,) = await late.reports()
    assert (night.report["in_bed_at"], night.report["rise_at"]) == ("2026-11-24T03:00:00", "2026-11-24T08:30:00")
