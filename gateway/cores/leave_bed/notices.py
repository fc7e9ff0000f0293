"""Attention notices that are no alarm: check_bed, the times of day, repeated exits, reposition, no signal."""

from __future__ import annotations

from gateway.cores.effects import NOTICE
from gateway.cores.facts import SENSOR, UNCLEAR
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.raw import entry_since_ms
from gateway.cores.leave_bed.state import ABSENT, PRESENT
from gateway.cores.windows import last_occurrence_utc_ms, next_occurrence_utc_ms

CHECK_BED = "check_bed"
NOT_IN_BED_BY = "not_in_bed_by"
NOT_UP_BY = "not_up_by"
REPEATED_EXITS = "repeated_exits"
REPOSITION = "reposition"
NO_SIGNAL = "no_signal"
MINUTES = frozenset((NOT_IN_BED_BY, NOT_UP_BY, "timezone"))
"""Settings that say which minute of the day is meant."""

CHECK_BED_AFTER_MS = 60_000
EXITS_REMEMBERED = 200


def ended_by_exit(bed: Bed) -> None:
    """A confirmed exit answers these notices."""
    bed.clear_notice(CHECK_BED, rule="23")
    bed.clear_notice(NOT_UP_BY, rule=NOT_UP_BY)
    bed.clear_notice(REPOSITION, rule=REPOSITION)
    bed.clear_notice(NO_SIGNAL, rule=NO_SIGNAL)


def ended_by_return(bed: Bed) -> None:
    """A confirmed return answers these notices."""
    bed.clear_notice(NOT_IN_BED_BY, rule=NOT_IN_BED_BY)


def count_exit(bed: Bed, out_since_ms: int) -> None:
    """repeated_exits: the n-th exit inside a window within the span, then quiet for a span. Momentary."""
    count = bed.profile.repeat_count
    if not bed.window_open(out_since_ms):
        return
    state, span_ms = bed.state, to_ms(bed.profile.repeat_span_s)
    state.exits_ms = [*state.exits_ms, out_since_ms][-EXITS_REMEMBERED:]
    recent = [at_ms for at_ms in state.exits_ms if out_since_ms - at_ms <= span_ms]
    quiet = state.repeat_noticed_ms is not None and bed.now_ms - state.repeat_noticed_ms < span_ms
    if count and len(recent) >= count and not quiet:
        state.repeat_noticed_ms = bed.now_ms
        bed.log(NOTICE, REPEATED_EXITS, rule=REPEATED_EXITS)


def turned_over(bed: Bed) -> None:
    bed.state.turned_ms = bed.now_ms
    bed.clear_notice(REPOSITION, rule=REPOSITION)


def judge_notices(bed: Bed, judged_before_ms: int) -> None:
    """Raise and clear what is due; a time of day counts if it came after `judged_before_ms`."""
    _judge_check_bed(bed)
    if bed.suspended:
        return
    _judge_times_of_day(bed, judged_before_ms)
    due_ms = reposition_due_ms(bed)
    if due_ms is not None and bed.now_ms >= due_ms:
        bed.raise_notice(REPOSITION, rule=REPOSITION)
    _judge_no_signal(bed)


def check_bed_due_ms(bed: Bed) -> int | None:
    """Rule 23: when 60 s of unclear are over, if this bed would get the notice (window not looked at)."""
    state = bed.state
    if state.raw != UNCLEAR or not state.heard or not state.armed:
        return None
    return state.raw_since_ms + CHECK_BED_AFTER_MS


def reposition_due_ms(bed: Bed) -> int | None:
    since_ms = _in_bed_since_ms(bed)
    if not bed.profile.reposition_s or since_ms is None:
        return None
    return bed.later_of(since_ms, bed.state.turned_ms) + to_ms(bed.profile.reposition_s)


def no_signal_due_ms(bed: Bed) -> int | None:
    since_ms, rate = _in_bed_since_ms(bed), bed.state.rate
    if not bed.profile.no_signal_s or since_ms is None or not bed.state.heard:
        return None
    if rate.since_ms is not None:
        return None
    return bed.later_of(since_ms, rate.lost_ms) + to_ms(bed.profile.no_signal_s)


def next_times_of_day_ms(bed: Bed) -> list[int]:
    """When the configured times of day come next, as the wall clock goes now."""
    utc_ms, zone = bed.utc_ms(bed.now_ms), bed.zone
    minutes = [minute for minute in (bed.profile.not_in_bed_by, bed.profile.not_up_by) if minute is not None]
    return [next_occurrence_utc_ms(minute, zone, utc_ms) - bed.offset_ms for minute in minutes]


def _in_bed_since_ms(bed: Bed) -> int | None:
    """Start of presence."""
    return bed.state.since_ms if bed.state.occupancy == PRESENT else None


def _judge_check_bed(bed: Bed) -> None:
    state = bed.state
    due_ms = check_bed_due_ms(bed)
    if due_ms is not None and bed.now_ms >= due_ms and bed.window_open(bed.now_ms):
        bed.raise_notice(CHECK_BED, rule="23")
    # Still present: occupied again for as long as a return takes is a confirmed state (an exit clears it elsewhere).
    entry_ms = entry_since_ms(bed)
    if state.heard and entry_ms is not None and bed.now_ms >= entry_ms + to_ms(bed.profile.entry_confirm_s):
        bed.clear_notice(CHECK_BED, rule="23")


def _judge_times_of_day(bed: Bed, judged_before_ms: int) -> None:
    # Without trusted time nobody knows which minute it is; only windows have a rule for that (18).
    if not bed.trusted:
        return
    state, profile = bed.state, bed.profile
    if _came(bed, NOT_IN_BED_BY, profile.not_in_bed_by, judged_before_ms) and state.occupancy == ABSENT:
        bed.raise_notice(NOT_IN_BED_BY, rule=NOT_IN_BED_BY)
    present_ms = _in_bed_since_ms(bed)
    lasted = present_ms is not None and bed.now_ms - present_ms >= to_ms(profile.not_up_lookback_s)
    if _came(bed, NOT_UP_BY, profile.not_up_by, judged_before_ms) and lasted:
        bed.raise_notice(NOT_UP_BY, rule=NOT_UP_BY)


def _came(bed: Bed, code: str, minute: int | None, judged_before_ms: int) -> bool:
    """Whether that minute began since the last judgement. A clock corrected by seconds does not make it come twice."""
    if minute is None:
        return False
    at_ms = last_occurrence_utc_ms(minute, bed.zone, bed.utc_ms(bed.now_ms)) - bed.offset_ms
    came_ms = bed.state.came_ms.get(code)
    if at_ms <= max(judged_before_ms, bed.state.minutes_from_ms) or (came_ms is not None and at_ms - came_ms < 60_000):
        return False
    bed.state.came_ms[code] = at_ms
    return True


def _judge_no_signal(bed: Bed) -> None:
    due_ms = no_signal_due_ms(bed)
    if due_ms is not None and bed.now_ms >= due_ms:
        bed.raise_notice(NO_SIGNAL, rule=NO_SIGNAL, reason=bed.state.rate.reason or SENSOR)
    elif bed.state.rate.since_ms is not None:
        bed.clear_notice(NO_SIGNAL, rule=NO_SIGNAL)
