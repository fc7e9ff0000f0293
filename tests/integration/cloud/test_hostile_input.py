"""A stranger who may publish anything, beside an honest gateway: everything bad is refused or put into quarantine, the
receiver stays up and small, and what is honest arrives once."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import zstandard

from cloud_sync.mqtt import Link, connect, parse_broker_url
from protocol.batch import Envelope, encode_envelope, encode_item
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.postgres_server import postgres_server
from tests.cloud_sync.samples import alarm, minute
from tests.integration.cloud.parts import GATEWAY, Broker, Receiver, running
from tests.integration.cloud.test_delivery_end_to_end import fill, uplink_of

GROWTH_KIB_MAX = 80_000
VITALS, ALARM = f"sb/v1/{GATEWAY}/vitals", f"sb/v1/{GATEWAY}/alarm"


def unreadable() -> list[bytes]:
    """Messages of which nothing can be taken."""
    bomb = zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024))
    liar = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 * 1024 * 1024))
    item = encode_item(alarm())
    shapes: list[Any] = [
        None, "text", {}, [], [1], [2, GATEWAY, "e", 1, 1, []], [1, 5, "e", 1, 1, []], [1, GATEWAY, "e", -1, 1, []],
        [1, GATEWAY, "e", 2**64 - 1, 1, [[0, item]]], [1, GATEWAY, "e", 1, 1, {"a": 1}], [1, GATEWAY, 7, 1, 1, []],
        [1, GATEWAY, "e", 1, 1, [[0]]], [1, GATEWAY, "e", 1, 1, [["0", item]]],
    ]  # fmt: skip
    return [
        b"", b"\xc1", bytes(100_000), bomb, bomb[:-20], liar,
        b"\x91" * 60_000 + b"\x01", b"\x81\x01" * 60_000 + b"\x01",
        *(bytes.fromhex(head) for head in ("dfffffffff", "ddffffffff", "c6ffffffff", "dbffffffff", "c9ffffffff00")),
        *map(msgpack.packb, shapes),
        encode_envelope(Envelope("gw-99", "e", 1, 1, ((0, item),))),  # foreign: another's batch on this topic
    ]  # fmt: skip


def bad_items() -> list[bytes]:
    """Items that each go into quarantine, in a batch that can be read."""
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    return [
        b"", b"\xc1", b"\x91" * 50_000, msgpack.packb({0: 99}), msgpack.packb({0: 1, 1: 5}),
        msgpack.packb({0: 2, 5: deep}), msgpack.packb({0: 8, 1: "101-A"}), encode_item(minute())[:-3],
        encode_item(minute()) + b"\x00",
        msgpack.packb({0: 1, 1: "x" * 10_000, 2: [1, 2, 3, True], 3: "ack"}), msgpack.packb([0, 1]),
    ]  # fmt: skip


async def send(link: Link, topic: str, payload: bytes) -> None:
    link.send(topic, payload, lambda reason: None)
    await asyncio.sleep(0.01)


def peak_kib(receiver: Receiver) -> int:
    assert receiver.process is not None
    status = Path(f"/proc/{receiver.process.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_whatever_a_stranger_publishes_the_honest_gateways_data_arrive_once(tmp_path: Path, kind: str) -> None:
    broker = Broker()
    outbox = MemoryOutbox()
    recorded: list[tuple[str, bytes]] = []

    async def record(link: Link) -> None:
        async for name, payload in link.messages():
            recorded.append((name, payload))

    async def play(receiver: Receiver) -> dict[str, int]:
        with running(broker, receiver):
            async with (
                uplink_of(outbox, broker.url) as uplink,
                connect(parse_broker_url(broker.url), "listener") as listener,
                connect(parse_broker_url(broker.url), "stranger") as stranger,
            ):
                await listener.subscribe(VITALS)
                await listener.subscribe(ALARM)
                recording = asyncio.create_task(record(listener))
                readings = fill(outbox, 0, 5)
                assert await uplink.flush(20)
                recording.cancel()
                before_kib = peak_kib(receiver)
                assert recorded
                for payload in unreadable():
                    for topic in (ALARM, VITALS):
                        await send(stranger, topic, payload)
                bad = tuple(enumerate(bad_items()))
                await send(stranger, ALARM, encode_envelope(Envelope(GATEWAY, "strange", 1, 1, bad)))
                for name, payload in [*reversed(recorded), *recorded]:
                    await send(stranger, name, payload)
                    await send(stranger, name.replace(GATEWAY, "gw-98"), payload)
                await send(stranger, "sb/v1//vitals", recorded[0][1])
                await send(stranger, f"sb/v1/{GATEWAY}/nonsense", recorded[0][1])
                readings += fill(outbox, 5, 5)
                assert await uplink.flush(30)
                await asyncio.sleep(0.5)
                assert receiver.process is not None
                assert receiver.process.poll() is None
                assert peak_kib(receiver) - before_kib < GROWTH_KIB_MAX
            stats: dict[str, int] = receiver.get("api/stats")
            alarms = receiver.get("api/alarms?limit=1000")["alarms"]
        assert stats["readings"] == readings
        assert {row["gateway"] for row in alarms} == {GATEWAY}
        return stats

    if kind == "sqlite":
        stats = await play(Receiver(tmp_path, broker.url))
    else:
        with postgres_server("hostile") as url:
            stats = await play(Receiver(tmp_path, broker.url, "--database", url))
    messages = {hashlib.sha256(payload).digest() for payload in unreadable()}
    foreign = {hashlib.sha256(payload).digest() for _, payload in recorded}
    assert stats["quarantined"] == len(messages) + len(foreign) + len(bad_items())
    assert stats["duplicates"] >= 2 * sum(1 for _ in recorded)
    assert (stats["alarms"], stats["missing"], stats["conflicts"]) == (10, 0, 0)
    assert not outbox.left()
    assert not any(outbox.refused.values())
