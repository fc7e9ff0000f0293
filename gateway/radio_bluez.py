"""What bleak does not do with BlueZ: watch over bluetoothd and switch an adapter off and on, over D-Bus directly.

bleak notices nothing when bluetoothd dies while the bus lives (facts/RADIO.md, failure 3), so the gateway has the bus
tell it, and asks besides. Each question has a connection of its own that is always given back: the bus allows 256.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bleak.backends.device import BLEDevice
from bleak.exc import BleakError

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

__all__ = ["ABSENT", "DEAD", "PRESENT", "BluezWatch", "bond_path", "system_call", "with_system_bus"]

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 5.0
POWER_TIMEOUT_S = 15.0  # each way: the kernel waits 2 s for each command that a stuck controller does not answer
REGISTERED_S = 0.1
PRESENT, DEAD, ABSENT = "present", "dead", "absent"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ADAPTER = "org.bluez.Adapter1"
_DBUS = "org.freedesktop.DBus"
_OWNER_RULE = f"type='signal',sender='{_DBUS}',member='NameOwnerChanged',arg0='org.bluez'"
_NOT_INSTALLED = "bluetoothd is not installed; on Debian: apt-get install bluez"


class BluezWatch:
    """One adapter as bluetoothd sees it; `hci` is its name, "" for the first."""

    def __init__(self, hci: str) -> None:
        self._path = f"/org/bluez/{hci or 'hci0'}"
        self._owner: str | None = None
        self._adapter_was_there = False

    async def trouble(self) -> str:
        """Why no scan can be running, "" if it can: asked every few seconds."""
        return (await self.look())[1]

    async def look(self) -> tuple[str, str]:
        """(PRESENT, DEAD or ABSENT, why no scan can be running or ""). ABSENT: nothing is there that could be mended,
        neither bluetoothd nor an adapter was ever seen; DEAD: bluetoothd is gone that was there, or could be started.
        """
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                found: tuple[str, str] = await with_system_bus(self._look)
                return found
        except (FileNotFoundError, ConnectionRefusedError):
            # No bus, no BlueZ: a container, or a machine without Bluetooth.
            state = ABSENT if self._owner is None else DEAD
            return state, "BlueZ does not answer on the system's D-Bus; is bluetoothd installed and running?"
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            return PRESENT, f"BlueZ does not answer on the system's D-Bus: {error or type(error).__name__}"

    async def follow(self, told: Callable[[str], None]) -> None:
        """Tell each new owner of BlueZ's name ("": bluetoothd is gone) until the bus is lost or cannot be had.

        One connection for all the time, so that a death is known at once and not when somebody asks.
        """
        try:
            await with_system_bus(lambda bus: self._follow(bus, told))
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            log.debug("bluetoothd cannot be followed: %s", error or type(error).__name__)

    async def power_cycle(self) -> str:
        """Switch the adapter off and on, which drops all its links; what went wrong, or ""."""
        said = await self._registered()
        for powered in (False, True):
            # Off may fail or hang on a stuck controller; on is tried all the same.
            said = await self._power(powered)
        return said

    async def forget(self, device_path: str) -> str:
        """Remove a device with its bond from BlueZ, which drops its link; what went wrong, or ""."""

        async def remove(bus: MessageBus) -> str:
            return await system_call(bus, "org.bluez", self._path, _ADAPTER, "RemoveDevice", "o", [device_path])

        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                said: str = await with_system_bus(remove)
                return said
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            return str(error) or type(error).__name__

    async def _registered(self) -> str:
        """Wait for the adapter, which a bluetoothd that has just started does not have yet; what is wrong, or ""."""

        async def wait(bus: MessageBus) -> None:
            there = None
            while there is None:
                await asyncio.sleep(REGISTERED_S)
                there = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Get", "ss", [_ADAPTER, "Powered"])

        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await with_system_bus(wait)
        except (BleakError, OSError, EOFError, TimeoutError) as error:
            return f"the adapter does not appear: {error or type(error).__name__}"
        return ""

    async def _power(self, powered: bool) -> str:
        from dbus_fast import Variant

        async def switch(bus: MessageBus) -> str:
            arguments = [_ADAPTER, "Powered", Variant("b", powered)]
            return await system_call(bus, "org.bluez", self._path, _PROPERTIES, "Set", "ssv", arguments)

        try:
            async with asyncio.timeout(POWER_TIMEOUT_S):
                said: str = await with_system_bus(switch)
                return said
        except TimeoutError:
            return f"no answer in {POWER_TIMEOUT_S:g} s"
        except (BleakError, OSError, EOFError) as error:
            return str(error) or type(error).__name__

    async def _follow(self, bus: MessageBus, told: Callable[[str], None]) -> None:
        from dbus_fast import Message

        def heard(message: Message) -> None:
            if message.member == "NameOwnerChanged" and message.sender == _DBUS and message.body[0] == "org.bluez":
                owner = str(message.body[2])
                self._owner = owner or self._owner
                told(owner)

        bus.add_message_handler(heard)
        async with asyncio.timeout(CALL_TIMEOUT_S):
            said = await system_call(bus, _DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", [_OWNER_RULE])
            if said:
                raise BleakError(said)
            owner = await _call(bus, _DBUS, "/org/freedesktop/DBus", _DBUS, "GetNameOwner", "s", ["org.bluez"])
        if self._owner is None:
            self._owner = owner
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _look(self, bus: MessageBus) -> tuple[str, str]:
        answer = await _call(bus, _DBUS, "/org/freedesktop/DBus", _DBUS, "GetNameOwner", "s", ["org.bluez"])
        if answer is None:
            if self._owner is not None:
                return DEAD, "bluetoothd is not running"
            names = await _call(bus, _DBUS, "/org/freedesktop/DBus", _DBUS, "ListActivatableNames", "", [])
            if "org.bluez" in (names or []):
                return DEAD, "bluetoothd is installed but not running"
            return ABSENT, _NOT_INSTALLED
        before, self._owner = self._owner, answer
        if before not in (None, answer):
            return PRESENT, "bluetoothd was restarted"
        powered = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Get", "ss", [_ADAPTER, "Powered"])
        if powered is None:
            state = PRESENT if self._adapter_was_there else ABSENT
            return state, f"there is no adapter {self._path.rpartition('/')[2]}"
        self._adapter_was_there = True
        discovering = await _call(bus, "org.bluez", self._path, _PROPERTIES, "Get", "ss", [_ADAPTER, "Discovering"])
        if not powered.value:
            return PRESENT, "the adapter is switched off"
        return PRESENT, "" if discovering is not None and discovering.value else "the scan has ended by itself"


def bond_path(device: BLEDevice) -> str:
    """BlueZ's path of a device that it has a bond with, "" if it has none."""
    details = device.details if isinstance(device.details, dict) else {}
    properties = details.get("props", {})
    return str(details["path"]) if properties.get("Paired") or properties.get("Bonded") else ""


async def with_system_bus(work: Callable[[MessageBus], Awaitable[Any]]) -> Any:
    """What `work` returns, given a connection of its own to the system's bus; BleakError for what D-Bus refuses."""
    from bleak.backends.bluezdbus.utils import get_dbus_authenticator
    from dbus_fast import AuthError, BusType, DBusError
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
    try:
        await bus.connect()
        return await work(bus)
    except (AuthError, DBusError) as error:
        raise BleakError(str(error)) from error
    finally:
        bus.disconnect()


async def system_call(
    bus: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: list[Any]
) -> str:  # fmt: skip
    """Call and look at the outcome only: the error's text, or ""."""
    from dbus_fast import Message, MessageType

    answer = await bus.call(Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=body
    ))  # fmt: skip
    if answer is None:
        return f"{member}: no answer"
    if answer.message_type is MessageType.METHOD_RETURN:
        return ""
    said = answer.body[0] if answer.body else answer.error_name
    return f"{member}: {said}"


async def _call(
    bus: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: list[Any]
) -> Any:  # fmt: skip
    """First value of the answer, None if the answer is an error."""
    from dbus_fast import Message, MessageType

    message = Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=body
    )
    answer = await bus.call(message)
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN or not answer.body:
        return None
    return answer.body[0]
