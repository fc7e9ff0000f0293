"""The uplink on a narrow link: how late an alarm is while a backlog drains, and how soon a day's outage is caught up.

Store, uplink, mosquitto and receiver are real. Between gateway and broker lies a link of 256 kbit/s each way with 100
ms of round trip and one queue for both lanes, as a router's; the day is that of bench_bytes. An alarm's time runs from
its hand-over to the store until it is at the platform's broker, and until the platform's ack has freed it. Link use
counts what both connections carry upwards, MQTT's own bytes with it, but nothing that was sent again.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cloud_sync.clock import Clock
from cloud_sync.mqtt import connect, parse_broker_url
from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from cloud_sync.uplink import Uplink, UplinkSettings
from gateway.store import Store, StoreOutbox
from gateway.store_files import StoreFiles
from gateway.store_rows import Chunk, Writes
from protocol.batch import AlarmEvent, decode_envelope, decode_item, encode_item
from protocol.clock_scale import REAL_TIME
from tests.cloud_sync.samples import alarm
from tests.integration.cloud.parts import GATEWAY, Mosquitto, Network, Receiver, Shape, running
from tools.bench_bytes import BELTS, NIGHTS, belt_day, night
from tools.bench_rows import Row, print_rows, row

NARROW = Shape(bits_per_s=256_000, delay_s=0.05)
DAYS_BEHIND_ALARMS = 4
ALARM_EVERY_S = 0.15
ALARMS_MAX = 1_000
PATIENCE_S = 300.0
SOURCE = "facts/SYNC.md, Uplink"


@dataclass
class Alarms:
    """When each alarm was handed over, came to the broker, and was freed."""

    given_s: dict[str, float] = field(default_factory=dict)
    arrived_s: dict[str, float] = field(default_factory=dict)
    freed_s: dict[str, float] = field(default_factory=dict)

    def late_ms(self, until: dict[str, float]) -> list[float]:
        return sorted(1000 * (until[name] - given) for name, given in self.given_s.items() if name in until)


class TimedOutbox(StoreOutbox):
    """The store's outbox, which notes when an alarm is freed; alarms are all of that lane, seqs count from 1."""

    def __init__(self, store: Store, alarms: Alarms) -> None:
        super().__init__(store)
        self._alarms = alarms

    async def acked(self, lane: str, seqs: object) -> None:
        if lane == LANE_ALARM:
            now_s = time.monotonic()
            self._alarms.freed_s |= {f"a-{seq}": now_s for seq in seqs}  # type: ignore[attr-defined]
        await super().acked(lane, seqs)  # type: ignore[arg-type]


@cache
def _day() -> list[Chunk]:
    """A day of eight belts, in order."""
    nights = [night(name) for name in NIGHTS]
    of_day = sorted((entry for belt in range(BELTS) for entry in belt_day(nights, belt)), key=lambda entry: entry[0])
    return [Chunk(chunk.bed, chunk.start_utc_ms, encode_item(chunk)) for _, chunk in of_day]


def backlog(folder: Path, days: int) -> int:
    """A store with so many days that no cloud has heard of; its chunks."""
    files = StoreFiles(folder)
    for _ in range(days):
        for first in range(0, len(_day()), 2_000):
            files.commit(Writes(chunks=_day()[first : first + 2_000]))
    files.close()
    return days * len(_day())


async def listen(url: str, alarms: Alarms) -> None:
    """Note when each alarm comes to the platform's broker."""
    async with connect(parse_broker_url(url), "bench-listener") as link:
        await link.subscribe(f"sb/v1/{GATEWAY}/alarm")
        async for _, payload in link.messages():
            now_s = time.monotonic()
            for _, body in decode_envelope(payload).items:
                item = decode_item(body)
                assert isinstance(item, AlarmEvent)
                alarms.arrived_s.setdefault(item.alarm_id, now_s)


