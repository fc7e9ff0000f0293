"""A whole gateway in an air of spoken belts that take keys and commands, for tests of provisioning."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.config import Config, gateway_identity, load_config
from gateway.cores.labels import BeltLabel, belt_label_text
from gateway.provision_error import ProvisionError
from gateway.radio import BleakRadio
from tests.gateway.spoken_belt import Air, SpokenBelt

ADVERTISE_S = 0.02


def configured(folder: Path, beds: str = "101-1 101-2 102-1", more: str = "") -> Config:
    file = folder / "gateway.toml"
    listed = "".join(f'[[beds]]\nlabel = "{bed}"\nroom = "{bed[:3]}"\n' for bed in beds.split())
    file.write_text(
        ("" if listed else "beds = []\n") + '[gateway]\nid = "gw-01"\ndata_dir = "data"\ntime_trust = "always"\n'
        f'[web]\nhost = "127.0.0.1"\nport = 0\nlanguage = "en"\n{more}'
        f'[alerter]\nbuzzer_pin = 17\nlight_pin = 27\nmock_pins = true\n{listed}',
        "utf-8",
    )
    file.chmod(0o600)
    return load_config(file)


def new_belt(number: int) -> SpokenBelt:
    belt = SpokenBelt(bytes([0xC0, 0, 0, 0, 0, 0, 0, number]), bytes([number]) * 16)
    belt.obeys = True
    return belt


def label_of(belt: SpokenBelt) -> str:
    """The text on its label; to be asked before it is claimed."""
    return belt_label_text(BeltLabel(belt.serial, 1, belt.key))


class Site:
    """A gateway and the belts around it."""

    def __init__(self, gateway: Gateway, air: Air) -> None:
        self.gateway, self.air = gateway, air

    async def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return await self.gateway.operations.call(operation, arguments, "tina")

    async def refused(self, operation: str, **arguments: Any) -> ProvisionError:
        try:
            answer = await self.ask(operation, **arguments)
        except ProvisionError as error:
            return error
        raise AssertionError(f"it was done: {answer}")

    async def live(self, bed: str) -> None:
        for _ in range(600):
            state = await self.ask("state")
            if any(each["bed"] == bed and each["live"] for each in state["beds"]):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"bed {bed} is not live: {state}")

    async def advertise(self) -> None:
        second = 0
        while True:
            second += 1
            for belt in list(self.air.belts.values()):
                if belt.away:
                    continue
                self.air.advertise(belt, belt.beacon(second))
                if belt.in_session and second % 5 == 0:
                    with contextlib.suppress(AssertionError):
                        belt.report(100 + second)
            await asyncio.sleep(ADVERTISE_S)


async def until(wanted: Callable[[], bool]) -> None:
    for _ in range(600):
        if wanted():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


@asynccontextmanager
async def provisioning(config: Config, *belts: SpokenBelt) -> AsyncIterator[Site]:
    """The gateway runs and hears the belts; at the end it stops in order."""
    air = Air(*belts)
    gateway = await Gateway.start(config, lambda config, served, clock: BleakRadio(
        config.radio, served, gateway_identity(config.gateway.id), clock, {"backend": air.scanner},
        {"backend": air.client}, ""))
    site = Site(gateway, air)
    running = asyncio.create_task(gateway.run())
    advertising = asyncio.create_task(site.advertise())
    try:
        yield site
    finally:
        advertising.cancel()
        gateway.stop()
        await asyncio.wait([running, advertising])
        running.result()
