"""Sixty one-second reports folded into one minute record (frames.RECORD_MINUTE)."""

from protocol.wire import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Rate:
    """Mean, least and greatest of a rate over the seconds in which it was present."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start a new minute."""
        self.count = 0
        self.total = 0
        self.least = 0
        self.greatest = 0

    def add(self, value: int) -> None:
        """Take one second's value; below 0 it was absent."""
        if value < 0:
            return
        if not self.count or value < self.least:
            self.least = value
        if value > self.greatest:
            self.greatest = value
        self.count += 1
        self.total += value

    def summary(self) -> "tuple[int, int, int, int]":
        """(mean, least, greatest, seconds); the first three absent (ABSENT_16) if there was no value."""
        if not self.count:
            return frames.ABSENT_16, frames.ABSENT_16, frames.ABSENT_16, 0
        return (self.total + self.count // 2) // self.count, self.least, self.greatest, self.count


class Minute:
    """add() each second's report as the pipeline gives it; full after 60; body() is the record."""

    SECONDS = 60

    def __init__(self) -> None:
        self._states = [0, 0, 0]
        self._moving = [0, 0]
        self._heart = Rate()
        self._respiration = Rate()
        self._clear()

    def _clear(self) -> None:
        for i in range(3):
            self._states[i] = 0
        self._moving[0] = self._moving[1] = 0
        self._heart.clear()
        self._respiration.clear()
        self._peak = 0
        self._turn_overs = 0
        self._irregular_s = 0
        self._weak_s = 0
        self._fault_s = 0
        self.seconds = 0

    def add(self, second: "Sequence[int]") -> bool:
        """Take one second (Pipeline.second's tuple); True when the minute is full."""
        occupancy, _, heart, _, heart_reason, respiration, _, _, movement, turn_over, weak_breath, flags = second
        self._states[occupancy] += 1
        self._heart.add(heart)
        self._respiration.add(respiration)
        if flags & frames.FLAG_MOVING or heart_reason == frames.REASON_MOVING:
            self._moving[0 if self.seconds < 30 else 1] += 1
        if movement > self._peak:
            self._peak = movement
        self._turn_overs += turn_over
        if heart_reason == frames.REASON_IRREGULAR or flags & frames.FLAG_IRREGULAR:
            self._irregular_s += 1
        self._weak_s += weak_breath
        if flags & frames.FLAG_SENSOR_FAULT:
            self._fault_s += 1
        self.seconds += 1
        return self.seconds >= self.SECONDS

    def body(self) -> bytes:
        """The record's body; starts the next minute."""
        heart = self._heart.summary()
        respiration = self._respiration.summary()
        body: bytes = frames.encode_record(
            frames.RECORD_MINUTE,
            (self._states[frames.OCCUPIED], self._states[frames.EMPTY], self._states[frames.UNCLEAR])
            + heart
            + respiration
            + (self._moving[0], self._moving[1], self._peak, self._turn_overs)
            + (self._irregular_s, self._weak_s, self._fault_s),
        )
        self._clear()
        return body
