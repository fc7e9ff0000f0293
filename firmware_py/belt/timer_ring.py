"""An ADC without a FIFO behind the block-read contract: a timer fills a ring, the loop takes whole blocks.

A flash erase on RP2 stops all interrupts for 45 to 400 ms (facts/FIRMWARE.md): the ticks that it swallowed are lost, or
come all at once afterwards. So each tick looks at the clock: what was not sampled in its time is a gap.
"""

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RING_SAMPLES = 512
_TICKS_MASK, _TICKS_HALF = (1 << 30) - 1, 1 << 29


class TimerRing:
    """rate_hz samples a second of `bits` bits; missed ticks, and what the loop leaves for too long, are the gap."""

    def __init__(
        self,
        read: "Callable[[], int]",
        make_timer: "Callable[[int, Any], object]",
        ticks_ms: "Callable[[], int]",
        rate_hz: int,
        bits: int = 12,
        shift: int = 4,
    ) -> None:
        """rate_hz divides 1000; shift: what `read` gives more than `bits` (read_u16 16 of the ADC's 12)."""
        assert 1000 % rate_hz == 0
        self.rate_hz = rate_hz
        self.bits = bits
        self._shift = shift
        self.first_index = 0
        self.gap = 0
        self._read_one = read
        self._make_timer = make_timer
        self._ticks_ms = ticks_ms
        self._period_ms = 1000 // rate_hz
        self._due_ms = 0  # when the next tick should come
        self._ring = array("h", [0] * RING_SAMPLES)
        # The timer changes these two and the loop the others, so neither can come between the other's steps.
        self._written = 0  # samples since start
        self._missed = 0  # ticks since start that did not come in their time
        self._read = 0
        self._told = 0  # of what is lost, what a gap has said
        self._overrun = 0
        self._timer: object = None

    def start(self) -> None:
        """Samples count from here."""
        self._due_ms = (self._ticks_ms() + self._period_ms) & _TICKS_MASK
        self._timer = self._make_timer(self.rate_hz, self.tick)

    def tick(self, timer: object) -> None:
        """One sample; called by the timer, so nothing is allocated here."""
        period_ms = self._period_ms
        late_ms = ((self._ticks_ms() - self._due_ms + _TICKS_HALF) & _TICKS_MASK) - _TICKS_HALF
        if 2 * late_ms < -period_ms:
            return  # one of those that come all at once: its time has been counted as missed
        missed = late_ms // period_ms
        if missed > 0:
            self._missed += missed
        else:
            missed = 0
        self._due_ms = (self._due_ms + (missed + 1) * period_ms) & _TICKS_MASK
        self._ring[self._written % RING_SAMPLES] = self._read_one() >> self._shift
        self._written += 1

    def read_into(self, buf: "array[int]") -> int:
        """A whole block into buf, or 0 if there is not enough yet."""
        wanted = len(buf)
        overrun = self._written - self._read - RING_SAMPLES + wanted  # the timer may write up to a block meanwhile
        if overrun > 0:
            self._read += overrun
            self._overrun += overrun
        if self._written - self._read < wanted:
            return 0
        missed = self._missed
        self.gap = missed + self._overrun - self._told
        self._told += self.gap
        self.first_index = self._read + missed
        for i in range(wanted):
            buf[i] = self._ring[(self._read + i) % RING_SAMPLES]
        self._read += wanted
        return wanted
