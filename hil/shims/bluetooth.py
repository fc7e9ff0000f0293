"""`bluetooth.BLE` for the emulated belt: the GATT table lives here, link operations go to the host.

It answers as NimBLE does (facts/FIRMWARE.md): OSError 19 while inactive, 107 for a notify without connection, 16 for
services registered while advertising or connected, -18 for an advertisement over 31 bytes, silent truncation at the
attribute buffer and at MTU-3, OSError 12 when 61 notifications wait.
"""

import json
import struct

from emulation import (
    ADVERTISE,
    CONNECT,
    DISCONNECT,
    HANG_UP,
    MTU,
    NOTIFY,
    SENT,
    SERVICES,
    VALUE,
    WRITE,
    emulator,
)

FLAG_READ, FLAG_WRITE_NO_RESPONSE, FLAG_WRITE, FLAG_NOTIFY = 0x02, 0x04, 0x08, 0x10

_ENODEV, _EBUSY, _ENOTCONN, _ENOMEM, _EMSGSIZE = 19, 16, 107, 12, -18
_IRQ_CENTRAL_CONNECT, _IRQ_CENTRAL_DISCONNECT, _IRQ_GATTS_WRITE, _IRQ_MTU_EXCHANGED = 1, 2, 3, 21
_QUEUED_MAX = 61
_BUFFER_BYTES = 20
_MTU_DEFAULT = 23
_ADVERTISEMENT_BYTES_MAX = 31


class UUID:
    def __init__(self, value):
        self._value = value

    def text(self):
        return "%04x" % self._value if isinstance(self._value, int) else self._value


class BLE:
    _instance = None

    def __new__(cls):
        if cls._instance is None:
            cls._instance = super().__new__(cls)
            cls._instance._begin()
        return cls._instance

    def _begin(self):
        self._active = False
        self._irq = None
        self._values = {}
        self._limits = {}
        self._handles = 0
        self._connections = {}  # connection handle -> MTU
        self._advertising = False
        self._queued = 0
        self._config = {"mtu": 256, "gap_name": b"MPY"}
        emulator.on_event = self._event

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        return self._active

    def config(self, *names, **values):
        if names:
            return self._config[names[0]]
        self._config.update(values)
        return None

    def irq(self, handler):
        self._irq = handler

    def gatts_register_services(self, services):
        self._must_be_active()
        if self._advertising or self._connections:
            raise OSError(_EBUSY)
        table = []
        result = []
        for uuid, characteristics in services:
            rows = []
            handles = []
            for characteristic in characteristics:
                self._handles += 2
                handle = self._handles
                self._values[handle] = b""
                self._limits[handle] = _BUFFER_BYTES
                handles.append(handle)
                rows.append((characteristic[0].text(), characteristic[1], handle))
            table.append((uuid.text(), rows))
            result.append(tuple(handles))
        emulator.send(SERVICES, json.dumps({"mtu": self._config["mtu"], "services": table}).encode())
        return tuple(result)

    def gatts_set_buffer(self, handle, length, append=False):
        self._limits[handle] = length

    def gatts_write(self, handle, value, send_update=False):
        self._limits[handle] = max(self._limits[handle], len(value))
        self._values[handle] = bytes(value)
        emulator.send(VALUE, struct.pack("<H", handle) + self._values[handle])

    def gatts_read(self, handle):
        return self._values[handle]

    def gatts_notify(self, connection, handle, value=None):
        self._must_be_active()
        if connection not in self._connections:
            raise OSError(_ENOTCONN)
        if self._queued >= _QUEUED_MAX:
            raise OSError(_ENOMEM)
        data = self._values[handle] if value is None else value
        self._queued += 1
        cut = bytes(data[: self._connections[connection] - 3])
        emulator.send(NOTIFY, struct.pack("<HH", connection, handle) + cut)

    def gap_advertise(self, interval_us, adv_data=b"", resp_data=b"", connectable=True):
        self._must_be_active()
        if interval_us is None:
            self._advertising = False
            emulator.send(ADVERTISE, struct.pack("<IBB", 0, 0, 0))
            return
        if len(adv_data) > _ADVERTISEMENT_BYTES_MAX or len(resp_data) > _ADVERTISEMENT_BYTES_MAX:
            raise OSError(_EMSGSIZE)
        self._advertising = True
        head = struct.pack("<IBB", interval_us, 1 if connectable else 2, len(adv_data))
        emulator.send(ADVERTISE, head + bytes(adv_data) + bytes(resp_data))

    def gap_disconnect(self, connection):
        if connection not in self._connections:
            return False
        emulator.send(HANG_UP, struct.pack("<H", connection))
        return True

    def _must_be_active(self):
        if not self._active:
            raise OSError(_ENODEV)

    def _event(self, kind, payload):
        if kind == SENT:
            self._queued = max(0, self._queued - payload[0])
            return
        connection = payload[0] | payload[1] << 8
        if kind == CONNECT:
            self._connections[connection] = _MTU_DEFAULT
            self._advertising = False  # a connection ends connectable advertising
            self._fire(_IRQ_CENTRAL_CONNECT, (connection, 1, payload[2:8]))
        elif kind == DISCONNECT:
            self._connections.pop(connection, None)
            self._queued = 0
            self._fire(_IRQ_CENTRAL_DISCONNECT, (connection, 1, payload[2:8]))
        elif kind == MTU:
            mtu = payload[2] | payload[3] << 8
            self._connections[connection] = mtu
            self._fire(_IRQ_MTU_EXCHANGED, (connection, mtu))
        elif kind == WRITE:
            handle = payload[2] | payload[3] << 8
            self._values[handle] = bytes(payload[4 : 4 + self._limits[handle]])
            self._fire(_IRQ_GATTS_WRITE, (connection, handle))

    def _fire(self, event, data):
        if self._irq:
            self._irq(event, data)
