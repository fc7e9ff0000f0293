"""The field failures of facts/RADIO.md on real BlueZ: injected, noticed, recovered; times go into docs/hil.md."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from gateway.radio import BeaconHeard, Closed, Heard, Opened
from protocol.messages import LiveReport
from tests.hil_box.conftest import WAIT_S, Ward
from tests.hil_box.failure_table import FailureTable

HOLD_SCRIPT = """
import asyncio, sys
from bleak import BleakClient, BleakScanner
async def main():
    device = await BleakScanner.find_device_by_address(sys.argv[1], timeout=30)
    await BleakClient(device).connect()
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def is_report(event: Any) -> bool:
    return isinstance(event, Heard) and isinstance(event.message, LiveReport)


async def in_session(ward: Ward, since: float = 0.0) -> float:
    return await ward.until(Heard, is_report, since)


async def test_a_link_held_by_a_killed_gateway_is_taken_over(ward: Ward, table: FailureTable) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_SCRIPT, ward.fleet.belts[0].ready()["address"],
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        assert await process.stdout.readline() == b"up\n"
    process.kill()
    await process.wait()
    begun = time.monotonic()
    ward.listen()
    opened = await ward.until(Opened)
    reported = await in_session(ward)
    table.add(
        1, "gateway killed while connected", "SIGKILL of the process that holds the link",
        "BlueZ lists the belt as connected; it is attached again", opened - begun, reported - begun,
    )  # fmt: skip


async def test_a_belt_that_hangs_up_leaves_no_connection_to_the_bus(ward: Ward, table: FailureTable) -> None:
    ward.listen()
    await in_session(ward)
    before = await _bus_connections(ward)
    detected: list[float] = []
    recovered: list[float] = []
    for _ in range(5):
        begun = time.monotonic()
        for connection in list(ward.fleet.belts[0].radio._connections):
            ward.fleet.belts[0].radio.hang_up(connection)
        detected.append(await ward.until(Closed, since=begun) - begun)
        recovered.append(await in_session(ward, begun + detected[-1]) - begun)
    assert await _bus_connections(ward) <= before
    table.add(
        2, "belt disconnects by itself", "five hang-ups in a row",
        f"the client is always disconnected; connections to the bus: {before} before, as many after",
        max(detected), max(recovered),
    )  # fmt: skip


async def test_a_dead_bluetoothd_is_noticed_and_a_new_one_used(ward: Ward, table: FailureTable) -> None:
    radio = ward.listen()
    await in_session(ward)
    begun = time.monotonic()
    await ward.box.kill_bluetoothd()
    closed = await ward.until(Closed, since=begun)
    said = ""
    async with asyncio.timeout(WAIT_S):
        while not said:
            said = radio.trouble
            await asyncio.sleep(0.05)
    await ward.box.start_bluetoothd()
    restarted = time.monotonic()
    reported = await in_session(ward, restarted)
    table.add(
        3, "bluetoothd dies", "SIGKILL in the box, started again by hand once it was noticed",
        f"watch and freshness: {said.partition(';')[0]}", closed - begun, reported - restarted,
    )  # fmt: skip


async def test_a_controller_that_refuses_a_connection_is_brought_back(ward: Ward, table: FailureTable) -> None:
    ward.adapter.refuses_next = True
    begun = time.monotonic()
    radio = ward.listen()
    reported = await in_session(ward)
    beacons = [at for at, event in ward.events if isinstance(event, BeaconHeard) and at < reported]
    table.add(
        5, "controller refuses a connection (0x0D)", "LE Connection Complete with that status, once",
        f"connects fail; power cycles: {radio.counters['recovery_power']}; beacons heard meanwhile: {len(beacons)}",
        None, reported - begun,
    )  # fmt: skip


async def test_a_belt_that_was_gone_is_connected_from_a_live_scan(ward: Ward, table: FailureTable) -> None:
    ward.listen()
    await in_session(ward)
    begun = time.monotonic()
    await ward.fleet.power_cut(ward.fleet.belts[0], off_s=1.0)
    closed = await ward.until(Closed, since=begun)
    reported = await in_session(ward, closed)
    table.add(
        9, "a device seen long ago is gone from BlueZ", "belt's power cut, its link lost",
        "the next connect waits for its advertisement", closed - begun, reported - begun,
    )  # fmt: skip


async def _bus_connections(ward: Ward) -> int:
    """How many clients of this machine the bus in the box has, one socat each."""
    return (await ward.box.run("ps")).count("UNIX-CONNECT")
