"""radio: sessions and beacons of belts through bleak; the field failures of facts/RADIO.md, each with its rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.radio import BeaconHeard, Belt, Closed, Heard, Opened, RadioError, RadioEvent, bleak_radio
from gateway.radio_link import FRESH_S
from protocol.clock_scale import ClockScale
from protocol.messages import LiveReport
from protocol.wire import frames, session
from tests.gateway.queued_radio import QueuedRadio, next_of
from tests.gateway.spoken_belt import Air, SpokenBelt

virtual = pytest.mark.asyncio(loop_factories=["virtual"])

KEY = bytes(range(16))
GATEWAY = b"gateway!"


def belt(number: int = 1, key: bytes = KEY) -> SpokenBelt:
    return SpokenBelt(bytes([0xC0, 0, 0, 0, 0, 0, 0, number]), key)


@asynccontextmanager
async def listening(air: Air, slots: int = 5, key: bytes = KEY, counter: int = 0) -> AsyncIterator[QueuedRadio]:
    belts = [Belt(spoken.serial, key, counter) for spoken in air.belts.values()]
    clock = GatewayClock(None, "always", ClockScale())
    config = RadioConfig("air", "", slots)
    radio = QueuedRadio(config, belts, GATEWAY, clock, {"backend": air.scanner}, {"backend": air.client}, "")
    task = asyncio.create_task(radio.run())
    try:
        yield radio
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(wanted: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(60):
        while not wanted():
            meanwhile()
            await asyncio.sleep(0.05)


async def in_session(air: Air, spoken: SpokenBelt) -> None:
    await until(lambda: spoken.in_session, lambda: air.advertise(spoken))


@virtual
async def test_a_session_is_opened_and_its_reports_come_typed() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        opened = await radio.heard.get()
        assert isinstance(opened, Opened)
        assert opened.hello.serial == spoken.serial
        spoken.report(9)
        heard = await next_of(radio, Heard)
        assert isinstance(heard.message, LiveReport)
        assert heard.message.heart_rate_bpm == 61.5


@virtual
async def test_what_the_listener_raises_ends_the_radio_and_it_is_told_nothing_more() -> None:
    """bleak logs what its callbacks raise and goes on: the process would say "online" and hear nothing."""
    spoken = belt()
    air, told = Air(spoken), []

    def take(event: RadioEvent) -> None:
        told.append(event)
        raise ValueError("a fault of ours")

    radio = QueuedRadio(
        RadioConfig("air", "", 5), [Belt(spoken.serial, KEY)], GATEWAY, GatewayClock(None, "always", ClockScale()),
        {"backend": air.scanner}, {"backend": air.client}, "",
    )
    radio.on_event = take
    running = asyncio.create_task(radio.run())
    await asyncio.sleep(0.1)
    for counter in range(1, 4):
        air.advertise(spoken, spoken.beacon(counter))
    with pytest.raises(ExceptionGroup, match="unhandled") as raised:
        await running
    assert raised.group_contains(ValueError, match="a fault of ours")
    assert len(told) == 1


@virtual
async def test_what_the_gateway_sends_arrives_sealed_and_in_order() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        await next_of(radio, Opened)
        assert radio.send(spoken.serial, frames.ACK, (5,))
        assert radio.send(spoken.serial, frames.HISTORY, (1, 6, 400, 16))
        await until(lambda: len(spoken.heard) == 2)
        assert spoken.heard == [(frames.ACK, (5,)), (frames.HISTORY, (1, 6, 400, 16))]


@virtual
async def test_a_dropped_link_is_told_and_comes_back_by_itself() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        spoken.drop()
        await next_of(radio, Closed)
        await in_session(air, spoken)
        assert spoken.connects == 2


@virtual
async def test_a_write_that_keeps_its_cancellation_to_itself_costs_no_session_for_ever() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        await next_of(radio, Opened)
        spoken.keeps_cancellation = True
        assert radio.send(spoken.serial, frames.ACK, (5,))
        await asyncio.sleep(1)
        spoken.drop()
        spoken.keeps_cancellation = False
        await next_of(radio, Closed)
        await in_session(air, spoken)


@virtual
async def test_a_radio_that_is_ended_while_its_scan_starts_ends_although_the_scan_keeps_that_to_itself() -> None:
    spoken = belt()
    air = Air(spoken)
    air.scan_keeps_cancellation = True
    async with asyncio.timeout(60), listening(air):
        await until(lambda: air.scan_starts == 1)


@virtual
async def test_nobody_connects_while_the_last_client_still_says_goodbye() -> None:
    """BlueZ would take the goodbye for the new link's."""
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        spoken.disconnect_s = 2.0
        spoken.drop()
        await next_of(radio, Closed)
        await until(lambda: spoken.connects == 2, lambda: air.advertise(spoken))
        assert spoken.disconnects == 1


