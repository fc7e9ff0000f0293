"""Samples in, one report a second out: the belt's signal path, the same code on boards, hosts and in `analyse`."""

from array import array

from protocol.wire.frames import (
    FLAG_CHECK_SENSOR,
    FLAG_CLIPPED,
    FLAG_IRREGULAR,
    FLAG_MOVING,
    FLAG_SENSOR_FAULT,
    FLAG_WEAK_BREATH,
    OCCUPIED,
    REASON_IRREGULAR,
    REASON_MOVING,
    REASON_NO_SIGNAL,
    REASON_NONE,
    REASON_SENSOR_FAULT,
    REASON_WEAK,
    UNCLEAR,
)

from .breath import Breath
from .heart import Heart
from .movement import LOOKS, Movement
from .occupancy import FAULT_S, Occupancy
from .signal import Filters, isqrt

RATE_HZ = 50
UNITS_BITS = 14  # width of the counts that the decimator gives
BREATH_QUALITY_MIN = 45
RAIL_FAULT_S = 5
SETTLE_S = 15  # in bed: until then the heart's window holds what was on the bed before, or too little to know a pet by
BREATH_SETTLE_S = 20
GAP_MAX = 10  # samples; a longer gap makes the second a moving one: the beat phase is lost
TOO_FAST_S = 2
SMALL_DBPM = 1120  # a heart this fast and
SMALL_LEVEL = 130  # this weak (occupancy.py's unit; of a resident 200-400 at that rate) is a pet's
HEARD_S = 60  # so long after a heart was last heard (with a rate or irregular) what swings slowly is still breath
MACHINE_CROSSINGS = 35  # in ten seconds: fewer is a pump, not a body


