"""What one lane of the uplink sends next, and when: windows, resends, acks. No clock, no network, no disk.

    outbox --load--> waiting --next_batch--> in flight --ack--> freed
                                    ^           |
                                    +--resend---+   (nothing leaves but by an application ack)

The shell asks `want()` and `next_batch()`, does what they say, reports what happened, and waits until `deadline_ms()`
or an event. All instants are milliseconds of one real monotonic axis: network timeouts do not follow compressed time.
`jitter` is a number in [0, 1) the shell draws; with it, gateways that lost the same receiver do not come back as one.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cloud_sync.outbox import OutboxItem
from protocol.batch import LANE_ALARM, LANE_VITALS, Ack

__all__ = ["ALARM_POLICY", "VITALS_POLICY", "Batch", "Freed", "LaneDelivery", "LanePolicy"]

KIB = 1024
REWINDS_MAX = 1_000  # remembered, so that what is gone for good is not asked for again and again
OVERDUE_ATTEMPTS = 2  # one resend is everyday life after a reconnect
MESSAGES_IN_WINDOW = 4  # fewer leave the link idle between an ack and the next message, more compress worse
RATES_KEPT = 8  # the best of so many acks
PACE_GAIN = 1.25  # faster than the link was, so that a link that became faster shows it
RTT_VALID_MS = 30_000  # then the lane lets the link run empty once, to see the round trip without its own queue


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """Numbers of one lane; the window's are explained in docs/cloud-protocol.md "Behaviour"."""

    lane: str
    items_max: int
    window_bytes_start: int = 8 * KIB
    window_bytes_min: int = 4 * KIB
    window_bytes_max: int = 64 * KIB
    raw_bytes_max: int = 160 * KIB  # of one batch before compression: stays below MESSAGE_BYTES_MAX whatever it holds
    queue_delay_ms: int = 120  # how long what we sent may stand in the link's queue, before an alarm that comes now
    yields: bool = False  # paced, and the link is let run empty now and then: for the alarms' sake, so not theirs
    resend_ms_min: int = 2_000
    resend_ms_max: int = 15_000


