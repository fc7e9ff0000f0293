"""bleak 3.x backend classes on a Bumble host: a gateway with these sees emulated belts as real ones (RADIO.md tier T1).

`radio_classes("unix:/path/hci0.sock")` gives scanner and client classes for one adapter; any Bumble transport works,
also `usb:0` (tier T3). All scanners and clients of one adapter share one Bumble device, opened by the first that needs
it. A lost transport ends every connection and scan; the next use opens it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from bleak.args import SizedBuffer
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError
from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration, Peer
from bumble.transport import open_transport
from bumble.transport.common import Transport

from hil.radio.host import SteadyHost

__all__ = ["BumbleClient", "BumbleScanner", "radio_classes"]

MTU = 247
DEFAULT_MTU = 23
TRANSPORTS = ("unix", "tcp-client", "serial", "usb", "pyusb", "hci-socket", "vhci", "ws-client")
GATT_TIMEOUT_S = 10.0
OPEN_TIMEOUT_S = 10.0
CANCEL_TIMEOUT_S = 1.0
SCAN_INTERVAL_MS = 10.0
_BASE_UUID = "0000{:04x}-0000-1000-8000-00805f9b34fb"
_PROPERTIES = {
    0x01: "broadcast", 0x02: "read", 0x04: "write-without-response", 0x08: "write", 0x10: "notify", 0x20: "indicate",
}  # fmt: skip

Listener = Callable[[Advertisement], None]


class _Adapter:
    """One Bumble host on one transport, shared by the scanners and clients of an adapter."""

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._lock = asyncio.Lock()
        self.connecting = asyncio.Lock()  # one connect at a time (RADIO.md rule 9)
        self._transport: Transport | None = None
        self._device: Device | None = None
        self._listeners: list[Listener] = []
        self.lost: list[Callable[[], None]] = []

    async def device(self) -> Device:
        """The powered device; BleakError if the adapter cannot be reached."""
        async with self._lock:
            if self._device is not None:
                return self._device
            try:
                transport = await asyncio.wait_for(open_transport(self._spec), OPEN_TIMEOUT_S)
                host = SteadyHost(transport.source, transport.sink)
                address = hci.Address.generate_static_address()
                device = Device(config=DeviceConfiguration(name="gateway", address=address), host=host)
                await asyncio.wait_for(device.power_on(), OPEN_TIMEOUT_S)
            except (OSError, TimeoutError, BaseBumbleError) as error:
                raise BleakError(f"adapter {self._spec}: {error or type(error).__name__}") from error
            device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
            transport.source.terminated.add_done_callback(lambda _: self._on_lost(transport))
            self._transport, self._device = transport, device
            return device

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        for listener in list(self._listeners):
            listener(advertisement)

    def _on_lost(self, transport: Transport) -> None:
        if transport is not self._transport:
            return
        self._transport = self._device = None
        self._listeners.clear()
        callbacks, self.lost = self.lost, []
        for callback in callbacks:
            callback()

    async def listen(self, listener: Listener) -> None:
        """Deliver advertisements to `listener`, scanning actively while there is one."""
        device = await self.device()
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            await device.start_scanning(
                legacy=True, active=True, scan_interval=SCAN_INTERVAL_MS, scan_window=SCAN_INTERVAL_MS
            )

    async def ignore(self, listener: Listener) -> None:
        """No more advertisements for `listener`."""
        if listener not in self._listeners:
            return
        self._listeners.remove(listener)
        if not self._listeners and self._device is not None:
            try:
                await self._device.stop_scanning(legacy=True)
            except (BaseBumbleError, TimeoutError) as error:
                raise BleakError(f"adapter {self._spec}: {error}") from error


_adapters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Adapter]] = WeakKeyDictionary()


def _adapter(spec: str) -> _Adapter:
    """The shared adapter of this event loop."""
    return _adapters.setdefault(asyncio.get_running_loop(), {}).setdefault(spec, _Adapter(spec))


def radio_classes(adapter: str) -> tuple[type[BaseBleakScanner], type[BaseBleakClient]]:
    """(scanner class, client class) for bleak's `backend=`, on a Bumble transport by name; ValueError if it is none."""
    scheme = adapter.partition(":")[0]
    if scheme not in TRANSPORTS or ":" not in adapter:
        raise ValueError(f"write unix:/path/to/socket (or another Bumble transport: {', '.join(TRANSPORTS)})")
    scanner = type("BumbleScannerOnAdapter", (BumbleScanner,), {"adapter": adapter})
    client = type("BumbleClientOnAdapter", (BumbleClient,), {"adapter": adapter})
    return scanner, client


def _uuid_text(uuid: Any) -> str:
    data = bytes(uuid)
    if len(data) == 2:
        return _BASE_UUID.format(int.from_bytes(data, "little"))
    text = data[::-1].hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class BumbleScanner(BaseBleakScanner):
    """Scanner backend; local name and manufacturer data are merged from advertisement and scan response."""

    adapter = ""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str = "active",
        **kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._names: dict[str, str] = {}

    async def start(self) -> None:
        """Start scanning; BleakError if the adapter is not there."""
        self.seen_devices = {}
        self._names = {}
        await _adapter(self.adapter).listen(self._on_advertisement)

    async def stop(self) -> None:
        """Stop scanning."""
        await _adapter(self.adapter).ignore(self._on_advertisement)

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        # str(Address) may carry its type; bleak's addresses are bare.
        address = str(advertisement.address).split("/")[0]
        data = advertisement.data
        name = data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        if name is not None:
            self._names[address] = str(name)
        vendor: dict[int, bytes] = {}
        for company, payload in data.get_all(AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA):
            vendor[int(company)] = bytes(payload)
        if not vendor and address in self.seen_devices:
            vendor = self.seen_devices[address][1].manufacturer_data
        found = AdvertisementData(
            local_name=self._names.get(address),
            manufacturer_data=vendor,
            service_data={},
            service_uuids=[],
            tx_power=None,
            rssi=advertisement.rssi,
            platform_data=(advertisement.is_connectable,),
        )
        device = self.create_or_update_device(
            address, address, self._names.get(address), {"address": advertisement.address}, found
        )
        self.call_detection_callbacks(device, found)


