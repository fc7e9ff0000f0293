"""Assist, maintenance and away: what people tell the rules about a bed (rules 13 to 15)."""

from __future__ import annotations

from gateway.cores.effects import TECH_CLEAR, TECH_RAISE
from gateway.cores.leave_bed.alarm import acknowledge, clear_alarm
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.state import ACTIVE, ASSIST, AWAY, MAINTENANCE, UNACKNOWLEDGED, VitalWatch


def start_assist(bed: Bed) -> None:
    """Rule 13; pressed again it starts over. Ignored during maintenance or away."""
    if bed.suspended:
        return
    bed.state.mode = ASSIST
    bed.state.mode_until_ms = bed.now_ms + to_ms(bed.profile.assist_s)
    # "A live alarm" is one that calls: a latched one has no resident out of bed any more and waits for its own answer.
    if bed.state.alarm.state == UNACKNOWLEDGED:
        acknowledge(bed, rule="13")


def end_assist(bed: Bed) -> None:
    if bed.state.mode == ASSIST:
        bed.state.mode = ACTIVE
        bed.state.mode_until_ms = None


def start_maintenance(bed: Bed) -> None:
    """Rule 14; switched on again it runs its full time again."""
    _suspend(bed, MAINTENANCE, rule="14")
    bed.state.mode_until_ms = bed.now_ms + to_ms(bed.profile.maintenance_max_s)


def start_away(bed: Bed) -> None:
    """Rule 15; while away it changes nothing."""
    if bed.state.mode != AWAY:
        _suspend(bed, AWAY, rule="15")
        bed.state.away_noticed = False


def end_maintenance(bed: Bed) -> None:
    if bed.state.mode == MAINTENANCE:
        _resume(bed, bed.now_ms)


def end_away(bed: Bed) -> None:
    if bed.state.mode == AWAY:
        _resume(bed, bed.now_ms)


def judge_mode(bed: Bed) -> None:
    """End what has run out. Maintenance that ran out while the gateway was down ended at its limit (rule 14)."""
    until_ms = bed.state.mode_until_ms
    if until_ms is None or bed.now_ms < until_ms:
        return
    if bed.state.mode == MAINTENANCE:
        _resume(bed, until_ms)
        bed.log(TECH_RAISE, "maintenance_timeout", rule="14")
    else:
        end_assist(bed)


def _suspend(bed: Bed, mode: str, *, rule: str) -> None:
    state = bed.state
    clear_alarm(bed, mode, rule=rule)
    # A raised prealert goes with its episode, without a line.
    state.episode = None
    state.armed = False
    state.first_exit = False
    for code in list(state.notices):
        bed.clear_notice(code, rule=rule)
    if state.offline:
        state.offline = False
        bed.log(TECH_CLEAR, "belt_offline", rule=rule)
    state.watches = {name: VitalWatch() for name in state.watches}
    state.mode = mode
    state.mode_until_ms = None


def _resume(bed: Bed, at_ms: int) -> None:
    bed.state.mode = ACTIVE
    bed.state.mode_until_ms = None
    bed.state.suspension_ended_ms = at_ms
    bed.state.sampled_to_ms = bed.now_ms  # vital notices start counting here
