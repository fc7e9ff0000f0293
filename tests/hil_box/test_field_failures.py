"""The field failures of facts/RADIO.md on real BlueZ: injected, noticed, recovered; times go into docs/hil.md."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.cores.belt_session import BeltSession, Outcome
from gateway.cores.radio_ladder import Rung
from gateway.cores.reconnect import STABLE_MS
from gateway.radio import BeaconHeard, Closed, Heard, NoSession, Opened
from gateway.radio_link import HistoryEnd
from protocol.messages import AnyRecord, LiveReport
from protocol.wire import frames
from tests.hil_box.failure_table import FailureTable
from tests.ward import WAIT_S, Ward

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
    before = await ward.bus_connections()
    detected: list[float] = []
    recovered: list[float] = []
    for _ in range(5):
        await asyncio.sleep(STABLE_MS / 1000 + 1)
        begun = time.monotonic()
        ward.fleet.belts[0].radio.hang_up_all()
        detected.append(await ward.until(Closed, since=begun) - begun)
        recovered.append(await in_session(ward, begun + detected[-1]) - begun)
    assert await ward.bus_connections() <= before
    table.add(
        2, "belt disconnects by itself", "five hang-ups, 6 s apart",
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


async def test_a_controller_that_locks_up_is_brought_back_by_the_ladder(ward: Ward, table: FailureTable) -> None:
    radio = ward.listen(ward.all_rungs())
    await in_session(ward)
    begun = time.monotonic()
    ward.adapter.lock_up()
    closed = await ward.until(Closed, since=begun)
    reported = await in_session(ward, closed)
    rungs = [rung for rung in Rung if radio.counters[f"recovery_{rung}"]]
    table.add(
        4, "controller locks up", "the virtual controller says and hears nothing until it is reset",
        f"no fresh data in 5 s; every call ended by its time limit; rungs taken: {', '.join(rungs) or 'none'}",
        closed - begun, reported - begun,
    )  # fmt: skip


async def test_a_controller_that_refuses_a_connection_is_brought_back(ward: Ward, table: FailureTable) -> None:
    ward.adapter.refuses_next = True
    begun = time.monotonic()
    radio = ward.listen()
    failed = await ward.until(NoSession)
    reported = await in_session(ward, failed)
    beacons = [at for at, event in ward.events if isinstance(event, BeaconHeard) and at < reported]
    table.add(
        5, "controller refuses a connection (0x0D)", "LE Connection Complete with that status, once",
        f"connects fail; power cycles: {radio.counters['recovery_power']}; beacons heard meanwhile: {len(beacons)}",
        failed - begun, reported - begun,
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


PAIR_SCRIPT = """
import asyncio, sys
from bleak import BleakClient, BleakScanner
from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, method
from bleak.backends.bluezdbus.utils import get_dbus_authenticator
from dbus_fast import Message

class Agent(ServiceInterface):
    def __init__(self):
        super().__init__("org.bluez.Agent1")
    @method()
    def Release(self): pass
    @method()
    def RequestConfirmation(self, device: "o", passkey: "u"): pass
    @method()
    def RequestAuthorization(self, device: "o"): pass
    @method()
    def Cancel(self): pass

async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator()).connect()
    bus.export("/agent", Agent())
    for member, signature, body in (("RegisterAgent", "os", ["/agent", "NoInputNoOutput"]),
                                    ("RequestDefaultAgent", "o", ["/agent"])):
        await bus.call(Message("org.bluez", "/org/bluez", "org.bluez.AgentManager1", member,
                               signature=signature, body=body))
    device = await BleakScanner.find_device_by_address(sys.argv[1], timeout=60)
    async with BleakClient(device, timeout=60) as client:
        await client.pair()
    print("paired", flush=True)