class BumbleClient(BaseBleakClient):
    """Client backend: one connection of the adapter's Bumble device."""

    adapter = ""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None = None,
        timeout: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout, **kwargs
        )
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._subscriptions: dict[int, Callable[[bytes], None]] = {}
        self._name = address_or_ble_device.name if isinstance(address_or_ble_device, BLEDevice) else None

    @property
    def name(self) -> str:
        """The belt's advertised name, or its address with dashes."""
        return self._name or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        """Negotiated ATT MTU."""
        return DEFAULT_MTU if self._connection is None else self._connection.att_mtu

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._connection is not None

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        """Connect and discover; BleakDeviceNotFoundError if the belt is not heard in time."""
        adapter = _adapter(self.adapter)
        device = await adapter.device()
        async with adapter.connecting:
            try:
                address = hci.Address(self.address, hci.Address.RANDOM_DEVICE_ADDRESS)
                connection = await device.connect(address, timeout=self._timeout)
            except (TimeoutError, BaseBumbleError) as error:
                raise BleakDeviceNotFoundError(self.address, f"{self.address} did not answer: {error}") from error
            except asyncio.CancelledError:
                # Whoever waited has given up; what is still pending in the controller would refuse every later connect.
                with contextlib.suppress(BaseBumbleError, TimeoutError):
                    async with asyncio.timeout(CANCEL_TIMEOUT_S):
                        await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                raise
        self._connection = connection
        connection.on(connection.EVENT_DISCONNECTION, self._on_disconnection)
        adapter.lost.append(self._on_lost)
        try:
            peer = Peer(connection)
            self._peer = peer
            await self._gatt(peer.request_mtu(MTU))
            await self._gatt(self._discover(peer))
        except BaseException:
            await self.disconnect()
            raise

    async def _discover(self, peer: Peer) -> None:
        services = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            found = BleakGATTService(service, service.handle, _uuid_text(service.uuid))
            services.add_service(found)
            for characteristic in await service.discover_characteristics():
                names: list[Any] = [name for bit, name in _PROPERTIES.items() if characteristic.properties & bit]
                services.add_characteristic(
                    BleakGATTCharacteristic(
                        characteristic, characteristic.handle, _uuid_text(characteristic.uuid), names,
                        lambda: self.mtu_size - 3, found,
                    )
                )  # fmt: skip
        self.services = services

    async def disconnect(self) -> None:
        """End the connection; nothing happens if it is gone already."""
        connection = self._connection
        if connection is None:
            return
        try:
            await asyncio.wait_for(connection.disconnect(), GATT_TIMEOUT_S)
        except (TimeoutError, BaseBumbleError, asyncio.CancelledError) as error:
            self._ended()
            if isinstance(error, asyncio.CancelledError):
                raise
        self._ended()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        """Belts are not paired: their security is in the session."""
        raise BleakError("pairing is not used: belts authenticate in the session")

    async def unpair(self) -> None:
        """There is nothing to unpair."""
        raise BleakError("pairing is not used: belts authenticate in the session")

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        """Value of a characteristic."""
        return bytearray(await self._gatt(self._connected().read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        """Value of a descriptor."""
        return bytearray(await self._gatt(self._connected().read_value(descriptor.handle)))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        """Write a value."""
        value = bytes(data)
        await self._gatt(self._connected().write_value(characteristic.handle, value, with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor."""
        await self._gatt(self._connected().write_value(descriptor.handle, bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        """Subscribe; `callback` gets each value as a bytearray."""

        def deliver(value: bytes) -> None:
            callback(bytearray(value))

        self._subscriptions[characteristic.handle] = deliver
        await self._gatt(self._connected().subscribe(characteristic.obj, deliver))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe."""
        deliver = self._subscriptions.pop(characteristic.handle, None)
        await self._gatt(self._connected().unsubscribe(characteristic.obj, deliver))

    def _connected(self) -> Any:
        if self._peer is None or self._connection is None:
            raise BleakError(f"{self.address} is not connected")
        return self._peer.gatt_client

    async def _gatt(self, operation: Any) -> Any:
        """Run one GATT operation with a time limit and bleak's errors."""
        try:
            return await asyncio.wait_for(operation, GATT_TIMEOUT_S)
        except (TimeoutError, BaseBumbleError) as error:
            raise BleakError(f"{self.address}: {error or type(error).__name__}") from error

    def _on_disconnection(self, reason: int) -> None:
        self._ended()

    def _on_lost(self) -> None:
        self._ended()

    def _ended(self) -> None:
        if self._connection is None:
            return
        self._connection = self._peer = None
        self._subscriptions.clear()
        lost = _adapter(self.adapter).lost
        if self._on_lost in lost:
            lost.remove(self._on_lost)
        if self._disconnected_callback is not None:
            self._disconnected_callback()
