"""radio_adapters: two adapters hear the same belts; each has its session through one, and moves when that one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.radio import BeaconHeard, Belt, BleakRadio, RadioError, bleak_radio
from gateway.radio_adapters import ManyAdapters
from protocol.clock_scale import ClockScale
from tests.gateway.queued_radio import QueuedAdapters, next_of
from tests.gateway.spoken_belt import Air, SpokenBelt
from tests.gateway.test_radio import GATEWAY, KEY, belt

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@asynccontextmanager
async def two_adapters(*belts: SpokenBelt) -> AsyncIterator[tuple[QueuedAdapters, list[Air]]]:
    served = [Belt(spoken.serial, KEY) for spoken in belts]
    clock = GatewayClock(None, "always", ClockScale())
    airs = [Air(*belts), Air(*belts)]
    radio = QueuedAdapters(
        {
            f"adapter{n}": BleakRadio(
                RadioConfig("air", "", 5), served, GATEWAY, clock,
                {"backend": air.scanner}, {"backend": air.client}, "",
            ) for n, air in enumerate(airs)
        },
        served,
    )  # fmt: skip
    task = asyncio.create_task(radio.run())
    try:
        yield radio, airs
    finally:
        task.cancel()
        await asyncio.wait([task])


async def speak(airs: list[Air], belts: list[SpokenBelt], counter: int) -> None:
    """One second in which every adapter hears every belt."""
    for spoken in belts:
        for air in airs:
            air.advertise(spoken, spoken.beacon(counter))
        if spoken.in_session:
            spoken.report(counter)
    await asyncio.sleep(1)


@virtual
async def test_a_beacon_that_both_hear_counts_once_and_the_belt_has_one_session() -> None:
    spoken = belt()
    async with two_adapters(spoken) as (radio, airs):
        await asyncio.sleep(1)
        for counter in range(1, 8):
            await speak(airs, [spoken], counter)
        assert radio.counters["beacons"] == 7
        assert radio.counters["sessions"] == 1
        assert spoken.connects == 1
        assert [(await next_of(radio, BeaconHeard)).counter for _ in range(3)] == [1, 2, 3]
        assert radio.air()[spoken.serial].rssi_dbm == -60
        assert [s.serial for s in radio.sightings()] == [spoken.serial]


@virtual
async def test_belts_move_to_the_other_adapter_when_theirs_dies(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    belts = [belt(n) for n in range(1, 5)]
    async with two_adapters(*belts) as (radio, airs):
        await asyncio.sleep(1)
        for counter in range(1, 12):
            await speak(airs, belts, counter)
        assert all(spoken.in_session for spoken in belts)
        airs[0].dead = True  # as if it were pulled out
        for spoken in belts:
            spoken.drop()
        for counter in range(12, 50):
            await speak(airs[1:], belts, counter)
        assert all(spoken.in_session for spoken in belts)
        assert radio.counters["adapter_moves"] == 2
        assert sum("moves from adapter adapter0 to adapter1" in line for line in caplog.messages) == 2
        assert radio.trouble == ""


@virtual
async def test_a_belt_put_later_is_placed_and_one_dropped_is_forgotten() -> None:
    first, second = belt(1), belt(2)
    async with two_adapters(first) as (radio, airs):
        for air in airs:
            air.belts[second.address] = second
        radio.put(Belt(second.serial, KEY))
        await asyncio.sleep(1)
        for counter in range(1, 8):
            await speak(airs, [first, second], counter)
        assert second.connects == 1
        assert radio.send(second.serial, 0x50, (1,))
        radio.drop(second.serial)
        assert not radio.send(second.serial, 0x50, (1,))


@virtual
async def test_trouble_is_told_only_when_no_adapter_works() -> None:
    spoken = belt()
    async with two_adapters(spoken) as (radio, airs):
        airs[0].scan_fails = 1000
        await asyncio.sleep(5)
        assert radio.trouble == ""
        assert radio.scan_turn_ms is not None


async def test_of_several_adapters_one_may_be_missing_but_not_all(caplog: pytest.LogCaptureFixture) -> None:
    clock = GatewayClock(None, "always", ClockScale())
    some = RadioConfig("bluez", "", 5, ("hci0", "00:11:22:33:44:55"))
    assert isinstance(bleak_radio(some, [], GATEWAY, clock), BleakRadio)
    assert "00:11:22:33:44:55" in caplog.text
    none = RadioConfig("bluez", "", 5, ("00:11:22:33:44:55", "00:11:22:33:44:66"))
    with pytest.raises(RadioError, match="no Bluetooth adapter"):
        bleak_radio(none, [], GATEWAY, clock)


async def test_several_adapters_are_one_radio() -> None:
    clock = GatewayClock(None, "always", ClockScale())
    radio = bleak_radio(RadioConfig("bluez", "", 5, ("hci0", "hci1")), [], GATEWAY, clock)
    assert isinstance(radio, ManyAdapters)
