"""A whole gateway over a tier's radio on a compressed clock, and what its store holds in the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import load_config
from gateway.store_files import StoreFiles
from hil.clock import HilClock
from hil.fleet import DrivenBelt, records_on
from hil.synth import load
from protocol.batch import decode_item
from protocol.clock_scale import ENVIRONMENT, parse_clock_scale
from protocol.vitals import VitalsChunk
from protocol.wire import frames
from tests.asleep import Sleeper, night, write_gateway
from tests.ward import Tier, Ward, open_ward

PATIENCE_S = 120.0
WARM_UP_S = 20.0  # of real time for belts and gateway to start in; the fast clock begins then


@dataclass
class House:
    """Belts, their air and a gateway that runs; `begin_ms` is the elapsed instant of the nights' first sample."""

    ward: Ward
    gateway: Gateway
    folder: Path
    begin_ms: int
    parts: tuple[asyncio.Task[None], ...]  # what must not end while the house stands

    def minute(self) -> float:
        """Minutes of the night that have passed."""
        return (self.gateway.clock.elapsed_ms() - self.begin_ms) / 60_000

    async def sleep_until(self, minute: float) -> None:
        await asyncio.wait(
            self.parts, timeout=self.gateway.clock.real_delay_s((minute - self.minute()) * 60),
            return_when=asyncio.FIRST_COMPLETED,
        )  # fmt: skip
        self._check()

    def _check(self) -> None:
        """A belt that crashed or a gateway that ended is told as what it is, not as what does not come about."""
        for part in self.parts:
            if part.done():
                part.result()
                raise AssertionError("the gateway has ended")

    async def until(self, wanted: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not wanted():
            self._check()
            assert time.monotonic() < deadline, f"{what} did not come about in {PATIENCE_S:g} s"
            await asyncio.sleep(0.05)

    async def until_all_records_are_here(self, belts: list[DrivenBelt] | None = None, before: int = 0) -> int:
        """How many: of these belts' flash (all) to the last; `before` have been received from others."""
        aim = 0
        for belt in self.ward.fleet.belts if belts is None else belts:
            ring = records_on(belt.state_directory)
            aim += 0 if ring is None else int(ring.record_seq)
        counters = self.gateway.room.counters
        await self.until(lambda: counters["records_received"] >= before + aim, f"{aim} records")
        assert counters["records_lost"] == 0
        return aim


@asynccontextmanager
async def house(
    tier: Tier, folder: Path, monkeypatch: pytest.MonkeyPatch, speed: int, outs: list[list[tuple[str, int]]],
    allowed_s: int, spares: int = 0, drifts_ppm: Sequence[float] = (),
) -> AsyncIterator[House]:  # fmt: skip
    """A belt for each of `outs` (of bed: at, for seconds) at a bed of its own, the last `spares` of them at none.

    Every bed is watched all day and allows `allowed_s`. `drifts_ppm`: of the belts' clocks.
    """
    start_s = time.time() + WARM_UP_S
    monkeypatch.setenv(ENVIRONMENT, f"{start_s:.3f},{start_s:.3f},{speed}")
    scripts = []
    for i, of_belt in enumerate(outs):
        file = folder / f"night{i}.toml"
        file.write_text(night(i + 3, of_belt, end="00:00"))
        scripts.append(load(str(file)))
    clock = HilClock(parse_clock_scale(f"{start_s:.3f},{start_s:.3f},{speed}"))
    async with open_ward(tier, folder, scripts, clock, drifts_ppm=drifts_ppm) as ward:
        sleepers = [
            Sleeper(f"B{i}", belt.identity.serial.hex(), belt.identity.claim_secret.hex())
            for i, belt in enumerate(ward.fleet.belts[: len(outs) - spares])
        ]
        config = write_gateway(
            folder, ward.config.backend, ward.config.adapter, sleepers, f"allowed_s = {allowed_s}\n")
        gateway = await Gateway.start(load_config(config))
        running, watching = asyncio.create_task(gateway.run()), asyncio.create_task(ward.fleet.failed())
        behind_ms = clock.now_ms() - ward.fleet.signal_start_ms
        try:
            yield House(ward, gateway, folder, gateway.clock.elapsed_ms() - behind_ms, (running, watching))
        finally:
            gateway.stop()
            await asyncio.gather(running)
            watching.cancel()


@dataclass(frozen=True)
class Written:
    """One record as the belt's own flash has it, by the firmware's own reading."""

    seq: int
    kind: int
    boot_id: int
    end_second: int
    judged_s: int  # of a minute: occupied, empty and unclear together


def written_by(belt: DrivenBelt) -> list[Written]:
    """Every record of a belt since it was made."""
    ring = records_on(belt.state_directory)
    assert ring is not None
    found = []
    for seq in range(1, int(ring.record_seq) + 1):
        record = ring.read(seq)
        assert record is not None, f"record {seq} is no longer on the flash"
        boot_id, uptime_ms, kind, body = record
        judged_s = sum(body[:3]) if kind == frames.RECORD_MINUTE else 0
        found.append(Written(seq, kind, boot_id, uptime_ms // 1000, judged_s))
    return found


def check_each_arrived_once(folder: Path, belt: DrivenBelt, bed: str, records: int, before: int = 0) -> int:
    """Compare the first `records` of a belt's flash with the gateway's store, both as they lie there; the minutes.

    `before` of them are from before the belt was bound to the bed, and nobody's there.
    Every minute is in exactly one chunk of the vitals lane, every other record in exactly one row, and the seconds
    that the minutes judge add up to the same.
    """
    serial = belt.identity.serial.hex()
    files = StoreFiles(folder / "data")
    chunks = [decode_item(body) for body in files.chunks(bed, 0, 2**53)]
    rows = Counter(row.seq for row in files.records(bed, 0, 2**53) if row.belt == serial)
    files.close()
    of_belt = [chunk for chunk in chunks if isinstance(chunk, VitalsChunk) and chunk.belt == serial and chunk.minute]
    times = Counter((chunk.boot_id, chunk.start_second + 60) for chunk in of_belt)
    flash = written_by(belt)[before:records]
    minutes = [(record.boot_id, record.end_second) for record in flash if record.kind == frames.RECORD_MINUTE]
    assert len(flash) == records - before
    assert set(times.values()) | set(rows.values()) == {1}
    assert set(minutes) <= set(times), f"not in the store: {sorted(set(minutes) - set(times))}"
    assert not {record.seq for record in flash if record.kind != frames.RECORD_MINUTE} - set(rows)
    wanted = set(minutes)
    stored_s = sum(
        chunk.minute.occupied_s + chunk.minute.empty_s + chunk.minute.unclear_s
        for chunk in of_belt if chunk.minute is not None and (chunk.boot_id, chunk.start_second + 60) in wanted
    )  # fmt: skip
    assert stored_s == sum(record.judged_s for record in flash)
    return len(minutes)
