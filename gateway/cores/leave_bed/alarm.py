"""The alarm of one bed: raising, sound, escalation, acknowledgement, latching and clearing (rules 9 to 12)."""

from __future__ import annotations

from gateway.cores.effects import (
    ACK,
    ACK_IGNORED,
    ALARM_CLEAR,
    ALARM_LATCHED,
    ALARM_RAISE,
    AUDIO_OFF,
    AUDIO_ON,
    ESCALATE,
    REALARM,
)
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.state import ACKNOWLEDGED, ACTIVE, LATCHED, NONE, UNACKNOWLEDGED, Alarm


def raise_alarm(bed: Bed) -> None:
    """Rule 9 has decided. A latched alarm is superseded (rule 12)."""
    if bed.state.alarm.state != NONE:
        clear_alarm(bed, "superseded", rule="12")
    priority = bed.profile.priority
    bed.state.alarm = Alarm(UNACKNOWLEDGED, 1, priority, raised_ms=bed.now_ms)
    bed.log(ALARM_RAISE, priority, rule="9", reason="" if bed.state.heard else "silent")
    follow_sound(bed, rule="9")


def follow_sound(bed: Bed, *, rule: str) -> None:
    """Sound, and the escalation count with it, run while the alarm is unacknowledged and the episode is not held."""
    alarm, episode = bed.state.alarm, bed.state.episode
    if alarm.state == UNACKNOWLEDGED and episode is not None and not episode.held:
        if alarm.counting_since_ms is None:
            alarm.counting_since_ms = bed.now_ms
        if not alarm.sounding:
            alarm.sounding = True
            bed.log(AUDIO_ON, rule=rule)
        return
    stop_counting(alarm, bed.now_ms)
    silence(bed, rule=rule)


def stop_counting(alarm: Alarm, at_ms: int) -> None:
    """Rule 10: time held, or with the gateway down, does not count."""
    if alarm.counting_since_ms is not None:
        alarm.counted_ms += at_ms - alarm.counting_since_ms
        alarm.counting_since_ms = None


def acknowledge(bed: Bed, *, rule: str = "11") -> None:
    """Rule 11, and rule 12 for a latched alarm."""
    alarm = bed.state.alarm
    if alarm.state not in (UNACKNOWLEDGED, LATCHED):
        bed.log(ACK_IGNORED, rule="11")
        return
    bed.log(ACK, rule=rule)
    if alarm.state == LATCHED:
        clear_alarm(bed, "acked_after_return", rule="12")
    else:
        alarm.state = ACKNOWLEDGED
        alarm.acked_ms = bed.now_ms
        follow_sound(bed, rule=rule)


def settled_return(bed: Bed) -> None:
    """Rule 12, when a held episode closes."""
    alarm = bed.state.alarm
    if alarm.state == UNACKNOWLEDGED and bed.profile.latch == "visual":
        alarm.state = LATCHED
        bed.log(ALARM_LATCHED, rule="12")
    elif alarm.state in (UNACKNOWLEDGED, ACKNOWLEDGED):
        clear_alarm(bed, "returned", rule="12")


def clear_alarm(bed: Bed, reason: str, *, rule: str) -> None:
    """End whatever alarm there is; nothing without one."""
    if bed.state.alarm.state != NONE:
        silence(bed, rule=rule)
        bed.state.alarm = Alarm()
        bed.log(ALARM_CLEAR, reason, rule=rule)


def silence(bed: Bed, *, rule: str) -> None:
    """Stop the sound."""
    alarm = bed.state.alarm
    if alarm.sounding:
        alarm.sounding = False
        bed.log(AUDIO_OFF, rule=rule)


def judge_alarm(bed: Bed) -> None:
    """The re-alarm and the escalation that are due (rules 10, 11, 13)."""
    due_ms = realarm_due_ms(bed)
    alarm = bed.state.alarm
    if due_ms is not None and bed.now_ms >= due_ms and _still_absent(bed) and bed.state.mode == ACTIVE:
        level = min(2, bed.profile.max_level)
        bed.state.alarm = Alarm(UNACKNOWLEDGED, level, alarm.priority, raised_ms=alarm.raised_ms)
        bed.log(REALARM, f"L{level}", rule="11")
        follow_sound(bed, rule="11")
    while (step_ms := escalation_due_ms(bed)) is not None and bed.now_ms >= step_ms:
        alarm = bed.state.alarm
        alarm.counted_ms -= to_ms(bed.profile.escalate_after_s)
        alarm.level += 1
        bed.log(ESCALATE, f"L{alarm.level}", rule="10")


def realarm_due_ms(bed: Bed) -> int | None:
    """When an acknowledged alarm sounds again if the resident is still absent; the end of assist may be later."""
    alarm = bed.state.alarm
    return alarm.acked_ms + to_ms(bed.profile.realarm_s) if alarm.state == ACKNOWLEDGED else None


def escalation_due_ms(bed: Bed) -> int | None:
    """When the level rises next; None while the count stands still or at the highest level."""
    alarm = bed.state.alarm
    if alarm.counting_since_ms is None or alarm.level >= bed.profile.max_level:
        return None
    return alarm.counting_since_ms + to_ms(bed.profile.escalate_after_s) - alarm.counted_ms


def _still_absent(bed: Bed) -> bool:
    # Rule 11 asks only for absence: a return that is not confirmed yet does not put a re-alarm off (rule 9 speaks of
    # raising), and one that is confirmed holds the episode.
    return bed.state.episode is not None and not bed.state.episode.held
