"""Samples in, one report a second out: the belt's signal path, the same code on boards, hosts and in `analyse`."""

from array import array

from .movement import Movement
from .occupancy import OCCUPIED, Occupancy
from .signal import Breath, Filters, Heart, isqrt

RATE_HZ = 50
PRESENT = 0
NO_SIGNAL = 1
IRREGULAR = 2
MOVING = 3
WEAK = 4
SENSOR_FAULT = 5

HEART_QUALITY_MIN = 20
BREATH_QUALITY_MIN = 45


class Pipeline:
    """push() blocks of raw counts at 50 Hz, then second() once per 50 samples; bits = width of a count (up to 15)."""

    def __init__(self, bits: int = 10) -> None:
        self._scale = 1 << (14 - bits) if bits <= 14 else 1
        self.filters = Filters()
        self.heart = Heart()
        self.breath = Breath()
        self.occupancy = Occupancy()
        self.movement = Movement()
        self._moving_s = 0

    @property
    def state_age_s(self) -> int:
        """Seconds since the present occupancy state began, back-dated."""
        return self.occupancy.state_age_s

    @property
    def exit_count(self) -> int:
        """Bed exits recognised since start."""
        return self.occupancy.exit_count

    @property
    def turn_over_count(self) -> int:
        """Turn-overs recognised since start."""
        return self.movement.turn_over_count

    @property
    def finished(self) -> "list[tuple[int, int]]":
        """The last 8 finished absences as (ended_uptime_s, duration_s)."""
        return self.occupancy.finished

    def push(self, buf: "array[int]", n: int, gap: int = 0) -> None:
        """Take n raw counts (n <= 50) that follow `gap` lost samples."""
        self.filters.push(buf, n, self._scale)

    def second(self) -> "tuple[int, int, int, int, int, int, int, int, int, int, int, int]":
        """Report of the last second.

        (occupancy, its reason, heart_dbpm or -1, heart quality, heart reason, resp_dpm or -1, resp quality,
        resp reason, movement 0..100, turn_over, weak_breath, flags)
        """
        filters = self.filters
        level = isqrt(filters.power // RATE_HZ * 16)
        self.movement.second(filters.peak, filters.clipped, self.occupancy.state == OCCUPIED)
        self.occupancy.second(level, self.movement.burst)
        self.heart.push(filters, self.movement.burst)
        self.breath.push(filters.breath, self.movement.burst)
        filters.begin_second()
        self._moving_s = 3 if self.movement.burst else max(0, self._moving_s - 1)
        occupied = self.occupancy.state == OCCUPIED
        heart_dbpm = -1
        resp_dpm = -1
        if not occupied:
            heart_reason = resp_reason = NO_SIGNAL
        else:
            heart_reason = resp_reason = MOVING if self._moving_s else WEAK
            if self.heart.rhythm.irregular:
                heart_reason = IRREGULAR
            elif not self._moving_s and self.heart.quality >= HEART_QUALITY_MIN and self.heart.rhythm.known:
                heart_dbpm = self.heart.dbpm
                heart_reason = PRESENT
            if self.breath.quality >= BREATH_QUALITY_MIN:
                resp_dpm = self.breath.dpm
                resp_reason = PRESENT
        return (
            self.occupancy.state,
            PRESENT,
            heart_dbpm,
            self.heart.quality if heart_dbpm >= 0 else 0,
            heart_reason,
            resp_dpm,
            self.breath.quality if resp_dpm >= 0 else 0,
            resp_reason,
            self.movement.strength,
            self.movement.turn_over,
            1 if self.breath.weak and occupied else 0,
            0,
        )
