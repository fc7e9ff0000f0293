"""HX711 by its two wires (Avia datasheet): data falls when a conversion is ready, clocks shift it out, MSB first."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Hx711Part"]

RATE_HZ = 10


class Hx711Part:
    """`load()` is the signed 24-bit conversion (channel A, gain 128) of the time `now_ms` on the part's own clock."""

    def __init__(self, load: Callable[[], int]) -> None:
        self._load = load
        self.now_ms = 0
        self.gain = 128
        self._conversion = -1  # number of the one that was read last
        self._shift: list[int] = []
        self._pulses = 0
        self._level = 0
        self.data = _Data(self)
        self.clock = _Clock(self)

    @property
    def is_ready(self) -> bool:
        return self.now_ms * RATE_HZ // 1000 > self._conversion

    def data_level(self) -> int:
        """1 while it converts; between clocks the bit that the last rising edge shifted out."""
        if self._pulses:
            return self._shift[self._pulses - 1] if self._pulses <= 24 else 1
        return 0 if self.is_ready else 1

    def clock_edge(self, level: int) -> None:
        """Rising edges shift; the number of them in one read chooses the next gain."""
        if level and not self._level:
            if self._pulses == 0:
                value = max(-(1 << 23), min((1 << 23) - 1, self._load())) & 0xFFFFFF
                self._shift = [value >> 23 - i & 1 for i in range(24)]
            self._pulses += 1
            if self._pulses > 27:
                raise AssertionError("the datasheet knows 25 to 27 clocks a conversion")
        self._level = level
        if not level and self._pulses >= 25:
            self.gain = {25: 128, 26: 32, 27: 64}[self._pulses]
            self._conversion = self.now_ms * RATE_HZ // 1000
            self._pulses = 0


class _Data:
    def __init__(self, part: Hx711Part) -> None:
        self._part = part

    def value(self) -> int:
        return self._part.data_level()


class _Clock:
    def __init__(self, part: Hx711Part) -> None:
        self._part = part

    def value(self, level: int) -> None:
        self._part.clock_edge(level)
