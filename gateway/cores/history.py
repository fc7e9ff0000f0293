"""Running a history of facts through the leave-bed rules: what would have been decided, from deadline to deadline.

The seam between a scenario file, a stored night and the rules: whoever has facts with their moments calls
`run_history` with the profiles to try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from gateway.cores.effects import Effect
from gateway.cores.facts import BeltReport, ClockTrust, Fact, GatewayDown, GatewayUp
from gateway.cores.leave_bed import Now, Ward
from gateway.cores.leave_bed.ward import in_log_order
from gateway.cores.profile import Profile


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock is moved by `by_ms`; no other clock is."""

    by_ms: int


@dataclass(frozen=True, slots=True)
class ClockStart:
    """The gateway starts; its clock is trusted or not."""

    trusted: bool


Happening = Fact | ClockStep | ClockStart


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of every bed at the start: the raw state, for how long, and whether nothing was known before."""

    state: str
    state_age_s: float
    first_contact: bool


class _Clocks:
    """True time, and the wall clock the gateway sees: `clock_step`s move it until time becomes trusted (rule 18)."""

    def __init__(self) -> None:
        self.step_ms = 0
        self.trusted = True
        self.running = True

    def now(self, at_ms: int) -> Now:
        return Now(at_ms, at_ms + self.step_ms, self.trusted)

    def trust(self, trusted: bool) -> None:
        if trusted and not self.trusted:
            self.step_ms = 0
        self.trusted = trusted


def run_history(
    profiles: Mapping[str, Profile],
    timezone: str,
    start_ms: int,
    end_ms: int,
    happenings: Iterable[tuple[int, Happening]],
    start: Start | None = None,
) -> list[Effect]:
    """Everything decided in [start, end], in log order. `happenings` are (UTC ms, what), in the order of time.

    The elapsed axis of the run is true UTC. Without `start` every belt begins unheard (first contact).
    """
    clocks = _Clocks()
    ward = Ward(profiles, timezone, clocks.now(start_ms))
    effects: list[Effect] = []
    if start is not None:
        for bed in profiles:
            if start.first_contact:
                report = BeltReport(bed, start.state, start.state_age_s, vitals_valid=True)
                effects += ward.apply(clocks.now(start_ms), report)
            else:
                ward.assume(bed, start.state, start.state_age_s)
    moments = groupby(happenings, key=lambda happening: happening[0])
    judged_start = False
    for at_ms, group in moments:
        if at_ms > start_ms and not judged_start:
            effects += ward.advance(clocks.now(start_ms))
        judged_start = True
        for _, happening in group:
            effects += _happen(ward, clocks, at_ms, happening)
        effects += ward.advance(clocks.now(at_ms))
    if not judged_start:
        effects += ward.advance(clocks.now(start_ms))
    effects += ward.advance(clocks.now(end_ms))
    return in_log_order(effects)


def _happen(ward: Ward, clocks: _Clocks, at_ms: int, happening: Happening) -> list[Effect]:
    if isinstance(happening, ClockStep):
        clocks.step_ms += happening.by_ms
        return []
    if isinstance(happening, ClockStart):
        effects = ward.apply(clocks.now(at_ms), GatewayDown()) if clocks.running else []
        clocks.running = True
        clocks.trust(happening.trusted)
        return [*effects, *ward.apply(clocks.now(at_ms), GatewayUp())]
    if isinstance(happening, ClockTrust):
        if clocks.running:
            clocks.trust(happening.trusted)
    elif isinstance(happening, GatewayDown):
        clocks.running = False
    return ward.apply(clocks.now(at_ms), happening)
