"""Two gateways hear one belt; only its own has it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.radio import BeaconHeard, Belt, Heard, NoSession, bleak_radio
from hil.radio.hci_server import serve_adapters
from protocol.clock_scale import ClockScale
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.ward import Tier, Ward


async def test_of_two_gateways_that_hear_a_belt_only_its_own_has_it(ward: Ward, tier: Tier, tmp_path: Path) -> None:
    if tier.name != "bumble":
        pytest.skip("a second gateway needs a second host; the belt's refusal is the same on every tier")
    belt = ward.fleet.belts[0].identity
    ward.listen()
    own = await ward.until(Heard)
    server = await serve_adapters(ward.link, tmp_path / "other.sock")
    config = RadioConfig("bumble", f"unix:{tmp_path}/other.sock", 5)
    clock = GatewayClock(None, "always", ClockScale())
    stranger = bleak_radio(config, [Belt(belt.serial, bytes(16))], b"stranger", clock)
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
        async with asyncio.timeout(60):
            while True:
                event = await stranger.event()
                assert not isinstance(event, BeaconHeard)
                if isinstance(event, NoSession) and event.code == "wrong_key":
                    break
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()
    add_row(MUST_SHOW, "two gateways hear one belt (bumble)", "the second has another key",
            "its beacons are counted as bad there, no session while its own has it, wrong_key afterwards")
