"""Several receiver workers on mosquitto's shared subscriptions and one PostgreSQL, some killed: all once, none lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from cloud_sync.receiver.stores.minute_sums import FIELDS, MINUTE_MS, unpack_minutes
from cloud_sync.receiver.stores.packs import open_pack
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.postgres_server import postgres_server
from tests.integration.cloud.parts import Mosquitto, Receiver, running
from tests.integration.cloud.test_delivery_end_to_end import fill, uplink_of

GATEWAYS, WORKERS, BEDS = 3, 3, 4
ROUNDS, ROUND_MINUTES = 3, 30  # a worker is killed in each but the last
MINUTES = ROUNDS * ROUND_MINUTES
CHUNKS = GATEWAYS * MINUTES * BEDS


async def test_workers_that_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    mosquitto = Mosquitto(tmp_path)
    outboxes = [MemoryOutbox() for _ in range(GATEWAYS)]
    readings = 0
    with postgres_server("workers") as url:
        workers = [Receiver(tmp_path / f"{number}", mosquitto.url, "--database", url) for number in range(WORKERS)]
        with running(mosquitto, *workers):
            async with AsyncExitStack() as stack:
                uplinks = [await stack.enter_async_context(uplink_of(outbox, mosquitto.url, f"gw-{number}"))
                           for number, outbox in enumerate(outboxes)]  # fmt: skip
                for number in range(ROUNDS):
                    freed = len(outboxes[0].freed[LANE_VITALS])
                    readings += sum(fill(outbox, number * ROUND_MINUTES, ROUND_MINUTES, BEDS) for outbox in outboxes)
                    async with asyncio.timeout(60):
                        await outboxes[0].wait_freed(LANE_VITALS, freed + 1)
                    if number < ROUNDS - 1:
                        workers[number].kill()  # somewhere between a commit and its ack
                        await asyncio.to_thread(workers[number].start)
                assert all(await asyncio.gather(*(uplink.flush(60) for uplink in uplinks)))
            stats = workers[2].get("api/stats")
        with psycopg.connect(url) as direct:
            packs = direct.execute("SELECT body, start_utc_ms, minutes FROM packs").fetchall()
            shares = direct.execute("SELECT value FROM counters WHERE name = 'items'").fetchall()
    stored = [(stream, seq) for body, _, _ in packs for stream, seq, _ in open_pack(bytes(body))]
    summed = sum(sums[FIELDS.index("readings")] for _, start_ms, minutes in packs
                 for _, sums in unpack_minutes(start_ms // MINUTE_MS, bytes(minutes)))
    assert (len(stored), len(set(stored))) == (CHUNKS, CHUNKS)
    assert (stats["readings"], summed) == (readings, readings)
    assert (stats["alarms"], stats["missing"], stats["conflicts"]) == (GATEWAYS * MINUTES, 0, 0)
    assert not any(outbox.left() or outbox.refused[lane] for outbox in outboxes for lane in (LANE_ALARM, LANE_VITALS))
    assert len(shares) >= 2  # more than one worker did the work
