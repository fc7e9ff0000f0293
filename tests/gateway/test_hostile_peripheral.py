"""A peripheral that pretends to be a belt: whatever it says, memory stays bounded, it is counted, others are served."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections import Counter

import pytest

from gateway.radio import SIGHTINGS_MAX, Heard, Opened
from gateway.radio_link import CONNECT_TIMEOUT_S
from protocol.wire import fragments, frames
from tests.gateway.queued_radio import next_of
from tests.gateway.spoken_belt import Air, SpokenBelt
from tests.gateway.test_radio import KEY, belt, in_session, listening, until

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@virtual
async def test_values_of_every_size_before_the_handshake_are_counted_and_cost_no_other_belt() -> None:
    hostile, good = belt(1), belt(2)
    hostile.deaf = True
    async with listening(air := Air(hostile, good)) as radio:

        def say() -> None:
            for spoken in (hostile, good):
                air.advertise(spoken)
            if hostile.notify is not None:
                for size in (0, 1, 2, 19, 20, 244, 512, 4096):
                    hostile.say_raw(os.urandom(size))
            if good.in_session:
                good.report(9)

        await until(lambda: good.in_session and hostile.connects >= 2, say)
        bad = sum(count for name, count in radio.counters.items() if name.startswith("bad_"))
        assert bad > 0
        assert radio.counters["sessions"] == 1


@virtual
async def test_a_packet_that_never_ends_is_cut_off() -> None:
    hostile = belt()
    async with listening(air := Air(hostile)) as radio:
        await in_session(air, hostile)
        await next_of(radio, Opened)
        before = sum(radio.counters.values())
        pieces, _ = fragments.split(bytes(200), 21, 0)
        first, middle = pieces[0], pieces[1]
        tracemalloc.start()
        hostile.say_raw(first)
        for i in range(50_000):
            hostile.say_raw(bytes([(middle[0] & 0xC0) | (i + 1) & 0x3F]) + middle[1:])
        grown_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown_bytes < 200_000
        assert sum(radio.counters.values()) > before


@virtual
async def test_a_flood_of_genuine_frames_is_passed_on_at_once_and_nothing_of_it_is_kept() -> None:
    hostile = belt()
    async with listening(air := Air(hostile)) as radio:
        await in_session(air, hostile)
        await next_of(radio, Opened)
        told: Counter[type] = Counter()
        radio.on_event = lambda event: told.update([type(event)])
        hostile.report(1)
        tracemalloc.start()
        for second in range(2, 5001):
            hostile.report(second)
        grown_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert told == {Heard: 5000}
        assert grown_bytes < 100_000


@virtual
async def test_a_list_of_services_without_end_is_given_up_and_the_next_belt_is_served() -> None:
    hostile, good = belt(1), belt(2)
    hostile.discovery_s = 1e6
    async with listening(air := Air(hostile, good)) as radio:

        def say() -> None:
            air.advertise(hostile)
            air.advertise(good)

        begun_s = asyncio.get_running_loop().time()
        await until(lambda: good.in_session, say)
        assert asyncio.get_running_loop().time() - begun_s < 2 * CONNECT_TIMEOUT_S
        assert radio.counters["sessions"] == 1
        assert hostile.disconnects >= hostile.connects


@virtual
async def test_handles_that_change_between_connections_are_looked_up_anew() -> None:
    spoken = belt()
    async with listening(air := Air(spoken)) as radio:
        for strange in (0, 300, 7):
            spoken.strange_services = strange
            await in_session(air, spoken)
            assert radio.send(spoken.serial, frames.ACK, (strange,))
            await until(lambda n=strange: (frames.ACK, (n,)) in spoken.heard)  # type: ignore[misc]
            spoken.drop()
            await until(lambda: not spoken.in_session)


@virtual
async def test_a_thousand_names_in_the_air_are_not_all_remembered() -> None:
    async with listening(air := Air()) as radio:
        await until(lambda: air.scan_starts == 1)
        for number in range(1000):
            air.advertise(SpokenBelt(b"STRANG" + number.to_bytes(2, "big"), KEY), os.urandom(24))
        assert len(radio.sightings()) == SIGHTINGS_MAX
        assert radio.counters["bad_beacons"] == 0  # a stranger's are not even opened


@virtual
async def test_beacons_of_a_belts_name_with_wrong_sizes_and_tags_are_counted_and_the_true_one_is_heard() -> None:
    spoken = belt()
    spoken.reachable = False
    async with listening(air := Air(spoken)) as radio:
        await until(lambda: air.scan_starts == 1)
        for _ in range(200):
            air.advertise(spoken, os.urandom(24))
        air.advertise(spoken, b"\x01\xff\xff\xff\xff" + bytes(19))  # a counter beyond every true one
        air.advertise(spoken, os.urandom(7))
        air.advertise(spoken, spoken.beacon(1))
        assert radio.counters["bad_beacons"] >= 200
        assert radio.counters["beacons"] == 1
