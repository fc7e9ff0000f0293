"""Raspberry Pi Pico W and Pico 2 W: internal ADC on GP26, ring in the last 128 KiB of storage, LED on WL_GPIO0.

The file system lies before the ring: boot/outer.py says how, for the interpreter would format the whole storage.
"""

import os

import machine
import rp2

from .board import MODEL_PICO_2_W, MODEL_PICO_W
from .board_common import LitBoard
from .ring import RING_BYTES
from .timer_ring import TimerRing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ring import BlockDevice
    from .sampler import Sensor

ADC_PIN = 26
RATE_HZ = 100


def _make_timer(rate_hz: int, tick: "Any") -> object:
    timer: object = machine.Timer(-1, mode=machine.Timer.PERIODIC, freq=rate_hz, callback=tick)
    return timer


class PicoBoard(LitBoard):
    """Both Picos; they differ in the chip only."""

    def __init__(self) -> None:
        super().__init__()
        self.model = MODEL_PICO_2_W if "RP2350" in os.uname().machine else MODEL_PICO_W
        self.config_directory = "/config"
        self.slots_directory = ""
        storage_bytes: int = rp2.Flash().ioctl(4, 0) * 4096
        self.flash: "BlockDevice" = rp2.Flash(start=storage_bytes - RING_BYTES, len=RING_BYTES)
        self.sensor: "Sensor" = TimerRing(machine.ADC(machine.Pin(ADC_PIN)).read_u16, _make_timer, RATE_HZ)
        self.led = machine.Pin("LED", machine.Pin.OUT)

    def self_test(self) -> int:
        """Bit 0: the ADC stands at a rail."""
        count: int = machine.ADC(machine.Pin(ADC_PIN)).read_u16()
        return 0 if 64 < count < 0xFFFF - 64 else 1