asyncio.run(main())
"""


async def test_a_bond_whose_keys_the_belt_has_lost_is_removed_before_connecting(
    ward: Ward, table: FailureTable
) -> None:
    belt = ward.fleet.belts[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PAIR_SCRIPT, belt.ready()["address"],
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        assert await process.stdout.readline() == b"paired\n"
        await process.wait()
    await ward.fleet.power_cut(belt, off_s=1.0)  # its radio chip forgets its keys
    begun = time.monotonic()
    radio = ward.listen()
    removed = 0.0
    async with asyncio.timeout(WAIT_S):
        while not removed:
            removed = time.monotonic() if radio.counters["bonds_removed"] else 0.0
            await asyncio.sleep(0.02)
    reported = await in_session(ward, removed)
    assert radio.counters["bonds_removed"] == 1
    assert "bluetoothd" in await ward.box.run("ps | grep '[b]luetoothd --no'")
    table.add(
        6, "a bonded belt that lost its keys", "paired through an agent, then the belt's power cut",
        "BlueZ has a bond with it: the bond is removed, the next connect is from its advertisement; bluetoothd lives",
        removed - begun, reported - begun,
    )  # fmt: skip


async def test_a_belt_that_wants_pairing_hangs_no_call_and_costs_no_other_its_session(
    ward: Ward, table: FailureTable
) -> None:
    belt = ward.fleet.belts[0]
    belt.radio.wants_pairing = True
    await ward.fleet.power_cut(belt, off_s=0.5)
    begun = time.monotonic()
    ward.listen()
    refused = await ward.until(NoSession)
    belt.radio.wants_pairing = False
    await ward.fleet.power_cut(belt, off_s=0.5)
    mended = time.monotonic()
    reported = await in_session(ward, mended)
    table.add(
        7, "no pairing agent: a protected characteristic hangs for 40 s", "the belt's table asks for encryption",
        "the write is given up after 5 s and the link dropped; recovery is counted from when the belt asks no more",
        refused - begun, reported - mended,
    )  # fmt: skip


async def test_what_a_burst_loses_is_fetched_again(ward: Ward, table: FailureTable) -> None:
    """A belt with hours of records sends them as fast as it is allowed to, and a third is lost on the way."""
    belt = ward.fleet.belts[0]
    await ward.fleet.pre_live(belt, hours=4)
    radio = ward.listen()
    opened = await ward.until(Opened)
    hello = next(event.hello for at, event in ward.events if at == opened)
    assert hello.record_seq > 200
    ward.link.lose(0.3, seed=8)
    begun, gap_at, requests = time.monotonic(), 0.0, 0
    session, taken = BeltSession("A"), 0

    def follow(outcome: Outcome) -> None:
        nonlocal requests, taken
        taken += len(outcome.records)
        for kind, values in outcome.sends:
            requests += kind == frames.HISTORY
            radio.send(belt.identity.serial, kind, values)

    follow(session.opened(0, hello))
    done = len(ward.events)
    while taken < hello.record_seq:
        assert time.monotonic() < begun + WAIT_S, f"{taken} of {hello.record_seq} records"
        await asyncio.sleep(0.02)
        now_ms = round(1000 * (time.monotonic() - begun))
        for at, event in ward.events[done:]:
            done += 1
            message = getattr(event, "message", None)
            if isinstance(message, HistoryEnd):
                end = message.request_id, message.last_seq, message.oldest_seq, message.record_seq
                follow(session.history_end(now_ms, *end))
            elif isinstance(message, AnyRecord):
                outcome = session.record(now_ms, message)
                gap_at = gap_at or (0.0 if outcome.accepted else at)
                follow(outcome)
        follow(session.advance(now_ms))
    ended = time.monotonic()
    assert ward.link.frames_lost > 50
    table.add(
        8, "bursts of notifications lose data silently",
        f"{hello.record_seq} records in bursts, 30 % of the notifications lost",
        f"gaps in seq are asked for again, {requests} requests; no record is missing", gap_at - begun, ended - begun,
    )  # fmt: skip


async def test_without_bluetoothd_nothing_is_called_stuck_and_it_is_used_once_it_is_there(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    await ward.box.kill_bluetoothd()
    radio = ward.listen()
    for _ in range(round(WAIT_S)):
        if radio.trouble:
            break
        await asyncio.sleep(1)
    assert "bluetoothd is not installed" in radio.trouble
    await asyncio.sleep(8)  # several attempts
    assert not any("stuck" in line for line in caplog.messages)
    await ward.box.start_bluetoothd()
    await in_session(ward)