@virtual
async def test_a_link_without_fresh_data_is_dead_whatever_bleak_says() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        await next_of(radio, Opened)
        begun = asyncio.get_running_loop().time()
        await next_of(radio, Closed)
        assert FRESH_S - 1 <= asyncio.get_running_loop().time() - begun < FRESH_S + 1
        await until(lambda: spoken.disconnects == 1)


@virtual
async def test_every_connection_is_disconnected_also_one_that_failed() -> None:
    spoken = belt()
    spoken.deaf = True  # takes the connection, answers nothing
    async with listening(air := Air(spoken)):
        await until(lambda: spoken.connects >= 2, lambda: air.advertise(spoken))
    assert spoken.disconnects >= spoken.connects - 1


@virtual
async def test_belts_are_connected_one_at_a_time() -> None:
    belts = [belt(n) for n in range(1, 6)]
    air = Air(*belts)

    def say() -> None:
        for spoken in belts:
            air.advertise(spoken)

    async with listening(air):
        await until(lambda: all(b.in_session for b in belts), say)
        assert air.most_connecting == 1


@virtual
async def test_a_belt_with_another_key_gets_no_session_and_no_beacon_heard() -> None:
    spoken = belt(key=bytes(16))
    async with listening(air := Air(spoken)) as radio:
        await until(lambda: spoken.connects == 2, lambda: air.advertise(spoken, spoken.beacon(1)))
        assert radio.counters["bad_beacons"] > 0
        assert radio.counters["sessions"] == 0


@virtual
async def test_a_belt_that_refuses_is_asked_again_with_growing_pauses() -> None:
    spoken = belt()
    spoken.refuses = frames.REFUSED_BUSY
    times = []
    async with listening(air := Air(spoken)):
        for count in (1, 2, 3, 4, 5):
            await until(lambda n=count: spoken.connects == n, lambda: air.advertise(spoken))  # type: ignore[misc]
            times.append(asyncio.get_running_loop().time())
    assert times[4] - times[3] > times[2] - times[1] > 0


@virtual
async def test_a_beacon_is_heard_once_and_only_if_it_is_newer() -> None:
    spoken = belt()
    spoken.reachable = False
    async with listening(air := Air(spoken), counter=10) as radio:
        await until(lambda: air.scan_starts == 1)
        for counter in (10, 11, 11, 9, 12):
            air.advertise(spoken, spoken.beacon(counter))
        assert [(await next_of(radio, BeaconHeard)).counter for _ in range(2)] == [11, 12]
        assert radio.counters["beacons"] == 2


@virtual
async def test_a_beacon_held_back_by_a_jammer_is_heard_once_and_none_older_after_it() -> None:
    spoken = belt()
    spoken.reachable = False
    async with listening(air := Air(spoken), counter=10) as radio:
        await until(lambda: air.scan_starts == 1)
        recorded = [spoken.beacon(counter) for counter in (11, 12, 13)]
        air.advertise(spoken, spoken.beacon(11))
        await next_of(radio, BeaconHeard)
        air.advertise(spoken, recorded[2])
        for _ in range(3):
            for again in recorded:
                air.advertise(spoken, again)
        held_back = await next_of(radio, BeaconHeard)
        assert (held_back.counter, radio.counters["beacons"]) == (13, 2)


@virtual
async def test_a_beacon_that_a_session_let_go_unopened_is_not_heard_after_its_end() -> None:
    """Whoever recorded it would make a belt that has been switched off seem heard."""
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        spoken.report(1)
        await next_of(radio, Heard)
        recorded = spoken.beacon(5)
        air.advertise(spoken, recorded)
        spoken.reachable = False
        spoken.drop()
        await next_of(radio, Closed)
        air.advertise(spoken, recorded)
        assert radio.counters["beacons"] == 0
        air.advertise(spoken, spoken.beacon(6))
        assert (await next_of(radio, BeaconHeard)).counter == 6


