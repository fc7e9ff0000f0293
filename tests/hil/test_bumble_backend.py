"""The whole radio path: stock bleak with the Bumble backend, a virtual adapter, belts that run the real firmware."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from bleak import BleakScanner
from bleak.exc import BleakError

from hil.clock import HilClock
from hil.fleet import DrivenBelt, Fleet
from hil.radio.bumble_backend import radio_classes
from hil.radio.hci_server import SocketInUseError, serve_adapters
from hil.radio.link import VirtualLink
from hil.synth import load
from protocol.clock_scale import ClockScale
from protocol.wire import fragments, frames, gatt, session
from tests.hil.gateway_client import Client, Refused, hear_beacon

SPEED = 20.0  # twenty seconds of a belt in one


class Air:
    """A fleet of two belts on one link, and the sockets of two adapters."""

    def __init__(self, fleet: Fleet, link: VirtualLink, sockets: list[str]) -> None:
        self.fleet = fleet
        self.link = link
        self.adapter, self.other_adapter = sockets

    @property
    def belt(self) -> DrivenBelt:
        return self.fleet.belts[0]

    def client(self, belt: DrivenBelt | None = None, key: bytes | None = None, other: bool = False) -> Client:
        belt = belt or self.belt
        address = belt.ready()["address"]
        return Client(self.other_adapter if other else self.adapter, address, key or belt.identity.claim_secret)


@pytest_asyncio.fixture
async def air(tmp_path: Path) -> AsyncIterator[Air]:
    link = VirtualLink()
    paths = [tmp_path / "hci0.sock", tmp_path / "hci1.sock"]
    servers = [await serve_adapters(link, path) for path in paths]
    clock = HilClock(ClockScale(0, 0, SPEED))
    fleet = Fleet(clock, link, clock.now_ms())
    for i in range(2):
        fleet.add(load("short_exit"), tmp_path / f"belt{i}", seed=i)
    await fleet.start()
    yield Air(fleet, link, [f"unix:{path}" for path in paths])
    await fleet.stop()
    for server in servers:
        server.close()


async def test_a_beacon_is_heard_without_a_connection_and_its_counter_advances(air: Air) -> None:
    identity = air.belt.identity
    first, values, device = await hear_beacon(air.adapter, identity.serial, identity.claim_secret)
    second, _, _ = await hear_beacon(air.adapter, identity.serial, identity.claim_secret, above=first)
    assert second > first
    assert values[9] == frames.MAINS_POWERED
    assert device.name == gatt.name_of(identity.serial).decode()


async def test_reports_arrive_in_order_one_a_second(air: Air) -> None:
    client = await air.client().open()
    uptimes = [(await client.expect(frames.REPORT))[6] for _ in range(6)]
    await client.ble.disconnect()
    assert client.belt_is_genuine
    assert [after - before for before, after in pairwise(uptimes[1:])] == [1000] * 4


async def test_a_stranger_may_read_who_it_is_and_no_more(air: Air) -> None:
    client = air.client()
    await client.connect()
    info = bytes(await client.ble.read_gatt_char(gatt.INFO))
    await asyncio.sleep(0.1)
    await client.ble.disconnect()
    assert info == bytes((frames.VERSION, 0)) + air.belt.identity.serial
    assert client.fragments_seen == 0


async def test_a_stock_app_reads_the_heart_rate_after_the_belt_was_told_to_expose_it(air: Air) -> None:
    client = await air.client().open()
    await client.send(frames.COMMAND, (1, frames.CMD_EXPOSE_STANDARD, 1))
    await client.expect(frames.RESULT)
    await client.send(frames.COMMAND, (2, frames.CMD_REBOOT, 0))
    async with asyncio.timeout(10):
        await client.disconnected.wait()
    measured: asyncio.Queue[bytes] = asyncio.Queue()
    app = air.client()
    await app.ble.connect()
    assert bytes(await app.ble.read_gatt_char("2a29")) == b"sleepbelt"
    await app.ble.start_notify("2a37", lambda _, value: measured.put_nowait(bytes(value)))
    async with asyncio.timeout(10):
        flags, rate_bpm = await measured.get()
    await app.ble.disconnect()
    assert flags == 0x06
    assert 40 <= rate_bpm <= 90


async def test_a_wrong_key_is_refused_and_the_right_one_still_gets_in(air: Air) -> None:
    client = air.client(key=bytes(16))
    await client.connect()
    await client.handshake()
    with pytest.raises(Refused) as refused:
        await client.next()
    await client.ble.disconnect()
    assert refused.value.args == (frames.REFUSED_PROOF,)
    right = await air.client().open()
    await right.expect(frames.REPORT)
    await right.ble.disconnect()


async def test_a_replayed_command_is_not_obeyed_twice(air: Air) -> None:
    client = await air.client().open()
    await client.send(frames.COMMAND, (7, frames.CMD_SELF_TEST, 0))
    assert (await client.expect(frames.RESULT))[0] == 7
    await client.write(client.last_sealed)
    await client.send(frames.COMMAND, (8, frames.CMD_SELF_TEST, 0))
    assert (await client.expect(frames.RESULT))[0] == 8
    await client.ble.disconnect()


async def test_garbage_on_rx_is_survived(air: Air) -> None:
    client = await air.client().open()
    for size in (0, 1, 2, 17, 100, 244):
        for _ in range(3):
            await client.ble.write_gatt_char(gatt.RX, os.urandom(size), response=False)
            await asyncio.sleep(0.01)
    await client.send(frames.COMMAND, (9, frames.CMD_SELF_TEST, 0))
    assert (await client.expect(frames.RESULT))[:2] == (9, frames.STATUS_DONE)
    await client.ble.disconnect()


async def test_a_write_with_response_of_more_than_the_mtu_is_survived(air: Air) -> None:
    client = await air.client().open()
    with pytest.raises(BleakError):
        await client.ble.write_gatt_char(gatt.RX, bytes(600), response=True)
    await client.send(frames.COMMAND, (9, frames.CMD_SELF_TEST, 0))
    assert (await client.expect(frames.RESULT))[:2] == (9, frames.STATUS_DONE)
    await client.ble.disconnect()


async def test_history_comes_by_credits_and_an_ack_frees_it(air: Air) -> None:
    client = await air.client().open()
    while (await client.expect(frames.RECORD))[0] < 3:
        pass
    *records, end = await client.history(5, 1, 3, credits=1)
    assert sorted({record[0] for record in records}) == [1, 2, 3]
    assert end[:3] == (5, 1, 3)
    await client.send(frames.ACK, (3,))
    (end,) = await client.history(6, 4, 3, credits=1)
    assert end[3] == 4  # the oldest that is left
    await client.ble.disconnect()


async def test_every_record_arrives_through_thirty_percent_loss(air: Air) -> None:
    client = await air.client().open()
    while (await client.expect(frames.RECORD))[0] < 3:
        pass
    air.link.lose(0.3, seed=1)
    missing = {1, 2, 3}
    async with asyncio.timeout(20):
        while missing:
            await client.send(frames.HISTORY, (5, min(missing), max(missing), 5))
            await asyncio.sleep(0.1)
            while not client.frames.empty():
                kind, values, _ = client.frames.get_nowait()
                if kind == frames.RECORD:
                    missing.discard(values[0])
    assert air.link.frames_lost > 0
    await client.ble.disconnect()


async def test_a_lost_fragment_costs_its_frame_and_no_other(air: Air) -> None:
    client = await air.client().open()
    parts, client.fragment = fragments.split(bytes(400), 244, client.fragment)
    await client.ble.write_gatt_char(gatt.RX, parts[1], response=False)  # its first part never arrives
    await client.send(frames.COMMAND, (9, frames.CMD_SELF_TEST, 0))
    assert (await client.expect(frames.RESULT))[:2] == (9, frames.STATUS_DONE)
    await client.ble.disconnect()


async def test_the_beacon_goes_on_while_connected_but_nobody_else_gets_in(air: Air) -> None:
    client = await air.client().open()
    identity = air.belt.identity
    heard, _, _ = await hear_beacon(air.other_adapter, identity.serial, identity.claim_secret)
    later, _, _ = await hear_beacon(air.other_adapter, identity.serial, identity.claim_secret, above=heard)
    assert later > heard
    _, client_class = radio_classes(air.other_adapter)
    intruder = client_class(air.belt.ready()["address"], disconnected_callback=None, timeout=0.5)
    with pytest.raises(BleakError):
        await intruder.connect(False)
    await client.expect(frames.REPORT)
    await client.ble.disconnect()


async def test_two_belts_are_served_at_once(air: Air) -> None:
    clients = [await air.client(belt).open() for belt in air.fleet.belts]
    for client in clients:
        await client.expect(frames.REPORT)
        await client.expect(frames.REPORT)
    serials = [client.hello[0] for client in clients]
    for client in clients:
        await client.ble.disconnect()
    assert serials == [belt.identity.serial for belt in air.fleet.belts]


async def test_a_killed_belt_is_noticed_and_found_again_as_the_same(air: Air) -> None:
    client = await air.client().open()
    boot_id = client.hello[4]
    await air.fleet.power_cut(air.belt, off_s=0.1)
    async with asyncio.timeout(10):
        await client.disconnected.wait()
    again = await air.client().open()
    assert again.hello[0] == air.belt.identity.serial
    assert again.hello[4] == boot_id + 1
    assert again.hello[10] > client.hello[10]  # record_seq went on
    await again.ble.disconnect()


async def test_a_claimed_belt_knows_only_the_new_key(air: Air) -> None:
    bound = os.urandom(session.KEY_BYTES)
    client = await air.client().open()
    await client.send(frames.CLAIM, (3, bound, b"gateway1"))
    assert (await client.expect(frames.RESULT))[:2] == (3, frames.STATUS_DONE)
    await client.ble.disconnect()
    await hear_beacon(air.adapter, air.belt.identity.serial, bound)
    claimed = await air.client(key=bound).open()
    assert claimed.hello[-1] == 1
    await claimed.ble.disconnect()


GATEWAY_SCRIPT = """
import asyncio, sys
from tests.hil.gateway_client import Client
from protocol.wire import frames
async def main():
    client = await Client(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])).open()
    await client.expect(frames.REPORT)
    print("up", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_gateway_killed_while_connected_leaves_the_belt_free_for_the_next(air: Air) -> None:
    ready = air.belt.ready()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY_SCRIPT, air.adapter, ready["address"], ready["key"],
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"up\n"
    process.kill()
    await process.wait()
    client = await air.client().open()
    await client.expect(frames.REPORT)
    await client.ble.disconnect()


async def test_an_adapter_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    scanner_class, _ = radio_classes(f"unix:{tmp_path}/none.sock")
    with pytest.raises(BleakError, match=r"none\.sock"):
        await BleakScanner(backend=scanner_class).start()


@pytest.mark.parametrize("adapter", ["", "hci0", "/tmp/hci0.sock", "carrier-pigeon:1"])
def test_an_adapter_name_that_is_no_transport_is_refused(adapter: str) -> None:
    with pytest.raises(ValueError, match="unix:"):
        radio_classes(adapter)


async def test_an_adapter_that_goes_away_ends_its_connections_and_can_come_back(tmp_path: Path, air: Air) -> None:
    client = await air.client().open()
    air.link.unplug_adapters()
    async with asyncio.timeout(5):
        await client.disconnected.wait()
    assert not client.ble.is_connected
    again = await air.client().open()
    await again.expect(frames.REPORT)
    await again.ble.disconnect()


async def test_a_socket_in_use_is_refused_with_its_name(tmp_path: Path, air: Air) -> None:
    with pytest.raises(SocketInUseError, match=r"hci0\.sock"):
        await serve_adapters(VirtualLink(), tmp_path / "hci0.sock")


async def test_a_connect_that_is_given_up_refuses_no_later_one(air: Air) -> None:
    absent = Client(air.adapter, "F0:00:00:00:00:01", bytes(16))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await absent.connect()
    client = await air.client().open()
    await client.expect(frames.REPORT)
    await client.ble.disconnect()
