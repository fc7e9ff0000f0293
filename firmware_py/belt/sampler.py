"""Blocks of raw counts from the board's sensor, brought to 50 Hz and cut into the pipeline's seconds."""

from array import array

from .decimate import Decimator
from .pipeline import RATE_HZ, UNITS_BITS, Pipeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Sensor(Protocol):
        """The block-read contract. read_into fills buf and returns n; the attributes describe that block."""

        rate_hz: int
        bits: int
        first_index: int  # of the block's first sample, counted since start
        gap: int  # samples lost just before the block

        def start(self) -> None: ...
        def read_into(self, buf: "array[int]") -> int: ...


BLOCKS_PER_S = 10
HELD_PER_S = 5  # a gap of up to a fifth of a second is bridged by the sample after it: time goes on as it should


class Sampler:
    """read() takes what the sensor has, process() feeds it to a pipeline of UNITS_BITS and gives its reports."""

    def __init__(self, sensor: "Sensor", pipeline: Pipeline) -> None:
        self._sensor = sensor
        self._pipeline = pipeline
        # the means of narrow counts keep their fractions, as in `sleepbelt analyse`
        self._decimator = Decimator(sensor.rate_hz, UNITS_BITS - sensor.bits)
        block = max(1, sensor.rate_hz // BLOCKS_PER_S)
        self.raw = array("h", [0] * block)
        self.raw_count = 0
        self._held_max = sensor.rate_hz // HELD_PER_S
        self._held = 0
        self._bridged = array("h", [0] * (self._held_max + block))
        self._out = array("h", [0] * (self._held_max + block + 1))
        self._rest = array("h", [0] * (self._held_max + block + 1))
        self._filled = 0
        self._gap = 0
        self.samples_lost = 0
        sensor.start()

    def read(self) -> bool:
        """Take the sensor's next block; False if it has none yet."""
        n = self._sensor.read_into(self.raw)
        self.raw_count = n
        if n and self._sensor.gap:
            self.samples_lost += self._sensor.gap
            if self._sensor.gap <= self._held_max:
                self._held = self._sensor.gap
            else:
                self._gap += self._sensor.gap * RATE_HZ // self._sensor.rate_hz
        return n > 0

    def process(self) -> "list[int] | None":
        """Feed the block just read to the pipeline; the second's report when one is complete (the next replaces it)."""
        if self._held:
            m = self._decimator.push(self._bridged, 0, self._bridge(), self._out, 0)
        else:
            m = self._decimator.push(self.raw, 0, self.raw_count, self._out, 0)
        take = min(m, RATE_HZ - self._filled)
        if take:
            self._pipeline.push(self._out, take, self._gap)
            self._gap = 0
            self._filled += take
        if self._filled < RATE_HZ:
            return None
        second = self._pipeline.advance()
        rest = m - take
        if rest:
            for i in range(rest):
                self._rest[i] = self._out[take + i]
            self._pipeline.push(self._rest, rest, 0)
        self._filled = rest
        return second

    def _bridge(self) -> int:
        """Samples in the buffer of the block and, before it, as many of its first as were lost."""
        held, n = self._held, self.raw_count
        bridged = self._bridged
        for i in range(held):
            bridged[i] = self.raw[0]
        for i in range(n):
            bridged[held + i] = self.raw[i]
        self._held = 0
        return held + n
