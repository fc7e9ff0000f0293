"""The thin layer over `bluetooth.BLE`: GATT table, advertising, and a queue between the stack's callback and the loop.

On ESP32 the callback runs on another task, between any two bytecodes: it only fills preallocated slots. The quirks that
each line answers are in facts/FIRMWARE.md "The bluetooth shim".
"""

from protocol.wire import gatt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CENTRAL_CONNECT = 1
CENTRAL_DISCONNECT = 2
GATTS_WRITE = 3
MTU_EXCHANGED = 21

_FLAG_READ = 0x02
_FLAG_WRITE_NO_RESPONSE = 0x04
_FLAG_WRITE = 0x08
_FLAG_NOTIFY = 0x10

QUEUE_EVENTS = 32
ATT_NOTIFY_OVERHEAD_BYTES = 3
MTU_DEFAULT = 23


class EventQueue:
    """One writer (the stack's callback), one reader (the loop); slots are made once, events beyond them are counted."""

    def __init__(self) -> None:
        self._kinds = bytearray(QUEUE_EVENTS)
        self._numbers = [0] * QUEUE_EVENTS
        self._values: "list[bytes]" = [b""] * QUEUE_EVENTS
        self._written = 0
        self._read = 0
        self.dropped = 0

    def put(self, kind: int, number: int, value: bytes) -> None:
        """Called by the stack."""
        following = (self._written + 1) % QUEUE_EVENTS
        if following == self._read:
            self.dropped += 1
            return
        self._kinds[self._written] = kind
        self._numbers[self._written] = number
        self._values[self._written] = value
        self._written = following

    def get(self) -> "tuple[int, int, bytes] | None":
        """Called by the loop; None when there is nothing."""
        if self._read == self._written:
            return None
        event = self._kinds[self._read], self._numbers[self._read], self._values[self._read]
        self._read = (self._read + 1) % QUEUE_EVENTS
        return event


class Radio:
    """The belt's one connection and its advertising; `uuid` is the stack's UUID class."""

    def __init__(self, ble: "Any", uuid: "Any", serial: bytes, info: bytes) -> None:
        self._ble = ble
        self.events = EventQueue()
        self.connection = -1
        self.value_bytes = MTU_DEFAULT - ATT_NOTIFY_OVERHEAD_BYTES
        name = gatt.name_of(serial)
        self._scan_response = bytes((len(name) + 1, 0x09)) + name
        ble.active(True)
        ble.config(mtu=gatt.MTU, gap_name=name)
        ble.irq(self._irq)
        service = (
            uuid(gatt.SERVICE),
            (
                (uuid(gatt.RX), _FLAG_WRITE | _FLAG_WRITE_NO_RESPONSE),
                (uuid(gatt.TX), _FLAG_NOTIFY),
                (uuid(gatt.INFO), _FLAG_READ),
            ),
        )
        ((self._rx, self._tx, self._info),) = ble.gatts_register_services((service,))
        ble.gatts_set_buffer(self._rx, gatt.RX_BUFFER_BYTES)  # the default of 20 bytes truncates silently
        ble.gatts_write(self._info, info)

    def _irq(self, event: int, data: "tuple[Any, ...]") -> None:
        if event == GATTS_WRITE:
            if data[1] == self._rx:
                self.events.put(event, data[0], self._ble.gatts_read(self._rx))
        elif event == MTU_EXCHANGED:
            self.events.put(event, data[1], b"")
        elif event in (CENTRAL_CONNECT, CENTRAL_DISCONNECT):
            self.events.put(event, data[0], b"")

    def connected(self, connection: int) -> None:
        """A central has connected; its MTU is the default until it asks for more."""
        self.connection = connection
        self.value_bytes = MTU_DEFAULT - ATT_NOTIFY_OVERHEAD_BYTES

    def disconnected(self) -> None:
        """The central is gone."""
        self.connection = -1

    def mtu(self, mtu: int) -> None:
        """Both ends agreed on an MTU: larger fragments from now on."""
        self.value_bytes = min(mtu, gatt.MTU) - ATT_NOTIFY_OVERHEAD_BYTES

    def disconnect(self) -> None:
        """End the connection from this side."""
        if self.connection >= 0:
            self._ble.gap_disconnect(self.connection)

    def notify(self, fragment: bytes) -> bool:
        """Hand one value to the stack; False: its buffers are full or nobody is connected, try again later."""
        if self.connection < 0:
            return False
        try:
            self._ble.gatts_notify(self.connection, self._tx, fragment)
        except OSError:
            return False  # ENOMEM is back-pressure, ENOTCONN a disconnect still in the queue
        return True

    def advertise(self, payload: bytes, interval_ms: int) -> None:
        """Replace what is advertised; connectable while no central is connected."""
        self._ble.gap_advertise(
            interval_ms * 1000, adv_data=payload, resp_data=self._scan_response, connectable=self.connection < 0
        )
