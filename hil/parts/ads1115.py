"""ADS1115 by its registers (TI SBAS444, section 8.6): pointer, conversion, config; one-shot and continuous modes."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ads1115Part"]

CONFIG_RESET = 0x8583
FULL_SCALE_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)


class Ads1115Part:
    """`volts()` is what lies on AIN0 now; other inputs are open."""

    def __init__(self, volts: Callable[[], float]) -> None:
        self._volts = volts
        self._config = CONFIG_RESET
        self._converted = 0

    def write(self, register: int, data: bytes) -> None:
        """A register is written as one 16-bit word, high byte first; the conversion register is read only."""
        if register == 1 and len(data) == 2:
            self._config = data[0] << 8 | data[1]
            if self._config & 0x8100 == 0x8100:
                self._convert()  # single-shot: one conversion is started

    def read(self, register: int, count: int) -> bytes:
        """The pointed register over and over."""
        if register == 0:
            if not self._config & 0x0100:
                self._convert()
            word = self._converted & 0xFFFF
        elif register == 1:
            word = self._config & 0x7FFF | (0 if not self._config & 0x0100 else 0x8000)
        else:
            word = 0x8000 if register == 2 else 0x7FFF
        pair = bytes((word >> 8, word & 0xFF))
        return (pair * (count // 2 + 1))[:count]

    def lose_power(self) -> None:
        """Brown-out: all registers as after power-on."""
        self._config = CONFIG_RESET
        self._converted = 0

    def _convert(self) -> None:
        inputs = self._config >> 12 & 7
        volts = self._volts() if inputs in (0, 4) else 0.0
        full = FULL_SCALE_V[self._config >> 9 & 7]
        self._converted = max(-32768, min(32767, round(volts / full * 32768)))
