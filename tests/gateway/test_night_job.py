"""night_job: a report when the window is over, a new version when late data change it, nothing when they do not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

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


async def test_a_night_is_reported_once_and_again_when_late_data_arrive(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[gateway]\nid = "g"\ntimezone = "UTC"\ndata_dir = "d"\n[[beds]]\nlabel = "A"\n')
    clock = At(None, "always", ClockScale())
    store = await Store.open(tmp_path / "d")
    job = NightJob(load_config(file), store, clock)

    async def commit(writes: Writes) -> None:
        await store.call(lambda files: files.commit(writes))
        job.touched(writes)

    async def reports() -> list[NightReportItem]:
        await job.run_once()
        pending = store._pending
        store._pending = Writes()
        found = [decode_item(body) for body in pending.vitals_items]
        await store.call(lambda files: files.commit(pending))
        return [item for item in found if isinstance(item, NightReportItem)]

    await commit(chunks(IN_BED, UP - 3600))
    await commit(chunks(UP, UP + 1800, occupied_s=0, empty_s=60, turn_overs=0))
    clock.said_utc_s = UP
    assert await reports() == []  # the window is still open

    clock.said_utc_s = UP + 2 * 3600
    (first,) = await reports()
    assert (first.bed, first.night_of, first.version) == ("A", "2026-11-24", 1)
    assert first.report["times_out_of_bed"] == 0
    assert first.report["no_data_s"] == 3600
    assert await reports() == []

    await commit(chunks(UP - 3600, UP))
    (second,) = await reports()
    assert second.version == 2
    assert second.report["no_data_s"] == 0
    assert second.report["turn_overs"] == 7 * 60
    assert second.report["complete"]

    await commit(chunks(UP - 3600, UP))  # the same again: nothing new to say
    assert await reports() == []
    (kept,) = await store.call(lambda files: files.nights("A"))
    assert json.loads(kept.report) == json.loads(json.dumps(second.report))
    await store.close()
