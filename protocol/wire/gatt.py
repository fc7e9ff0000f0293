"""The belt's GATT table: UUIDs, properties and sizes, one truth for firmware, gateway and emulation.

Small on purpose: the Pico W's stack has 512 bytes for all attributes. `RX` takes fragments from the gateway, `TX`
notifies fragments, `INFO` is what a stranger may read: protocol version and serial.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Characteristics = Iterable[tuple[int | str, int, bool]]
    Services = Iterable[tuple[int | str, Characteristics]]

SERVICE = "5b1e0001-7d3c-4e0b-9a55-6c656570b017"
RX = "5b1e0002-7d3c-4e0b-9a55-6c656570b017"
TX = "5b1e0003-7d3c-4e0b-9a55-6c656570b017"
INFO = "5b1e0004-7d3c-4e0b-9a55-6c656570b017"

# Assigned numbers of the standard services (Bluetooth SIG).
DEVICE_INFORMATION = 0x180A
MODEL_NUMBER, SERIAL_NUMBER, FIRMWARE_REVISION, MANUFACTURER_NAME = 0x2A24, 0x2A25, 0x2A26, 0x2A29
HEART_RATE, HEART_RATE_MEASUREMENT, BODY_SENSOR_LOCATION = 0x180D, 0x2A37, 0x2A38
BATTERY, BATTERY_LEVEL = 0x180F, 0x2A19

ATTRIBUTE_TABLE_BYTES_MAX = 512
VALUE_BYTES_MAX = 244  # one attribute value at the MTU of 247 that the belt offers
MTU = 247
RX_BUFFER_BYTES = 512
NAME_PREFIX = b"SB-"
INFO_FORMAT = "<BB8s"  # version, model, serial

_ATTRIBUTE_HEAD_BYTES = 6  # size, flags, handle of one entry of BTstack's attribute database
_TYPE_BYTES = 2  # a declaration's own 16-bit type


def table_bytes(services: "Services") -> int:
    """Bytes the attribute table of `services` takes: ((uuid, ((uuid, static_value_bytes, notifies), ...)), ...).

    BTstack's database: each entry is a head, its type and its static value; a service is one declaration, a
    characteristic a declaration and a value, and a client configuration where it notifies.
    """
    declaration = _ATTRIBUTE_HEAD_BYTES + _TYPE_BYTES
    total = 2
    for service, characteristics in services:
        total += declaration + _uuid_bytes(service)
        for uuid, value_bytes, notifies in characteristics:
            total += declaration + 3 + _uuid_bytes(uuid)
            total += _ATTRIBUTE_HEAD_BYTES + _uuid_bytes(uuid) + value_bytes
            if notifies:
                total += declaration + 2
    return total


def _uuid_bytes(uuid: "int | str") -> int:
    return 2 if isinstance(uuid, int) else 16


def name_of(serial: bytes) -> bytes:
    """Local name that a belt advertises in its scan response, bytes: `SB-` and 16 hex digits."""
    return NAME_PREFIX + b"".join([b"%02X" % byte for byte in serial])


def serial_of(name: str) -> "bytes | None":
    """Serial (8 bytes) from a belt's local name (str), or None if it is not a belt's name."""
    prefix = NAME_PREFIX.decode()
    if not name.startswith(prefix) or len(name) != len(prefix) + 16:
        return None
    digits = name[len(prefix) :]
    for digit in digits:
        if digit not in "0123456789ABCDEF":
            return None
    return bytes([int(digits[at : at + 2], 16) for at in range(0, 16, 2)])
