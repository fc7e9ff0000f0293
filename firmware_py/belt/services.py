"""The belt's GATT services: its own, Device Information, and on the owner's order standard Heart Rate and Battery.

What is readable here needs no session, so it is what a stranger may know. Heart Rate and Battery are left out until the
belt was told to expose them (KEY_EXPOSE_STANDARD, from the next start); then any stock app can show them.
"""

from protocol.wire import frames, gatt

FLAG_READ, FLAG_WRITE_NO_RESPONSE, FLAG_WRITE, FLAG_NOTIFY = 0x02, 0x04, 0x08, 0x10

OWN = (
    gatt.SERVICE,
    ((gatt.RX, FLAG_WRITE | FLAG_WRITE_NO_RESPONSE), (gatt.TX, FLAG_NOTIFY), (gatt.INFO, FLAG_READ)),
)
DEVICE_INFORMATION = (
    gatt.DEVICE_INFORMATION,
    (
        (gatt.MANUFACTURER_NAME, FLAG_READ),
        (gatt.MODEL_NUMBER, FLAG_READ),
        (gatt.SERIAL_NUMBER, FLAG_READ),
        (gatt.FIRMWARE_REVISION, FLAG_READ),
    ),
)
HEART_RATE = (
    gatt.HEART_RATE,
    ((gatt.HEART_RATE_MEASUREMENT, FLAG_NOTIFY), (gatt.BODY_SENSOR_LOCATION, FLAG_READ)),
)
BATTERY = (gatt.BATTERY, ((gatt.BATTERY_LEVEL, FLAG_READ),))
BODY_SENSOR_OTHER = b"\x00"
_CONTACT_SUPPORTED, _CONTACT = 0x04, 0x02

TYPE_CHECKING = False
if TYPE_CHECKING:
    Table = tuple[tuple[str | int, tuple[tuple[str | int, int], ...]], ...]


def services(expose_standard: bool) -> "Table":
    """((service, ((characteristic, flags), ...)), ...); UUIDs as in protocol.wire.gatt."""
    return (OWN, DEVICE_INFORMATION, HEART_RATE, BATTERY) if expose_standard else (OWN, DEVICE_INFORMATION)


def heart_rate_measurement(report: "tuple[int, ...]") -> bytes:
    """Heart Rate Measurement of a REPORT tuple: one byte of rate, sensor contact as "in bed"; b"" without a rate.

    No Energy Expended field: a client in use misparses what follows it (facts/RADIO.md).
    """
    if report[7] == frames.ABSENT_16:
        return b""
    contact = _CONTACT if report[0] == frames.OCCUPIED else 0
    return bytes((_CONTACT_SUPPORTED | contact, min(255, (report[7] + 5) // 10)))


def battery_level(percent: int) -> bytes:
    """Battery Level of a REPORT's battery_percent: the service knows 0 to 100 only, so mains is full."""
    return bytes((min(percent, 100),))
