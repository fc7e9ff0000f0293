"""Which sensor a real board has: `sensor.txt` beside its settings says `adc` (the default), `ads1115` or `lis3dh`.

Only the driver that is used is loaded.
"""

from .timer_ring import TimerRing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .sampler import Sensor

SENSOR_FILE = "/sensor.txt"
RATE_HZ = 100
FAILED_RAIL = 1
_RAIL_U16 = 64


def open_sensor(
    directory: str,
    adc: "Any",
    open_i2c: "Callable[[], Any]",
    make_timer: "Callable[[int, Any], object]",
    ticks_ms: "Callable[[], int]",
) -> "tuple[Sensor, Callable[[], int]]":
    """(sensor, its self-test: 0 good, else bits of what failed); adc is machine.ADC, the others hang on I2C."""
    name = _chosen(directory)
    if name == "ads1115":
        from .ads1115 import BITS, Ads1115

        converter = Ads1115(open_i2c())
        return TimerRing(converter.read, make_timer, RATE_HZ, BITS, 0), converter.self_test
    if name == "lis3dh":
        from .lis3dh import Lis3dh

        accelerometer = Lis3dh(open_i2c(), ticks_ms)
        return accelerometer, accelerometer.self_test

    def self_test() -> int:
        return 0 if _RAIL_U16 < adc.read_u16() < 0xFFFF - _RAIL_U16 else FAILED_RAIL

    return TimerRing(adc.read_u16, make_timer, RATE_HZ), self_test


def _chosen(directory: str) -> str:
    try:
        with open(directory + SENSOR_FILE) as file:
            name: str = file.read(16)
            return name.strip()
    except OSError:
        return "adc"
