"""Belts, the air, and what listens to them, on any tier of radio: Bumble, real BlueZ in a box, real dongles."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import GatewayClock
from gateway.config import RadioConfig
from gateway.cores.radio_ladder import Rung
from gateway.radio import Belt, Radio, bleak_radio
from gateway.radio_bluez import BluezWatch
from gateway.radio_recovery import Action
from hil.clock import HilClock
from hil.fleet import Fleet
from hil.radio.box import INTERVAL_MS_MIN, Box
from hil.radio.hci_server import serve_adapters
from hil.radio.link import AdapterController, VirtualLink
from hil.synth import BedScript, load
from protocol.clock_scale import ClockScale

WAIT_S = 180.0  # a crowded machine; what is measured goes into the table


@dataclass(frozen=True, slots=True)
class Tier:
    """Where belts' radio chips are (`dongles`: Bumble transports, or none: the virtual air) and who listens."""

    name: str  # bumble, box or bluez
    dongles: tuple[str, ...] = ()
    adapter: str = "hci0"


def add_options(parser: pytest.Parser) -> None:
    """Options that choose the tier."""
    group = parser.getgroup("radio")
    group.addoption("--radio", choices=("bumble", "box"), default="bumble", help="who hears the belts of tests/radio")
    group.addoption("--hci", action="append", default=[], metavar="usb:N",
                    help="a real controller for an emulated belt; needs --bluez; once for each belt")
    group.addoption("--bluez", nargs="?", const="hci0", metavar="hciN",
                    help="listen with this machine's own BlueZ; needs --hci")


def tier_of(config: pytest.Config) -> Tier:
    """The tier that the options name; UsageError for options that do not go together."""
    hci, bluez, radio = config.getoption("--hci"), config.getoption("--bluez"), config.getoption("--radio")
    if bool(hci) != (bluez is not None):
        raise pytest.UsageError("--hci and --bluez go together: belts on dongles, heard by this machine's BlueZ")
    if hci and radio != "bumble":
        raise pytest.UsageError(f"--radio {radio} is the virtual air; leave it out with --hci and --bluez")
    return Tier("bluez", tuple(hci), bluez) if hci else Tier(radio)


class Ward:
    """Belts on an air, and a gateway's radio in this process."""

    def __init__(self, fleet: Fleet, link: VirtualLink, radio: RadioConfig, box: Box | None) -> None:
        self.fleet, self.link, self.config = fleet, link, radio
        self._box = box
        self.serials = [belt.identity.serial for belt in fleet.belts]
        self.radio: Radio | None = None
        self.events: list[tuple[float, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def box(self) -> Box:
        assert self._box is not None
        return self._box

    @property
    def adapter(self) -> AdapterController:
        return self.link.adapters[0]

    def slots(self, connections_max: int) -> None:
        """So many sessions at a time, from the next `listen`."""
        self.config = replace(self.config, connections_max=connections_max)

    def listen(self, actions: Mapping[Rung, Action] | None = None) -> Radio:
        """Start the gateway's radio; `actions` as a gateway with the rights to do them has."""
        belts = [Belt(belt.identity.serial, belt.identity.claim_secret) for belt in self.fleet.belts]
        clock = GatewayClock(None, "always", ClockScale())
        radio = bleak_radio(self.config, belts, b"gateway!", clock, actions)
        self.radio = radio
        radio.on_event = lambda event: self.events.append((time.monotonic(), event))
        self._tasks = [asyncio.create_task(radio.run())]
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

    async def bus_connections(self) -> int:
        """How many clients of this machine the bus in the box has, one socat each."""
        return (await self.box.run("ps")).count("UNIX-CONNECT")

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


@asynccontextmanager
async def open_ward(
    tier: Tier, folder: Path, scripts: list[BedScript] | int = 1, clock: HilClock | None = None, begun_s: int = 0,
    adapters: int = 1, drifts_ppm: Sequence[float] = (),
) -> AsyncIterator[Ward]:  # fmt: skip
    """Belts on the tier's air, and what is needed to listen to them; the environment is put back at the end.

    `begun_s`: for how long their nights have been going on when they are switched on. `adapters`: of the gateway.
    `drifts_ppm`: of the belts' clocks, 0 for those not named.
    """
    nights = [load("quiet") for _ in range(scripts)] if isinstance(scripts, int) else scripts
    if tier.dongles and len(nights) > len(tier.dongles):
        pytest.skip(f"{len(nights)} belts need as many --hci")
    link = VirtualLink(INTERVAL_MS_MIN) if tier.name == "box" else VirtualLink()
    sockets = [folder / f"hci{i}.sock" for i in range(adapters)]
    servers = [await serve_adapters(link, socket) for socket in sockets]
    time_of_belts = clock if clock is not None else HilClock(ClockScale())
    fleet = Fleet(time_of_belts, link, time_of_belts.now_ms() - 1000 * begun_s)
    box: Box | None = None
    before = dict(os.environ)
    try:
        for i, script in enumerate(nights):
            drift_ppm = drifts_ppm[i] if i < len(drifts_ppm) else 0.0
            fleet.add(script, folder / f"belt{i}", i, tier.dongles[i] if tier.dongles else None, drift_ppm)
        backend = "bumble" if tier.name == "bumble" else "bluez"
        names = [f"unix:{socket}" for socket in sockets] if tier.name == "bumble" else [tier.adapter, "hci1"][:adapters]
        radio = RadioConfig(backend, names[0] if adapters == 1 else "", 5, tuple(names) if adapters > 1 else ())
        if tier.name == "box":
            box = await Box.start(sockets)
            os.environ.update(box.environment())
        await fleet.start()
        if box is not None:
            for number in range(adapters):
                await box.attach(number)
        ward = Ward(fleet, link, radio, box)
        yield ward
        await ward.deafen()
    finally:
        await fleet.stop()
        if box is not None:
            await box.stop()
        for server in servers:
            server.close()
        os.environ.clear()
        os.environ.update(before)
