"""Which belt to connect next: one attempt at a time, growing pauses with a limit, slots shared in turn.

Instants are real monotonic ms (radio time, not the compressed clock). Beacons serve every belt without a connection,
so a belt without a slot is late with its history, never with its leave-bed state (facts/RADIO.md, "Numbers").
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reconnector"]

PAUSE_MS_MIN = 300
PAUSE_MS_MAX = 30_000
SEEN_MS_MAX = 10_000  # connect from a live scan only: a device seen long ago is gone from BlueZ
STABLE_MS = 5_000  # a session that lasted this long ends the growing of pauses; a reconnect takes about one second
TURN_MS = 60_000  # how long a belt keeps a slot that others wait for, while there are few
TURN_MS_MIN = 5_000  # a connect, the history of a few minutes
ROUND_MS_MAX = 110_000  # every belt's history is fetched at least every two minutes
CONNECT_MS = 1_000  # reserve for each change of hands; connects are serialised (.4 s each through BlueZ)


@dataclass(slots=True)
class _Belt:
    seen_ms: int | None = None
    failures: int = 0
    not_before_ms: int = 0
    connected_ms: int | None = None
    trying: bool = False
    urgent: bool = False
    allowed: bool = True
    served_ms: int = -1  # when its last session ended; who was never served goes first


class Reconnector:
    """Connection plan of the belts of one adapter; the shell connects what `next_attempt` names and reports back."""

    def __init__(self, belts: list[bytes], slots: int) -> None:
        self._belts = {serial: _Belt() for serial in belts}
        self._slots = slots

    def add(self, serial: bytes) -> None:
        """One more belt; nothing changes for one that is known."""
        self._belts.setdefault(serial, _Belt())

    def remove(self, serial: bytes) -> None:
        """Forget a belt, whatever is happening with it."""
        self._belts.pop(serial, None)

    def hurry(self, serial: bytes) -> None:
        """Somebody stands at this belt and waits: it goes first, without a pause, until it is connected or fails."""
        belt = self._belts[serial]
        belt.urgent, belt.not_before_ms, belt.failures = True, 0, 0

    def allow(self, serial: bytes, allowed: bool) -> None:
        """Whether this adapter may connect the belt at all; nothing changes for one that is not known."""
        if serial in self._belts:
            self._belts[serial].allowed = allowed

    def seen(self, serial: bytes, now_ms: int) -> bool:
        """The belt advertises, or the adapter still holds its link. True if it was not there before and is without a
        session: an attempt may be due at once."""
        belt = self._belts[serial]
        is_news = belt.connected_ms is None and not self._is_there(belt, now_ms)
        belt.seen_ms = now_ms
        return is_news

    @property
    def is_complete(self) -> bool:
        """Every belt that may be connected is: nothing is due until something happens."""
        return all(belt.connected_ms is not None or not belt.allowed for belt in self._belts.values())

    def unseen(self, serial: bytes) -> None:
        """What was known of the belt's place is void: it is tried after it was seen again."""
        self._belts[serial].seen_ms = None

    def next_attempt(self, now_ms: int) -> bytes | None:
        """The belt to connect now, marked as being tried; None if none is due, a try runs, or no slot is free."""
        taken = sum(belt.connected_ms is not None for belt in self._belts.values())
        if taken >= self._slots or any(belt.trying for belt in self._belts.values()):
            return None
        due = [
            (not belt.urgent, belt.failures > 1, belt.served_ms, belt.not_before_ms, serial)
            for serial, belt in self._belts.items()
            if belt.connected_ms is None and belt.not_before_ms <= now_ms and self._is_there(belt, now_ms)
        ]
        if not due:
            return None
        serial = min(due)[-1]
        self._belts[serial].trying = True
        return serial

    def connected(self, serial: bytes, now_ms: int) -> None:
        """The attempt gave a session."""
        belt = self._belts[serial]
        belt.trying = belt.urgent = False
        belt.connected_ms = now_ms

    def failed(self, serial: bytes, now_ms: int) -> int:
        """The attempt failed; the pause in ms before the next one."""
        belt = self._belts[serial]
        belt.trying = belt.urgent = False
        belt.failures += 1
        pause_ms = min(PAUSE_MS_MAX, PAUSE_MS_MIN << min(belt.failures - 1, 10))
        belt.not_before_ms = now_ms + pause_ms
        return pause_ms

    def dropped(self, serial: bytes, now_ms: int) -> int:
        """The session ended; the pause in ms before the next attempt, which waits until the belt is seen again.

        A belt that went out of range would hold up all others for the time limit of a connect.
        """
        belt = self._belts[serial]
        belt.seen_ms = None
        if belt.connected_ms is not None and now_ms - belt.connected_ms >= STABLE_MS:
            belt.failures = 0
        belt.connected_ms = None
        belt.served_ms = now_ms
        return self.failed(serial, now_ms) if belt.failures else self._pause(belt, now_ms)

    def to_release(self, now_ms: int) -> bytes | None:
        """The belt whose turn is over while others wait for its slot; None if nobody waits or no turn is over."""
        holders = [(b.connected_ms, s) for s, b in self._belts.items() if b.connected_ms is not None]
        waiting = [b for b in self._belts.values() if b.connected_ms is None and self._is_there(b, now_ms)]
        if len(holders) < self._slots or not waiting:
            return None
        since_ms, serial = min(holders)
        turn_ms = self._turn_ms(len(holders) + len(waiting))
        return serial if now_ms - since_ms >= turn_ms or any(belt.urgent for belt in waiting) else None

    def _turn_ms(self, belts: int) -> int:
        """How long a belt keeps a slot that others wait for, so that the round of all stays within its limit."""
        rounds = -(-belts // self._slots)
        return max(TURN_MS_MIN, min(TURN_MS, ROUND_MS_MAX // rounds - belts * CONNECT_MS // rounds))

    def _is_there(self, belt: _Belt, now_ms: int) -> bool:
        return belt.allowed and belt.seen_ms is not None and now_ms - belt.seen_ms <= SEEN_MS_MAX

    def _pause(self, belt: _Belt, now_ms: int) -> int:
        belt.failures = 1
        belt.not_before_ms = now_ms + PAUSE_MS_MIN
        return PAUSE_MS_MIN