@asynccontextmanager
async def _site(folder: Path, shape: Shape | None, alarms: Alarms) -> AsyncIterator[tuple[Store, Uplink, Network]]:
    broker = Mosquitto(folder / "broker")
    network = Network(broker.port, shape)
    receiver = Receiver(folder / "cloud", broker.url)
    with running(broker, network, receiver):
        store = await Store.open(folder / "gateway")
        settings = UplinkSettings(network.url, GATEWAY, flush_s=1.0)
        uplink = Uplink(TimedOutbox(store, alarms), settings, Clock(REAL_TIME))
        tasks = [asyncio.create_task(task) for task in (store.run(), uplink.run(), listen(broker.url, alarms))]
        try:
            yield store, uplink, network
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await store.close()


async def _floor(store: Store) -> int:
    return await store.call(lambda files: files.floor(LANE_VITALS))


async def drain_with_alarms(
    store: Store, uplink: Uplink, alarms: Alarms, chunks: int, shape: Shape | None, carried: Callable[[], int]
) -> float:
    """Give alarms while the backlog drains, until each is acked; the share of the link's rate used meanwhile."""
    while await _floor(store) == 1:  # noqa: ASYNC110 - a figure, polled
        await asyncio.sleep(0.05)
    await asyncio.sleep(2.0 if shape else 0.0)  # the window has found its size
    began_s, before = time.monotonic(), carried()
    for number in range(1, ALARMS_MAX):
        if await _floor(store) > chunks * 0.97:
            break
        alarms.given_s[f"a-{number}"] = time.monotonic()
        store.put(Writes(alarm_items=[encode_item(alarm(alarm_id=f"a-{number}", at_s=number))]))
        await asyncio.sleep(ALARM_EVERY_S if shape else ALARM_EVERY_S / 10)
    used = 8 * (carried() - before) / (time.monotonic() - began_s)
    assert uplink.status().resent_messages == 0, "the link carried something twice"
    while len(alarms.freed_s) < len(alarms.given_s):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return used / shape.bits_per_s if shape else 0.0


async def _under_load(folder: Path, shape: Shape | None, chunks: int) -> tuple[Alarms, float]:
    """The alarms' times while the backlog drains, and the share of the link's rate that was used meanwhile."""
    alarms = Alarms()
    async with _site(folder, shape, alarms) as (store, uplink, network), asyncio.timeout(PATIENCE_S):
        used = await drain_with_alarms(store, uplink, alarms, chunks, shape, lambda: network.carried_up)
    return alarms, used


async def _caught_up_s(folder: Path) -> float:
    """Seconds from the uplink's start until the cloud has acked the whole backlog."""
    async with _site(folder, NARROW, Alarms()) as (_, uplink, _network):
        began_s = time.monotonic()
        assert await uplink.flush(PATIENCE_S)
        return time.monotonic() - began_s


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


async def _measure(folder: Path) -> list[Row]:
    found: list[Row] = []
    for name, shape, days, limit in (("256 kbit/s, 100 ms", NARROW, DAYS_BEHIND_ALARMS, 400), ("LAN", None, 8, 100)):
        place = folder / name.partition(" ")[0]
        place.mkdir()
        alarms, used = await _under_load(place, shape, backlog(place / "gateway", days))
        at_broker, freed = alarms.late_ms(alarms.arrived_s), alarms.late_ms(alarms.freed_s)
        found += [
            row(f"alarm while a backlog drains, {name}: p99 to the platform", _p99(at_broker), "ms", limit=limit,
                source=SOURCE),
            row(f"alarm while a backlog drains, {name}: p50 to the platform", statistics.median(at_broker), "ms"),
            row(f"alarm while a backlog drains, {name}: p99 to its ack", _p99(freed), "ms"),
            row(f"alarm while a backlog drains, {name}: alarms", len(at_broker), ""),
        ]  # fmt: skip
        if shape is not None:
            found.append(row("link use meanwhile", 100 * used, "%", peer=85, source="issue 6: at least"))
    place = folder / "outage"
    place.mkdir()
    chunks = backlog(place / "gateway", 1)
    found.append(row("24 h outage of 8 belts at 256 kbit/s, caught up", await _caught_up_s(place), "s", limit=40,
                     source=f"issue 6; {chunks} minutes"))  # fmt: skip
    return found


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-uplink-") as folder:
        print_rows(asyncio.run(_measure(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
