"""A belt made of the wire's own functions, and an air in which a bleak backend reaches it: no adapter, no firmware."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError

from gateway.aes import aes
from protocol.wire import beacon, ccm, fragments, frames, gatt, session

VALUE_BYTES = 100


class SpokenBelt:
    """The belt's end of the link; `say_*` sends what a test wants said, right or wrong."""

    def __init__(self, serial: bytes, key: bytes) -> None:
        self.serial, self.key = serial, key
        self.address = ":".join(f"{byte:02X}" for byte in serial[-6:])
        self.refuses: int | None = None
        self.heard: list[tuple[int, Any]] = []
        self.notify: Callable[[bytes], None] | None = None
        self.drop: Callable[[], None] = lambda: None
        self.connects = self.disconnects = 0
        self.reachable = True
        self.deaf = False
        self.claimed = 0
        self.record_seq = 0
        self.away = False  # out of range
        self.obeys = False  # takes keys and commands as the firmware does
        self.deaf_to_claims = False
        self.retires_in_silence = False
        self.wipes_as = frames.STATUS_DONE  # what it answers to an order to wipe its records
        self.discovery_s = 0.01  # how long its list of services takes to read
        self.disconnect_s = 0.0  # how long its client takes to say goodbye
        self.keeps_cancellation = False  # its writes hang, and end as if done when they are cancelled
        self.strange_services = 0  # so many characteristics before the belt's own
        self._join: tuple[bytes, int] = fragments.IDLE
        self._fragment = 0
        self._up: Callable[[bytes], bytes] | None = None
        self._down: Callable[[bytes], bytes] | None = None

    def connected(self) -> None:
        self.connects += 1
        self._join, self._fragment = fragments.IDLE, 0
        self._nonce = os.urandom(16)
        self._sent = self._received = 0
        self._up = self._down = None

    def written(self, value: bytes) -> None:
        """A fragment from the gateway."""
        if self.deaf:
            return
        self._join, packet = fragments.join(self._join, value)
        if packet is None:
            return
        if packet[0] == session.SEALED:
            assert self._down is not None
            self._received, frame = session.unseal(self._down, self._received, packet)
            kind, values, _ = frames.decode(frame)
            self.heard.append((kind, values))
            if self.obeys and values is not None:
                self._obey(kind, values)
            return
        kind, values, _ = frames.decode(packet[1:])
        assert values is not None
        if kind == frames.HELLO_REQUEST:
            self._hello(*values)
        elif kind == frames.HELLO_CONFIRM:
            assert ccm.same(session.gateway_proof(aes, self.key, self._script), values[0])
            up, down = session.session_keys(aes, self.key, self._script)
            self._up, self._down = aes(up), aes(down)

    def _hello(self, gateway_id: bytes, gateway_nonce: bytes) -> None:
        if self.refuses is not None:
            self.say_plain(frames.encode(frames.REFUSED, (self.refuses,)))
            return
        self._script = session.transcript(self.serial, gateway_id, self._nonce, gateway_nonce)
        proof = session.belt_proof(aes, self.key, self._script)
        self.say_plain(frames.encode(
            frames.HELLO, (self.serial, self._nonce, proof, 1, 7, 5000, 0, 0, 1, 0, self.record_seq, 1, self.claimed)))

    def _obey(self, kind: int, values: Any) -> None:
        if kind == frames.CLAIM:
            if self.deaf_to_claims:
                return
            self.key, self.claimed = values[1], 1
            self.say(frames.encode(frames.RESULT, (values[0], frames.STATUS_DONE, 0)))
        elif kind == frames.COMMAND:
            request, command, _ = values
            if command == frames.CMD_DECOMMISSION:
                self.refuses = frames.REFUSED_DECOMMISSIONED
                if self.retires_in_silence:
                    return
            status = frames.STATUS_STARTED if command == frames.CMD_IDENTIFY else frames.STATUS_DONE
            status = self.wipes_as if command == frames.CMD_WIPE_RECORDS else status
            self.say(frames.encode(frames.RESULT, (request, status, 0)))

    @property
    def in_session(self) -> bool:
        return self.notify is not None and self._up is not None

    def say(self, frame: bytes) -> None:
        """A frame of the session."""
        assert self._up is not None
        self._sent += 1
        self.say_packet(session.seal(self._up, self._sent, frame))

    def say_plain(self, frame: bytes) -> None:
        self.say_packet(session.plain_packet(frame))

    def say_packet(self, packet: bytes) -> None:
        pieces, self._fragment = fragments.split(packet, VALUE_BYTES, self._fragment)
        for piece in pieces:
            self.say_raw(piece)

    def say_raw(self, value: bytes) -> None:
        assert self.notify is not None
        self.notify(value)

    def report(self, uptime_s: int) -> None:
        self.say(report_frame(uptime_s))

    def beacon(self, counter: int) -> bytes:
        content = beacon.pack((frames.OCCUPIED, 0, 0, 100, 0, 60, 28, 12, 12, 90, 7, 0, 3, 0))
        return beacon.seal(aes(session.beacon_key(aes, self.key)), self.serial, counter, content)


