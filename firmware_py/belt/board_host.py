"""The emulated belt: the unix port with hil/shims; its ADC has a FIFO, its flash is a file beside its configuration."""

import os

import machine as _machine

from .board import MODEL_EMULATED
from .board_common import CommonBoard
from .ring import RING_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from typing import Any

    from .ring import BlockDevice
    from .sampler import Sensor

machine: "Any" = _machine  # the shim has more than any board's

SECTOR_BYTES = 4096
FLASH_SECTORS = RING_BYTES // SECTOR_BYTES


class FileFlash:
    """A NOR flash in a file: erase sets ones, programming only clears bits; what was written survives a kill."""

    def __init__(self, path: str) -> None:
        try:
            size = os.stat(path)[6]
        except OSError:
            size = 0
        if size != FLASH_SECTORS * SECTOR_BYTES:
            with open(path, "wb") as file:
                for _ in range(FLASH_SECTORS):
                    file.write(b"\xff" * SECTOR_BYTES)
        self._file = open(path, "r+b")

    def readblocks(self, block: int, buf: bytearray, offset: int) -> None:
        """Fill buf from a sector."""
        self._file.seek(block * SECTOR_BYTES + offset)
        self._file.readinto(buf)

    def writeblocks(self, block: int, buf: "bytes | bytearray", offset: int) -> None:
        """Program bytes: bits go from one to zero only."""
        at = block * SECTOR_BYTES + offset
        self._file.seek(at)
        old = self._file.read(len(buf))
        self._file.seek(at)
        self._file.write(bytes([old[i] & buf[i] for i in range(len(buf))]))
        self._file.flush()

    def ioctl(self, operation: int, argument: int) -> int:
        """Count, size, erase of sectors as ring.IOCTL_*."""
        if operation == 4:
            return FLASH_SECTORS
        if operation == 5:
            return SECTOR_BYTES
        if operation == 6:
            self._file.seek(argument * SECTOR_BYTES)
            self._file.write(b"\xff" * SECTOR_BYTES)
            self._file.flush()
        return 0


class FifoAdc:
    """The emulated ADC by its FIFO: a block read never waits and says how many samples an overflow cost."""

    def __init__(self) -> None:
        self._adc = machine.ADC(machine.Pin(26))
        self.rate_hz: int = self._adc.rate_hz
        self.bits: int = self._adc.bits
        self.first_index = 0
        self.gap = 0

    def start(self) -> None:
        """Samples count from here."""
        self._adc.start()

    def read_into(self, buf: "array[int]") -> int:
        """Take what is there, at most len(buf); 0 if it is less than a block."""
        self.first_index, self.gap, n = self._adc.read_fifo_into(buf)
        return int(n)


class HostBoard(CommonBoard):
    """A belt without hardware."""

    model = MODEL_EMULATED

    def __init__(self) -> None:
        super().__init__(int(machine.read_note()))
        self.config_directory = os.getenv("SLEEPBELT_STATE_DIR") or "."
        self.slots_directory = self.config_directory
        self.sensor: "Sensor" = FifoAdc()
        self.load: "Sensor | None" = None
        self.flash: "BlockDevice" = FileFlash(self.config_directory + "/flash.bin")

    def note(self, tasks: int) -> None:
        """Keep it over a reset."""
        machine.note(tasks)

    def idle(self, ms: int) -> None:
        """Until the time is over or the radio has something."""
        machine.idle_for(ms)

    def identify(self, seconds: int) -> None:
        """Say so to the host: there is no light."""
        machine.identify(seconds)

    def self_test(self) -> int:
        """Bits of what failed: nothing can."""
        return 0
