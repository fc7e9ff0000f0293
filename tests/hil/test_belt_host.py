"""The real firmware in the real interpreter, in lockstep with virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_py.belt.app import FAULT_CRASHED, FAULT_HUNG
from gateway.aes import aes
from hil.belt_host import RESET_POWER_ON, RESET_WATCHDOG, BeltDiedError, BeltHost, Identity, SilentRadio
from hil.fleet import records_on
from hil.synth import Synth, load
from protocol.wire import beacon, frames, session

IDENTITY = Identity(b"EMU-0001", bytes(range(16)))
TICKS_PERIOD = 1 << 30


@asynccontextmanager
async def _belt(directory: Path, cause: int = RESET_POWER_ON, **options: Any) -> AsyncIterator[BeltHost]:
    IDENTITY.write(directory)
    host = BeltHost(directory, Synth(load("short_exit"), rate_hz=50), **options)
    await host.start(cause=cause)
    try:
        yield host
    finally:
        await host.stop()


def _kinds(directory: Path) -> list[int]:
    ring = records_on(directory)
    assert ring is not None
    return [record[2] for seq in range(1, ring.record_seq + 1) if (record := ring.read(seq)) is not None]


async def test_a_night_is_lived_in_virtual_time(tmp_path: Path) -> None:
    async with _belt(tmp_path) as host:
        await host.run_until(330_000)
        assert host.now_ms == 330_000
    kinds = _kinds(tmp_path)
    assert kinds.count(frames.RECORD_MINUTE) == 5
    assert kinds.count(frames.RECORD_ABSENCE) == 1


async def test_the_beacon_is_sealed_once_a_second_with_the_belts_key(tmp_path: Path) -> None:
    async with _belt(tmp_path) as host:
        await host.run_until(30_000)
        assert isinstance(host.radio, SilentRadio)
        assert host.radio.advertisements == 31  # one at boot, one a second
        encrypt = aes(session.beacon_key(aes, IDENTITY.claim_secret))
        opened = beacon.unseal(encrypt, IDENTITY.serial, 0, host.radio.advertisement[7:])
    assert opened is not None
    assert (opened[0], opened[1][0]) == (31, frames.OCCUPIED)


async def _outcome(directory: Path, step_ms: int) -> tuple[bytes, bytes]:
    async with _belt(directory) as host:
        for until_ms in range(step_ms, 120_001, step_ms):
            await host.run_until(until_ms)
        assert isinstance(host.radio, SilentRadio)
        return host.radio.advertisement, (directory / "flash.bin").read_bytes()


async def test_the_length_of_the_slices_changes_nothing(tmp_path: Path) -> None:
    assert await _outcome(tmp_path / "a", 1000) == await _outcome(tmp_path / "b", 40)


async def test_ring_and_configuration_survive_a_power_cut(tmp_path: Path) -> None:
    async with _belt(tmp_path) as host:
        await host.run_until(125_000)
        running = asyncio.create_task(host.run_until(10_000_000))
        await asyncio.sleep(0)
        await host.kill()  # somewhere in the middle of what it was doing
        await asyncio.gather(running, return_exceptions=True)
        before = records_on(tmp_path)
        await host.start(boot_at_ms=130_000)
        await host.run_until(61_000)
    after = records_on(tmp_path)
    assert before is not None
    assert after is not None
    assert before.record_seq >= 4
    assert after.record_seq >= before.record_seq + 2
    assert (before.last_boot_id, after.last_boot_id) == (1, 2)
    assert all(after.read(seq) is not None for seq in range(1, after.record_seq + 1))


async def test_ticks_wrap_without_a_trace(tmp_path: Path) -> None:
    async with _belt(tmp_path, ticks_start=TICKS_PERIOD - 10_000) as host:
        await host.run_until(121_000)
    ring = records_on(tmp_path)
    assert ring is not None
    minutes = [r[1] for seq in range(1, ring.record_seq + 1) if (r := ring.read(seq)) and r[2] == frames.RECORD_MINUTE]
    assert minutes == [60_000, 120_000]


async def test_the_heap_stays_flat(tmp_path: Path) -> None:
    async with _belt(tmp_path) as host:
        await host.run_until(120_000)
        early = await host.measure_heap()
        await host.run_until(360_000)
        late = await host.measure_heap()
    assert late <= early * 1.02
    assert late <= 2 * 96 * 1024  # 96 KiB on a board with words of half the size


async def test_a_firmware_that_cannot_start_says_why(tmp_path: Path) -> None:
    host = BeltHost(tmp_path, Synth(load("short_exit"), rate_hz=50))
    with pytest.raises(BeltDiedError, match=r"identity\.json"):
        await host.start()


def _faults(folder: Path) -> list[tuple[int, ...]]:
    ring = records_on(folder)
    assert ring is not None
    held = [ring.read(seq) for seq in range(1, ring.record_seq + 1)]
    bodies = [record[3] for record in held if record is not None and record[2] == frames.RECORD_FAULT]
    return [fault for body in bodies if (fault := frames.decode_record(frames.RECORD_FAULT, body))]


async def test_a_crash_is_told_by_the_run_after_the_watchdog(tmp_path: Path) -> None:
    host = BeltHost(tmp_path, Synth(load("short_exit"), rate_hz=50))
    with pytest.raises(BeltDiedError):
        await host.start()
    assert "IdentityError" in (tmp_path / "crash.txt").read_text()
    IDENTITY.write(tmp_path)
    await host.start(cause=RESET_WATCHDOG)
    await host.run_until(2000)
    await host.stop()
    ((code, line),) = _faults(tmp_path)
    assert code == FAULT_CRASHED
    assert line > 0
    assert (tmp_path / "last_crash.txt").exists()


async def test_a_hang_is_told_by_the_run_after_the_watchdog(tmp_path: Path) -> None:
    (tmp_path / "rtc.bin").write_bytes(b"\x01")  # as the emulation's memory is after a watchdog's reset
    async with _belt(tmp_path, cause=RESET_WATCHDOG) as host:
        await host.run_until(1000)
    assert _faults(tmp_path) == [(FAULT_HUNG, 1)]


def test_identities_under_a_seed_are_the_same_each_time() -> None:
    assert Identity.fresh(3, seed=1) == Identity.fresh(3, seed=1)
    assert Identity.fresh(3, seed=1) != Identity.fresh(4, seed=1)


def test_an_identity_is_never_replaced(tmp_path: Path) -> None:
    IDENTITY.write(tmp_path)
    Identity.fresh(1).write(tmp_path)
    assert Identity.read(tmp_path) == IDENTITY
