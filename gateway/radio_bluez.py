"""What bleak does not do with BlueZ: watch over bluetoothd and switch an adapter off and on, over D-Bus directly.

bleak notices nothing when bluetoothd dies while the bus lives (facts/RADIO.md, failure 3), so the gateway asks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bleak.exc import BleakError

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

__all__ = ["BluezWatch"]

CALL_TIMEOUT_S = 5.0
POWER_TIMEOUT_S = 15.0  # the kernel waits 2 s for each command that a stuck controller does not answer
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ADAPTER = "org.bluez.Adapter1"


class BluezWatch:
    """One adapter as bluetoothd sees it; `hci` is its name, "" for the first."""

    def __init__(self, hci: str) -> None:
        self._path = f"/org/bluez/{hci or 'hci0'}"
        self._owner: str | None = None

    async def trouble(self) -> str:
        """Why no scan can be running, "" if it can: asked every few seconds."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await self._with_bus(self._look)
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            return f"BlueZ does not answer on the system's D-Bus: {error or type(error).__name__}"

    async def power_cycle(self) -> str:
        """Switch the adapter off and on, which drops all its links; what went wrong, or ""."""
        try:
            async with asyncio.timeout(POWER_TIMEOUT_S):
                return await self._with_bus(self._cycle)
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            return str(error) or type(error).__name__

    async def _with_bus(self, work: Any) -> str:
        from bleak.backends.bluezdbus.utils import get_dbus_authenticator
        from dbus_fast import AuthError, BusType, DBusError
        from dbus_fast.aio import MessageBus

        bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
        try:
            await bus.connect()
            said: str = await work(bus)
            return said
        except (AuthError, DBusError) as error:
            raise BleakError(str(error)) from error
        finally:
            bus.disconnect()

    async def _look(self, bus: MessageBus) -> str:
        dbus = "org.freedesktop.DBus"
        answer = await _call(bus, dbus, "/org/freedesktop/DBus", dbus, "GetNameOwner", "s", ["org.bluez"])
        if answer is None:
            return "bluetoothd is not running"
        before, self._owner = self._owner, answer
        if before not in (None, answer):
            return "bluetoothd was restarted"
        powered = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Get", "ss", [_ADAPTER, "Powered"])
        if powered is None:
            return f"there is no adapter {self._path.rpartition('/')[2]}"
        discovering = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Get", "ss", [_ADAPTER, "Discovering"])
        if not powered.value:
            return "the adapter is switched off"
        return "" if discovering is not None and discovering.value else "the scan has ended by itself"

    async def _cycle(self, bus: MessageBus) -> str:
        from dbus_fast import Variant

        for powered in (False, True):
            arguments = [_ADAPTER, "Powered", Variant("b", powered)]
            # Off may fail on a stuck controller; on is tried all the same.
            done = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Set", "ssv", arguments, nothing="done")
        return "" if done is not None else "the adapter could not be switched on again"


async def _call(
    bus: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: list[Any],
    nothing: Any = None,
) -> Any:  # fmt: skip
    """First value of the answer (`nothing` if it has none), None if the answer is an error."""
    from dbus_fast import Message, MessageType

    message = Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=body
    )
    answer = await bus.call(message)
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN:
        return None
    return answer.body[0] if answer.body else nothing
