"""A stored night as a history of facts: what the rules would have been told, so that other settings can be tried on it.

Readings say what the belt was heard to classify, second by second; records of the belt's ring date a change back and
name the absences that ended in silence; the log says what people did and when the gateway knew a belt as silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.cores.belt_session import vitals_fact
from gateway.cores.facts import (
    GOOD_QUALITY,
    Acknowledge,
    Assist,
    AwayOff,
    AwayOn,
    BeltReport,
    Fact,
    FinishedAbsence,
    LinkDown,
    LinkUp,
    MaintenanceOff,
    MaintenanceOn,
    Occupancy,
    TurnOver,
)
from gateway.cores.history import Happening
from gateway.cores.leave_bed.vital_notices import HEART_HYSTERESIS_BPM, RESPIRATION_HYSTERESIS_PER_MIN
from gateway.cores.profile import Profile

SILENT_S = 5  # a longer hole between readings: the belt was not heard, or only its beacons were
CHANGE_SPREAD_MS = 3_000  # a record is written with the report of the change, give or take the anchor
VITALS_EVERY_S = 8  # a vital value holds for 10 s
MS = 1000

_PEOPLE: dict[str, type[Acknowledge | Assist | MaintenanceOn | MaintenanceOff | AwayOn | AwayOff]] = {
    "acknowledge": Acknowledge,
    "assist": Assist,
    "maintenance_on": MaintenanceOn,
    "maintenance_off": MaintenanceOff,
    "away_on": AwayOn,
    "away_off": AwayOff,
}


@dataclass(frozen=True, slots=True)
class HeardSecond:
    """One stored reading; `state` empty / unclear / occupied, reasons in the belt's words ("" with a rate)."""

    utc_s: int
    state: str
    heart_rate_bpm: float | None = None
    heart_quality: int = 0
    heart_reason: str = ""
    respiration_per_min: float | None = None
    respiration_quality: int = 0


@dataclass(frozen=True, slots=True)
class StateChange:
    """A record of the belt: at `utc_ms` it had been in `state` for `age_s`."""

    utc_ms: int
    state: str
    age_s: float


@dataclass(frozen=True, slots=True)
class EndedAbsence:
    """A record of the belt: an absence that ended at `ended_utc_ms`."""

    ended_utc_ms: int
    duration_s: float


@dataclass(slots=True)
class StoredNight:
    """What the store has of one bed between two instants."""

    bed: str
    start_utc_ms: int
    end_utc_ms: int
    seconds: list[HeardSecond] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    absences: list[EndedAbsence] = field(default_factory=list)
    turn_overs_utc_ms: list[int] = field(default_factory=list)
    people: list[tuple[int, str]] = field(default_factory=list)  # (utc ms, action)
    deaf_utc_ms: list[int] = field(default_factory=list)  # the belt was told as offline, or the gateway had been down

    def sort(self) -> None:
        """Everything in the order of time, one reading a second: the last one given."""
        self.seconds = [second for _, second in sorted({second.utc_s: second for second in self.seconds}.items())]
        self.changes.sort(key=lambda change: change.utc_ms)
        self.absences.sort(key=lambda absence: absence.ended_utc_ms)
        self.turn_overs_utc_ms.sort()
        self.people.sort(key=lambda action: action[0])
        self.deaf_utc_ms.sort()


def needs_vitals(profile: Profile) -> bool:
    """Whether any rule of the profile looks at rates; a night without them replays a hundred times faster."""
    limits = (profile.hr_high, profile.hr_low, profile.rr_high, profile.rr_low)
    return profile.require_vitals or profile.no_signal_s > 0 or any(limit is not None for limit in limits)


def history_of(night: StoredNight, profile: Profile) -> list[tuple[int, Happening]]:
    """(UTC ms, what) in the order of time, for `run_history` under `profile`; `night` is sorted."""
    teller = _Teller(night, profile)
    facts: list[tuple[int, Happening]] = [*teller.belt(), *_others(night)]
    return sorted(facts, key=lambda fact: fact[0])


def _others(night: StoredNight) -> Iterable[tuple[int, Fact]]:
    for at_ms in night.turn_overs_utc_ms:
        yield at_ms, TurnOver(night.bed)
    for at_ms, action in night.people:
        if action in _PEOPLE:
            yield at_ms, _PEOPLE[action](night.bed)


