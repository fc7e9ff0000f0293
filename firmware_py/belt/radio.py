"""The thin layer over `bluetooth.BLE`: GATT table, advertising, and a queue between the stack's callback and the loop.

On ESP32 the callback runs on another task, between any two bytecodes: it only fills preallocated slots. The quirks that
each line answers are in facts/FIRMWARE.md "The bluetooth shim".
"""

from protocol.wire import gatt

from .services import BODY_SENSOR_OTHER, services

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CENTRAL_CONNECT = 1
CENTRAL_DISCONNECT = 2
GATTS_WRITE = 3
MTU_EXCHANGED = 21

QUEUE_EVENTS = 32
QUEUE_RESERVED = 8  # slots that no write takes: a flood must not hide that its central has gone
QUEUE_BYTES_MAX = 4096  # of written values that wait
_BYTES_MASK = (1 << 29) - 1
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
        self._bytes_in = 0  # modulo 2^29, so that a small int will do; the difference is what waits
        self._bytes_out = 0
        self.dropped = 0

    def put(self, kind: int, number: int, value: bytes) -> None:
        """Called by the stack."""
        following = (self._written + 1) % QUEUE_EVENTS
        free = (self._read - following) % QUEUE_EVENTS
        waiting = (self._bytes_in - self._bytes_out) & _BYTES_MASK
        floods = free < QUEUE_RESERVED or waiting + len(value) > QUEUE_BYTES_MAX
        if following == self._read or (kind == GATTS_WRITE and floods):
            self.dropped += 1
            return
        self._bytes_in = (self._bytes_in + len(value)) & _BYTES_MASK
        self._kinds[self._written] = kind
        self._numbers[self._written] = number
        self._values[self._written] = value
        self._written = following

    def get(self) -> "tuple[int, int, bytes] | None":
        """Called by the loop; None when there is nothing."""
        if self._read == self._written:
            return None
        event = self._kinds[self._read], self._numbers[self._read], self._values[self._read]
        self._values[self._read] = b""
        self._bytes_out = (self._bytes_out + len(event[2])) & _BYTES_MASK
        self._read = (self._read + 1) % QUEUE_EVENTS
        return event


class Radio:
    """The belt's one connection and its advertising; `uuid` is the stack's UUID class.

    device_information: manufacturer, model, serial and firmware revision as the standard service shows them; battery:
    its level, shown with the heart rate where the owner wants that.
    """

    def __init__(
        self,
        ble: "Any",
        uuid: "Any",
        serial: bytes,
        info: bytes,
        device_information: "tuple[bytes, ...]",
        expose_standard: bool,
        battery: bytes,
    ) -> None:
        self._ble = ble
        self.events = EventQueue()
        self.connection = -1
        self.value_bytes = MTU_DEFAULT - ATT_NOTIFY_OVERHEAD_BYTES
        name = gatt.name_of(serial)
        self._scan_response = bytes((len(name) + 1, 0x09)) + name
        ble.active(True)
        ble.config(mtu=gatt.MTU, gap_name=name)
        ble.irq(self._irq)
        table = services(expose_standard)
        handles = ble.gatts_register_services([(uuid(u), [(uuid(c), flags) for c, flags in rows]) for u, rows in table])
        self._rx, self._tx, own_info = handles[0]
        ble.gatts_set_buffer(self._rx, gatt.RX_BUFFER_BYTES)  # the default of 20 bytes truncates silently
        ble.gatts_write(own_info, info)
        for handle, text in zip(handles[1], device_information):
            ble.gatts_write(handle, text)
        self._heart_rate = -1
        if expose_standard:
            self._heart_rate, location = handles[2]
            ble.gatts_write(location, BODY_SENSOR_OTHER)
            ble.gatts_write(handles[3][0], battery)

    def _irq(self, event: int, data: "tuple[Any, ...]") -> None:
        if event == GATTS_WRITE:
            if data[1] == self._rx:
                self.events.put(event, data[0], self._ble.gatts_read(self._rx))
        elif event == MTU_EXCHANGED:
            self.events.put(event, data[1], b"")
        elif event in (CENTRAL_CONNECT, CENTRAL_DISCONNECT):
            self.events.put(event, data[0], b"")

    def connected(self, connection: int) -> None:
        """A central has connected; its MTU is the default until it asks for more. An older one is hung up on."""
        if self.connection not in (-1, connection):
            self.disconnect()
        self.connection = connection
        self.value_bytes = MTU_DEFAULT - ATT_NOTIFY_OVERHEAD_BYTES

    def disconnected(self) -> None:
        """The central is gone."""
        self.connection = -1

    def mtu(self, mtu: int) -> None:
        """Both ends agreed on an MTU: larger fragments from now on."""
        self.value_bytes = max(MTU_DEFAULT, min(mtu, gatt.MTU)) - ATT_NOTIFY_OVERHEAD_BYTES

    def disconnect(self) -> None:
        """End the connection from this side."""
        if self.connection >= 0:
            self._ble.gap_disconnect(self.connection)

    def notify(self, fragment: bytes) -> bool:
        """Hand one value to the stack; False: its buffers are full or nobody is connected, try again later."""
        return self._notify(self._tx, fragment)

    def heart_rate(self, measurement: bytes) -> None:
        """Notify the standard measurement, if it is exposed; one that does not fit now is superseded in a second."""
        if measurement and self._heart_rate >= 0:
            self._notify(self._heart_rate, measurement)

    def _notify(self, handle: int, value: bytes) -> bool:
        if self.connection < 0:
            return False
        try:
            self._ble.gatts_notify(self.connection, handle, value)
        except OSError:
            return False  # ENOMEM is back-pressure, ENOTCONN a disconnect still in the queue
        return True

    def advertise(self, payload: bytes, interval_ms: int) -> None:
        """Replace what is advertised; connectable while no central is connected."""
        self._ble.gap_advertise(
            interval_ms * 1000, adv_data=payload, resp_data=self._scan_response, connectable=self.connection < 0
        )
