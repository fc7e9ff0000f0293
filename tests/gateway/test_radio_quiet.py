"""radio_quiet: what is borrowed from inside bleak, and what comes through of what BlueZ says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.exc import BleakError
from dbus_fast import Message, MessageType, Variant

from gateway.radio_quiet import STRENGTH_EVERY_S, QuietManager, quiet_bluez

virtual = pytest.mark.asyncio(loop_factories=["virtual"])

ADAPTER = "/org/bluez/hci0"
DEVICE = f"{ADAPTER}/dev_C0_00_00_00_00_01"
DEVICE1 = "org.bluez.Device1"


def signal(member: str, signature: str, body: list[Any], path: str = DEVICE) -> Message:
    return Message(message_type=MessageType.SIGNAL, path=path, interface="org.freedesktop.DBus.Properties",
                   member=member, signature=signature, body=body)  # fmt: skip


def changed(**properties: Variant) -> Message:
    return signal("PropertiesChanged", "sa{sv}as", [DEVICE1, properties, []])


def strength(dbm: int) -> Message:
    return changed(RSSI=Variant("n", dbm))


def heard_by(manager: QuietManager) -> list[int]:
    """The strengths that come through to a scanner from now on."""
    heard: list[int] = []
    manager._advertisement_callbacks[ADAPTER].append(lambda _, device: heard.append(device["RSSI"]))
    first = {"Adapter": Variant("o", ADAPTER), "RSSI": Variant("n", -50)}
    manager._parse_msg(signal("InterfacesAdded", "oa{sa{sv}}", [DEVICE, {DEVICE1: first}], "/"))
    return heard


@virtual
async def test_strength_alone_comes_through_once_a_second() -> None:
    heard = heard_by(manager := QuietManager())
    manager._parse_msg(strength(-51))
    for dbm in (-60, -61, -62):
        manager._parse_msg(strength(dbm))
    assert heard == [-50, -51]
    await asyncio.sleep(STRENGTH_EVERY_S)
    manager._parse_msg(strength(-70))
    assert heard == [-50, -51, -70]


@virtual
async def test_whatever_else_changes_comes_through_at_once_with_the_latest_strength() -> None:
    heard = heard_by(manager := QuietManager())
    manager._parse_msg(strength(-51))
    manager._parse_msg(strength(-60))
    manager._parse_msg(changed(ManufacturerData=Variant("a{qv}", {0xFFFF: Variant("ay", b"beacon")})))
    manager._parse_msg(changed(RSSI=Variant("n", -61), Connected=Variant("b", False)))
    assert heard == [-50, -51, -60, -61]


@virtual
async def test_a_device_that_was_gone_is_new() -> None:
    heard = heard_by(manager := QuietManager())
    manager._parse_msg(strength(-51))
    manager._parse_msg(signal("InterfacesRemoved", "oas", [DEVICE, [DEVICE1]], "/"))
    manager._parse_msg(strength(-52))  # late, of a device that nobody knows
    del manager._advertisement_callbacks[ADAPTER]
    assert [*heard, *heard_by(manager)] == [-50, -51, -50]


async def test_bleak_itself_asks_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def init(manager: QuietManager) -> None:
        asked.append(manager)
        raise BleakError("no bus here")

    monkeypatch.setattr(QuietManager, "async_init", init)
    quiet_bluez()
    quiet_bluez()
    for _ in range(2):
        with pytest.raises(BleakError):
            await get_global_bluez_manager()
    assert len(asked) == 2
    assert asked[0] is asked[1]
