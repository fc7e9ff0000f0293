"""An ADC without a FIFO behind the block-read contract: a timer fills a ring, the loop takes whole blocks."""

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RING_SAMPLES = 512


class TimerRing:
    """rate_hz samples a second of `bits` bits; what the loop leaves lying for too long is counted as a gap."""

    def __init__(
        self,
        read: "Callable[[], int]",
        make_timer: "Callable[[int, Any], object]",
        rate_hz: int,
        bits: int = 12,
        shift: int = 4,
    ) -> None:
        """shift: what `read` gives more than `bits` (a board's read_u16 has 16, of which 12 are its ADC's)."""
        self.rate_hz = rate_hz
        self.bits = bits
        self._shift = shift
        self.first_index = 0
        self.gap = 0
        self._read_one = read
        self._make_timer = make_timer
        self._ring = array("h", [0] * RING_SAMPLES)
        self._written = 0  # samples since start; only the timer changes it
        self._read = 0
        self._timer: object = None

    def start(self) -> None:
        """Samples count from here."""
        self._timer = self._make_timer(self.rate_hz, self.tick)

    def tick(self, timer: object) -> None:
        """One sample; called by the timer, so nothing is allocated here."""
        self._ring[self._written % RING_SAMPLES] = self._read_one() >> self._shift
        self._written += 1

    def read_into(self, buf: "array[int]") -> int:
        """A whole block into buf, or 0 if there is not enough yet."""
        wanted = len(buf)
        lost = self._written - self._read - RING_SAMPLES + wanted  # the timer may write up to a block meanwhile
        self.gap = max(0, lost)
        self._read += self.gap
        if self._written - self._read < wanted:
            return 0
        self.first_index = self._read
        for i in range(wanted):
            buf[i] = self._ring[(self._read + i) % RING_SAMPLES]
        self._read += wanted
        return wanted
