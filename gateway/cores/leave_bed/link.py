"""Hearing a belt and not hearing it: reports, silence, restart of the gateway, belt_offline (rules 16, 17, 21)."""

from __future__ import annotations

from gateway.cores.effects import TECH_CLEAR, TECH_RAISE
from gateway.cores.facts import EMPTY, OCCUPIED, UNCLEAR, LinkDown, LinkUp, Occupancy, Report
from gateway.cores.leave_bed.alarm import stop_counting
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.gap import apply_finished
from gateway.cores.leave_bed.presence import confirm_by_now
from gateway.cores.leave_bed.state import ABSENT, PRESENT, Rate
from gateway.cores.leave_bed.vital_notices import count_vitals, rate_reported


def hear(bed: Bed, report: Report) -> None:
    """A report of the belt's raw state, after silence or not."""
    state = bed.state
    was_silent = not state.heard
    state.heard = state.heard_since_boot = True
    if state.offline:
        state.offline = False
        bed.log(TECH_CLEAR, "belt_offline", rule="16")
    age_ms, raw_before = to_ms(report.state_age_s), state.raw
    if state.last_heard_ms is None:
        _first_contact(bed, report, age_ms)
    else:
        since_ms = bed.now_ms - age_ms
        if was_silent:
            floor_ms = state.last_heard_ms
            if isinstance(report, LinkUp):
                floor_ms = apply_finished(bed, report.finished_absences, floor_ms)
            since_ms = max(since_ms, floor_ms)
        _set_raw(bed, report.state, since_ms)
    state.last_heard_ms = bed.now_ms
    if state.raw != OCCUPIED and state.episode is not None:
        state.episode.restarted = False  # still out: what comes now is no matter of the restart any more
    _take_rate(bed, report, changed=raw_before != state.raw)
    if was_silent and raw_before is not None:
        confirm_by_now(bed)  # after the fact: before anything that people do in this second


def fall_silent(bed: Bed, fact: LinkDown) -> None:
    """The belt is no longer heard: never an exit and never a return."""
    if bed.state.heard:
        at_ms = bed.now_ms if fact.last_heard_ms is None else min(fact.last_heard_ms, bed.now_ms)
        bed.state.heard = False
        bed.state.last_heard_ms = bed.state.silent_since_ms = at_ms


def gateway_stopped(bed: Bed, at_ms: int) -> None:
    """Rule 10: the escalation count stands still, and others with it; nothing sounds."""
    count_vitals(bed, at_ms)
    stop_counting(bed.state.alarm, at_ms)
    bed.state.alarm.sounding = False
    if bed.state.heard:
        bed.state.last_heard_ms = at_ms


def gateway_started(bed: Bed) -> None:
    """Rule 17: the belt is unheard until it reports; `offline_after_s` counts from boot."""
    state = bed.state
    state.heard = state.heard_since_boot = False
    state.silent_since_ms = state.sampled_to_ms = bed.now_ms
    if state.episode is not None:
        state.episode.restarted = True


def judge_link(bed: Bed) -> None:
    """`belt_offline`; not to be asked while `radio_down` stands for all beds."""
    due_ms = offline_due_ms(bed)
    if due_ms is not None and bed.now_ms >= due_ms:
        bed.state.offline = True
        bed.log(TECH_RAISE, "belt_offline", rule="16")


def offline_due_ms(bed: Bed) -> int | None:
    state = bed.state
    if state.heard or state.offline or bed.suspended:
        return None
    return state.silent_since_ms + to_ms(bed.profile.offline_after_s)


def assume_heard_all_along(bed: Bed, raw: str, age_s: float) -> None:
    """The start of a history without a first contact: rules 1 to 3 have been applied to `raw` for `age_s`.

    Empty is absent, not armed and without an episode.
    """
    state, age_ms = bed.state, to_ms(age_s)
    state.heard = state.heard_since_boot = True
    state.last_heard_ms = bed.now_ms
    state.raw, state.raw_since_ms = raw, bed.now_ms - age_ms
    state.rate = Rate(since_ms=state.raw_since_ms)
    if raw == UNCLEAR:
        return
    if raw == OCCUPIED and age_ms >= to_ms(bed.profile.entry_confirm_s):
        state.occupancy, state.since_ms = PRESENT, state.raw_since_ms
        state.armed = age_ms >= to_ms(bed.profile.settle_s)
    else:
        state.occupancy, state.since_ms = ABSENT, state.raw_since_ms


def _take_rate(bed: Bed, report: Report, *, changed: bool) -> None:
    """The rates of a report. Valid ones of a changed state are as old as the state itself."""
    valid = report.vitals_valid
    if valid is None and changed and report.state == OCCUPIED and isinstance(report, Occupancy):
        valid = True
    if valid is not None:
        rate_reported(bed, valid, bed.state.raw_since_ms if changed else bed.now_ms)


def _first_contact(bed: Bed, report: Report, age_ms: int) -> None:
    state = bed.state
    state.raw, state.raw_since_ms = report.state, bed.now_ms - age_ms
    recent = age_ms <= to_ms(bed.profile.carry_in_s)
    state.first_exit = report.state == EMPTY and recent and report.ever_occupied and not bed.suspended


def _set_raw(bed: Bed, raw: str, since_ms: int) -> None:
    state = bed.state
    if raw == state.raw:
        return
    if raw == OCCUPIED:
        state.first_exit = False
    state.raw, state.raw_since_ms = raw, since_ms
