"""Is somebody in bed: empty, unclear or occupied, with hysteresis, from the strength of the beats and what preceded
their loss.

A body that leaves moves: a burst, then silence, is an exit after EXIT_S. Silence without a burst may be apnoea, a weak
signal or a dead sensor, all alike from here: after SILENT_S that is `unclear`, never `empty`. Somebody has come when
the beat band has been alive for ENTER_S seconds without a movement between (or ENTER_RESTLESS_S with), so that a
carer's hands do not count. Every change is dated back to the second it began in.

What the bed gives with nobody in it (a pump, a neighbour) is learnt while it is empty: after a burst no more than that
is silence, and what lies between it and a person's strength is silence that must last longer.

Where the board has a static channel, `weight` settles what is alike from here (load.py): silence with weight on the bed
is no exit, silence without it is one, and nobody enters a bed that carries none.
"""

from array import array

from protocol.wire.frames import EMPTY, OCCUPIED, UNCLEAR

EXIT_S = 5  # silence after a burst that makes an exit
EXIT_BURST_S = 8  # how long before the silence the burst may have ended
EXIT_DIM_S = 10  # if it was not as silent as the empty bed is: the edge of the bed, or a disturbance that is new
DIM_S = 3  # such seconds, from so many on
SILENT_S = 25
ENTER_S = 4
ENTER_RESTLESS_S = 12
FIRST_EMPTY_S = 12  # silence after start that makes an empty bed
FAULT_S = 3
FINISHED_MAX = 8
WEIGHT_UNKNOWN, WEIGHT_OFF, WEIGHT_ON = 0, 1, 2

# Strength of the beat band, 1/64 count rms at 10 bits (real beds: 60-400 in bed, 3-8 empty).
ALIVE_MIN = 20
ENTER_MIN = 44
STRANGER_MIN = 125  # whoever was not felt coming: a neighbour at -10 dB has 95, who lies on the sensor 150 and more
STRANGER_PERCENT = 40  # of the usual strength where it is known, but not less than STRANGER_LEAST
STRANGER_LEAST = 54
FELT_S = 30  # how long ago the movement of coming may have been
ALIVE_MAX = 110  # the relative thresholds stop here
USUAL_S = 40
AROUND_CALM_S = 15  # since the last movement, before the empty bed is listened to
AROUND_KNOWN_S = 8
AROUND_MEAN_S = 16
AROUND_PERCENT = 80  # of the usual strength: an empty bed that gives more cannot be told from one in use
EDGE_S = 65  # so long after a movement
EDGE_PERCENT = 45  # beats weaker than that may be those of somebody on the edge, who must be missed when gone
SHARE = 4  # in bed is at least this share of the usual strength; a neighbour's beats are less
# Zero crossings of the waveform a second: bodies 7-13, ventilation and mains above, pumps below.
CROSSINGS_MAX = 15
CROSSINGS_MIN = 4


