"""The smallest gateway: stock bleak with a backend, the handshake, sealed frames. What the tests talk to belts with."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gateway.aes import aes
from hil.radio.bumble_backend import radio_classes
from protocol.wire import beacon, ccm, fragments, frames, gatt, session

GATEWAY_ID = b"gw-tests"
WAIT_S = 15.0


class Refused(Exception):
    """The belt would not talk to us; args[0] is its reason."""


class Client:
    """One session with one belt."""

    def __init__(self, adapter: str, address: str, key: bytes) -> None:
        self._scanner_class, client_class = radio_classes(adapter)
        self.disconnected = asyncio.Event()
        self.ble = BleakClient(address, lambda _: self.disconnected.set(), timeout=WAIT_S, backend=client_class)
        self._key = key
        self._join: Any = fragments.IDLE
        self._up: Any = None
        self._down: Any = None
        self._received = 0
        self.sent = 0
        self.fragment = 0
        self._last_raw: bytes = b""
        self.frames: asyncio.Queue[tuple[int, tuple[Any, ...], bytes]] = asyncio.Queue()
        self.fragments_seen = 0
        self.fragments_lost = 0
        self.last_sealed = b""
        self.hello: tuple[Any, ...] = ()

    async def connect(self) -> None:
        await self.ble.connect()
        await self.ble.start_notify(gatt.TX, lambda _, value: self._notified(bytes(value)))

    def _notified(self, value: bytes) -> None:
        self.fragments_seen += 1
        try:
            self._join, packet = fragments.join(self._join, value)
        except frames.FrameError:
            self._join = fragments.IDLE
            self.fragments_lost += 1
            return
        if packet is None:
            return
        if packet[0] == session.PLAIN:
            self._keep(packet[1:])
        elif self._up is not None:
            self._received, frame = session.unseal(self._up, self._received, packet)
            self._keep(frame)

    def _keep(self, frame: bytes) -> None:
        kind, values, tail = frames.decode(frame)
        assert values is not None
        self.frames.put_nowait((kind, values, tail))

    async def write(self, packet: bytes) -> None:
        parts, self.fragment = fragments.split(packet, self.ble.mtu_size - 3, self.fragment)
        for part in parts:
            await self.ble.write_gatt_char(gatt.RX, part, response=False)

    async def send(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> None:
        self.sent += 1
        self.last_sealed = session.seal(self._down, self.sent, frames.encode(kind, values, tail))
        await self.write(self.last_sealed)

    async def handshake(self) -> tuple[Any, ...]:
        nonce = os.urandom(16)
        self._up = self._down = None
        request = frames.encode(frames.HELLO_REQUEST, (GATEWAY_ID, nonce))
        await self.write(session.plain_packet(request))
        self.hello = await self.expect(frames.HELLO)
        script = session.transcript(self.hello[0], GATEWAY_ID, self.hello[1], nonce)
        self.belt_is_genuine = ccm.same(session.belt_proof(aes, self._key, script), self.hello[2])
        up, down = session.session_keys(aes, self._key, script)
        self._up, self._down, self._received, self.sent = aes(up), aes(down), 0, 0
        confirm = frames.encode(frames.HELLO_CONFIRM, (session.gateway_proof(aes, self._key, script),))
        await self.write(session.plain_packet(confirm))
        return self.hello

    async def next(self) -> tuple[int, tuple[Any, ...], bytes]:
        async with asyncio.timeout(WAIT_S):
            frame = await self.frames.get()
        if frame[0] == frames.REFUSED:
            raise Refused(frame[1][0])
        return frame

    async def expect(self, kind: int) -> tuple[Any, ...]:
        """Fixed fields of the next frame of that kind; others are passed over."""
        while True:
            found, values, _ = await self.next()
            if found == kind:
                return values

    async def history(self, request_id: int, first: int, last: int, credits: int) -> list[tuple[Any, ...]]:
        """Records of a range, fetched with credits given in portions; the HISTORY_END is the last entry."""
        await self.send(frames.HISTORY, (request_id, first, last, credits))
        records: list[tuple[Any, ...]] = []
        while True:
            kind, values, tail = await self.next()
            if kind == frames.RECORD:
                records.append((*values, tail))
                await self.send(frames.CREDIT, (request_id, 1))
            elif kind == frames.HISTORY_END and values[0] == request_id:
                return [*records, values]

    async def open(self) -> Client:
        await self.connect()
        await self.handshake()
        return self


async def hear_beacon(
    adapter: str, serial: bytes, key: bytes, above: int = 0
) -> tuple[int, tuple[int, ...], BLEDevice]:
    """(counter, values, device) of the next genuine beacon of a belt with a counter above `above`."""
    scanner_class, _ = radio_classes(adapter)
    encrypt = aes(session.beacon_key(aes, key))
    found: asyncio.Future[tuple[int, tuple[int, ...], BLEDevice]] = asyncio.get_running_loop().create_future()
    name = gatt.name_of(serial).decode()

    def detected(device: BLEDevice, advertisement: AdvertisementData) -> None:
        if advertisement.local_name != name or 0xFFFF not in advertisement.manufacturer_data or found.done():
            return
        opened = beacon.unseal(encrypt, serial, above, advertisement.manufacturer_data[0xFFFF])
        if opened is not None:
            found.set_result((*opened, device))

    async with BleakScanner(detected, backend=scanner_class), asyncio.timeout(WAIT_S):
        return await found
