"""Uplink, broker, receiver and database for real: whatever is killed, everything arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from cloud_sync.clock import Clock
from cloud_sync.commands.platform import main as platform
from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from cloud_sync.uplink import Uplink, UplinkSettings
from protocol.batch import LiveBed, LiveSnapshot, encode_item
from protocol.clock_scale import REAL_TIME
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.samples import alarm, minute, night
from tests.integration.cloud.parts import GATEWAY, Broker, Receiver, running

RESIDENTS = """\
[[resident]]
name = "Wang Xiulan"
gateway = "gw-01"
bed = "101-A"
room = "101"
"""


@contextlib.asynccontextmanager
async def uplink_of(outbox: MemoryOutbox, url: str, gateway: str = GATEWAY) -> AsyncIterator[Uplink]:
    settings = UplinkSettings(url, gateway, flush_s=0.2, flush_real_s_min=0.05, reconnect_s_max=1.0)
    uplink = Uplink(outbox, settings, Clock(REAL_TIME))
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def fill(outbox: MemoryOutbox, first_minute: int, minutes: int, beds: int = 4) -> int:
    """Put minutes of several beds and an alarm event a minute; the number of readings put."""
    readings = 0
    for number in range(first_minute, first_minute + minutes):
        for bed in range(beds):
            outbox.put(LANE_VITALS, encode_item(minute(f"10{bed}-A", number)))
            readings += 60
        outbox.put(LANE_ALARM, encode_item(alarm(alarm_id=f"a-{number}", at_s=number * 60)))
    return readings


async def test_everything_put_arrives_once_and_is_shown(tmp_path: Path) -> None:
    residents = tmp_path / "residents.toml"
    residents.write_text(RESIDENTS)
    broker = Broker()
    receiver = Receiver(tmp_path / "data", broker.url, "--residents", str(residents))
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 10)
            outbox.put(LANE_ALARM, encode_item(alarm("ack", alarm_id="a-9", at_s=700)))
            outbox.put(LANE_VITALS, encode_item(night()))
            uplink.live(LiveSnapshot(GATEWAY, Clock(REAL_TIME).utc_ms(), True, (LiveBed("101-A", "present"),)))
            assert await uplink.flush(20)
            status = uplink.status()
            await asyncio.sleep(0.6)  # the lossy live snapshot is not part of the flush
        stats = receiver.get("api/stats")
        card = receiver.get("api/residents")["residents"][0]
    assert stats["readings"] == readings
    assert (stats["missing"], stats["conflicts"], stats["quarantined"], stats["alarms"]) == (0, 0, 0, 10)
    assert status.state == "ok"
    assert status.freed_items == 52
    assert card["night"]["sleep_s"] == 25_200
    assert card["night"]["heart_rate_mean_bpm"] == 61.4
    assert card["live"]["state"] == "present"
    assert {row["state"] for row in card["open_alarms"]} == {"unacknowledged", "acknowledged"}


class _SlowOutbox(MemoryOutbox):
    """Its disk takes a while for each commit."""

    commits = 0

    async def acked(self, lane: str, seqs: Sequence[int]) -> None:
        self.commits += lane == LANE_VITALS
        await asyncio.sleep(0.5)
        await super().acked(lane, seqs)


async def test_what_is_acked_while_the_disk_is_busy_is_freed_in_one_commit(tmp_path: Path) -> None:
    broker, outbox = Broker(), _SlowOutbox()
    receiver = Receiver(tmp_path / "data", broker.url)
    with running(broker, receiver):
        fill(outbox, 0, 300)
        async with uplink_of(outbox, broker.url) as uplink:
            assert await uplink.flush(30)
            sent = uplink.status().sent_messages
            freed = uplink.status().freed_items
    assert freed == 300 * 5
    assert sent > 12
    assert outbox.commits < sent / 2


async def test_what_is_put_while_the_broker_is_away_arrives_once_it_is_back(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(receiver):  # it says that it cannot connect, and goes on trying
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 5)
            assert not await uplink.flush(0.5)
            assert uplink.status().state == "down"
            with running(broker):
                readings += fill(outbox, 5, 5)
                assert await uplink.flush(20)
                stats = receiver.get("api/stats")
    assert stats["readings"] == readings
    assert stats["missing"] == stats["conflicts"] == 0


async def test_a_broker_that_restarts_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 60)
            await outbox.wait_freed(LANE_VITALS, 1)
            await asyncio.to_thread(broker.stop)
            readings += fill(outbox, 60, 20)
            await asyncio.to_thread(broker.start)
            assert await uplink.flush(30)
        stats = receiver.get("api/stats")
    assert stats["readings"] == readings
    assert stats["missing"] == stats["conflicts"] == 0


async def test_a_receiver_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 120)
            for _ in range(2):
                await outbox.wait_freed(LANE_VITALS, len(outbox.freed[LANE_VITALS]) + 1)
                receiver.kill()  # somewhere between a commit and its ack
                await asyncio.to_thread(receiver.start)
            assert await uplink.flush(30)
        stats = receiver.get("api/stats")
    assert stats["readings"] == readings
    assert stats["missing"] == stats["conflicts"] == 0
    assert stats["alarms"] == 120


async def test_a_receiver_restored_from_a_backup_gets_back_what_was_acked_since(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path / "data", broker.url)
    outbox = MemoryOutbox()
    with running(broker):
        async with uplink_of(outbox, broker.url) as uplink:
            receiver.start()
            readings = fill(outbox, 0, 5)
            assert await uplink.flush(20)
            (tmp_path / "passphrase").write_text("correct horse battery")
            (tmp_path / "passphrase").chmod(0o600)
            where = ["--data", str(tmp_path / "data"), "--passphrase-file", str(tmp_path / "passphrase")]
            assert await asyncio.to_thread(platform, ["backup", str(tmp_path / "backup"), *where]) == 0
            readings += fill(outbox, 5, 5)
            assert await uplink.flush(20)
            receiver.stop()
            shutil.rmtree(tmp_path / "data")
            assert await asyncio.to_thread(platform, ["restore", str(tmp_path / "backup"), *where]) == 0
            with running(receiver):
                readings += fill(outbox, 10, 5)
                async with asyncio.timeout(30):
                    while (stats := receiver.get("api/stats"))["readings"] < readings:
                        await uplink.flush(5)
    assert (stats["readings"], stats["alarms"]) == (readings, 15)
    assert stats["missing"] == stats["conflicts"] == 0


async def test_a_receiver_with_an_empty_database_gets_all_that_gateways_still_keep(tmp_path: Path) -> None:
    """As after a move from SQLite to PostgreSQL."""
    broker = Broker()
    first, second = Receiver(tmp_path / "old", broker.url), Receiver(tmp_path / "new", broker.url)
    outbox = MemoryOutbox()
    with running(broker):
        async with uplink_of(outbox, broker.url) as uplink:
            with running(first):
                readings = fill(outbox, 0, 8)
                assert await uplink.flush(20)
            with running(second):
                readings += fill(outbox, 8, 2)
                async with asyncio.timeout(30):
                    while (stats := second.get("api/stats"))["readings"] < readings:
                        await uplink.flush(5)
    assert (stats["readings"], stats["alarms"]) == (readings, 10)
    assert stats["missing"] == stats["conflicts"] == 0