def report_frame(uptime_s: int) -> bytes:
    """Somebody lies there, heart and breath are well seen."""
    return frames.encode(frames.REPORT, (
        frames.OCCUPIED, 0, 100, 0, 0, 7, uptime_s * 1000, 615, 80, 0, 145, 70, 0, 3, 0, 90, 0))


class Air:
    """What scanners and clients of one test share."""

    def __init__(self, *belts: SpokenBelt) -> None:
        self.belts = {belt.address: belt for belt in belts}
        self.scanners: list[Any] = []
        self.scan_starts = 0
        self.scan_fails = 0
        self.scan_keeps_cancellation = False  # starting it hangs, and ends as if done when it is cancelled
        self.dead = False  # the adapter does not connect any more
        self.connecting = self.most_connecting = 0
        air = self
        self.scanner = type("AirScanner", (_Scanner,), {"air": air})
        self.client = type("AirClient", (_Client,), {"air": air})

    def advertise(self, belt: SpokenBelt, data: bytes | None = None, named: bool = True) -> None:
        for scanner in list(self.scanners):
            scanner.hear(belt, data, named)


async def _keep_cancellation() -> None:
    """What `wait_for` of Python 3.11 does when its answer comes at the moment of the cancellation."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


class _Scanner(BaseBleakScanner):
    air: Air

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: Any, **_: Any) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.air.scan_starts += 1
        if self.air.scan_fails:
            self.air.scan_fails -= 1
            raise BleakError("no adapter")
        if self.air.scan_keeps_cancellation:
            await _keep_cancellation()
        self.air.scanners.append(self)

    async def stop(self) -> None:
        if self in self.air.scanners:
            self.air.scanners.remove(self)

    def hear(self, belt: SpokenBelt, data: bytes | None, named: bool) -> None:
        name = gatt.name_of(belt.serial).decode() if named else None
        said = AdvertisementData(name, {0xFFFF: data} if data else {}, {}, [], None, -60, ())
        device = self.create_or_update_device(belt.address, belt.address, name, None, said)
        self.call_detection_callbacks(device, said)


class _Client(BaseBleakClient):
    air: Air

    def __init__(self, address_or_ble_device: BLEDevice | str, **kwargs: Any) -> None:
        super().__init__(address_or_ble_device, **kwargs)
        self._belt = self.air.belts[self.address]
        self._up = False

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def is_connected(self) -> bool:
        return self._up

    async def connect(self, pair: bool, **_: Any) -> None:
        self.air.connecting += 1
        self.air.most_connecting = max(self.air.most_connecting, self.air.connecting)
        try:
            await asyncio.sleep(self._belt.discovery_s)
        finally:
            self.air.connecting -= 1
        if self.air.dead or not self._belt.reachable:
            raise BleakError("no answer")
        services = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, gatt.SERVICE)
        services.add_service(service)
        strange = self._belt.strange_services
        for i in range(strange):
            services.add_characteristic(BleakGATTCharacteristic(
                None, 2 + 2 * i, f"{i:08x}-0000-1000-8000-00805f9b34fb", ["read"], lambda: VALUE_BYTES, service))
        for handle, uuid in ((2 + 2 * strange, gatt.RX), (4 + 2 * strange, gatt.TX)):
            services.add_characteristic(BleakGATTCharacteristic(
                None, handle, uuid, ["write-without-response", "notify"], lambda: VALUE_BYTES, service))
        self.services = services
        self._up = True
        self._belt.connected()
        self._belt.drop = self._dropped

    def _dropped(self) -> None:
        self._up = False
        self._belt.notify = None
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        await asyncio.sleep(self._belt.disconnect_s)
        self._belt.disconnects += 1
        if self._up:
            self._dropped()

    async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:
        if self._belt.keeps_cancellation:
            await _keep_cancellation()
        self._belt.written(bytes(data))

    async def start_notify(self, characteristic: Any, callback: Any, **_: Any) -> None:
        self._belt.notify = lambda value: callback(bytearray(value))

    async def stop_notify(self, characteristic: Any) -> None: ...

    async def read_gatt_char(self, characteristic: Any, **_: Any) -> bytearray:
        return bytearray()

    async def read_gatt_descriptor(self, descriptor: Any, **_: Any) -> bytearray:
        return bytearray()

    async def write_gatt_descriptor(self, descriptor: Any, data: Any) -> None: ...

    async def pair(self, *_: Any, **__: Any) -> None: ...

    async def unpair(self) -> None: ...
