"""What the gateway's daily work costs, in calls of functions: bounds a little above what is needed today."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.radio import BeaconHeard, Heard
from protocol.messages import beacon_from
from protocol.wire import frames
from tests.calls import counted_calls
from tests.gateway.cores.belt_talk import report
from tests.gateway.queued_radio import next_of
from tests.gateway.small_gateway import configuration, running
from tests.gateway.spoken_belt import Air
from tests.gateway.test_radio import belt, in_session, listening, until

virtual = pytest.mark.asyncio(loop_factories=["virtual"])

READINGS = 200
CALLS_A_REPEAT = 20  # of these the emulated scanner makes a dozen
CALLS_A_READING = 300


@virtual
async def test_an_advertisement_that_says_nothing_new_costs_next_to_nothing_and_wakes_nobody() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        air.advertise(spoken, data := spoken.beacon(1))
        await next_of(radio, BeaconHeard)
        await asyncio.sleep(1)
        with counted_calls() as calls:
            for _ in range(READINGS):
                air.advertise(spoken, data)
            await asyncio.sleep(0)
        assert calls() / READINGS <= CALLS_A_REPEAT
        air.advertise(spoken, spoken.beacon(2))
        assert (await next_of(radio, BeaconHeard)).counter == 2


@virtual
async def test_of_beacons_that_a_session_has_told_every_other_one_is_taken_and_all_are_counted() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        for number in range(1, 9):
            spoken.report(number)
            await next_of(radio, Heard)
            air.advertise(spoken, spoken.beacon(number))
        assert radio.counters["beacons"] == 4
        assert radio.air()[spoken.serial].beacon_loss_percent == 0
        spoken.report(9)
        await next_of(radio, Heard)
        air.advertise(spoken, spoken.beacon(9))
        assert radio.counters["beacons"] == 4
        air.advertise(spoken, spoken.beacon(10))  # no report came in between: all that is known of the belt now
        assert (await next_of(radio, BeaconHeard)).counter == 10


@virtual
async def test_a_belt_without_a_session_is_seen_by_every_advertisement() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        air.advertise(spoken, data := spoken.beacon(1))
        await next_of(radio, BeaconHeard)
        spoken.drop()
        await until(lambda: spoken.connects == 2, lambda: air.advertise(spoken, data))


async def test_a_reading_and_its_beacon_take_few_calls_through_rules_page_and_store(tmp_path: Path) -> None:
    async with running(configuration(tmp_path)) as talk:
        talk.open()
        await asyncio.sleep(0.2)
        content = beacon_from((frames.OCCUPIED, 0, 0, 100, 0, 60, 28, 12, 12, 90, 7, 0, 3, 0))
        with counted_calls() as calls:
            for number in range(READINGS):
                talk.hear(report(talk.uptime_s + number, "occupied", 100 + number))
                talk.beacon(1 + number, content)
            while talk.gateway.room.counters["readings_received"] < READINGS:  # noqa: ASYNC110 - a figure, polled
                await asyncio.sleep(0)
        assert calls() / READINGS <= CALLS_A_READING
