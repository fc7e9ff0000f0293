"""What can happen to a bed: the inputs of the leave-bed rules (LEAVE_BED.md), without any moment of their own.

The moment a fact becomes known is the `Now` it is handed over with; ages count back from there. A fact about the
whole gateway has `bed` None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EMPTY, OCCUPIED, UNCLEAR = "empty", "occupied", "unclear"
RAW_STATES = (EMPTY, OCCUPIED, UNCLEAR)

WEAK, MOVING, SENSOR = "weak", "moving", "sensor"
"""Why a belt shows no valid rate, the reasons of the notice `no_signal`."""

GOOD_QUALITY = 50
"""A rate of at least this quality (0-100) is a good-quality sample for the vital notices."""


@dataclass(frozen=True, slots=True)
class FinishedAbsence:
    """An absence the belt still remembers: it ended `ended_ago_s` before now and had lasted `duration_s`."""

    ended_ago_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The belt was heard: its raw classification, held for `state_age_s`.

    `vitals_valid` None says nothing about the rates: the last word stands, and a bed that becomes occupied is taken to
    show valid ones until a `Vitals` denies it. `ever_occupied` is False when the belt has not seen anybody since its
    boot (rule 21). Repeating an unchanged state changes nothing.
    """

    bed: str
    state: str
    state_age_s: float = 0.0
    vitals_valid: bool | None = None
    ever_occupied: bool = True


@dataclass(frozen=True, slots=True)
class BeltReport:
    """The belt was heard, usually for the first time after a gateway restart (rule 17)."""

    bed: str
    state: str
    state_age_s: float = 0.0
    vitals_valid: bool | None = None
    ever_occupied: bool = True


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A session with a silent belt is back; `finished_absences` are those the belt remembers (rule 16)."""

    bed: str
    state: str
    state_age_s: float = 0.0
    finished_absences: tuple[FinishedAbsence, ...] = ()
    vitals_valid: bool | None = None
    ever_occupied: bool = True


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The belt has fallen silent; `last_heard_ms` (elapsed clock) if that was before now."""

    bed: str
    last_heard_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Vitals:
    """One vital reading; it holds until the next one, at most 10 s. None: no value.

    `valid` None means: valid if either rate is present. `quality` 0-100, None counts as good.
    `reason` (weak, moving, sensor) says why there is no valid rate.
    """

    bed: str
    valid: bool | None = None
    heart_rate_bpm: float | None = None
    respiration_per_min: float | None = None
    quality: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The resident turned over just now."""

    bed: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody answers this bed's alarm; `who` is only for the audit."""

    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class WallCancel:
    """The call was cancelled at the nurse-call wall unit: an acknowledgement."""

    bed: str


@dataclass(frozen=True, slots=True)
class Assist:
    """A carer is present (rule 13)."""

    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class MaintenanceOn:
    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class MaintenanceOff:
    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class AwayOn:
    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class AwayOff:
    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Configure:
    """Settings to merge into the profile, with the keys of a scenario's `profile`; `refused CODE` if they are wrong."""

    bed: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    who: str = ""


@dataclass(frozen=True, slots=True)
class Unbind:
    """Take the belt off this bed; refused while an alarm is unacknowledged (rule 20)."""

    bed: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class GatewayDown:
    """The gateway stops; nothing is decided until `GatewayUp`. A crash needs no such fact."""

    bed: None = None


@dataclass(frozen=True, slots=True)
class GatewayUp:
    """The gateway has started: hand it over first after `Ward.from_state`.

    Without a `GatewayDown` before it, the gateway counts as down since the last moment the ward was told.
    Whether time is trusted stands in the `Now`.
    """

    bed: None = None


@dataclass(frozen=True, slots=True)
class ClockTrust:
    """Time became trusted or untrusted. A `Now` with another `trusted` than before says the same."""

    trusted: bool
    bed: None = None


Report = Occupancy | BeltReport | LinkUp
BedFact = (
    Occupancy
    | BeltReport
    | LinkUp
    | LinkDown
    | Vitals
    | TurnOver
    | Acknowledge
    | WallCancel
    | Assist
    | MaintenanceOn
    | MaintenanceOff
    | AwayOn
    | AwayOff
    | Configure
    | Unbind
)
GatewayFact = GatewayDown | GatewayUp | ClockTrust
Fact = BedFact | GatewayFact
