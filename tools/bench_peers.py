"""The gateway as facts/PEERS.md measured its peers: 8 belts at 1 Hz on one fake BlueZ over D-Bus, beside the floor.

The floor is the least that a gateway can be (tools/floor_program.py), measured here on the same stream: how many times
as much the gateway takes says more than milliseconds of this machine. Belts of ours also advertise once a second while
they are connected, which is measured apart.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hil.demo.plan import DemoBed, gateway_toml
from tools.bench_bluez import BELTS, FLOOR, MIB, PEERS, SETTLE_S, START_OVER_S, Gateway, beside, bluez_config, spent
from tools.bench_rows import Row, appliance_environment, print_rows, row
from tools.fake_bluez import KEY, fake_bluez, serial_of

STREAM = f"peers_stream_{BELTS}_belts"


async def _gateway(folder: Path, environment: dict[str, str]) -> tuple[float, float, float, float]:
    """(seconds to its first reading, CPU ms a reading, times woken a reading, MiB)."""
    beds = [DemoBed(f"bed-{number}", "1", "") for number in range(BELTS)]
    belts = [{"serial": serial_of(number).hex(), "key": KEY.hex()} for number in range(BELTS)]
    gateway = Gateway(bluez_config(folder, gateway_toml(folder / "data", "", belts, None, 0, beds)), environment)
    try:
        began = time.monotonic()
        await gateway.start()
        first_s = await gateway.until(lambda: gateway.readings() > 0, began)
        await gateway.until(lambda: gateway.get("/api/stats").get("radio_sessions", 0) >= BELTS, began)
        await asyncio.sleep(START_OVER_S)
        assert gateway.process is not None
        process = psutil.Process(gateway.process.pid)
        _, cpu_ms, woken = await spent(process, gateway.readings)
        return first_s, cpu_ms, woken, process.memory_info().rss / MIB
    finally:
        await asyncio.to_thread(gateway.end)


async def _floor(folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """(CPU ms a reading, MiB)."""
    command = [sys.executable, "-m", "tools.floor_program", str(folder / "floor.db"), str(BELTS)]
    program = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment})  # fmt: skip
    assert program.stdout is not None
    stored = 0

    async def follow(told: asyncio.StreamReader) -> None:
        nonlocal stored
        async for line in told:
            stored = int(line)

    following = asyncio.create_task(follow(program.stdout))
    try:
        while stored < BELTS:  # noqa: ASYNC110 - a figure, polled
            await asyncio.sleep(0.1)
        await asyncio.sleep(SETTLE_S)
        process = psutil.Process(program.pid)
        _, cpu_ms, _ = await spent(process, lambda: stored)
        return cpu_ms, process.memory_info().rss / MIB
    finally:
        program.kill()
        await program.wait()
        await following


async def _measure() -> list[Row]:
    appliance_environment()  # before any clock runs
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        for part in ("alone", "beacons"):
            (Path(name) / part).mkdir()
        with fake_bluez(Path(name) / "alone") as environment:
            first_s, cpu_ms, woken, rss = await _gateway(Path(name) / "alone", environment)
            floor_ms, floor_rss = await _floor(Path(name) / "alone", environment)
        with fake_bluez(Path(name) / "beacons", "--beacons") as environment:
            _, beacons_ms, beacons_woken, _ = await _gateway(Path(name) / "beacons", environment)
    here = f"{FLOOR}, on this machine"
    return [
        *beside(f"{STREAM}_", "start_to_first_reading", first_s, "s"),
        row(f"{STREAM}_cpu_per_reading", cpu_ms, "ms", limit=1, source=PEERS),
        *beside(f"{STREAM}_", "cpu_per_reading", cpu_ms, "ms"),
        row(f"{STREAM}_cpu_per_reading_beside_floor_here", cpu_ms, "ms", peer=floor_ms, source=here),
        row(f"{STREAM}_wakeups_per_reading", woken, ""),
        row(f"{STREAM}_rss", rss, "MiB", limit=48, source=f"{PEERS}; at most 64"),
        row(f"{STREAM}_rss_beside_floor_here", rss, "MiB", peer=floor_rss, source=here),
        row(f"{STREAM}_with_beacons_cpu_per_reading", beacons_ms, "ms"),
        row(f"{STREAM}_with_beacons_wakeups_per_reading", beacons_woken, ""),
    ]


if __name__ == "__main__":
    if shutil.which("dbus-daemon") is None:
        raise SystemExit("bench: peers needs dbus-daemon (Debian: apt install dbus-daemon)")
    print_rows(asyncio.run(_measure()))
