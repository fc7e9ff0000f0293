"""org.bluez on a private bus as far as bleak asks of it, with belts that report once a second: no radio, no kernel.

What facts/PEERS.md measured its peers on, so that a gateway and others can be measured on the same stream here. A belt
that is subscribed to without a handshake sends reports of the same size, sealed under a key that nobody has.
`python -m tools.fake_bluez --belts 8 [--beacons]` takes the bus of DBUS_SYSTEM_BUS_ADDRESS and runs until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from gateway.aes import aes
from protocol.wire import frames, gatt, session
from tests.gateway.spoken_belt import VALUE_BYTES, SpokenBelt, report_frame

ADAPTER = "/org/bluez/hci0"
KEY = bytes(range(16))
BUS = """<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>"""
MINUTE = (60, 0, 0, 600, 550, 650, 55, 142, 130, 150, 55, 1, 2, 30, 1, 0, 0, 0)


def serial_of(number: int) -> bytes:
    """Of belt `number`, 8 bytes."""
    return bytes([0xC0, 0, 0, 0, 0, 0, 0, number])


class FakeBluez:
    """The objects, what they are asked, and what they signal."""

    def __init__(self, belts: int, minute_s: int, *, beacons: bool) -> None:
        self._bus: Any = None
        self._minute_s = minute_s
        self._beacons = beacons
        self._belts = [FakeBelt(self, number) for number in range(belts)]
        self.objects: dict[str, dict[str, dict[str, Variant]]] = {
            ADAPTER: {"org.bluez.Adapter1": {
                "Address": Variant("s", "00:00:00:00:00:01"), "Name": Variant("s", "fake"),
                "Powered": Variant("b", True), "Discovering": Variant("b", False),
                "Roles": Variant("as", ["central", "peripheral"]),
            }},
        }  # fmt: skip
        for belt in self._belts:
            self.objects |= belt.objects()

    async def run(self) -> None:
        """Serve for ever."""
        self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._asked)
        await self._bus.request_name("org.bluez")
        print("ready", flush=True)
        await asyncio.gather(*(belt.run(self._minute_s, self._beacons) for belt in self._belts))

    def changed(self, path: str, interface: str, **values: Variant) -> None:
        """Set properties and signal them."""
        self.objects[path][interface].update(values)
        self._bus.send(Message.new_signal(
            path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", [interface, values, []]))

    def _asked(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL or message.destination == self._bus.unique_name:
            return False
        path, interface, member = message.path or "", message.interface or "", message.member or ""
        if member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self.objects])
        if interface == "org.freedesktop.DBus.Properties" and path in self.objects:
            if member == "Get":
                return Message.new_method_return(message, "v", [self.objects[path][message.body[0]][message.body[1]]])
            if member == "Set":
                self.changed(path, message.body[0], **{message.body[1]: message.body[2]})
        if member in ("StartDiscovery", "StopDiscovery"):
            self.changed(ADAPTER, "org.bluez.Adapter1", Discovering=Variant("b", member == "StartDiscovery"))
        for belt in self._belts:
            if path.startswith(belt.path):
                belt.asked(member, message.body)
        return Message.new_method_return(message)


class FakeBelt:
    """One belt's device, service and two characteristics."""

    def __init__(self, bluez: FakeBluez, number: int) -> None:
        self._bluez = bluez
        self._number = number
        self._belt = SpokenBelt(serial_of(number), KEY)
        self._stray = aes(os.urandom(16))
        self._subscribed = False
        self.path = f"{ADAPTER}/dev_{self._belt.address.replace(':', '_')}"
        self._rx, self._tx = f"{self.path}/service0010/char0011", f"{self.path}/service0010/char0013"

    def objects(self) -> dict[str, dict[str, dict[str, Variant]]]:
        """Everything of it that BlueZ would list."""
        name = Variant("s", gatt.name_of(self._belt.serial).decode())
        return {
            self.path: {"org.bluez.Device1": {
                "Address": Variant("s", self._belt.address), "AddressType": Variant("s", "random"), "Name": name,
                "Alias": name, "Adapter": Variant("o", ADAPTER), "Paired": Variant("b", False),
                "Bonded": Variant("b", False), "Trusted": Variant("b", False), "Connected": Variant("b", False),
                "ServicesResolved": Variant("b", False), "UUIDs": Variant("as", [gatt.SERVICE]),
                "RSSI": Variant("n", -60), "ManufacturerData": Variant("a{qv}", {}),
            }},
            f"{self.path}/service0010": {"org.bluez.GattService1": {
                "UUID": Variant("s", gatt.SERVICE), "Device": Variant("o", self.path), "Primary": Variant("b", True),
            }},
            self._rx: self._characteristic(gatt.RX, "write-without-response"),
            self._tx: self._characteristic(gatt.TX, "notify"),
        }  # fmt: skip

    def _characteristic(self, uuid: str, flag: str) -> dict[str, dict[str, Variant]]:
        return {"org.bluez.GattCharacteristic1": {
            "UUID": Variant("s", uuid), "Service": Variant("o", f"{self.path}/service0010"),
            "Flags": Variant("as", [flag]), "MTU": Variant("q", VALUE_BYTES + 3), "Notifying": Variant("b", False),
            "Value": Variant("ay", b""),
        }}  # fmt: skip

    def asked(self, member: str, body: list[Any]) -> None:
        """A method of one of its objects was called."""
        if member == "Connect":
            self._belt.connected()
            self._linked(True)
        elif member == "Disconnect":
            self._linked(False)
        elif member == "StartNotify":
            self._subscribed = True
            self._belt.notify = lambda value: self._bluez.changed(
                self._tx, "org.bluez.GattCharacteristic1", Value=Variant("ay", value))
        elif member == "WriteValue":
            self._belt.written(bytes(body[0]))

    def _linked(self, up: bool) -> None:
        self._subscribed = False
        self._belt.notify = None
        state = Variant("b", up)
        self._bluez.changed(self.path, "org.bluez.Device1", Connected=state, ServicesResolved=state)

    async def run(self, minute_s: int, beacons: bool) -> None:
        """Report each second, advertise where that is wanted or nobody is connected."""
        second = 0
        await asyncio.sleep(self._number / 8)
        while True:
            second += 1
            if self._belt.in_session:
                self._belt.report(second)
                if second % minute_s == 0:
                    self._record(second, second // minute_s)
            elif self._subscribed:
                self._belt.say_packet(session.seal(self._stray, second, report_frame(second)))
            if beacons or not self._subscribed:
                data = Variant("a{qv}", {0xFFFF: Variant("ay", self._belt.beacon(second))})
                self._bluez.changed(self.path, "org.bluez.Device1", RSSI=Variant("n", -60), ManufacturerData=data)
            await asyncio.sleep(1)

    def _record(self, second: int, seq: int) -> None:
        self._belt.record_seq = seq
        head = (seq, 7, second * 1000, frames.RECORD_MINUTE)
        self._belt.say(frames.encode(frames.RECORD, head, frames.encode_record(frames.RECORD_MINUTE, MINUTE)))


@contextmanager
def fake_bluez(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """A bus with it, and the environment in which bleak finds it."""
    path, configuration = folder / "bus", folder / "bus.conf"
    configuration.write_text(BUS.format(path=path), "utf-8")
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={path}"}
    with contextlib.ExitStack() as stack:
        for command in (
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
            [sys.executable, "-m", "tools.fake_bluez", *options],
        ):
            part = stack.enter_context(subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}))  # fmt: skip
            stack.callback(part.kill)
            assert part.stdout is not None
            part.stdout.readline()
        yield environment


def main() -> None:
    """Until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tools.fake_bluez", description=__doc__)
    parser.add_argument("--belts", type=int, default=8)
    parser.add_argument("--minute", type=int, default=60, help="seconds of its minutes, for tests")
    parser.add_argument("--beacons", action="store_true", help="also of belts that are connected, as belts of ours do")
    arguments = parser.parse_args()
    asyncio.run(FakeBluez(arguments.belts, arguments.minute, beacons=arguments.beacons).run())


if __name__ == "__main__":
    main()
