"""A gateway's clock whose time is told to it: by a virtual loop, or by the test itself."""

from __future__ import annotations

from collections.abc import Callable

from gateway.clock import GatewayClock
from protocol.clock_scale import REAL_TIME


class SteeredClock(GatewayClock):
    """`GatewayClock` on an axis that `read_ms` tells; wall time begins at `utc_start_ms` and `step_utc` moves it."""

    def __init__(self, read_ms: Callable[[], int], utc_start_ms: int) -> None:
        self._read_ms = read_ms
        self._utc_offset_ms = utc_start_ms
        super().__init__(None, "always", REAL_TIME)

    def mono_ms(self) -> int:
        return self._read_ms()

    def utc_ms(self) -> int:
        return self._utc_offset_ms + self._read_ms()

    def real_delay_s(self, virtual_delay_s: float) -> float:
        return max(0.0, virtual_delay_s)

    def step_utc(self, by_ms: int) -> None:
        """What a time server or a person does to the wall clock."""
        self._utc_offset_ms += by_ms
