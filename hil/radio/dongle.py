"""The radio of one belt on a real controller (tier T3): a Bumble host on `usb:0` or any other Bumble transport.

One dongle is one belt: a controller has one legacy advertiser. The firmware is the same as on the virtual air; what it
sets is carried out by HCI commands, in order, the newest advertisement superseding one not yet set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from bumble import hci
from bumble.core import BaseBumbleError
from bumble.device import AdvertisingType, Device, DeviceConfiguration
from bumble.transport import open_transport
from bumble.transport.common import Transport

from hil.channel import ToBelt
from hil.radio.host import SteadyHost
from hil.radio.link import VirtualLink
from hil.radio.peripheral import Peripheral

__all__ = ["DongleError", "DonglePeripheral"]

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 10.0
Advertisement = tuple[float, bool, bytes, bytes]


class DongleError(OSError):
    """The controller cannot be opened or does not answer; the text names it and says what to do."""


class DonglePeripheral(Peripheral):
    """As Peripheral, on the controller at the Bumble transport `spec`."""

    def __init__(self, spec: str, address: str, post: Callable[[ToBelt, bytes], None]) -> None:
        super().__init__(VirtualLink(), address, post)
        self._spec = spec
        self._transport: Transport | None = None
        self._wanted: Advertisement | None = None
        self._changed = asyncio.Event()
        self._advertiser: asyncio.Task[None] | None = None

    async def services(self, table: dict[str, Any]) -> None:
        """Power the controller on with the firmware's GATT table; DongleError if it cannot be had."""
        await self.power_off()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._transport = await open_transport(self._spec)
                host = SteadyHost(self._transport.source, self._transport.sink)
                configuration = DeviceConfiguration(name="belt", address=self.address)
                device = Device(config=configuration, host=host)
                self._fill(device, table)
                await device.power_on()
        except (OSError, ValueError, TimeoutError, BaseBumbleError, ImportError) as error:
            await self.power_off()
            raise DongleError(
                f"{self._spec}: {error or 'no answer'}; is the dongle plugged in, may this user open it, "
                "and does no bluetoothd hold it (`hciconfig hciN down`)?"
            ) from error
        self._device = device
        self._changed.clear()
        self._advertiser = asyncio.create_task(self._advertise(device))

    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        """Replace what is advertised."""
        self._wanted = (interval_ms, connectable and not self._connections, data, response)
        self._changed.set()

    def silence(self) -> None:
        """Advertise nothing."""
        self._wanted = None
        self._changed.set()

    async def power_off(self) -> None:
        """Release the controller; its links end."""
        if self._advertiser is not None:
            self._advertiser.cancel()
            await asyncio.gather(self._advertiser, return_exceptions=True)
            self._advertiser = None
        if self._device is not None:
            with contextlib.suppress(BaseBumbleError, TimeoutError, OSError):
                async with asyncio.timeout(1.0):
                    await self._device.power_off()
        if self._transport is not None:
            await self._transport.close()
            self._transport = None
        await super().power_off()

    async def _advertise(self, device: Device) -> None:
        """Set what the firmware wants; data alone are replaced while advertising goes on."""
        running: tuple[float, bool] | None = None
        said = ""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted
            try:
                if wanted is None:
                    await device.stop_advertising()
                    running = None
                elif running == wanted[:2] and device.is_advertising:
                    await device.send_sync_command(hci.HCI_LE_Set_Advertising_Data_Command(advertising_data=wanted[2]))
                else:
                    await self._start(device, wanted)
                    running = wanted[:2]
                said = ""
            except (BaseBumbleError, TimeoutError) as error:
                # Many dongles cannot advertise while connected: the belt's beacon then rests until the link ends.
                running = None
                if str(error) != said:
                    said = str(error)
                    log.warning("%s: advertising: %s", self._spec, error)

    async def _start(self, device: Device, wanted: Advertisement) -> None:
        interval_ms, connectable, data, response = wanted
        kind = AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE if connectable else AdvertisingType.UNDIRECTED_SCANNABLE
        await device.start_advertising(
            advertising_type=kind, advertising_data=data, scan_response_data=response,
            advertising_interval_min=interval_ms, advertising_interval_max=interval_ms,
        )  # fmt: skip
