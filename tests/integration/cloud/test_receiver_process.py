"""The receiver as a process: events to whoever listens, poison that blocks nothing, several workers, a quick end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from cloud_sync.mqtt import connect, parse_broker_url
from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from protocol.batch import decode_ack, encode_item
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.samples import alarm, minute
from tests.gateway.outlets.test_webhooks import Endpoint, endpoint
from tests.integration.cloud.parts import GATEWAY, Broker, EventStream, Receiver, running
from tests.integration.cloud.test_delivery_end_to_end import RESIDENTS, fill, uplink_of

__all__ = ["endpoint"]


async def test_an_alarm_reaches_whoever_listens_for_events(tmp_path: Path) -> None:
    residents = tmp_path / "residents.toml"
    residents.write_text(RESIDENTS)
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url, "--residents", str(residents))
    outbox = MemoryOutbox()
    with running(broker, receiver), EventStream(receiver) as events:
        async with uplink_of(outbox, broker.url):
            outbox.put(LANE_ALARM, encode_item(alarm()))
            change = await asyncio.to_thread(events.next, "change")
        (card,) = receiver.get("api/residents")["residents"]
        assert receiver.stop() == 0  # an open stream does not hold the end up
    assert change["residents"] == [card["resident_id"]]
    assert [row["state"] for row in card["open_alarms"]] == ["unacknowledged"]


async def test_an_alarm_is_told_to_another_system(tmp_path: Path, endpoint: Endpoint) -> None:
    (tmp_path / "hook.secret").write_text("0123456789abcdef")
    (tmp_path / "hook.secret").chmod(0o600)
    config = tmp_path / "receiver.toml"
    config.write_text(f'[receiver]\ndata = "data"\n[[receiver.webhooks]]\nname = "care"\nurl = "{endpoint.url}"\n'
                      'secret_file = "hook.secret"\n')  # fmt: skip
    broker = Broker()
    receiver = Receiver(tmp_path / "data", broker.url, "--config", str(config))
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url), asyncio.timeout(20):
            outbox.put(LANE_ALARM, encode_item(alarm()))
            while not endpoint.got:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert receiver.stop() == 0
    ((headers, body),) = endpoint.got
    assert (body["event"], body["gateway"], body["bed"]) == ("alarm_raised", GATEWAY, "101-A")
    assert headers["X-Sleepbelt-Signature"].startswith("t=")


async def test_poison_is_acked_as_unreadable_and_what_follows_arrives(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url) as uplink:
            outbox.put(LANE_ALARM, encode_item(alarm()))
            outbox.put(LANE_ALARM, b"\xc1 an item that is none")
            assert await uplink.flush(10)
            async with connect(parse_broker_url(broker.url), "foreigner") as link:
                await link.subscribe(f"sb/v1/{GATEWAY}/ack")
                for payload in (b"garbage", b"\x91" * 5000, bytes(100_000)):
                    link.send(f"sb/v1/{GATEWAY}/alarm", payload, print)
                acks = [decode_ack(payload) async for payload in _first(link.messages(), 3)]
            outbox.put(LANE_ALARM, encode_item(alarm("ack", at_s=5)))
            assert await uplink.flush(10)
        stats = receiver.get("api/stats")
    assert all(ack.unreadable for ack in acks)
    assert outbox.refused[LANE_ALARM] == {2: "not_msgpack"}
    assert (stats["alarm_events"], stats["quarantined"], stats["missing"]) == (2, 4, 0)


async def test_two_workers_share_the_batches_and_store_each_once(tmp_path: Path) -> None:
    broker = Broker()
    workers = [Receiver(tmp_path, broker.url), Receiver(tmp_path, broker.url)]
    outbox = MemoryOutbox()
    with running(broker, *workers):
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 60)
            assert await uplink.flush(20)
        stats = [worker.get("api/stats") for worker in workers]
    assert [counts["readings"] for counts in stats] == [readings, readings]
    assert stats[0]["missing"] == stats[0]["conflicts"] == 0


async def test_a_damaged_database_is_put_aside_and_new_batches_are_stored(tmp_path: Path) -> None:
    (tmp_path / "receiver.db").write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 32)
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(broker, receiver):
        async with uplink_of(outbox, broker.url) as uplink:
            outbox.put(LANE_VITALS, encode_item(minute()))
            assert await uplink.flush(10)
    assert "damaged" in receiver.ready["remark"]
    with sqlite3.connect(tmp_path / "receiver.db") as direct:
        assert direct.execute("SELECT sum(readings) FROM packs").fetchone() == (60,)


async def _first(messages: AsyncIterator[tuple[str, bytes]], count: int) -> AsyncIterator[bytes]:
    async for _, payload in messages:
        yield payload
        count -= 1
        if count == 0:
            return
