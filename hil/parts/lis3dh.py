"""LIS3DH by its registers (ST DocID17530): control registers, FIFO of 32 in bypass and stream mode, self-test."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Lis3dhPart"]

FIFO_SAMPLES = 32
SELF_TEST_MG = 350
_RATES_HZ = (0, 1, 10, 25, 50, 100, 200, 400, 1620, 1344)
_READ_ONLY = {0x0F, 0x2F, *range(0x28, 0x2E)}


class Lis3dhPart:
    """`milli_g(index)` gives (x, y, z) of the index-th sample since it converts; time passes by run().

    per_mille: how much faster than its nominal rate this one's clock runs.
    """

    def __init__(self, milli_g: Callable[[int], tuple[int, int, int]], per_mille: int = 0) -> None:
        self._per_mille = 1000 + per_mille
        self._milli_g = milli_g
        self._fifo: list[tuple[int, int, int]] = []
        self.lose_power()
        self._samples = 0
        self._since_ms = 0

    def lose_power(self) -> None:
        """Brown-out: all registers as after power-on, nothing converted."""
        self._registers = {0x0F: 0x33, 0x20: 0x07, 0x23: 0, 0x24: 0, 0x2E: 0}
        self._fifo.clear()
        self._overrun = False
        self._last = (0, 0, 0)

    def run(self, ms: int) -> None:
        """Let time pass: the part converts at its rate."""
        rate_hz = _RATES_HZ[min(self._registers[0x20] >> 4, 9)]
        self._since_ms += ms
        while rate_hz and self._since_ms * rate_hz * self._per_mille >= 1_000_000 * (self._samples + 1):
            self._convert()

    def _convert(self) -> None:
        self._last = self._milli_g(self._samples)
        if self._registers[0x23] & 0x06:
            self._last = tuple(value + SELF_TEST_MG for value in self._last)  # type: ignore[assignment]
        self._samples += 1
        if self._registers[0x24] & 0x40 and self._registers[0x2E] & 0xC0 == 0x80:
            if len(self._fifo) == FIFO_SAMPLES:
                self._fifo.pop(0)
                self._overrun = True
            self._fifo.append(self._last)

    def write(self, register: int, data: bytes) -> None:
        """Sub-address without its auto-increment bit, then values."""
        step = 1 if register & 0x80 else 0
        at = register & 0x7F
        for value in data:
            if at not in _READ_ONLY:
                self._registers[at] = value
                if at == 0x2E and value & 0xC0 == 0:
                    self._fifo.clear()  # bypass empties it
                    self._overrun = False
                if at == 0x20:
                    self._samples = self._since_ms = 0
            at += step

    def read(self, register: int, count: int) -> bytes:
        """With auto-increment the address rolls over from OUT_Z_H to OUT_X_L: each round a sample of the FIFO."""
        step = 1 if register & 0x80 else 0
        at = register & 0x7F
        out = bytearray()
        for _ in range(count):
            out.append(self._byte(at))
            if step:
                at = 0x28 if at == 0x2D else at + 1
        return bytes(out)

    def _byte(self, at: int) -> int:
        if at == 0x2F:
            full = len(self._fifo) == FIFO_SAMPLES
            overrun = 0x40 if full and self._overrun else 0
            return overrun | (0x20 if not self._fifo else 0) | min(len(self._fifo), 31)
        if 0x28 <= at <= 0x2D:
            return self._out(at - 0x28)
        return self._registers.get(at, 0)

    def _out(self, offset: int) -> int:
        sample = self._fifo[0] if self._fifo else self._last
        value = sample[offset // 2]
        word = max(-2048, min(2047, value)) << 4 & 0xFFFF  # 12 bits, left-justified, 1 mg a digit at +-2 g
        if offset == 5 and self._fifo:
            self._fifo.pop(0)
            self._overrun = False
        return word >> 8 if offset & 1 else word & 0xFF
