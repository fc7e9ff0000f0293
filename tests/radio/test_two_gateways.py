"""Two gateways hear one belt; only its own has it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.radio import BeaconHeard, Belt, Heard, NoSession, RadioEvent, bleak_radio
from protocol.clock_scale import ClockScale
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.ward import Tier, Ward, open_ward


async def test_of_two_gateways_that_hear_a_belt_only_its_own_has_it(tier: Tier, tmp_path: Path) -> None:
    """Each has an adapter of its own, on the box both of the one bluetoothd."""
    if tier.dongles:
        pytest.skip("this machine may have only one adapter")
    async with open_ward(tier, tmp_path, 1, adapters=2) as ward:
        own, strange = ward.config.adapters
        ward.config = replace(ward.config, adapter=own, adapters=())
        took_s = await _only_its_own_has_it(ward, replace(ward.config, adapter=strange))
    add_row(MUST_SHOW, f"two gateways hear one belt ({tier.name})", "the second has another key",
            "its beacons are counted as bad there, no session while its own has it, "
            f"wrong_key {took_s:.1f} s after its own has left")


async def _only_its_own_has_it(ward: Ward, config: RadioConfig) -> float:
    """Seconds from when its own gateway leaves to when the stranger is refused."""
    belt = ward.fleet.belts[0].identity
    ward.listen()
    own = await ward.until(Heard)
    clock = GatewayClock(None, "always", ClockScale())
    stranger = bleak_radio(config, [Belt(belt.serial, bytes(16))], b"stranger", clock)
    told: asyncio.Queue[RadioEvent] = asyncio.Queue()
    stranger.on_event = told.put_nowait
    running = asyncio.create_task(stranger.run())
    try:
        for _ in range(200):
            if stranger.counters["bad_beacons"] >= 3:
                break
            await asyncio.sleep(0.1)
        await ward.until(Heard, since=own + 5)
        assert stranger.counters["bad_beacons"] >= 3
        assert stranger.counters["beacons"] == stranger.counters["sessions"] == 0
        # Its own leaves: the stranger may connect now, and is refused.
        await ward.deafen()
        left = time.monotonic()
        async with asyncio.timeout(60):
            while True:
                event = await told.get()
                assert not isinstance(event, BeaconHeard)
                if isinstance(event, NoSession) and event.code == "wrong_key":
                    return time.monotonic() - left
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
