"""A whole gateway on a radio that the test speaks through: no adapter, no belt, everything else real."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.config import Config, load_config
from gateway.cores.air import BeltAir
from gateway.radio import BeaconHeard, Belt, Closed, Heard, Opened, RadioEvent, Sighting
from gateway.web.port import Bed
from protocol.clock_scale import ENVIRONMENT
from protocol.wire import frames
from tests.gateway.cores.belt_talk import SERIAL, hello, report

SPEED = 20
PATIENCE_S = 10.0


class SpokenRadio:
    """A radio whose events are what the test says."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.trouble = ""
        self.scan_turn_ms: int | None = None
        self.events: asyncio.Queue[RadioEvent] = asyncio.Queue()
        self.sent: list[tuple[int, tuple[Any, ...]]] = []
        self.belts: dict[bytes, Belt] = {}
        self.sighted: list[Sighting] = []
        self.on_event: Callable[[RadioEvent], None] = lambda event: None
        self.fault: Exception | None = None
        self.broken = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            await self.broken.wait()
            assert self.fault is not None
            raise self.fault

    async def _hear(self) -> None:
        while True:
            self.on_event(await self.events.get())

    def send(self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bool:
        self.sent.append((kind, values))
        return True

    def put(self, belt: Belt, *, hurry: bool = False) -> None:
        self.belts[belt.serial] = belt

    def drop(self, serial: bytes) -> None:
        self.belts.pop(serial, None)

    def sightings(self) -> list[Sighting]:
        return self.sighted

    def air(self) -> dict[bytes, BeltAir]:
        return {serial: BeltAir(-60.0, 0.0, 1.0) for serial in self.belts}

    def acked(self) -> list[int]:
        return [values[0] for kind, values in self.sent if kind == frames.ACK]


class Talk:
    """The gateway, its radio, and a belt that reports through it each virtual second."""

    def __init__(self, gateway: Gateway, radio: SpokenRadio) -> None:
        self.gateway = gateway
        self.radio = radio
        self.uptime_s = 1000
        self.spoken = 0

    def open(self, **changes: Any) -> None:
        self._say(Opened(SERIAL, self.gateway.clock.elapsed_ms(), hello(uptime_s=self.uptime_s, **changes)))

    def close(self) -> None:
        self._say(Closed(SERIAL, self.gateway.clock.elapsed_ms()))

    def report(self, occupancy: str, age_s: int, **changes: Any) -> None:
        self.uptime_s += 1
        self.spoken += 1
        self.hear(report(self.uptime_s, occupancy, age_s, **changes))

    def hear(self, message: Any) -> None:
        self._say(Heard(SERIAL, self.gateway.clock.elapsed_ms(), message))

    def beacon(self, counter: int, content: Any) -> None:
        self._say(BeaconHeard(SERIAL, self.gateway.clock.elapsed_ms(), counter, content, -60))

    def _say(self, event: RadioEvent) -> None:
        self.radio.events.put_nowait(event)

    async def until(self, wanted: Callable[[Bed], bool], *, keep: Callable[[], None] | None = None) -> Bed:
        """The first state of the bed that is wanted; `keep` speaks once a virtual second meanwhile."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                bed = self.gateway.port.snapshot()["beds"][0]
                if wanted(bed):
                    return bed
                if keep is not None:
                    keep()
                await self.gateway.clock.sleep(1.0)


def configuration(folder: Path, overrides: str = "allowed_s = 20\nsettle_s = 2\n", more: str = "") -> Config:
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nid = "gw-01"\ndata_dir = "data"\ntime_trust = "always"\n'
        '[web]\nhost = "127.0.0.1"\nport = 0\nopen_access = true\n'
        f'[alerter]\nbuzzer_pin = 17\nlight_pin = 27\nmock_pins = true\n{more}'
        f'[[beds]]\nlabel = "A"\nroom = "1"\nserial = "{SERIAL.hex()}"\nkey = "{"11" * 16}"\n'
        f"[beds.overrides]\nwindows = [{{ all_day = true }}]\n{overrides}",
        "utf-8",
    )
    file.chmod(0o600)
    return load_config(file)


def compressed_clock() -> dict[str, str]:
    """The environment of a clock that runs at SPEED from now on."""
    now_s = time.time()
    return {ENVIRONMENT: f"{now_s:.3f},{now_s:.3f},{SPEED}"}


@asynccontextmanager
async def running(config: Config, *, in_order: bool = True) -> AsyncIterator[Talk]:
    """A gateway that runs; at the end it stops in order, or is cut off with nothing but what it has committed."""
    radio = SpokenRadio()
    gateway = await Gateway.start(config, lambda *_: radio)
    task = asyncio.create_task(gateway.run())
    try:
        yield Talk(gateway, radio)
    finally:
        if in_order:
            gateway.stop()
        else:
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
