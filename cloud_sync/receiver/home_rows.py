"""Rows of the pages that run a home: alarms with their outcomes, trends, devices, minutes not watched, a shift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloud_sync.receiver.port import AlarmRow, EventRow, GapRow, NightCard, ResidentCard

__all__ = ["AlarmLine", "Belt", "Gateway", "ShiftLine", "TestAlarm", "Trend", "Unwatched", "median_response_s"]


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One alarm as people look back on it; `missed`: an absence that was only known when it was over (rule 18)."""

    alarm: AlarmRow
    outcome: str = ""  # real | assisted | false; empty: nobody told
    missed: bool = False

    @property
    def response_s(self) -> float | None:
        """From the raise to the first acknowledgement; None: nobody acknowledged it."""
        answered = self.alarm.acknowledged_utc_ms
        return None if answered is None or self.missed else max(0, answered - self.alarm.raised_utc_ms) / 1000


@dataclass(frozen=True, slots=True)
class Trend:
    """A resident's nights wherever they slept, newest first, and their own usual figures from the newest report."""

    nights: Sequence[NightCard]
    usual: Mapping[str, Mapping[str, float]]  # report field -> {median, spread, nights}; empty before 5 nights


@dataclass(frozen=True, slots=True)
class Belt:
    """One belt as it last described itself and as its gateway last heard it."""

    gateway: str
    bed: str
    room: str
    device: str
    firmware: str
    battery_percent: int | None
    mains: bool
    told_utc_ms: int | None
    heard_utc_ms: int | None
    watched: bool | None  # None: the gateway has said nothing lately
    why_unwatched: str


@dataclass(frozen=True, slots=True)
class TestAlarm:
    """The alarm of a walk test that waits to be answered from here."""

    gateway: str
    bed: str
    alarm_id: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway: when it last spoke, what is proven missing of its streams."""

    gateway: str
    heard_utc_ms: int | None
    beds: int
    gaps: tuple[GapRow, ...]

    @property
    def missing(self) -> int:
        """Numbers of its streams that are proven missing."""
        return sum(gap.last_seq - gap.first_seq + 1 for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Unwatched:
    """The seconds of a period in which an exit from this bed would have raised no alarm, by reason."""

    gateway: str
    bed: str
    room: str
    period_s: int
    by_reason: Mapping[str, int]

    @property
    def total_s(self) -> int:
        return sum(self.by_reason.values())


@dataclass(frozen=True, slots=True)
class ShiftLine:
    """What the next shift should know of one resident."""

    card: ResidentCard
    alarms: tuple[AlarmLine, ...]
    exits: int
    notices: tuple[EventRow, ...]  # newest first
    unwatched: Unwatched | None
    recorded_percent: float = field(default=0.0)

    @property
    def complete(self) -> bool:
        """False where counts can only be "at least"."""
        return self.recorded_percent >= 99


def median_response_s(lines: Sequence[AlarmLine]) -> float | None:
    """The median response time of those that were answered; None: none was."""
    times = sorted(line.response_s for line in lines if line.response_s is not None)
    if not times:
        return None
    middle = len(times) // 2
    return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
