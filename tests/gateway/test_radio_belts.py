"""radio: belts that come and go while the gateway runs, and who is in range."""

from __future__ import annotations

import pytest

from gateway.radio import Belt, Closed, NoSession, Opened
from protocol.wire import frames
from tests.gateway.queued_radio import next_of
from tests.gateway.spoken_belt import Air
from tests.gateway.test_radio import KEY, belt, in_session, listening, until

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@virtual
async def test_a_belt_put_at_run_time_is_served_and_one_dropped_is_let_go() -> None:
    first, second = belt(1), belt(2)
    air = Air(first)
    async with listening(air) as radio:
        air.belts[second.address] = second
        await in_session(air, first)
        radio.put(Belt(second.serial, KEY))
        await in_session(air, second)
        radio.drop(second.serial)
        await until(lambda: second.disconnects >= 1)
        assert not radio.send(second.serial, frames.ACK, (1,))
        assert radio.send(first.serial, frames.ACK, (1,))


@virtual
async def test_a_hurried_belt_takes_the_slot_of_the_one_that_held_it_longest() -> None:
    first, second = belt(1), belt(2)
    air = Air(first)
    async with listening(air, slots=1) as radio:
        air.belts[second.address] = second
        await in_session(air, first)
        radio.put(Belt(second.serial, KEY), hurry=True)
        await in_session(air, second)
        assert first.disconnects >= 1


@virtual
async def test_every_belt_in_range_is_sighted_with_its_strength_also_a_strangers() -> None:
    stranger = belt(9)
    air = Air()
    async with listening(air) as radio:
        air.belts[stranger.address] = stranger
        await until(lambda: radio.sightings() != [], lambda: air.advertise(stranger))
        assert [sighting.serial for sighting in radio.sightings()] == [stranger.serial]
        assert stranger.connects == 0


@virtual
async def test_a_belt_under_another_key_says_so_by_name() -> None:
    spoken = belt(1)
    spoken.key = bytes(16)
    async with listening(air := Air(spoken)) as radio:
        await until(lambda: spoken.connects > 0, lambda: air.advertise(spoken))
        assert (await next_of(radio, NoSession)).code == "wrong_key"


@virtual
async def test_a_belt_that_somebody_claimed_says_that_it_is_claimed() -> None:
    spoken = belt(1)
    spoken.key, spoken.claimed = bytes(16), 1
    async with listening(air := Air(spoken)) as radio:
        await until(lambda: spoken.connects > 0, lambda: air.advertise(spoken))
        assert (await next_of(radio, NoSession)).code == "claimed_elsewhere"


@virtual
async def test_another_key_for_a_known_belt_serves_its_next_session() -> None:
    spoken = belt(1)
    async with listening(air := Air(spoken)) as radio:
        await in_session(air, spoken)
        await next_of(radio, Opened)
        spoken.key = bytes([7] * 16)
        radio.put(Belt(spoken.serial, spoken.key))
        spoken.drop()
        await next_of(radio, Closed)
        await in_session(air, spoken)
