"""Whether the alert relay is energised, decided from the gateway's heartbeats; and the six bytes in which they come.

Energised means healthy: the contact falls when the gateway dies, when its heartbeats stop, when it calls for staff, and
when the power fails. Runs in the relay process, which imports almost nothing: so no dataclasses and no typing here.
"""

from __future__ import annotations

__all__ = ["BEAT_LIMIT_MS", "CALL_MS_MIN", "TEST_MS", "RelayCore", "answer", "beat", "read_answer", "read_beat"]

BEAT_LIMIT_MS = 8_000
"""A gateway not heard for this long is dead: below the 10 s promised, above what a supervisor needs to restart one."""
CALL_MS_MIN = 1_000
"""A contact that opened stays open this long: nurse-call inputs overlook shorter openings."""
TEST_MS = 1_500
"""How long a self-test opens the contact."""

_BEAT, _ANSWER = b"SBB1", b"SBA1"
_CALL, _TEST = 1, 2


def beat(number: int, call: bool, test: bool = False) -> bytes:
    """A heartbeat: its number (taken modulo 256), whether staff is called, whether to test the contact."""
    return _BEAT + bytes((number & 0xFF, call * _CALL | test * _TEST))


def read_beat(packet: bytes) -> tuple[int, bool, bool] | None:
    """(number, call, test), or None for anything that is no heartbeat."""
    if len(packet) != 6 or packet[:4] != _BEAT or packet[5] > _CALL | _TEST:
        return None
    return packet[4], bool(packet[5] & _CALL), bool(packet[5] & _TEST)


def answer(number: int, energised: bool) -> bytes:
    """The relay's answer to one heartbeat: what its pin really shows."""
    return _ANSWER + bytes((number & 0xFF, energised))


def read_answer(packet: bytes) -> tuple[int, bool] | None:
    """(number, energised), or None for anything that is no answer."""
    if len(packet) != 6 or packet[:4] != _ANSWER or packet[5] > 1:
        return None
    return packet[4], bool(packet[5])


class RelayCore:
    """`calls`: an alarm opens the contact too (mode "call"); otherwise only a dead gateway does (mode "fault")."""

    def __init__(self, calls: bool, limit_ms: int = BEAT_LIMIT_MS) -> None:
        self._calls = calls
        self._limit_ms = limit_ms
        self._beat_ms: int | None = None
        self._call = False
        self._open_until_ms: int | None = None  # it opened, and stays so until then

    def beat(self, now_ms: int, call: bool, test: bool = False) -> None:
        """A heartbeat arrived."""
        if self._beat_ms is not None and now_ms >= self._beat_ms + self._limit_ms:
            self._stay_open(self._beat_ms + self._limit_ms + CALL_MS_MIN)
        elif self._calls and call and not self._call:
            self._stay_open(now_ms + CALL_MS_MIN)
        if test:
            self._stay_open(now_ms + TEST_MS)
        self._beat_ms, self._call = now_ms, call

    def lost(self) -> None:
        """The gateway's end of the link is closed: nothing is known of it until it beats again."""
        self._beat_ms = None

    def energised(self, now_ms: int) -> bool:
        """Whether the contact is held at this moment."""
        return not self.why_open(now_ms)

    def why_open(self, now_ms: int) -> str:
        """Why the contact is open; "" while it is held."""
        if self._beat_ms is None:
            return "no gateway"
        if now_ms >= self._beat_ms + self._limit_ms:
            return f"no heartbeat for {self._limit_ms // 1000} s"
        if self._calls and self._call:
            return "call"
        if self._open_until_ms is not None and now_ms < self._open_until_ms:
            return "shortest opening"
        return ""

    def next_deadline_ms(self, now_ms: int) -> int | None:
        """The next instant at which `energised` may change without a heartbeat; None: never."""
        deadlines = [self._open_until_ms, None if self._beat_ms is None else self._beat_ms + self._limit_ms]
        return min((at for at in deadlines if at is not None and at > now_ms), default=None)

    def _stay_open(self, until_ms: int) -> None:
        self._open_until_ms = max(until_ms, self._open_until_ms or 0)
