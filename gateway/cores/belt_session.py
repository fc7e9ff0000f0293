"""What one belt tells, as facts for the leave-bed rules: uptime anchored, gaps found, silence told from news.

Two sources speak of one belt: beacons (anybody in range hears them) and session reports (richer, in order). Either one
makes the belt heard. While session reports come in, beacons say nothing else: a beacon heard late would be a step back.

Records of the belt's ring are taken strictly in order of `seq` (go-back-N): one that leaves a gap is dropped and the
gap is asked for, so what has been taken is always a prefix, and one number says what may be acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.cores.facts import (
    GOOD_QUALITY,
    MOVING,
    SENSOR,
    WEAK,
    Fact,
    FinishedAbsence,
    LinkDown,
    LinkUp,
    TurnOver,
    Vitals,
)
from gateway.cores.facts import Occupancy as OccupancyFact
from protocol.messages import AnyRecord, BeaconReport, Hello, LiveReport
from protocol.wire import frames

__all__ = ["NOTHING", "BeltSession", "Outcome", "PlacedRecord", "SaysRates", "vitals_fact"]

# Real ms of radio time; on a compressed clock they stand for `speed` times as many.
SILENT_AFTER_MS = 5_000
SILENT_AFTER_COMPRESSED_MS = 2_000
SESSION_SPEAKS_MS = 3_000  # this long after a session report beacons are only a sign of life
ABSENCES_WAIT_MS = 5_000  # how long a return seen by beacon waits for the session that knows the absences before it
CREDITS = 16
HISTORY_STALLED_MS = 2_000  # many times what an answer takes; asking twice costs one frame
ANCHORS_MAX = 8
ANCHOR_SLEW_MS = 1  # per report: follows a belt's clock that is 1000 ppm slow, far beyond any crystal
SEQ_END = 0xFFFFFFFF

Send = tuple[int, tuple[Any, ...]]  # frame kind and its fixed fields


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record of the ring and when it was written: elapsed ms, or None for a boot that was never heard live."""

    record: AnyRecord
    at_ms: int | None


@dataclass(slots=True)
class Outcome:
    """What one input leads to: facts for the ward, frames for the belt, records for the store."""

    facts: list[Fact] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    records: list[PlacedRecord] = field(default_factory=list)
    accepted: bool = True  # False: repeated or out of order, nothing was taken from it
    lost_records: tuple[int, int] | None = None  # first and last seq that the ring no longer has


NOTHING = Outcome()
"""What the passing of time mostly leads to; to be read only."""