class _Teller:
    """What the belt told, from reading to reading."""

    def __init__(self, night: StoredNight, profile: Profile) -> None:
        self._night = night
        self._vitals = needs_vitals(profile)
        self._heart_marks = _marks(profile.hr_high, profile.hr_low, HEART_HYSTERESIS_BPM)
        self._breath_marks = _marks(profile.rr_high, profile.rr_low, RESPIRATION_HYSTERESIS_PER_MIN)
        self._facts: list[tuple[int, Happening]] = []
        self._since_ms = night.start_utc_ms  # of the present state
        self._told_vitals: tuple[int, object] | None = None

    def belt(self) -> list[tuple[int, Happening]]:
        before: HeardSecond | None = None
        for second in self._night.seconds:
            at_ms = second.utc_s * MS
            if before is None:
                self._since_ms = self._since(second, at_ms)
                self._facts.append((at_ms, BeltReport(self._night.bed, second.state, self._age_s(at_ms), None)))
            elif second.utc_s - before.utc_s > SILENT_S:
                self._after_a_hole(before, second)
            elif second.state != before.state:
                self._since_ms = self._since(second, at_ms)
                self._facts.append((at_ms, Occupancy(self._night.bed, second.state, self._age_s(at_ms))))
            if self._vitals:
                self._rates(second)
            before = second
        if before is not None and self._night.end_utc_ms - before.utc_s * MS > SILENT_S * MS:
            self._down(before)
        return self._facts

    def _after_a_hole(self, before: HeardSecond, second: HeardSecond) -> None:
        from_ms, at_ms = before.utc_s * MS, second.utc_s * MS
        changes = [change for change in self._night.changes if from_ms < change.utc_ms <= at_ms]
        same = second.state == before.state and not changes
        if not same:
            self._since_ms = self._since(second, at_ms)
        if self._heard_by_beacon(from_ms, at_ms):
            # Belts beyond the adapter's connections are heard by beacons, which no store keeps: records stand for them.
            self._facts += [(c.utc_ms, Occupancy(self._night.bed, c.state, c.age_s)) for c in changes]
            self._facts.append((at_ms, Occupancy(self._night.bed, second.state, self._age_s(at_ms))))
            return
        self._down(before)
        absences = tuple(
            FinishedAbsence((at_ms - absence.ended_utc_ms) / MS, absence.duration_s)
            for absence in self._night.absences if from_ms < absence.ended_utc_ms <= at_ms
        )  # fmt: skip
        self._facts.append((at_ms, LinkUp(self._night.bed, second.state, self._age_s(at_ms), absences)))

    def _heard_by_beacon(self, from_ms: int, at_ms: int) -> bool:
        """A hole of more than the offline time that nobody was told of was none."""
        offline_ms = 90 * MS
        if at_ms - from_ms <= offline_ms:
            return False
        return not any(from_ms < deaf_ms <= at_ms + offline_ms for deaf_ms in self._night.deaf_utc_ms)

    def _down(self, last: HeardSecond) -> None:
        at_ms = (last.utc_s + SILENT_S) * MS
        self._facts.append((min(at_ms, self._night.end_utc_ms), LinkDown(self._night.bed, last.utc_s * MS)))

    def _since(self, second: HeardSecond, at_ms: int) -> int:
        """When the state of this reading began: by the newest record that tells of it, else now."""
        known: Sequence[StateChange] = [c for c in self._night.changes if c.utc_ms <= at_ms + CHANGE_SPREAD_MS]
        if known and known[-1].state == second.state:
            return min(at_ms, known[-1].utc_ms - round(known[-1].age_s * MS))
        return at_ms

    def _age_s(self, at_ms: int) -> float:
        return max(0, at_ms - self._since_ms) / MS

    def _rates(self, second: HeardSecond) -> None:
        """A reading that stands on the other side of a limit is told at once, others often enough to hold."""
        side = (
            second.heart_reason,
            _side(second.heart_rate_bpm, second.heart_quality, self._heart_marks),
            _side(second.respiration_per_min, second.respiration_quality, self._breath_marks),
        )
        told = self._told_vitals
        if told is not None and second.utc_s - told[0] < VITALS_EVERY_S and told[1] == side:
            return
        self._told_vitals = second.utc_s, side
        self._facts.append((second.utc_s * MS, vitals_fact(self._night.bed, second)))


def _marks(high: float | None, low: float | None, hysteresis: float) -> tuple[float, ...]:
    """The rates at which something changes for the notices."""
    marks = () if high is None else (high, high - hysteresis)
    return marks if low is None else (*marks, low, low + hysteresis)


def _side(rate: float | None, quality: int, marks: Sequence[float]) -> tuple[bool, ...] | None:
    """On which side of each mark a rate stands, and whether it is a good one; None without a rate."""
    if rate is None:
        return None
    sides = [(rate > mark, rate >= mark) for mark in marks]
    return (quality >= GOOD_QUALITY, *(one for side in sides for one in side))
