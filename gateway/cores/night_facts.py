"""What a night is made of: the facts of one resident between two noons, as plain numbers.

Instants are whole UTC seconds, so that durations are elapsed time and a clock change needs no care (NIGHT_REPORT.md:
"all durations elapsed seconds"). Local time enters only with `timezone`, for noon, the night window and printing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time

NIGHT_WINDOW = (time(22, 0), time(6, 0))
"""Default of a resident's night window (local)."""

EPOCH_S = 30
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open interval of UTC seconds, `start_utc_s <= t < end_utc_s`."""

    start_utc_s: int
    end_utc_s: int

    @property
    def seconds(self) -> int:
        return self.end_utc_s - self.start_utc_s


@dataclass(frozen=True, slots=True)
class Presence:
    """The resident was in bed; `end_utc_s` None = still there at `NightFacts.as_of_utc_s`."""

    start_utc_s: int
    end_utc_s: int | None


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute record [at, at + 60 s). None = not known; never 0 in its place.

    `movement_s` seconds moving (0-60); `movement_halves_s` the same split over its two 30 s halves, where stored.
    `heart_rate_reason`: why a rate is absent ("irregular", "moving", ...), "" = it is there, None = nobody says why.
    `weak_breath_s` seconds of weak or paused breath.
    """

    at_utc_s: int
    heart_rate_bpm: float | None = None
    respiration_per_min: float | None = None
    movement_s: float | None = None
    turn_overs: int | None = None
    movement_halves_s: tuple[float, float] | None = None
    heart_rate_reason: str | None = None
    weak_breath_s: float | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """A given stage for [start, start + 30 s); given epochs replace the scorer."""

    start_utc_s: int
    asleep: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """One leave-bed alarm of the resident; `answered_utc_s` None = nobody answered yet."""

    raised_utc_s: int
    answered_utc_s: int | None


@dataclass(frozen=True, slots=True)
class PastNight:
    """An earlier report of the same resident, for `versus_usual`; `figures` by report field name, None = unknown."""

    night_of: date
    complete: bool
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class NightFacts:
    """Everything the report of the night before waking date `night_of` may use; facts outside noon to noon are ignored.

    `timezone` is an IANA name. `as_of_utc_s` None = noon of `night_of`. Intervals of one list do not overlap.
    `silences` are belt silence and sensor fault alike. `alarms` None = not known (a facts file without them).
    `epochs` None or empty = let the scorer decide. `history` in any order, the newest version of each night only.
    """

    timezone: str
    night_of: date
    occupancy: tuple[Presence, ...]
    as_of_utc_s: int | None = None
    night_window: tuple[time, time] = NIGHT_WINDOW
    silences: tuple[Span, ...] = ()
    assists: tuple[Span, ...] = ()
    minutes: tuple[Minute, ...] = ()
    epochs: tuple[Epoch, ...] | None = None
    alarms: tuple[Alarm, ...] | None = None
    history: tuple[PastNight, ...] = field(default=())
    report_version: int = 1