class BeltSession:
    """One belt of one bed. All instants are elapsed ms; every method that takes an input returns an `Outcome`."""

    def __init__(
        self,
        bed: str,
        speed: float = 1.0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """`speed`: of the elapsed clock against real time.

        `state`: what `to_state` gave before the gateway's restart; the belt then counts as not heard yet.
        """
        self.bed = bed
        self._silent_after_ms = max(SILENT_AFTER_MS, round(SILENT_AFTER_COMPRESSED_MS * speed))
        self._session_speaks_ms = round(SESSION_SPEAKS_MS * speed)
        self._absences_wait_ms = round(ABSENCES_WAIT_MS * speed)
        self._history_stalled_ms = round(HISTORY_STALLED_MS * speed)
        state = state or {}
        self.last_heard_ms: int | None = state.get("last_heard_ms")
        self.heard = False
        self.boot_id: int | None = state.get("boot_id")
        # boot_id -> elapsed ms at that boot's uptime 0, oldest boot first
        self._anchors: dict[int, int] = {int(boot): at for boot, at in state.get("anchors", {}).items()}
        self.next_seq: int | None = state.get("next_seq")
        self.beacon_counter: int = state.get("beacon_counter", 0)
        self._exit_count: int | None = state.get("exit_count")
        self._turn_overs: int | None = None
        self._uptime_ms = -1
        self._session = False
        self._session_heard_ms: int | None = None
        self._absences: tuple[FinishedAbsence, ...] = ()
        self._absences_at_ms = 0
        self._held_beacon: tuple[int, BeaconReport] | None = None  # (since when held, newest content)
        self._belt_seq = 0  # newest seq that the belt says it has written
        self._request_id = 0
        self._wanted: tuple[int, int] | None = None  # history asked for: last seq, elapsed ms of the last progress
        self._credit_used = 0
        self._leftover_seq: int | None = None  # newest of an answer that a newer request has replaced

    def to_state(self) -> dict[str, Any]:
        """JSON-able; what must survive a restart of the gateway."""
        return {
            "last_heard_ms": self.last_heard_ms,
            "boot_id": self.boot_id,
            "anchors": {str(boot): at for boot, at in self._anchors.items()},
            "next_seq": self.next_seq,
            "beacon_counter": self.beacon_counter,
            "exit_count": self._exit_count,
        }

    def anchor_ms(self, boot_id: int) -> int | None:
        """Elapsed ms at uptime 0 of that boot of the belt; None if it was never heard live."""
        return self._anchors.get(boot_id)

    # -- the session -------------------------------------------------------------------------------------------------

    def opened(self, now_ms: int, hello: Hello) -> Outcome:
        """A session is established: note the boot, ask for the records that are missing."""
        outcome = Outcome()
        self._session = True
        self._boot(hello.boot_id)
        self._anchor(now_ms, hello.boot_id, hello.uptime_ms)
        self._belt_seq = hello.record_seq
        self._wanted = self._leftover_seq = None
        if self.next_seq is None or hello.record_seq < self.next_seq - 1:
            # A new belt to us, or one whose ring was made anew: its numbering is the truth.
            self.next_seq = max(1, hello.oldest_seq)
        elif hello.oldest_seq > self.next_seq:
            outcome.lost_records = (self.next_seq, hello.oldest_seq - 1)
            self.next_seq = hello.oldest_seq
        self._ask(now_ms, outcome)
        return outcome

    def closed(self, now_ms: int) -> None:
        """The session is over; whether the belt is silent is another matter."""
        self._session = False
        self._wanted = None
        self._absences = ()

    def absences(self, now_ms: int, boot_id: int, uptime_ms: int, entries: tuple[tuple[int, int], ...]) -> None:
        """ABSENCES frame: kept for the report that follows, which is the link-up if the belt was silent."""
        late_s = self._late_s(now_ms, boot_id, uptime_ms)
        self._absences = tuple(FinishedAbsence(ended + late_s, lasted) for ended, lasted in entries)
        self._absences_at_ms = now_ms

    def report(self, now_ms: int, report: LiveReport) -> Outcome:
        """A live report; one that is not newer than the last changes nothing."""
        self._boot(report.boot_id)
        if report.uptime_ms <= self._uptime_ms:
            return Outcome(accepted=False)
        outcome = Outcome()
        self._uptime_ms = report.uptime_ms
        self._anchor(now_ms, report.boot_id, report.uptime_ms)
        self._session_heard_ms = now_ms
        age_s = report.state_age_s + self._late_s(now_ms, report.boot_id, report.uptime_ms)
        ever = report.occupancy == "occupied" or report.exit_count > 0
        valid = report.heart_rate_bpm is not None or report.respiration_per_min is not None
        self._say(now_ms, outcome, report.occupancy, age_s, valid, ever)
        self._exit_count = report.exit_count
        outcome.facts.append(vitals_fact(self.bed, report))
        if self._turn_overs is not None and 0 < (report.turn_over_count - self._turn_overs) & 0xFFFF < 0x8000:
            outcome.facts.append(TurnOver(self.bed))
        self._turn_overs = report.turn_over_count
        self._belt_seq = max(self._belt_seq, report.record_seq)
        self._watch_history(now_ms, outcome)
        return outcome

    def record(self, now_ms: int, record: AnyRecord) -> Outcome:
        """A RECORD frame, live or from history: taken if it is the next one, else the gap is asked for."""
        self._belt_seq = max(self._belt_seq, record.seq)
        if self.next_seq is None or record.seq != self.next_seq:
            outcome = Outcome(accepted=False)
            if self.next_seq is not None and record.seq > self.next_seq:
                if self._shows_a_loss(record.seq):
                    self._wanted = None
                self._watch_history(now_ms, outcome)
            return outcome
        anchor = self._anchors.get(record.boot_id)
        outcome = Outcome(records=[PlacedRecord(record, None if anchor is None else anchor + record.uptime_ms)])
        self.next_seq = record.seq + 1
        self._leftover_seq = None
        if self._wanted is not None:
            last, _ = self._wanted
            self._wanted = (last, now_ms)
            self._credit_used += 1
            if record.seq >= last:
                self._wanted = None
                self._ask(now_ms, outcome)
            elif self._credit_used >= CREDITS // 2:
                outcome.sends.append((frames.CREDIT, (self._request_id, self._credit_used)))
                self._credit_used = 0
        return outcome

    def history_end(self, now_ms: int, request_id: int, last_seq: int, oldest_seq: int, record_seq: int) -> Outcome:
        """HISTORY_END: the belt has sent what it had of a request; what it no longer has is gone."""
        outcome = Outcome()
        if request_id != self._request_id or self.next_seq is None:
            return outcome
        self._wanted = None
        self._belt_seq = max(self._belt_seq, record_seq)
        if oldest_seq > self.next_seq:
            outcome.lost_records = (self.next_seq, oldest_seq - 1)
            self.next_seq = oldest_seq
        self._ask(now_ms, outcome)
        return outcome

    # -- beacons and silence -----------------------------------------------------------------------------------------

    def beacon(self, now_ms: int, counter: int, beacon: BeaconReport) -> Outcome:
        """An authentic beacon; a counter that is not above the last never counts as heard."""
        if counter <= self.beacon_counter:
            return Outcome(accepted=False)
        self.beacon_counter = counter
        outcome = Outcome()
        if self._session_heard_ms is not None and now_ms - self._session_heard_ms < self._session_speaks_ms:
            self.last_heard_ms = now_ms
            return outcome
        same_boot = self.boot_id is not None and self.boot_id & 0xFFFF == beacon.boot_id_low
        exits_known = same_boot and self._exit_count is not None
        unseen_exits = not exits_known or (beacon.exit_count_low - (self._exit_count or 0)) & 0xFF != 0
        if not self.heard and beacon.occupancy == "occupied" and unseen_exits and self.last_heard_ms is not None:
            since = self._held_beacon[0] if self._held_beacon else now_ms
            self._held_beacon = (since, beacon)
            if now_ms - since < self._absences_wait_ms:
                return outcome
        self._hear_beacon(now_ms, outcome, beacon, same_boot)
        return outcome

    def advance(self, now_ms: int) -> Outcome:
        """What the passing of time alone leads to: silence, a stalled history, a beacon that waited long enough.

        `NOTHING` itself if it leads to nothing."""
        outcome = Outcome()
        if self._held_beacon is not None and now_ms - self._held_beacon[0] >= self._absences_wait_ms:
            beacon = self._held_beacon[1]
            same_boot = self.boot_id is not None and self.boot_id & 0xFFFF == beacon.boot_id_low
            self._hear_beacon(now_ms, outcome, beacon, same_boot)
        if self.heard and self.last_heard_ms is not None and now_ms - self.last_heard_ms >= self._silent_after_ms:
            self.heard = False
            outcome.facts.append(LinkDown(self.bed, self.last_heard_ms))
        if self._session:
            self._watch_history(now_ms, outcome)
        return outcome if outcome.facts or outcome.sends else NOTHING

    def next_deadline_ms(self) -> int | None:
        """When `advance` may have something to say."""
        deadlines = []
        if self.heard and self.last_heard_ms is not None:
            deadlines.append(self.last_heard_ms + self._silent_after_ms)
        if self._held_beacon is not None:
            deadlines.append(self._held_beacon[0] + self._absences_wait_ms)
        return min(deadlines, default=None)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _boot(self, boot_id: int) -> None:
        if boot_id != self.boot_id:
            self.boot_id = boot_id
            self._uptime_ms = -1
            self._turn_overs = None
            self._exit_count = None

    def _anchor(self, now_ms: int, boot_id: int, uptime_ms: int) -> None:
        """The least delayed report tells the belt's uptime best: the anchor falls at once and rises slowly (drift)."""
        seen = now_ms - uptime_ms
        known = self._anchors.pop(boot_id, None)
        self._anchors[boot_id] = seen if known is None or seen <= known else min(seen, known + ANCHOR_SLEW_MS)
        while len(self._anchors) > ANCHORS_MAX:
            del self._anchors[next(iter(self._anchors))]

    def _late_s(self, now_ms: int, boot_id: int, uptime_ms: int) -> float:
        """How long ago the belt said this, in seconds."""
        anchor = self._anchors.get(boot_id)
        return 0.0 if anchor is None else max(0, now_ms - anchor - uptime_ms) / 1000

    def _say(self, now_ms: int, outcome: Outcome, state: str, age_s: float, valid: bool | None, ever: bool) -> None:
        """The belt is heard in this state: a link-up if it was silent or not heard yet (rules 16, 17), else news."""
        if self.heard:
            outcome.facts.append(OccupancyFact(self.bed, state, age_s, valid, ever))
        else:
            waited_s = (now_ms - self._absences_at_ms) / 1000
            absences = tuple(FinishedAbsence(a.ended_ago_s + waited_s, a.duration_s) for a in self._absences)
            outcome.facts.append(LinkUp(self.bed, state, age_s, absences, valid, ever))
        self.heard = True
        self.last_heard_ms = now_ms
        self._held_beacon = None
        self._absences = ()

    def _hear_beacon(self, now_ms: int, outcome: Outcome, beacon: BeaconReport, same_boot: bool) -> None:
        ever = beacon.occupancy == "occupied" or beacon.exit_count_low > 0 or bool(same_boot and self._exit_count)
        valid = beacon.heart_rate_bpm is not None or beacon.respiration_per_min is not None
        self._say(now_ms, outcome, beacon.occupancy, float(beacon.state_age_s), valid, ever)
        outcome.facts.append(vitals_fact(self.bed, beacon))
        if same_boot and self._exit_count is not None:
            self._exit_count += (beacon.exit_count_low - self._exit_count) & 0xFF

    def _shows_a_loss(self, seq: int) -> bool:
        """Whether a record after a gap means that the running request must be made again.

        A request is answered in order, so what it skips was lost. What the belt had sent before it heard of the new
        request goes on rising and says nothing; a step back begins the new answer.
        """
        if self._wanted is None or seq > self._wanted[0]:
            return False
        is_leftover = self._leftover_seq is not None and seq > self._leftover_seq
        self._leftover_seq = seq
        return not is_leftover

    def _watch_history(self, now_ms: int, outcome: Outcome) -> None:
        if self._wanted is not None and now_ms - self._wanted[1] < self._history_stalled_ms:
            return
        self._wanted = None
        self._ask(now_ms, outcome)

    def _ask(self, now_ms: int, outcome: Outcome) -> None:
        """Ask for everything from the next seq on, if the belt has written it and nothing is asked for already."""
        if not self._session or self._wanted is not None or self.next_seq is None or self.next_seq > self._belt_seq:
            return
        self._request_id = self._request_id % 0xFFFF + 1
        self._wanted = (self._belt_seq, now_ms)
        self._credit_used = 0
        outcome.sends.append((frames.HISTORY, (self._request_id, self.next_seq, self._belt_seq, CREDITS)))


_REASONS = {"weak": WEAK, "moving": MOVING, "sensor_fault": SENSOR, "no_signal": WEAK, "irregular": WEAK}


class SaysRates(Protocol):
    """What a live report, a beacon and a stored reading say of the two rates."""

    @property
    def heart_rate_bpm(self) -> float | None: ...
    @property
    def heart_quality(self) -> int: ...
    @property
    def heart_reason(self) -> str: ...
    @property
    def respiration_per_min(self) -> float | None: ...
    @property
    def respiration_quality(self) -> int: ...


def vitals_fact(bed: str, said: SaysRates) -> Vitals:
    """One quality for two rates: a poor rate is left out beside a good one, so that it neither counts nor resets."""
    heart, breath = said.heart_rate_bpm, said.respiration_per_min
    heart_quality = said.heart_quality if heart is not None else 0
    breath_quality = said.respiration_quality if breath is not None else 0
    quality = max(heart_quality, breath_quality)
    if quality >= GOOD_QUALITY:
        heart = heart if heart_quality >= GOOD_QUALITY else None
        breath = breath if breath_quality >= GOOD_QUALITY else None
    valid = said.heart_rate_bpm is not None or said.respiration_per_min is not None
    reason = None if valid else _REASONS.get(said.heart_reason, WEAK)
    return Vitals(bed, valid, heart, breath, quality if valid else None, reason)
