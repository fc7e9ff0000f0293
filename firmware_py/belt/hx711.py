"""HX711, 24-bit converter for load cells under the bed's feet: the static channel, 10 samples a second. Avia datasheet.

Two wires: data falls when a conversion is ready; 24 clocks read it, a 25th chooses channel A with gain 128 next.
A clock that stays high for 60 us switches the part off, so interrupts are off while it is high.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable
    from typing import Any

RATE_HZ = 10
BITS = 15
_PULSES = 25
_MAX, _MIN = 0x7FFFFF, -0x800000
_SHIFT = 9  # 24 bits to 15
_SILENT_MS = 1000

FAILED_SILENT, FAILED_RAIL = 1, 2


class Hx711:
    """Block-read contract (sampler.Sensor); a block is one sample: 24 bits cut to 15, 16384 is an input of zero."""

    rate_hz = RATE_HZ
    bits = BITS

    def __init__(self, data: "Any", clock: "Any", ticks_ms: "Callable[[], int]", disable: "Any", enable: "Any") -> None:
        self._data = data
        self._clock = clock
        self._ticks_ms = ticks_ms
        self._disable = disable  # machine.disable_irq, enable_irq
        self._enable = enable
        self.first_index = 0
        self.gap = 0
        self.saturated = 0
        self._last_ms = -1
        self._is_railed = False

    def start(self) -> None:
        """Samples count from here."""
        self._clock.value(0)  # also switches the part on
        self.first_index = 0
        self.gap = 0
        self._last_ms = -1

    def read_into(self, buf: "array[int]") -> int:
        """One sample into buf[0], 0 if no conversion is ready."""
        if self._data.value():
            return 0
        raw = self.read_raw()
        self._is_railed = raw in (_MAX, _MIN)
        self.saturated += self._is_railed
        now_ms = self._ticks_ms()
        if self._last_ms >= 0:
            passed_ms = (now_ms - self._last_ms) & 0x3FFFFFFF
            self.gap = max(0, (passed_ms * RATE_HZ + 500) // 1000 - 1)
            self.first_index += 1 + self.gap
        self._last_ms = now_ms
        buf[0] = (raw >> _SHIFT) + (1 << BITS - 1)
        return 1

    def read_raw(self) -> int:
        """The conversion that is ready, signed 24 bits."""
        value = 0
        for i in range(_PULSES):
            state = self._disable()
            self._clock.value(1)
            self._clock.value(0)
            self._enable(state)
            if i < 24:
                value = value << 1 | self._data.value()
        return value - (1 << 24) if value & 0x800000 else value

    def self_test(self) -> int:
        """Bits FAILED_*, 0: it converts, and its last conversion was not at a rail (a torn-off cell is)."""
        silent_ms = (self._ticks_ms() - self._last_ms) & 0x3FFFFFFF
        if self._data.value() and (self._last_ms < 0 or silent_ms > _SILENT_MS):
            return FAILED_SILENT
        return FAILED_RAIL if self._is_railed else 0
