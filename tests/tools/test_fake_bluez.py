"""tools.fake_bluez: bleak's own BlueZ backend finds, connects and hears its belts over D-Bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.radio import Belt, Heard, Opened, RadioEvent, bleak_radio
from protocol.clock_scale import ClockScale
from protocol.messages import LiveReport, MinuteRecord
from tools.fake_bluez import KEY, fake_bluez, serial_of

WAIT_S = 60


async def test_the_gateways_radio_has_sessions_with_its_belts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_bluez(tmp_path, "--belts", "2", "--minute", "3") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        belts = [Belt(serial_of(number), KEY) for number in range(2)]
        radio = bleak_radio(
            RadioConfig("bluez", "", 5), belts, b"gateway!", GatewayClock(None, "always", ClockScale()))  # fmt: skip
        told: asyncio.Queue[RadioEvent] = asyncio.Queue()
        radio.on_event = told.put_nowait
        running = asyncio.create_task(radio.run())
        opened: set[bytes] = set()
        reported: set[bytes] = set()
        minutes: set[bytes] = set()
        try:
            async with asyncio.timeout(WAIT_S):
                while len(opened & reported & minutes) < 2:
                    event = await told.get()
                    if isinstance(event, Opened):
                        opened.add(event.serial)
                    elif isinstance(event, Heard) and isinstance(event.message, LiveReport):
                        reported.add(event.serial)
                    elif isinstance(event, Heard) and isinstance(event.message, MinuteRecord):
                        minutes.add(event.serial)
        finally:
            running.cancel()
            await asyncio.wait([running])
        assert radio.counters["sessions"] == 2
        assert radio.counters["bad_beacons"] == 0
