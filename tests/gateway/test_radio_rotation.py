"""Twenty belts on one adapter with five slots: beacons of all, sessions in turn."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from gateway.radio import BeaconHeard, Opened, RadioEvent
from tests.gateway.spoken_belt import Air
from tests.gateway.test_radio import belt, listening

MINUTES = 8


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_every_belts_state_stays_fresh_and_every_belt_has_its_turn_within_two_minutes() -> None:
    """Three of ten advertisements are lost; a belt says its state four times a second, as a belt of ours does."""
    belts = [belt(number) for number in range(1, 21)]
    air, chance = Air(*belts), random.Random(5)
    heard: dict[bytes, list[float]] = {spoken.serial: [] for spoken in belts}
    opened: dict[bytes, list[float]] = {spoken.serial: [] for spoken in belts}
    loop = asyncio.get_running_loop()
    async with listening(air, slots=5) as radio:

        def collect(event: RadioEvent) -> None:
            if isinstance(event, BeaconHeard):
                heard[event.serial].append(loop.time())
            elif isinstance(event, Opened):
                opened[event.serial].append(loop.time())

        radio.on_event = collect
        begun_s = loop.time()
        for second in range(1, 60 * MINUTES):
            data = {spoken.serial: spoken.beacon(second) for spoken in belts}
            for spoken in belts:
                if spoken.in_session:
                    spoken.report(second)
            for _ in range(4):
                for spoken in belts:
                    if chance.random() > 0.3:
                        air.advertise(spoken, data[spoken.serial])
                await asyncio.sleep(0.25)
            assert sum(spoken.in_session for spoken in belts) <= 5
        ended_s = loop.time()
    ages = [
        after - before for times in heard.values() for before, after in itertools.pairwise([begun_s, *times, ended_s])
    ]
    assert sorted(ages)[round(0.99 * len(ages))] <= 3.0
    turns = [
        after - before for times in opened.values() for before, after in itertools.pairwise([begun_s, *times, ended_s])
    ]
    assert max(turns) <= 120
