"""Raspberry Pi Pico W and Pico 2 W: internal ADC on GP26, ring in the last 128 KiB of storage, LED on WL_GPIO0.

The file system lies before the ring: boot/outer.py says how, for the interpreter would format the whole storage.
"""

import os

import machine
import rp2

from .board import MODEL_PICO_2_W, MODEL_PICO_W
from .board_common import LitBoard
from .ring import RING_BYTES
from .sensors import open_load, open_sensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ring import BlockDevice
    from .sampler import Sensor

ADC_PIN = 26
SDA_PIN, SCL_PIN = 4, 5
LOAD_DATA_PIN, LOAD_CLOCK_PIN = 14, 15
# First of the watchdog's scratch registers, which only a power cut clears; the SDK uses the last four.
SCRATCH_RP2040, SCRATCH_RP2350 = 0x4005800C, 0x400D800C
NOTE_MARK = 0x5B5B00  # with the note below it a small int


def _open_i2c() -> "Any":
    return machine.I2C(0, sda=machine.Pin(SDA_PIN), scl=machine.Pin(SCL_PIN), freq=400_000)


def _make_timer(rate_hz: int, tick: "Any") -> object:
    timer: object = machine.Timer(-1, mode=machine.Timer.PERIODIC, freq=rate_hz, callback=tick)
    return timer


class PicoBoard(LitBoard):
    """Both Picos; they differ in the chip only."""

    def __init__(self) -> None:
        is_rp2350 = "RP2350" in os.uname().machine
        self.model = MODEL_PICO_2_W if is_rp2350 else MODEL_PICO_W
        self._scratch = SCRATCH_RP2350 if is_rp2350 else SCRATCH_RP2040
        word = int(machine.mem32[self._scratch])
        super().__init__(word & 0xFF if word & ~0xFF == NOTE_MARK else -1)
        self.config_directory = "/config"
        self.slots_directory = ""
        storage_bytes = int(rp2.Flash().ioctl(4, 0) or 0) * 4096
        self.flash: "BlockDevice" = rp2.Flash(start=storage_bytes - RING_BYTES, len=RING_BYTES)
        adc = machine.ADC(machine.Pin(ADC_PIN))
        opened = open_sensor(self.config_directory, adc, _open_i2c, _make_timer, self.ticks_ms)
        self.sensor: "Sensor" = opened[0]
        self._sensor_test = opened[1]
        self.load = open_load(self.config_directory, LOAD_DATA_PIN, LOAD_CLOCK_PIN, self.ticks_ms)
        self.led = machine.Pin("LED", machine.Pin.OUT)

    def note(self, tasks: int) -> None:
        """Keep a number of 8 bits in the scratch register."""
        machine.mem32[self._scratch] = NOTE_MARK | tasks
