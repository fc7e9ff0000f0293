"""Real BlueZ in the loop: a fresh box for each test, emulated belts with the real firmware, the gateway's own radio.

These need QEMU and take a minute, so only `make hil` collects them: the folder has to be named to pytest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.cores.radio_ladder import Rung
from gateway.radio import Belt, Radio, bleak_radio
from gateway.radio_bluez import BluezWatch
from gateway.radio_recovery import Action
from hil.clock import HilClock
from hil.fleet import Fleet
from hil.radio.box import Box
from hil.radio.hci_server import serve_adapters
from hil.radio.link import AdapterController, VirtualLink
from hil.synth import load
from protocol.clock_scale import ClockScale
from tests.hil_box.failure_table import FailureTable

WAIT_S = 180.0  # a crowded machine; what is measured goes into the table


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is collected unless asked for by name."""
    return None if any("hil_box" in argument for argument in config.args) else True


@pytest.fixture(scope="session")
def table() -> FailureTable:
    return FailureTable()


class Ward:
    """Belts, the box, and a gateway's radio in this process."""

    def __init__(self, fleet: Fleet, link: VirtualLink, box: Box) -> None:
        self.fleet, self.link, self.box = fleet, link, box
        self.serials = [belt.identity.serial for belt in fleet.belts]
        self.radio: Radio | None = None
        self.events: list[tuple[float, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def adapter(self) -> AdapterController:
        return self.link.adapters[0]

    def listen(self, actions: Mapping[Rung, Action] | None = None) -> Radio:
        """Start the gateway's radio on the box's adapter; `actions` as a gateway with the rights to do them has."""
        belts = [Belt(belt.identity.serial, belt.identity.claim_secret) for belt in self.fleet.belts]
        clock = GatewayClock(None, "always", ClockScale())
        radio = bleak_radio(RadioConfig("bluez", "hci0", 5), belts, b"gateway!", clock, actions)
        self.radio = radio
        self._tasks = [asyncio.create_task(radio.run()), asyncio.create_task(self._collect(radio))]
        return radio

    def all_rungs(self) -> dict[Rung, Action]:
        """What a gateway may do to the box: as on an appliance, but asked of the box."""

        async def restart() -> str:
            await self.box.restart_bluetoothd()
            return ""

        async def replug() -> str:
            await self.box.replug(0)
            return ""

        return {Rung.POWER: BluezWatch("hci0").power_cycle, Rung.DAEMON: restart, Rung.ADAPTER: replug}

    async def _collect(self, radio: Radio) -> None:
        while True:
            event = await radio.event()
            self.events.append((time.monotonic(), event))

    async def deafen(self) -> None:
        """End the radio as a shutdown does."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def until(self, kind: type, wanted: Callable[[Any], bool] = lambda _: True, since: float = 0.0) -> float:
        """Instant of the first event of a kind after `since`."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for at, event in self.events:
                if at > since and isinstance(event, kind) and wanted(event):
                    return at
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)
        said = [(type(event).__name__, round(at - since, 2)) for at, event in self.events if at > since]
        raise AssertionError(f"no {kind.__name__} in {WAIT_S:g} s, only {said[:40]}")


@pytest_asyncio.fixture
async def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    belts = getattr(request, "param", 1)
    link = VirtualLink()
    server = await serve_adapters(link, tmp_path / "hci.sock")
    clock = HilClock(ClockScale())
    fleet = Fleet(clock, link, clock.now_ms())
    for i in range(belts):
        fleet.add(load("quiet"), tmp_path / f"belt{i}", seed=i)
    box = await Box.start([tmp_path / "hci.sock"])
    ward = Ward(fleet, link, box)
    try:
        for name, value in box.environment().items():
            monkeypatch.setenv(name, value)
        await fleet.start()
        await box.attach(0)
        yield ward
        await ward.deafen()
    finally:
        await fleet.stop()
        await box.stop()
        server.close()
