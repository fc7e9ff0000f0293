"""radio_scan: bluetoothd's death ends every session at once, its return starts the scan at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.cores.radio_ladder import Rung
from gateway.radio_bluez import DEAD, PRESENT, BluezWatch
from gateway.radio_recovery import Recovery
from gateway.radio_scan import GONE_GRACE_S, RETRY_S_NEW, SILENT_S, AdapterScan
from tests.gateway.spoken_belt import Air
from tests.gateway.test_radio import belt, in_session, listening, until

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


class SteeredWatch(BluezWatch):
    """bluetoothd that a test kills and starts."""

    def __init__(self) -> None:
        super().__init__("hci0")
        self.runs = True
        self._told: Callable[[str], None] = lambda _: None

    async def follow(self, told: Callable[[str], None]) -> None:
        self._told = told
        await asyncio.Event().wait()

    async def look(self) -> tuple[str, str]:
        return (PRESENT, "") if self.runs else (DEAD, "bluetoothd is not running")

    def kill(self) -> None:
        self.runs = False
        self._told("")

    def start(self) -> None:
        self.runs = True
        self._told(":1.9")


class Room:
    """Counts what the scan says."""

    def __init__(self) -> None:
        self.deaths = 0

    def advertised(self, device: BLEDevice, advertisement: AdvertisementData) -> None: ...

    def held(self, device: BLEDevice) -> None: ...

    def links_died(self) -> None:
        self.deaths += 1

    def census(self) -> tuple[int, int]:
        return 1, 0


@asynccontextmanager
async def scanning(air: Air) -> AsyncIterator[tuple[AdapterScan, SteeredWatch, Room, Counter[str]]]:
    async def cycle() -> str:
        return ""

    watch, room, counters = SteeredWatch(), Room(), Counter[str]()
    recovery = Recovery("hci0", {Rung.POWER: cycle, Rung.DAEMON: cycle}, counters)
    options: dict[str, Any] = {"backend": air.scanner}
    scan = AdapterScan(options, watch, recovery, room)
    task = asyncio.create_task(scan.run())
    try:
        await until(lambda: air.scan_starts == 1)
        yield scan, watch, room, counters
    finally:
        task.cancel()
        await asyncio.wait([task])


@virtual
async def test_a_death_is_told_at_once_and_after_a_return_the_adapter_is_renewed_and_scans_at_once() -> None:
    async with scanning(air := Air()) as (scan, watch, room, counters):
        loop = asyncio.get_running_loop()
        air.scan_fails = 10**6
        watch.kill()
        begun_s = loop.time()
        await until(lambda: bool(scan.trouble))
        assert loop.time() - begun_s < 0.2
        assert room.deaths == 1
        await asyncio.sleep(GONE_GRACE_S - 1)
        assert not any(name.startswith("recovery") for name in counters)
        air.scan_fails, starts, begun_s = 0, air.scan_starts, loop.time()
        watch.start()
        await until(lambda: air.scan_starts > starts)
        assert loop.time() - begun_s < 0.2
        await until(lambda: not scan.trouble)
        assert {name: n for name, n in counters.items() if name.startswith("recovery")} == {"recovery_power": 1}


@virtual
async def test_a_bluetoothd_that_stays_away_is_started_by_the_ladder() -> None:
    async with scanning(air := Air()) as (_, watch, _room, counters):
        air.scan_fails = 10**6
        watch.kill()
        await asyncio.sleep(GONE_GRACE_S - RETRY_S_NEW)
        assert not counters["recovery_daemon"]
        await until(lambda: counters["recovery_daemon"] == 1)
        assert not counters["recovery_power"]  # nobody is there who could switch


@virtual
async def test_without_a_signal_of_the_bus_the_daemon_is_asked_after() -> None:
    async with scanning(Air()) as (scan, watch, _, counters):
        watch.runs = False
        await until(lambda: "not running" in scan.trouble)
        assert counters["scan_restarts"] == 1


@virtual
async def test_after_a_death_a_belt_is_connected_only_when_it_was_heard_again() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        radio.links_died()
        await asyncio.sleep(3)
        assert spoken.connects == 1
        assert not spoken.in_session
        await in_session(air, spoken)
        assert spoken.connects == 2


@virtual
async def test_an_adapter_that_hears_nobody_starts_its_scan_anew_and_less_and_less_often() -> None:
    """Also with one belt: a locked-up controller must not be taken for a belt that is away."""
    air = Air(spoken := belt())
    async with scanning(air):
        await until(lambda: air.scan_starts == 2)
        await asyncio.sleep(3600)
        assert 6 <= air.scan_starts <= 14
        starts = air.scan_starts
        air.advertise(spoken)
        await asyncio.sleep(2 * SILENT_S)
        assert air.scan_starts == starts + 1


@virtual
async def test_an_adapter_that_hears_somebody_scans_on() -> None:
    air = Air(spoken := belt())
    async with scanning(air):
        for _ in range(100):
            air.advertise(spoken)
            await asyncio.sleep(SILENT_S / 2)
        assert air.scan_starts == 1