class Pipeline:
    """push() blocks of raw counts at 50 Hz, then second() once per 50 samples; bits = width of a count (up to 15)."""

    def __init__(self, bits: int = 10) -> None:
        if not 1 <= bits <= 15:
            raise ValueError("bits must be 1 to 15")
        self._scale = 1 << max(0, 14 - bits)
        self._shift = max(0, bits - 14)
        self.filters = Filters()
        self.heart = Heart()
        self.breath = Breath()
        self.occupancy = Occupancy()
        self.movement = Movement()
        self._looks = array("i", [0] * LOOKS)
        self._crossings = array("i", [0] * 10)
        self._at = 0
        self._moving_s = 0
        self._rail_s = 0
        self._small_s = 0  # seconds of a heart as small and fast as a pet's
        self._unheard_s = HEARD_S  # seconds since a heart was heard
        self._gap = 0
        self._lost = 0  # samples lost and not yet told to occupancy as whole seconds
        self._report = [0] * 12
        self._why = REASON_NONE  # of the rate just judged
        self.level = 0  # strength of the beat band in the last second, occupancy.py's unit

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
        if gap:
            self._gap += gap
        if self._shift:
            for i in range(n):
                buf[i] >>= self._shift
        self.filters.push(buf, n, self._scale)

    def second(self) -> "tuple[int, ...]":
        """Report of the last second, a tuple of its own (advance() has the fields)."""
        return tuple(self.advance())

    def advance(self) -> "list[int]":
        """Report of the last second in the one list that there is: nothing is allocated, the next second replaces it.

        [occupancy, its reason, heart_dbpm or -1, heart quality, heart reason, resp_dpm or -1, resp quality,
        resp reason, movement 0..100, turn_over, weak_breath, flags]
        """
        filters = self.filters
        movement = self.movement
        occupancy = self.occupancy
        self._lost += self._gap
        if self._lost >= RATE_HZ:
            occupancy.skip(self._lost // RATE_HZ)
            self._lost %= RATE_HZ
        self.level = level = isqrt(filters.power // RATE_HZ << 4)
        peak = max(filters.peak_up, -filters.peak_down)
        self._rail_s = self._rail_s + 1 if filters.clipped > RATE_HZ - 5 else 0
        fault_s = filters.same_s if filters.same_s else max(0, self._rail_s - RAIL_FAULT_S)
        movement.second(peak, filters.clipped, occupancy.state == OCCUPIED)
        occupancy.second(level, filters.crossings, movement.burst, fault_s)
        occupied = occupancy.state == OCCUPIED
        moving = movement.burst or self._gap > GAP_MAX
        self._gap = 0
        self._moving_s = 3 if moving else max(0, self._moving_s - 1)
        self._crossings[self._at] = filters.crossings
        self._at = (self._at + 1) % 10
        self.heart.push(filters, moving)
        self.breath.push(filters.breath, moving)
        if self.heart.dbpm > SMALL_DBPM and level < SMALL_LEVEL:
            self._small_s = min(20, self._small_s + 1)
        elif self.heart.dbpm >= 0:
            self._small_s = max(0, self._small_s - 1)
        self._look(level, occupied)
        flags = self._flags(fault_s, occupied)
        filters.begin_second()
        reason = REASON_NONE
        if occupancy.state == UNCLEAR:
            reason = REASON_SENSOR_FAULT if fault_s >= FAULT_S else REASON_WEAK if occupancy.check else REASON_NO_SIGNAL
        report = self._report
        report[0] = occupancy.state
        report[1] = reason
        report[2] = self._heart(occupied, reason)
        report[3] = self.heart.quality if report[2] >= 0 else 0
        report[4] = self._why
        heard = report[2] >= 0 or self._why == REASON_IRREGULAR
        self._unheard_s = 0 if heard else min(HEARD_S, self._unheard_s + 1)
        report[5] = self._respiration(occupied, reason)
        report[6] = self.breath.quality if report[5] >= 0 else 0
        report[7] = self._why
        report[8] = movement.strength
        report[9] = movement.turn_over
        report[10] = 1 if self.breath.weak and occupied else 0
        report[11] = flags
        return report

    def _look(self, level: int, occupied: bool) -> None:
        looks = self._looks
        filters = self.filters
        looks[0] = level
        looks[1] = filters.peak_up
        looks[2] = -filters.peak_down
        looks[3] = filters.crossings * 2
        looks[4] = self.breath.depth
        self.movement.look(looks, filters.clipped, occupied)

    def _flags(self, fault_s: int, occupied: bool) -> int:
        flags = FLAG_MOVING if self.movement.burst else 0
        if self.filters.clipped:
            flags |= FLAG_CLIPPED
        if fault_s >= FAULT_S:
            flags |= FLAG_SENSOR_FAULT
        if occupied and self.breath.weak:
            flags |= FLAG_WEAK_BREATH
        if occupied and self.heart.rhythm.irregular:
            flags |= FLAG_IRREGULAR
        if self.occupancy.check:
            flags |= FLAG_CHECK_SENSOR
        return flags

    def _heart(self, occupied: bool, reason: int) -> int:
        heart = self.heart
        if not occupied:
            return self._absent(reason if reason else REASON_NO_SIGNAL)
        total = 0
        for i in range(10):
            total += self._crossings[i]
        if total < MACHINE_CROSSINGS or self._no_resident() or self.occupancy.silent_s >= 2:
            return self._absent(REASON_NO_SIGNAL)
        if self._moving_s or self.occupancy.state_age_s < SETTLE_S:
            return self._absent(REASON_MOVING)
        if heart.rhythm.irregular:
            return self._absent(REASON_IRREGULAR)
        if not heart.quality:
            return self._absent(REASON_WEAK)
        self._why = REASON_NONE
        return heart.dbpm

    def _respiration(self, occupied: bool, reason: int) -> int:
        breath = self.breath
        if not occupied:
            return self._absent(reason if reason else REASON_NO_SIGNAL)
        if self.occupancy.silent_s >= 2 or self._unheard_s >= HEARD_S or self._no_resident():
            return self._absent(REASON_NO_SIGNAL)
        if self.occupancy.state_age_s >= BREATH_SETTLE_S and breath.dpm >= 0 and breath.quality >= BREATH_QUALITY_MIN:
            self._why = REASON_NONE
            return breath.dpm
        return self._absent(REASON_MOVING if self._moving_s else REASON_WEAK)

    def _no_resident(self) -> bool:
        """What lies there repeats like a machine, or beats faster than a resident's heart or fast and faintly."""
        return self.heart.machine or self.heart.too_fast_s >= TOO_FAST_S or self._small_s >= TOO_FAST_S

    def _absent(self, reason: int) -> int:
        self._why = reason
        return -1
