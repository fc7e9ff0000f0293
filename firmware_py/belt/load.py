"""The static channel, where a board has one: whether weight lies on the bed, by what was calibrated empty and in use.

It settles what the beats alone cannot (facts/SIGNAL.md): silence with weight on the bed is no exit, silence without it
is one even if nobody was felt leaving, and what shakes a bed without weight on it is nobody. It never fills a bed by
itself: a suitcase weighs as much.
"""

from array import array

from .config import Config
from .occupancy import WEIGHT_OFF, WEIGHT_ON, WEIGHT_UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sampler import Sensor

SPAN_MIN = 256  # counts of 15 bits between empty and in use: less tells nothing
OFF_QUARTERS, ON_QUARTERS = 1, 2  # of the span above empty: below the first nobody, from the second on somebody
STALE_S = 3
READS_MAX = 4  # a line that hangs low must not hold the loop


class Load:
    """poll() takes what the sensor has, second() judges; weight is WEIGHT_UNKNOWN without sensor or calibration."""

    def __init__(self, sensor: "Sensor | None", config: Config) -> None:
        self._sensor = sensor
        self._config = config
        self._block = array("h", [0])
        self._sum = 0
        self._count = 0
        self._silent_s = 0
        self.value = -1  # mean of the last second that had samples, -1: none lately
        self.weight = WEIGHT_UNKNOWN
        if sensor:
            sensor.start()

    def poll(self) -> None:
        """Take every sample that is ready."""
        sensor = self._sensor
        if sensor:
            for _ in range(READS_MAX):
                if not sensor.read_into(self._block):
                    return
                self._sum += self._block[0]
                self._count += 1

    def second(self) -> None:
        """Judge the second just past."""
        if self._count:
            self.value = self._sum // self._count
            self._sum = self._count = self._silent_s = 0
        else:
            self._silent_s += 1
            if self._silent_s >= STALE_S:
                self.value = -1
        self._judge()

    def _judge(self) -> None:
        values = self._config.values
        empty, in_use = values["empty_load"], values["occupied_load"]
        span = in_use - empty
        if self.value < 0 or empty < 0 or in_use < 0 or -SPAN_MIN < span < SPAN_MIN:
            self.weight = WEIGHT_UNKNOWN
            return
        # A bridge that is wired the other way round counts down: the sign of the span cancels.
        quarters = 4 * (self.value - empty) // span
        if quarters >= ON_QUARTERS:
            self.weight = WEIGHT_ON
        elif quarters < OFF_QUARTERS or self.weight == WEIGHT_UNKNOWN:
            self.weight = WEIGHT_OFF
