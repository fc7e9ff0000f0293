"""Which sensors a real board has: `sensor.txt` beside its settings says `adc` (the default), `ads1115` or `lis3dh`,
`load.txt` says `hx711` where load cells are fitted.

Only the drivers that are used are loaded. A sensor.txt that cannot be read, or names something else, is a fault of the
sensor: another input than the one that was fitted would make up a bed.
"""

from .timer_ring import TimerRing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .hx711 import Hx711
    from .sampler import Sensor

ENOENT = 2
SENSOR_FILE = "/sensor.txt"
LOAD_FILE = "/load.txt"
RATE_HZ = 100
FAILED_RAIL = 1
FAILED_CHOICE = 0x80
_RAIL_U16 = 64


def open_sensor(
    directory: str,
    adc: "Any",
    open_i2c: "Callable[[], Any]",
    make_timer: "Callable[[int, Any], object]",
    ticks_ms: "Callable[[], int]",
) -> "tuple[Sensor, Callable[[], int]]":
    """(sensor, its self-test: 0 good, else bits of what failed); adc is machine.ADC, the others hang on I2C."""
    name = _chosen(directory + SENSOR_FILE)
    if name == "ads1115":
        from .ads1115 import BITS, Ads1115

        converter = Ads1115(open_i2c())
        return TimerRing(converter.read, make_timer, ticks_ms, RATE_HZ, BITS, 0), converter.self_test
    if name == "lis3dh":
        from .lis3dh import Lis3dh

        accelerometer = Lis3dh(open_i2c(), ticks_ms)
        return accelerometer, accelerometer.self_test

    if name not in ("", "adc"):
        return TimerRing(lambda: 0, make_timer, ticks_ms, RATE_HZ), lambda: FAILED_CHOICE

    def self_test() -> int:
        return 0 if _RAIL_U16 < adc.read_u16() < 0xFFFF - _RAIL_U16 else FAILED_RAIL

    return TimerRing(adc.read_u16, make_timer, ticks_ms, RATE_HZ), self_test


def open_load(directory: str, data_pin: int, clock_pin: int, ticks_ms: "Callable[[], int]") -> "Hx711 | None":
    """The static channel; None where load.txt names none."""
    if _chosen(directory + LOAD_FILE) != "hx711":
        return None
    import machine

    from .hx711 import Hx711

    data = machine.Pin(data_pin, machine.Pin.IN)
    clock = machine.Pin(clock_pin, machine.Pin.OUT)
    return Hx711(data, clock, ticks_ms, machine.disable_irq, machine.enable_irq)


def _chosen(path: str) -> str:
    try:
        with open(path) as file:
            name: str = file.read(16)
            return name.strip()
    except OSError as error:
        return "" if error.args[0] == ENOENT else "?"
    except ValueError:  # no text
        return "?"
