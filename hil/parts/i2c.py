"""An I2C bus with emulated parts, as drivers see it: machine.I2C's memory operations, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["I2cBus", "Part"]

ENODEV, EIO = 19, 5


class Part(Protocol):
    """One part on the bus: what a register transfer writes and reads, one byte at a time."""

    def write(self, register: int, data: bytes) -> None: ...
    def read(self, register: int, count: int) -> bytes: ...


class I2cBus:
    """Parts by address; an address without a part, or an unplugged bus, is OSError as on boards."""

    def __init__(self, parts: dict[int, Part], passed: Callable[[], None] = lambda: None) -> None:
        """passed: called before each transfer, for those that wait for a part by asking it."""
        self._parts = parts
        self._passed = passed
        self.is_broken = False

    def writeto_mem(self, address: int, register: int, data: bytes | bytearray) -> None:
        self._part(address).write(register, bytes(data))

    def readfrom_mem_into(self, address: int, register: int, buf: bytearray | memoryview) -> None:
        buf[:] = self._part(address).read(register, len(buf))

    def _part(self, address: int) -> Part:
        self._passed()
        if self.is_broken:
            raise OSError(EIO)
        if address not in self._parts:
            raise OSError(ENODEV)
        return self._parts[address]
