"""LIS3DH, accelerometer with a FIFO of 32: a belt without a piezo, on the frame of the bed. ST DocID17530.

100 samples a second, 12 bits, +-2 g; the FIFO runs as a stream, so a block is read in one transfer and nothing hurries
for .3 s. An overrun says only that something is lost; how much follows from the time.

Its clock may be several percent off, and a belt's seconds are made of its samples: what it has too many or too few by
the board's clock is left out or given twice, one sample a block at most. A part that has gone silent (unplugged, or
reset by a dip of its supply) is set up again and again, its last value repeated meanwhile: time goes on, and the
pipeline tells a sensor that stands still.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable
    from typing import Any

ADDRESS = 0x18
RATE_HZ = 100
BITS = 12
FIFO_SAMPLES = 32
_SAMPLE_BYTES = 6
_SAMPLE_MS = 1000 // RATE_HZ
_SKEW_MS = 3 * _SAMPLE_MS  # of the newest sample against the clock until it is corrected
SILENT_MS = 400  # a full FIFO is 320
_WHO_AM_I, _CTRL1, _CTRL4, _CTRL5, _OUT_X, _FIFO_CTRL, _FIFO_SRC = 0x0F, 0x20, 0x23, 0x24, 0x28, 0x2E, 0x2F
_AUTO_INCREMENT = 0x80
_IDENTITY = 0x33
_CTRL1_100_HZ_XYZ = 0x57
_CTRL4_HIGH_RESOLUTION = 0x88  # block data update, +-2 g, 12 bits
_SELF_TEST = 0x02
_CTRL5_FIFO = 0x40
_FIFO_BYPASS, _FIFO_STREAM = 0x00, 0x80
_SRC_OVERRUN, _SRC_COUNT = 0x40, 0x1F
# Change of an axis under self-test, 12-bit digits at +-2 g (datasheet: 17 to 360 digits of 10 bits).
_TEST_MIN, _TEST_MAX = 68, 1440
_TEST_SAMPLES, _TEST_UNSETTLED = 12, 4  # in the FIFO under each setting, and of them before it holds (AN3308: 90 ms)
_TEST_MS_MAX = 250

FAILED_NO_ANSWER, FAILED_IDENTITY, FAILED_SELF_TEST = 1, 2, 4


class Lis3dh:
    """Block-read contract (sampler.Sensor) for one axis (0 x, 1 y, 2 z); 2048 is 0 g, one count 1 mg."""

    rate_hz = RATE_HZ
    bits = BITS

    def __init__(self, i2c: "Any", ticks_ms: "Callable[[], int]", axis: int = 2, address: int = ADDRESS) -> None:
        self._i2c = i2c
        self._ticks_ms = ticks_ms
        self._axis = axis
        self._address = address
        self._byte = bytearray(1)
        self._raw = bytearray(_SAMPLE_BYTES * FIFO_SAMPLES)
        self._views: "dict[int, memoryview]" = {}
        self.first_index = 0
        self.gap = 0
        self.saturated = 0
        self.unread = 0  # bus errors
        self._next = 0
        self.corrected = 0  # samples left out or given twice for the part's clock
        self._last_ms = 0
        self._ahead_ms = 0  # of what was delivered against the clock
        self._value = 0  # the last

    def start(self) -> None:
        """Samples count from here."""
        self._configure()
        self._next = 0
        self._last_ms = self._ticks_ms()
        self._ahead_ms = 0

    def _configure(self) -> None:
        try:
            self._set(_CTRL1, _CTRL1_100_HZ_XYZ)
            self._set(_CTRL4, _CTRL4_HIGH_RESOLUTION)
            self._set(_CTRL5, _CTRL5_FIFO)
            self._set(_FIFO_CTRL, _FIFO_BYPASS)  # empties it
            self._set(_FIFO_CTRL, _FIFO_STREAM)
        except OSError:
            self.unread += 1

    def read_into(self, buf: "array[int]") -> int:
        """A whole block into buf (up to 32 samples), or 0 if there is not enough yet."""
        wanted = len(buf)
        try:
            source = self._get(_FIFO_SRC)
            overrun = source & _SRC_OVERRUN
            # The count of a full FIFO reads 31, with the overrun bit 32 are held.
            held = FIFO_SAMPLES if overrun else source & _SRC_COUNT
            if held < wanted:
                return self._silence(buf)
            taken = self._place(held, wanted, overrun)
            view = self._view(taken)
            self._i2c.readfrom_mem_into(self._address, _OUT_X | _AUTO_INCREMENT, view)
        except OSError:
            self.unread += 1
            return self._silence(buf)
        self.corrected += taken != wanted
        self.first_index = self._next + self.gap
        self._next = self.first_index + wanted
        self._ahead_ms += (self.gap + wanted) * _SAMPLE_MS
        at = 2 * self._axis
        for i in range(wanted):
            word = self._raw[at] | self._raw[at + 1] << 8
            value = ((word ^ 0x8000) - 0x8000 >> 4) + 2048
            if value <= 0 or value >= 4095:
                self.saturated += 1
            buf[i] = value
            if i < taken - 1:
                at += _SAMPLE_BYTES
        self._value = value
        return wanted

    def _silence(self, buf: "array[int]") -> int:
        """The last value over again once the part has been silent for SILENT_MS, as many as the clock asks for."""
        wanted = len(buf)
        self._pass_time()
        if -self._ahead_ms < SILENT_MS + wanted * _SAMPLE_MS:
            return 0
        try:
            if self._get(_FIFO_CTRL) != _FIFO_STREAM:
                self._configure()
        except OSError:
            self.unread += 1
        for i in range(wanted):
            buf[i] = self._value
        self.gap = 0
        self.first_index = self._next
        self._next += wanted
        self._ahead_ms += wanted * _SAMPLE_MS
        return wanted

    def _pass_time(self) -> None:
        now_ms = self._ticks_ms()
        self._ahead_ms -= (now_ms - self._last_ms) & 0x3FFFFFFF
        self._last_ms = now_ms

    def self_test(self) -> int:
        """Bits FAILED_*, 0: right part on the bus, and its plates move when they are told to; takes .3 s of samples."""
        try:
            if self._get(_WHO_AM_I) != _IDENTITY:
                return FAILED_IDENTITY
            at_rest = self._settled(_CTRL4_HIGH_RESOLUTION)
            moved = abs(self._settled(_CTRL4_HIGH_RESOLUTION | _SELF_TEST) - at_rest)
        except OSError:
            return FAILED_NO_ANSWER
        finally:
            self._configure()
        return 0 if _TEST_MIN <= moved <= _TEST_MAX else FAILED_SELF_TEST

    def _place(self, held: int, wanted: int, overrun: int) -> int:
        """Set the gap; samples to take for a block: one less if the newest lies behind the clock, one more if ahead."""
        self._pass_time()
        newest_ms = self._ahead_ms + held * _SAMPLE_MS
        self.gap = max(1, -newest_ms // _SAMPLE_MS) if overrun else 0
        if overrun:
            return wanted
        if newest_ms < -_SKEW_MS and wanted > 1:
            return wanted - 1
        return wanted + 1 if newest_ms > _SKEW_MS and held > wanted else wanted

    def _settled(self, control: int) -> int:
        """Mean of the axis under this setting of CTRL4, without what was measured before it; 0 if nothing comes."""
        self._set(_CTRL4, control)
        self._set(_FIFO_CTRL, _FIFO_BYPASS)
        self._set(_FIFO_CTRL, _FIFO_STREAM)
        begun_ms = self._ticks_ms()
        while self._get(_FIFO_SRC) & _SRC_COUNT < _TEST_SAMPLES:
            if (self._ticks_ms() - begun_ms) & 0x3FFFFFFF > _TEST_MS_MAX:
                return 0
        self._i2c.readfrom_mem_into(self._address, _OUT_X | _AUTO_INCREMENT, self._view(_TEST_SAMPLES))
        total = 0
        for i in range(_TEST_UNSETTLED, _TEST_SAMPLES):
            at = i * _SAMPLE_BYTES + 2 * self._axis
            total += ((self._raw[at] | self._raw[at + 1] << 8) ^ 0x8000) - 0x8000 >> 4
        return total // (_TEST_SAMPLES - _TEST_UNSETTLED)

    def _view(self, samples: int) -> memoryview:
        """The part of the buffer that `samples` fill; made once for each size."""
        view = self._views.get(samples)
        if view is None:
            view = memoryview(self._raw)[: samples * _SAMPLE_BYTES]
            self._views[samples] = view
        return view

    def _get(self, register: int) -> int:
        self._i2c.readfrom_mem_into(self._address, register, self._byte)
        return self._byte[0]

    def _set(self, register: int, value: int) -> None:
        self._byte[0] = value
        self._i2c.writeto_mem(self._address, register, self._byte)