ALARM_POLICY = LanePolicy(LANE_ALARM, items_max=64)
VITALS_POLICY = LanePolicy(LANE_VITALS, items_max=1024, yields=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """One message to send now. `number` names it towards `sent`; a resend keeps its number."""

    number: int
    items: tuple[OutboxItem, ...]
    floor: int
    resend: bool


@dataclass(frozen=True, slots=True)
class Freed:
    """What an ack means for the outbox: seqs to free, and seqs to free as rejected with the code."""

    accepted: tuple[int, ...]
    rejected: dict[int, str]


@dataclass(slots=True)
class _Flight:
    items: list[OutboxItem]
    wire_bytes: int = 0
    digest: bytes = b""
    first_sent_ms: int | None = None
    freed_bytes: int = 0  # of the lane before this was sent first
    freed_ms: int = 0  # when that was
    was_alone: bool = False
    attempts: int = 0
    resend_at_ms: int = 0  # due at once until it was sent


@dataclass(slots=True)
class LaneDelivery:
    """One lane of one outbox epoch. Invariant: every loaded seq is either waiting, in flight or acked."""

    policy: LanePolicy
    epoch: str
    window_bytes: int = 0
    is_connected: bool = False
    _waiting: deque[OutboxItem] = field(default_factory=deque)
    _waiting_bytes: int = 0
    _flush_at_ms: int | None = None
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _next_number: int = 1
    _last_loaded_seq: int = 0
    _freed_bytes: int = 0
    _freed_ms: int = 0
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=RATES_KEPT))  # bytes a ms
    _rtt_ms_min: float = 0  # 0: not known yet
    _rtt_until_ms: int = 0
    _is_emptying: bool = False
    _paced_until_ms: int = 0
    _rewound: set[int] = field(default_factory=set)
    _squeeze_ratio: float = 0.4  # wire bytes per raw byte, learnt from what was sent

    def __post_init__(self) -> None:
        self.window_bytes = self.policy.window_bytes_start

    def connected(self) -> None:
        """A new connection with a clean session: what was in flight may be lost, so all of it is due again."""
        self.is_connected = True
        self._resend_all_now()

    def disconnected(self) -> None:
        """Nothing is sent until `connected`."""
        self.is_connected = False

    def want(self) -> tuple[int, int] | None:
        """(after_seq, limit_bytes) to load from the outbox, or None while enough is waiting."""
        room = 2 * self._batch_raw_bytes() - self._waiting_bytes
        if room <= 0 or len(self._waiting) >= 2 * self.policy.items_max:
            return None
        return self._last_loaded_seq, room

    def loaded(self, items: Iterable[OutboxItem], now_ms: int, flush_delay_ms: int) -> None:
        """Items from the outbox; a batch may wait `flush_delay_ms` from its first item for more to join it."""
        for item in items:
            if item.seq <= self._last_loaded_seq:
                continue
            self._waiting.append(item)
            self._waiting_bytes += len(item.body)
            self._last_loaded_seq = item.seq
            if self._flush_at_ms is None:
                self._flush_at_ms = now_ms + flush_delay_ms

    def flush(self, now_ms: int) -> None:
        """What is waiting need not wait for more."""
        if self._flush_at_ms is not None:
            self._flush_at_ms = min(self._flush_at_ms, now_ms)

    def next_batch(self, now_ms: int) -> Batch | None:
        """What to send now: overdue batches before new ones; None while nothing is due or the window is full."""
        if not self.is_connected:
            return None
        for number, flight in self._flights.items():
            if flight.resend_at_ms <= now_ms:
                return Batch(number, tuple(flight.items), self.floor(), resend=flight.attempts > 0)
        if not self._is_due(now_ms) or not self._has_room() or now_ms < self._paced_until_ms:
            return None
        number = self._next_number
        self._next_number += 1
        self._flights[number] = _Flight(self._take())
        if not self._waiting:
            self._flush_at_ms = None
        return Batch(number, tuple(self._flights[number].items), self.floor(), resend=False)

    def sent(self, batch: Batch, wire_bytes: int, digest: bytes, now_ms: int, jitter: float) -> None:
        """The batch left as a message of wire_bytes; it is sent again if no ack comes in time."""
        flight = self._flights.get(batch.number)
        if flight is None:
            return  # acked while it was being encoded again
        raw_bytes = sum(len(item.body) for item in batch.items)
        self._squeeze_ratio += 0.25 * (min(1.0, wire_bytes / raw_bytes) - self._squeeze_ratio)
        flight.wire_bytes = wire_bytes
        flight.digest = digest
        flight.attempts += 1
        if flight.attempts == 1:
            flight.was_alone = len(self._flights) == 1
            flight.first_sent_ms, flight.freed_bytes = now_ms, self._freed_bytes
            flight.freed_ms = now_ms if flight.was_alone else self._freed_ms
            # A whole window at once would stand in the queue before an alarm.
            if self.policy.yields and len(self._rates) == RATES_KEPT:
                self._paced_until_ms = now_ms + int(wire_bytes / (PACE_GAIN * self._rate()))
        delay_ms = min(self._resend_delay_ms() << (flight.attempts - 1), self.policy.resend_ms_max)
        flight.resend_at_ms = now_ms + round(delay_ms * (1 + 0.5 * jitter))
        if flight.attempts > 1:
            self.window_bytes = self.policy.window_bytes_min
            self._rates.clear()

    def acked(self, ack: Ack, now_ms: int) -> Freed:
        """What an ack frees; acks of another lane or epoch, or of nothing known, free nothing."""
        if ack.lane != self.policy.lane or ack.epoch not in ("", self.epoch):
            return Freed((), {})
        rejected_codes = dict(ack.rejected) if ack.epoch else {}
        is_accepted = _members(ack.accepted if ack.epoch else ())
        unreadable = frozenset(ack.unreadable)
        accepted: list[int] = []
        rejected: dict[int, str] = {}
        was_full = bool(self._waiting) and not self._has_room()
        done: list[_Flight] = []
        for number, flight in list(self._flights.items()):
            if flight.digest in unreadable and flight.digest:
                self._split(number, flight, rejected)
                continue
            keep = []
            for item in flight.items:
                if item.seq in rejected_codes:
                    rejected[item.seq] = rejected_codes[item.seq]
                elif is_accepted(item.seq):
                    accepted.append(item.seq)
                else:
                    keep.append(item)
            if len(keep) == len(flight.items):
                continue
            flight.items = keep
            if not keep:
                del self._flights[number]
                self._freed_bytes += flight.wire_bytes
                self._freed_ms = now_ms
                done.append(flight)
        for flight in done:
            self._learn(flight, now_ms, was_full)
        if accepted or rejected:
            self._receiver_is_back()
        return Freed(tuple(sorted(accepted)), rejected)

    @property
    def last_loaded_seq(self) -> int:
        """What was loaded so far; a rewind lowers it."""
        return self._last_loaded_seq

    def wants_rewind(self, ack: Ack) -> bool:
        """True if the receiver asks for seqs that were acked before, and did not ask for just these already."""
        of_lane = ack.lane == self.policy.lane and ack.epoch == self.epoch
        if not of_lane or not 0 < ack.rewind < self.floor() or ack.rewind in self._rewound:
            return False
        if len(self._rewound) == REWINDS_MAX:
            self._rewound.clear()
        self._rewound.add(ack.rewind)
        return True

    def rewound(self, from_seq: int) -> None:
        """The outbox shows items from from_seq on again: load them anew, in order."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._flush_at_ms = None
        self._flights.clear()
        self._last_loaded_seq = min(self._last_loaded_seq, from_seq - 1)

    def floor(self) -> int:
        """The lowest unacked seq this lane knows of; the next seq after the last loaded one if there is none."""
        lowest = [flight.items[0].seq for flight in self._flights.values()]
        if self._waiting:
            lowest.append(self._waiting[0].seq)
        return min(lowest, default=self._last_loaded_seq + 1)

    def deadline_ms(self) -> int | None:
        """When `next_batch` may give something without any event, or None."""
        if not self.is_connected:
            return None
        due = [flight.resend_at_ms for flight in self._flights.values()]
        if self._flush_at_ms is not None and self._has_room():
            due.append(max(0 if self._is_full() else self._flush_at_ms, self._paced_until_ms))
        return min(due, default=None)

    def is_idle(self) -> bool:
        """True if everything loaded has been acked."""
        return not self._flights and not self._waiting

    def is_overdue(self) -> bool:
        """True while something was sent again and again and is still not acked: nobody at the other end commits."""
        return any(flight.attempts > OVERDUE_ATTEMPTS for flight in self._flights.values())

    def _is_due(self, now_ms: int) -> bool:
        return self._flush_at_ms is not None and (self._is_full() or self._flush_at_ms <= now_ms)

    def _is_full(self) -> bool:
        """What waits makes a whole batch."""
        return self._waiting_bytes >= self._batch_raw_bytes() or len(self._waiting) >= self.policy.items_max

    def _has_room(self) -> bool:
        in_flight = sum(flight.wire_bytes for flight in self._flights.values())
        if in_flight == 0 or self._is_emptying:
            return in_flight == 0
        return in_flight + self.window_bytes // MESSAGES_IN_WINDOW <= self.window_bytes

    def _batch_raw_bytes(self) -> int:
        return min(self.policy.raw_bytes_max, int(self.window_bytes / MESSAGES_IN_WINDOW / self._squeeze_ratio))

    def _take(self) -> list[OutboxItem]:
        limit = self._batch_raw_bytes()
        taken: list[OutboxItem] = []
        size = 0
        while self._waiting and len(taken) < self.policy.items_max:
            size += len(self._waiting[0].body)
            if taken and size > limit:
                break
            taken.append(self._waiting.popleft())
        self._waiting_bytes -= sum(len(item.body) for item in taken)
        return taken

    def _resend_delay_ms(self) -> int:
        return max(self.policy.resend_ms_min, round(4 * self._rtt_ms_min))

    def _resend_all_now(self) -> None:
        for flight in self._flights.values():
            flight.resend_at_ms = 0
            flight.attempts = 0
            flight.first_sent_ms = None

    def _receiver_is_back(self) -> None:
        # An ack proves that somebody commits: batches that wait out a long backoff are due now.
        for flight in self._flights.values():
            if flight.attempts > 1:
                flight.resend_at_ms = 0
                flight.attempts = 1

    def _learn(self, flight: _Flight, now_ms: int, was_full: bool) -> None:
        """Set the window to what the link carries in a round trip, and in the time that may stand in its queue.

        As BBR does: the rate is the best of late, of what was acked between a message and its own ack; the round trip
        is the shortest, measured anew now and then with nothing else in flight. Delays alone would not do: a slow
        commit at the receiver looks like a queue, and a window that shrinks for it leaves the link idle.
        """
        if flight.attempts != 1 or flight.first_sent_ms is None:
            return  # which of the copies was acked is not known
        rtt_ms = max(1, now_ms - flight.first_sent_ms)
        self._learn_rtt(rtt_ms, flight.was_alone, now_ms)
        rate = (self._freed_bytes - flight.freed_bytes) / max(1, now_ms - flight.freed_ms)
        if was_full or 0 < self._rate() < rate:  # else it tells what there was to send, not what the link carries
            self._rates.append(rate)
        # On a long way less than a third of it would not let the window grow.
        queue_ms = max(self.policy.queue_delay_ms, self._rtt_ms_min / 3)
        window = round(self._rate() * (self._rtt_ms_min + queue_ms))
        if len(self._rates) < RATES_KEPT:
            window = max(window, self.window_bytes)  # the first acks tell of less than a window
        self.window_bytes = min(self.policy.window_bytes_max, max(self.policy.window_bytes_min, window))

    def _learn_rtt(self, rtt_ms: float, was_alone: bool, now_ms: int) -> None:
        shortest = min(rtt_ms, self._rtt_ms_min or rtt_ms)
        if was_alone and now_ms >= self._rtt_until_ms:
            # A way that has become longer is believed by and by: one slow commit must not open the window.
            shortest = min(rtt_ms, shortest * 1.25)
            self._rtt_until_ms = now_ms + RTT_VALID_MS
        self._rtt_ms_min = shortest
        self._is_emptying = self.policy.yields and now_ms >= self._rtt_until_ms

    def _rate(self) -> float:
        """Bytes a ms that the link carries; 0 while that is not known."""
        return max(self._rates, default=0.0)

    def _split(self, number: int, flight: _Flight, rejected: dict[int, str]) -> None:
        """A batch the receiver cannot read: its items go alone, and one that is unreadable alone is given up."""
        del self._flights[number]
        if len(flight.items) == 1:
            rejected[flight.items[0].seq] = "unreadable"
            return
        for item in flight.items:
            self._flights[self._next_number] = _Flight([item])
            self._next_number += 1


def _members(ranges: Sequence[tuple[int, int]]) -> Callable[[int], bool]:
    """Whether a seq lies in any of the inclusive ranges, however many a stranger sends and in whatever order."""
    firsts: list[int] = []
    lasts: list[int] = []
    for first, last in sorted(ranges):
        if lasts and first <= lasts[-1]:
            lasts[-1] = max(lasts[-1], last)
        else:
            firsts.append(first)
            lasts.append(last)

    def is_member(seq: int) -> bool:
        position = bisect_right(firsts, seq) - 1
        return position >= 0 and seq <= lasts[position]

    return is_member