class Occupancy:
    """State, its age, the usual strength and the finished absences; one step a second."""

    def __init__(self) -> None:
        self.state = UNCLEAR
        self.state_age_s = 0
        self.exit_count = 0
        self.uptime_s = 0
        self.usual = 0  # beat-band strength of the person in bed, 0 = not known
        self.weight = WEIGHT_UNKNOWN  # what the static channel says, if there is one
        self.check = False  # unclear because the signal went without a movement
        # the last FINISHED_MAX absences, (ended_uptime_s, duration_s), oldest first
        self.finished: list[tuple[int, int]] = []
        self.silent_s = 0  # seconds without life or movement up to now
        self._alive_s = 0  # seconds with life since the last silence, movements left out
        self._calm_s = 0  # of them without a movement between
        self._active_s = 0  # seconds since activity (movement or life) began
        self._burst_age_s = 1000
        self._strength = 0  # mean level of the seconds with life since the last silence
        self._exit_like = False
        self._crossings = array("i", [0] * 4)
        self._crossings_at = 0
        self._around_16 = 0  # strength with nobody in bed, in 1/16
        self._stray_16 = 0  # its mean distance from that
        self._around_s = 0  # seconds it was learnt from
        self._dim_s = 0  # seconds of the present silence in which there was more than that
        self._seen = False  # somebody has been in bed since start

    def skip(self, seconds: int) -> None:
        """Let time pass without samples."""
        self.uptime_s += seconds
        self.state_age_s += seconds

    def know_around(self, level: int) -> None:
        """Take the strength of the empty bed, as it was calibrated."""
        self._around_16 = level << 4
        self._stray_16 = level << 1
        self._around_s = AROUND_MEAN_S

    def second(self, level: int, crossings: int, burst: bool, fault_s: int) -> None:
        """Take one second: beat-band strength, zero crossings, movement in it, seconds the sensor has been faulty."""
        self.uptime_s += 1
        self.state_age_s += 1
        self._crossings[self._crossings_at] = crossings
        self._crossings_at = (self._crossings_at + 1) & 3
        self._count(level, self._alive(level), burst)
        if self.state == OCCUPIED and not burst and self.silent_s == 0:
            self._follow(level)
        if not burst:
            self._hear_around(level)
        if fault_s >= FAULT_S:
            self._doubt(fault_s)
        elif self.state == EMPTY:
            self._enter(level)
        else:
            self._leave()
            if self.state == UNCLEAR:
                self._enter(level)

    def _follow(self, level: int) -> None:
        """Learn the usual strength, but not from somebody who has just sat up on the edge of the bed."""
        if not self.usual:
            self.usual = level
        elif self._burst_age_s > EDGE_S or level * 100 > self.usual * EDGE_PERCENT:
            self.usual += (level - self.usual) // USUAL_S

    def _hear_around(self, level: int) -> None:
        if self.state == OCCUPIED:
            # Somebody only adds to it: calmer seconds than the empty bed's say that the pump is off now.
            off = self._around_16 - 2 * self._stray_16 - (level << 4)
            if off > 0:
                self._around_16 -= off >> 3
            return
        if self._burst_age_s <= AROUND_CALM_S:
            return
        if self.state == UNCLEAR and (self._seen or self._around_s == AROUND_MEAN_S):
            return  # perhaps somebody lies there
        if not self._around_s:
            self._around_16 = level << 4
            self._stray_16 = level << 1
        most = 3 * self._stray_16 + 48  # a door or a step on the floor is not what is always there
        off = max(-most, min(most, (level << 4) - self._around_16))
        self._around_s = min(AROUND_MEAN_S, self._around_s + 1)
        self._around_16 += off // self._around_s
        self._stray_16 += (abs(off) - self._stray_16) // self._around_s

    def _around_most_16(self) -> int:
        """The empty bed gives no more than this, in 1/16; 0 if it is not known."""
        return self._around_16 + 2 * self._stray_16 + 32 if self._around_s >= AROUND_KNOWN_S else 0

    def _is_around(self, level: int) -> bool:
        """No more than the empty bed gives, and a person would give more."""
        most = self._around_most_16()
        return level << 4 <= most and most * 100 <= (self.usual << 4) * AROUND_PERCENT

    def _alive(self, level: int) -> bool:
        may_be_gone = self.state == EMPTY or self._burst_age_s <= EXIT_BURST_S + EXIT_S
        if may_be_gone and self.weight != WEIGHT_ON and self._is_around(level):
            return False
        threshold = ALIVE_MIN if self.state == OCCUPIED else ENTER_MIN
        relative = self.usual // SHARE
        if relative > ALIVE_MAX:
            relative = ALIVE_MAX
        if relative > threshold:
            threshold = relative
        if level < threshold:
            return False
        total = 0
        for i in range(4):
            total += self._crossings[i]
        if self.uptime_s < 4 or (self.state == OCCUPIED and self._burst_age_s > 2 * EXIT_BURST_S):
            return True
        if total > CROSSINGS_MAX * 4:
            return False
        return total >= CROSSINGS_MIN * 4 or (self.state == OCCUPIED and level * 2 > self.usual)

    def _count(self, level: int, alive: bool, burst: bool) -> None:
        if burst:
            self._burst_age_s = 0
            self.silent_s = 0
            self._active_s += 1
            self._calm_s = 0
            return
        self._burst_age_s += 1
        if alive:
            self._strength = (self._strength * 7 + level) >> 3 if self._alive_s else level
            self._alive_s += 1
            self._calm_s += 1
            self._active_s += 1
            self.silent_s = 0
            return
        if self.silent_s == 0:
            self._exit_like = self._burst_age_s <= EXIT_BURST_S
            self._dim_s = 0
        most = self._around_most_16()
        if most and level << 6 > 5 * most:
            self._dim_s += 1
        self.silent_s += 1
        self._calm_s = 0
        if self.silent_s == 1:
            self._active_s += 1  # a slow heart may miss one second
        else:
            self._alive_s = 0
            self._active_s = 0

    def _leave(self) -> None:
        if self.state == UNCLEAR and not self._seen and self.silent_s >= FIRST_EMPTY_S:
            self._change(EMPTY, self.silent_s)
        elif self._left() and self.silent_s >= self._exit_s() and (self._seen or self.state == OCCUPIED):
            self.exit_count += 1
            self._change(EMPTY, self.silent_s)
        elif self.state == OCCUPIED and self.silent_s >= SILENT_S:
            self.check = True
            self._change(UNCLEAR, self.silent_s)

    def _exit_s(self) -> int:
        return EXIT_DIM_S if self._dim_s >= DIM_S else EXIT_S

    def _left(self) -> bool:
        """Whether silence is somebody gone: by the weight, or by the burst before it where nothing is weighed."""
        return self.weight == WEIGHT_OFF or (self._exit_like and self.weight != WEIGHT_ON)

    def _enter(self, level: int) -> None:
        if self.weight == WEIGHT_OFF or (self._calm_s < ENTER_S and self._alive_s < ENTER_RESTLESS_S):
            return
        felt = self._burst_age_s <= FELT_S or (self.state == UNCLEAR and self._seen)
        if not felt and self._strength < self._stranger_min():
            return
        came_s = self._active_s
        if self.state == EMPTY and self._seen:
            if len(self.finished) == FINISHED_MAX:
                self.finished.pop(0)
            self.finished.append((self.uptime_s - came_s, max(self.state_age_s - came_s, 0)))
        if not self.usual:
            self.usual = level
        self._seen = True
        self._change(OCCUPIED, came_s)

    def _stranger_min(self) -> int:
        if not self.usual:
            return STRANGER_MIN
        return min(STRANGER_MIN, max(STRANGER_LEAST, self.usual * STRANGER_PERCENT // 100))

    def _doubt(self, fault_s: int) -> None:
        self._alive_s = 0
        self._calm_s = 0
        self._active_s = 0
        if self.state == OCCUPIED or (self.state == EMPTY and fault_s >= 60):
            self._change(UNCLEAR, fault_s)

    def _change(self, state: int, age_s: int) -> None:
        self.state = state
        self.state_age_s = age_s
        if state != UNCLEAR:
            self.check = False
