"""One bed, one moment: which rule takes which fact, in which order the rules act, and when they must act next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.cores import facts
from gateway.cores.effects import REFUSED
from gateway.cores.leave_bed.absence import (
    boot_wait_until_ms,
    judge_absence,
    prealert_due_ms,
    profile_changed,
    touch_until_ms,
)
from gateway.cores.leave_bed.alarm import acknowledge, clear_alarm, escalation_due_ms, judge_alarm, realarm_due_ms
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.link import fall_silent, hear, offline_due_ms
from gateway.cores.leave_bed.modes import (
    end_away,
    end_maintenance,
    judge_mode,
    start_assist,
    start_away,
    start_maintenance,
)
from gateway.cores.leave_bed.notices import (
    MINUTES,
    check_bed_due_ms,
    judge_notices,
    next_times_of_day_ms,
    no_signal_due_ms,
    reposition_due_ms,
    turned_over,
)
from gateway.cores.leave_bed.presence import judge_presence, settling_since_ms
from gateway.cores.leave_bed.raw import entry_since_ms, exit_confirmed_ms
from gateway.cores.leave_bed.state import PRESENT, UNACKNOWLEDGED
from gateway.cores.leave_bed.vital_notices import judge_vitals, next_vital_ms, take_vitals
from gateway.cores.profile import ProfileError


def apply_fact(bed: Bed, fact: facts.BedFact) -> None:
    """Take one fact. Without a belt there is nothing to take, except settings and an answer to no alarm."""
    if bed.state.bound or isinstance(fact, facts.Acknowledge | facts.WallCancel | facts.Configure):
        _TAKERS[type(fact)](bed, fact)


def judge_resident(bed: Bed) -> None:
    """Rules 1 to 15 now, in the order in which they act; the bed's link (16) comes after, notices after all beds."""
    if bed.state.bound:
        judge_mode(bed)
        judge_presence(bed)
        judge_absence(bed)
        judge_alarm(bed)


def judge_attention(bed: Bed, judged_before_ms: int) -> None:
    """The notices that are due; a time of day counts if it came after `judged_before_ms`."""
    if bed.state.bound:
        judge_notices(bed, judged_before_ms)
        judge_vitals(bed)


def due_instants_ms(bed: Bed) -> Iterator[int | None]:
    """Every instant at which `judge` could decide something new unless a fact comes first; past ones are idle."""
    state, profile = bed.state, bed.profile
    if not state.bound:
        return
    yield state.mode_until_ms
    yield offline_due_ms(bed)
    yield exit_confirmed_ms(bed)
    yield touch_until_ms(bed)
    entry_ms = entry_since_ms(bed)
    if entry_ms is not None:
        yield entry_ms + to_ms(profile.entry_confirm_s)
    if state.occupancy == PRESENT:
        yield settling_since_ms(bed) + to_ms(profile.settle_s)
    if state.episode is not None:
        yield state.episode.end_ms
        yield state.episode.deadline_ms()
        yield prealert_due_ms(bed)
        yield boot_wait_until_ms(bed)
    yield realarm_due_ms(bed)
    yield escalation_due_ms(bed)
    check_ms = check_bed_due_ms(bed)
    yield check_ms
    if check_ms is not None:
        yield bed.next_opening_ms()
    yield reposition_due_ms(bed)
    yield no_signal_due_ms(bed)
    yield from next_times_of_day_ms(bed)
    yield from next_vital_ms(bed)


def _configure(bed: Bed, fact: facts.Configure) -> None:
    try:
        bed.profile = bed.profile.merged(fact.changes)
    except ProfileError as wrong:
        bed.log(REFUSED, wrong.code, rule="8", reason=str(wrong))
        return
    if not MINUTES.isdisjoint(fact.changes):
        bed.state.minutes_from_ms = bed.now_ms - 1  # a minute set now has not come before it was set
    profile_changed(bed, new_windows="windows" in fact.changes or "timezone" in fact.changes)


def _unbind(bed: Bed, _: facts.Unbind) -> None:
    """Rule 20. A latched alarm does not refuse; it is cleared with the rest."""
    if bed.state.alarm.state == UNACKNOWLEDGED:
        bed.log(REFUSED, "alarm_active", rule="20")
        return
    clear_alarm(bed, "unbound", rule="20")
    # What else was raised ends with the belt, without a line: nothing it says can be true or false any more.
    bed.state = type(bed.state)(bound=False)


_TAKERS: Mapping[type, Callable[[Bed, Any], None]] = {
    facts.Occupancy: hear,
    facts.BeltReport: hear,
    facts.LinkUp: hear,
    facts.LinkDown: fall_silent,
    facts.Vitals: take_vitals,
    facts.TurnOver: lambda bed, _: turned_over(bed),
    facts.Acknowledge: lambda bed, _: acknowledge(bed),
    facts.WallCancel: lambda bed, _: acknowledge(bed),
    facts.Assist: lambda bed, _: start_assist(bed),
    facts.MaintenanceOn: lambda bed, _: start_maintenance(bed),
    facts.MaintenanceOff: lambda bed, _: end_maintenance(bed),
    facts.AwayOn: lambda bed, _: start_away(bed),
    facts.AwayOff: lambda bed, _: end_away(bed),
    facts.Configure: _configure,
    facts.Unbind: _unbind,
}
