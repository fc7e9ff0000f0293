"""ESP32-S3, C3 and C6: internal ADC on GPIO1, ring in the data partition labelled `ring`."""

import esp32
import machine

from .board import MODEL_ESP32
from .board_common import LitBoard
from .timer_ring import TimerRing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ring import BlockDevice
    from .sampler import Sensor

ADC_PIN = 1
LED_PIN = 2
RATE_HZ = 100


class PartitionMissingError(Exception):
    """The partition table has no data partition `ring`: flash the one that belongs to the firmware."""


def _make_timer(rate_hz: int, tick: "Any") -> object:
    timer: object = machine.Timer(0, mode=machine.Timer.PERIODIC, freq=rate_hz, callback=tick)
    return timer


def _ring_partition() -> "Any":
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="ring")
    if not found:
        raise PartitionMissingError("no data partition `ring`")
    return found[0]


class Esp32Board(LitBoard):
    """All ESP32 with BLE."""

    model = MODEL_ESP32

    def __init__(self) -> None:
        super().__init__()
        self.config_directory = "/config"
        self.slots_directory = ""
        self.flash: "BlockDevice" = _ring_partition()
        self.sensor: "Sensor" = TimerRing(machine.ADC(machine.Pin(ADC_PIN)).read_u16, _make_timer, RATE_HZ)
        self.led = machine.Pin(LED_PIN, machine.Pin.OUT)

    def self_test(self) -> int:
        """Bit 0: the ADC stands at a rail."""
        count: int = machine.ADC(machine.Pin(ADC_PIN)).read_u16()
        return 0 if 64 < count < 0xFFFF - 64 else 1
