"""ESP32-S3, C3 and C6: internal ADC on GPIO1, ring in the data partition labelled `ring`."""

import os

import esp32
import machine

from .board import MODEL_ESP32_C3, MODEL_ESP32_C6, MODEL_ESP32_S3
from .board_common import LitBoard
from .sensors import open_load, open_sensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ring import BlockDevice
    from .sampler import Sensor

ADC_PIN = 1
LED_PIN = 2
SDA_PIN, SCL_PIN = 8, 9
LOAD_DATA_PIN, LOAD_CLOCK_PIN = 4, 5


NOTE_MARK = b"SB"


class PartitionMissingError(Exception):
    """The partition table has no data partition `ring`: flash the one that belongs to the firmware."""


def _open_i2c() -> "Any":
    return machine.I2C(0, sda=machine.Pin(SDA_PIN), scl=machine.Pin(SCL_PIN), freq=400_000)


def _make_timer(rate_hz: int, tick: "Any") -> object:
    timer: object = machine.Timer(0, mode=machine.Timer.PERIODIC, freq=rate_hz, callback=tick)
    return timer


def _model() -> int:
    chip = os.uname().machine
    if "ESP32C3" in chip or "ESP32-C3" in chip:
        return MODEL_ESP32_C3
    return MODEL_ESP32_C6 if "ESP32C6" in chip or "ESP32-C6" in chip else MODEL_ESP32_S3


def _ring_partition() -> "Any":
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="ring")
    if not found:
        raise PartitionMissingError("no data partition `ring`")
    return found[0]


class Esp32Board(LitBoard):
    """All ESP32 with BLE."""

    def __init__(self) -> None:
        self.model = _model()
        self._rtc = machine.RTC()
        self._note = bytearray(NOTE_MARK + b"\0")
        kept = bytes(self._rtc.memory())
        super().__init__(kept[-1] if len(kept) == len(self._note) and kept[:-1] == NOTE_MARK else -1)
        self.config_directory = "/config"
        self.slots_directory = ""
        self.flash: "BlockDevice" = _ring_partition()
        # Without attenuation it ends at .95 V, below the amplifier's middle of 1.65 V.
        adc = machine.ADC(machine.Pin(ADC_PIN), atten=machine.ADC.ATTN_11DB)
        opened = open_sensor(self.config_directory, adc, _open_i2c, _make_timer, self.ticks_ms)
        self.sensor: "Sensor" = opened[0]
        self._sensor_test = opened[1]
        self.load = open_load(self.config_directory, LOAD_DATA_PIN, LOAD_CLOCK_PIN, self.ticks_ms)
        self.led = machine.Pin(LED_PIN, machine.Pin.OUT)

    def note(self, tasks: int) -> None:
        """Keep a number of 8 bits in the RTC's memory."""
        self._note[-1] = tasks
        self._rtc.memory(self._note)
