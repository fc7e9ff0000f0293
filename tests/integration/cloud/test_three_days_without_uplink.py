"""72 hours without a broker, three alarms: the gateway's store keeps them, the cloud then has each once, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from cloud_sync.clock import Clock
from cloud_sync.uplink import Uplink, UplinkSettings
from gateway.radio import Closed, Heard, Opened
from gateway.room import Room
from gateway.store import Store, StoreOutbox
from protocol.clock_scale import REAL_TIME
from tests.gateway.cores.belt_talk import SERIAL, hello, report
from tests.gateway.small_gateway import configuration
from tests.gateway.steered_clock import SteeredClock
from tests.integration.cloud.parts import GATEWAY, Broker, Receiver, running

START_UTC_MS = 1_795_442_400_000  # 2026-11-23 22:00 in Shanghai
DAY_S = 86_400
DAYS = 3
RAISED_S = 85
"""Said to be empty since 6 s at second 31, and allowed 60 s."""


class Days:
    """A room whose time the test moves on; its belt is heard for the minutes that matter."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.at_s = 0
        self._store = store
        self._clock = SteeredClock(lambda: self.at_s * 1000, START_UTC_MS)
        config = configuration(folder, "allowed_s = 60\nsettle_s = 10\n")
        self.room = Room(config, self._clock, None, store.put, lambda *_: True, lambda _: None, lambda _: None)
        self.room.start()

    def _pass(self, seconds: int, occupancy: str = "", age_s: int = 0) -> None:
        for second in range(seconds):
            self.at_s += 1
            if occupancy:
                said = report(self.at_s, occupancy, age_s + second)
                self.room.radio_event(Heard(SERIAL, self._clock.elapsed_ms(), said))
            self.room.advance()

    def alarm_night(self, day: int) -> None:
        """Heard, in bed, out too long, answered by nobody, back."""
        self.at_s = max(self.at_s, day * DAY_S)
        self.room.radio_event(Opened(SERIAL, self._clock.elapsed_ms(), hello(uptime_s=self.at_s)))
        self._pass(30, "occupied", 500)
        self._pass(90, "empty", 6)
        self._pass(90, "occupied", 6)
        self.room.radio_event(Closed(SERIAL, self._clock.elapsed_ms()))


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = await Store.open(folder)
    writer = asyncio.create_task(store.run())
    try:
        yield store
        await store.flushed()
    finally:
        writer.cancel()
        await asyncio.wait([writer])
        await store.close()


async def test_three_alarms_of_72_h_without_uplink_arrive_once_and_in_order(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path / "cloud", broker.url)
    settings = UplinkSettings(broker.url, GATEWAY, flush_s=0.2, flush_real_s_min=0.05, reconnect_s_max=0.5)
    async with opened(tmp_path / "store") as store:
        uplink = Uplink(StoreOutbox(store), settings, Clock(REAL_TIME))
        sending = asyncio.create_task(uplink.run())  # it tries for three days, to no broker
        days = Days(tmp_path, store)
        for day in range(DAYS):
            days.alarm_night(day)
            await store.flushed()
            await asyncio.sleep(0.2)
        days.at_s = DAYS * DAY_S
        days.room.advance()
        assert uplink.status().state == "down"
        assert uplink.status().freed_items == 0
        with running(broker, receiver):
            assert await uplink.flush(10)
            rows = receiver.get("api/alarms")["alarms"]
            stats = receiver.get("api/stats")
        sending.cancel()
        await asyncio.wait([sending])
    raised_ms = [row["raised_utc_ms"] for row in reversed(rows)]
    assert [(at - START_UTC_MS) // 1000 for at in raised_ms] == [day * DAY_S + RAISED_S for day in range(DAYS)]
    assert len({row["alarm_id"] for row in rows}) == DAYS
    assert (stats["alarms"], stats["duplicates"], stats["missing"], stats["conflicts"]) == (DAYS, 0, 0, 0)
