"""A whole gateway over a tier's radio on a compressed clock, and what its store holds in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import load_config
from hil.clock import HilClock
from hil.fleet import records_on
from hil.synth import load
from protocol.clock_scale import ENVIRONMENT, parse_clock_scale
from tests.asleep import Sleeper, night, write_gateway
from tests.ward import Tier, Ward, open_ward

PATIENCE_S = 120.0


@dataclass
class House:
    """Belts, their air and a gateway that runs; `begin_ms` is the elapsed instant of the nights' first sample."""

    ward: Ward
    gateway: Gateway
    folder: Path
    begin_ms: int

    def minute(self) -> float:
        """Minutes of the night that have passed."""
        return (self.gateway.clock.elapsed_ms() - self.begin_ms) / 60_000

    async def sleep_until(self, minute: float) -> None:
        await self.gateway.clock.sleep(max(0.0, (minute - self.minute()) * 60))

    async def until(self, wanted: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not wanted():
            assert time.monotonic() < deadline, f"{what} did not come about in {PATIENCE_S:g} s"
            await asyncio.sleep(0.05)

    def written(self) -> int:
        """Records on all belts' flash."""
        rings = [records_on(belt.state_directory) for belt in self.ward.fleet.belts]
        return sum(int(ring.record_seq) for ring in rings if ring is not None)

    async def until_all_records_are_here(self) -> int:
        """How many; each belt's ring to its last record, less those of the last moments."""
        aim = self.written()
        await self.until(lambda: self.gateway.room.counters["records_received"] >= aim, f"{aim} records")
        assert self.gateway.room.counters["records_lost"] == 0
        return aim


@asynccontextmanager
async def house(
    tier: Tier, folder: Path, monkeypatch: pytest.MonkeyPatch, speed: int, exits: list[tuple[str, int]], allowed_s: int
) -> AsyncIterator[House]:
    """A bed for each of `exits` (at, for seconds); every bed is watched all day and allows `allowed_s`."""
    now_s = time.time()
    monkeypatch.setenv(ENVIRONMENT, f"{now_s + 4:.3f},{now_s + 4:.3f},{speed}")
    scripts = []
    for i, (at, out_s) in enumerate(exits):
        file = folder / f"night{i}.toml"
        file.write_text(night(i + 3, at, out_s))
        scripts.append(load(str(file)))
    clock = HilClock(parse_clock_scale(f"{now_s + 4:.3f},{now_s + 4:.3f},{speed}"))
    async with open_ward(tier, folder, scripts, clock) as ward:
        sleepers = [
            Sleeper(f"B{i}", belt.identity.serial.hex(), belt.identity.claim_secret.hex())
            for i, belt in enumerate(ward.fleet.belts)
        ]
        config = write_gateway(
            folder, ward.config.backend, ward.config.adapter, sleepers, f"allowed_s = {allowed_s}\n")
        gateway = await Gateway.start(load_config(config))
        running = asyncio.create_task(gateway.run())
        behind_ms = ward.fleet._clock.now_ms() - ward.fleet.signal_start_ms
        try:
            yield House(ward, gateway, folder, gateway.clock.elapsed_ms() - behind_ms)
        finally:
            gateway.stop()
            await asyncio.gather(running)
