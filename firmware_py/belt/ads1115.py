"""ADS1115, 16-bit converter on I2C, for a piezo's amplifier where the board's own ADC is too coarse. TI SBAS444.

It has no FIFO: it converts continuously at 250 a second, a timer ring (timer_ring.py) takes the newest 100 times.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADDRESS = 0x48
_CONVERSION, _CONFIG = 0, 1
# AIN0 against ground, +-4.096 V, continuous, 250 a second, comparator off.
_CONFIG_WORD = 0x4000 | 0x0200 | 0x0000 | 0x00A0 | 0x0003
_WRITABLE = 0x7FFF  # bit 15 reads as "not converting"
_RAIL = 0x7FF0
RATE_MAX_HZ = 250
BITS = 15

STILL_READS = 250  # as many equal conversions are none any more: the part may have lost power, and its settings

FAILED_NO_ANSWER, FAILED_REGISTER, FAILED_RAIL = 1, 2, 4


class Ads1115:
    """One converter; read() is for timer_ring.TimerRing. `i2c` is machine.I2C or what has its memory operations."""

    def __init__(self, i2c: "Any", address: int = ADDRESS) -> None:
        self._i2c = i2c
        self._address = address
        self._word = bytearray(2)
        self.saturated = 0  # conversions at a rail
        self.unread = 0  # conversions that the bus did not deliver; the last value was repeated
        self._last = 0
        self._still = 0
        self._configure()

    def read(self) -> int:
        """The newest conversion, 0..32767; runs in a timer's callback, so nothing is allocated while the bus works."""
        try:
            self._i2c.readfrom_mem_into(self._address, _CONVERSION, self._word)
        except OSError:
            self.unread += 1
            return self._last
        value = self._word[0] << 8 | self._word[1]
        if value & 0x8000:
            value = 0  # single-ended: noise around ground
        if value >= _RAIL:
            self.saturated += 1
        self._still = self._still + 1 if value == self._last else 0
        if self._still == STILL_READS:
            self._still = 0
            self._configure()
        self._last = value
        return value

    def self_test(self) -> int:
        """Bits FAILED_*, 0: the part answers, keeps its settings, and its input is not at a rail."""
        try:
            self._i2c.readfrom_mem_into(self._address, _CONFIG, self._word)
        except OSError:
            return FAILED_NO_ANSWER
        kept = (self._word[0] << 8 | self._word[1]) & _WRITABLE
        if kept != _CONFIG_WORD & _WRITABLE:
            self._configure()  # it has lost power meanwhile
            return FAILED_REGISTER
        return FAILED_RAIL if not 0 < self.read() < _RAIL else 0

    def _configure(self) -> None:
        word = self._word
        word[0], word[1] = _CONFIG_WORD >> 8, _CONFIG_WORD & 0xFF
        try:
            self._i2c.writeto_mem(self._address, _CONFIG, word)
        except OSError:
            self.unread += 1  # self_test says so