@virtual
async def test_forged_beacons_beside_a_session_are_counted_and_hide_no_loss() -> None:
    """Every other true one is lost."""
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        for number in range(1, 22):
            spoken.report(number)
            await next_of(radio, Heard)
            air.advertise(spoken, b"\x01" + (number + 50).to_bytes(4, "little") + bytes(19))
            if number % 2:
                air.advertise(spoken, spoken.beacon(number))
        assert radio.counters["bad_beacons"] == 21
        assert radio.air()[spoken.serial].beacon_loss_percent == pytest.approx(50, abs=3)


@virtual
async def test_a_belt_is_known_by_its_address_while_its_name_is_not_in_the_air() -> None:
    spoken = belt()
    spoken.reachable = False
    async with listening(air := Air(spoken)) as radio:
        await until(lambda: air.scan_starts == 1)
        air.advertise(spoken)
        air.advertise(spoken, spoken.beacon(1), named=False)
        assert (await next_of(radio, BeaconHeard)).serial == spoken.serial


@virtual
async def test_a_scan_that_cannot_start_is_tried_again_and_said() -> None:
    spoken = belt()
    air = Air(spoken)
    air.scan_fails = 3
    async with listening(air) as radio:
        await until(lambda: "no adapter" in radio.trouble)
        await until(lambda: bool(air.scanners))
        assert radio.trouble == ""


@virtual
async def test_slots_go_round_when_there_are_more_belts() -> None:
    belts = [belt(1), belt(2)]
    async with listening(air := Air(*belts), slots=1):
        uptime_s = 0

        def speak() -> None:
            nonlocal uptime_s
            uptime_s += 1
            for spoken in belts:
                air.advertise(spoken)
                if spoken.in_session:
                    spoken.report(uptime_s)
            assert sum(b.in_session for b in belts) <= 1

        async with asyncio.timeout(400):
            while not all(b.connects for b in belts):
                speak()
                await asyncio.sleep(1)


@virtual
async def test_repeated_replayed_and_plain_frames_are_counted_and_dropped() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        packets: list[bytes] = []
        say = spoken.say_packet

        def kept(packet: bytes) -> None:
            packets.append(packet)
            say(packet)

        spoken.say_packet = kept  # type: ignore[method-assign]
        spoken.report(9)
        await next_of(radio, Heard)
        say(packets[0])
        say(session.plain_packet(frames.encode(frames.REFUSED, (1,))))
        say(packets[0][:-1] + bytes([packets[0][-1] ^ 1]))
        spoken.report(10)
        assert (await next_of(radio, Heard)).message.uptime_ms == 10_000
        assert radio.counters["bad_ReplayError"] == 2
        assert radio.counters["bad_FrameError"] == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=12))
def test_whatever_bytes_a_belt_notifies_the_next_good_report_is_heard(garbage: list[bytes]) -> None:
    from tests.sim.loop import VirtualTimeLoop

    async def story() -> None:
        spoken = belt()
        async with listening(air := Air(spoken)) as radio:
            await in_session(air, spoken)
            for value in garbage:
                spoken.say_raw(value)
            spoken.report(9)
            assert (await next_of(radio, Heard)).message.uptime_ms == 9000

    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(story())
    finally:
        loop.close()


@virtual
async def test_an_adapter_that_is_not_there_is_told_by_its_address() -> None:
    clock = GatewayClock(None, "always", ClockScale())
    with pytest.raises(RadioError, match="00:11:22:33:44:55"):
        bleak_radio(RadioConfig("bluez", "00:11:22:33:44:55", 5), [], GATEWAY, clock)


@virtual
async def test_disconnects_leave_no_client_connected_and_no_task_behind() -> None:
    """On BlueZ each client not disconnected keeps one of 256 connections to the bus; `soak_radio` does 1,000."""
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        tasks = len(asyncio.all_tasks())
        for _ in range(150):
            spoken.drop()
            await in_session(air, spoken)
        assert spoken.connects == 151
        assert spoken.disconnects >= 150
        assert len(asyncio.all_tasks()) <= tasks + 2
        assert radio.counters["sessions"] == 151
