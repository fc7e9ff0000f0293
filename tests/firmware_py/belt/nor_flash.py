"""A NOR flash in memory: erase sets ones, programming clears bits, and the power can fail at any byte."""

from __future__ import annotations

from firmware_py.belt.ring import IOCTL_BLOCK_BYTES, IOCTL_BLOCK_COUNT, IOCTL_ERASE

SECTOR_BYTES = 4096


class PowerCutError(Exception):
    """The power failed in the middle of a flash operation."""


class NorFlash:
    """`steps_left` bytes (programmed) and quarter sectors (erased) go through before the power fails; None: never."""

    def __init__(self, sectors: int = 4) -> None:
        self.sectors = sectors
        self.data = bytearray(b"\xff" * sectors * SECTOR_BYTES)
        self.steps_left: int | None = None
        self.dead: set[int] = set()  # addresses that no longer hold a zero

    def readblocks(self, block: int, buf: bytearray, offset: int) -> None:
        at = block * SECTOR_BYTES + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block: int, buf: bytes | bytearray, offset: int) -> None:
        at = block * SECTOR_BYTES + offset
        for i, byte in enumerate(buf):
            if byte == 0xFF:
                continue
            self._step()
            if at + i not in self.dead:
                self.data[at + i] &= byte

    def ioctl(self, operation: int, argument: int) -> int | None:
        if operation == IOCTL_ERASE:
            quarter = SECTOR_BYTES // 4
            for part in range(4):
                self._step()
                at = argument * SECTOR_BYTES + part * quarter
                self.data[at : at + quarter] = b"\xff" * quarter
            return 0
        return {IOCTL_BLOCK_COUNT: self.sectors, IOCTL_BLOCK_BYTES: SECTOR_BYTES}.get(operation)

    def _step(self) -> None:
        if self.steps_left is None:
            return
        if self.steps_left == 0:
            raise PowerCutError
        self.steps_left -= 1
