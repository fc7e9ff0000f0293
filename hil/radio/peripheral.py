"""A belt on the virtual air: a Bumble device whose GATT table and values are the firmware's own."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any

from bumble import att, hci
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.transport.common import AsyncPipeSink

from hil.channel import ToBelt
from hil.radio.host import SteadyHost
from hil.radio.link import BeltController, VirtualLink
from protocol.wire import frames, session

__all__ = ["Peripheral"]

REPORT_FRAGMENT_BYTES = (
    1 + session.SEALED_OVERHEAD_BYTES + frames.HEADER_BYTES + struct.calcsize(frames.LAYOUTS[frames.REPORT][1])
)
FLAG_READ, FLAG_WRITE_NO_RESPONSE, FLAG_WRITE, FLAG_NOTIFY = 0x02, 0x04, 0x08, 0x10

# The belt's chip advertises by itself (link.BeltController): its host need not know.
logging.getLogger("bumble.device").setLevel(logging.ERROR)


class Peripheral:
    """Radio of one belt (belt_host.BeltRadio); events go to `post`. Its random static address stays over restarts.

    The air is in real time: on a clock that runs `speed` times faster, so much more often the belt advertises, up to
    what the link allows.
    """

    def __init__(
        self, link: VirtualLink, address: str, post: Callable[[ToBelt, bytes], None], speed: float = 1.0
    ) -> None:
        self._link = link
        self.address = hci.Address(address, hci.Address.RANDOM_DEVICE_ADDRESS)
        self._post = post
        self._speed = speed
        self._controller: BeltController | None = None
        self._device: Device | None = None
        self._values: dict[int, bytes] = {}
        self._characteristics: dict[int, Characteristic[bytes]] = {}
        self._connections: dict[int, Connection] = {}
        self.reports_sent = 0
        self.wants_pairing = False  # from the next power-on; no belt of ours does

    async def services(self, table: dict[str, Any]) -> None:
        """Power the chip on with the firmware's GATT table: {"mtu", "services": [[uuid, [[uuid, flags, handle]]]]}."""
        await self.power_off()
        controller = BeltController(f"belt-{self.address}", self._link)
        host = SteadyHost(controller, AsyncPipeSink(controller))
        configuration = DeviceConfiguration(name="belt", address=self.address)
        device = Device(config=configuration, host=host)
        self._fill(device, table)
        self._controller, self._device = controller, device
        await device.power_on()

    def _fill(self, device: Device, table: dict[str, Any]) -> None:
        """Give a device the firmware's table and listen to its connections."""
        device.gatt_server.max_mtu = table["mtu"]
        for uuid, rows in table["services"]:
            characteristics = []
            for characteristic_uuid, flags, handle in rows:
                characteristic = self._characteristic(characteristic_uuid, flags, handle)
                self._characteristics[handle] = characteristic
                characteristics.append(characteristic)
            device.add_service(Service(UUID(uuid), characteristics))
        device.on(Device.EVENT_CONNECTION, self._on_connection)

    def _characteristic(self, uuid: str, flags: int, handle: int) -> Characteristic[bytes]:
        def read(connection: Connection) -> bytes:
            return self._values.get(handle, b"")

        def write(connection: Connection, value: bytes) -> None:
            self._post(ToBelt.WRITE, struct.pack("<HH", connection.handle, handle) + bytes(value))

        properties = Characteristic.Properties(flags & (FLAG_READ | FLAG_WRITE_NO_RESPONSE | FLAG_WRITE | FLAG_NOTIFY))
        permissions = att.Attribute.Permissions(0)
        if flags & FLAG_READ:
            permissions |= att.Attribute.READABLE
        if flags & (FLAG_WRITE | FLAG_WRITE_NO_RESPONSE):
            permissions |= att.Attribute.WRITEABLE
            if self.wants_pairing:
                permissions |= att.Attribute.Permissions.WRITE_REQUIRES_ENCRYPTION
                properties = properties & ~Characteristic.Properties(FLAG_WRITE_NO_RESPONSE)
        return Characteristic(UUID(uuid), properties, permissions, CharacteristicValue(read=read, write=write))

    def _on_connection(self, connection: Connection) -> None:
        handle = connection.handle
        self._connections[handle] = connection
        peer = bytes(connection.peer_address)

        def mtu() -> None:
            self._post(ToBelt.MTU, struct.pack("<HH", handle, connection.att_mtu))

        def disconnected(reason: int) -> None:
            self._connections.pop(handle, None)
            self._post(ToBelt.DISCONNECT, struct.pack("<H", handle) + peer)

        connection.on(connection.EVENT_CONNECTION_ATT_MTU_UPDATE, mtu)
        connection.on(connection.EVENT_DISCONNECTION, disconnected)
        self._post(ToBelt.CONNECT, struct.pack("<H", handle) + peer)

    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        """Replace what is advertised."""
        if self._controller is not None:
            free = connectable and not self._connections
            interval_ms = max(interval_ms / self._speed, self._link.interval_ms_min)
            self._controller.advertiser.begin(interval_ms, free, data, response)

    def silence(self) -> None:
        """Advertise nothing."""
        if self._controller is not None:
            self._controller.advertiser.stop()

    def value(self, handle: int, value: bytes) -> None:
        """The firmware set what a read answers."""
        self._values[handle] = value

    def notify(self, connection: int, handle: int, value: bytes) -> None:
        """Send a notification, subscribed or not, as NimBLE does."""
        if self._device is not None and connection in self._connections:
            pdu = att.ATT_Handle_Value_Notification(
                attribute_handle=self._characteristics[handle].handle, attribute_value=value
            )
            self._device.gatt_server.send_gatt_pdu(self._connections[connection], bytes(pdu))
            # Sealed, so known by its length only: no other frame has a REPORT's (test_frame_lengths pins it).
            self.reports_sent += len(value) == REPORT_FRAGMENT_BYTES
        self._post(ToBelt.SENT, b"\x01")

    def hang_up(self, connection: int) -> None:
        """The firmware ends a connection."""
        found = self._connections.get(connection)
        if found is not None:
            reason = hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR
            task = asyncio.get_running_loop().create_task(found.disconnect(reason))
            task.add_done_callback(_ignore_outcome)

    def hang_up_all(self) -> None:
        """End every connection from the belt's side."""
        for handle in list(self._connections):
            self.hang_up(handle)

    async def power_off(self) -> None:
        """The belt has lost power or restarts."""
        if self._controller is not None:
            self._controller.power_off()
        self._controller = None
        self._device = None
        self._connections.clear()
        self._characteristics.clear()
        self._values.clear()


def _ignore_outcome(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # ended from the other side at the same moment
