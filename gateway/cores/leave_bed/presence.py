"""From raw classification to exits and returns: confirmation, settling, arming, episodes (rules 1 to 5, 21, 22)."""

from __future__ import annotations

from gateway.cores.effects import EXIT, MISSED_ALARM, NOTICE, RETURN
from gateway.cores.leave_bed.absence import end_prealert_at_return, judge_by_windows
from gateway.cores.leave_bed.alarm import follow_sound, settled_return, silence
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.modes import end_assist
from gateway.cores.leave_bed.notices import count_exit, ended_by_exit, ended_by_return
from gateway.cores.leave_bed.raw import entry_since_ms, exit_confirmed_ms
from gateway.cores.leave_bed.state import ABSENT, ACTIVE, AWAY, NO_ALARM_YET, PRESENT, Episode


def judge_presence(bed: Bed) -> None:
    """Confirm and settle whatever is due, then let the sound follow."""
    confirm_by_now(bed)
    follow_sound(bed, rule=_sound_rule(bed))


def confirm_by_now(bed: Bed) -> None:
    """Confirm and settle in the order of time (a bed that has settled leaves as a settled bed), without sound."""
    if bed.state.heard:
        _settle_by_now(bed)
        _confirm_exit(bed)
        _confirm_return(bed)
        _settle_by_now(bed)  # a return told late may have settled by now


def settle(bed: Bed, until_ms: int) -> None:
    """Close a held episode and arm the bed if presence lasted long enough up to `until_ms` (rules 3, 5)."""
    state = bed.state
    if state.occupancy != PRESENT or state.since_ms is None or bed.suspended:
        return
    settle_ms = to_ms(bed.profile.settle_s)
    if state.episode is not None and until_ms - state.since_ms >= settle_ms:
        silence(bed, rule="2")  # the return itself comes first, also when it is only found after a gap
        bed.log(RETURN, rule="5")
        state.episode = None
        settled_return(bed)
    if not state.armed and until_ms - settling_since_ms(bed) >= settle_ms:
        state.armed = True
        end_assist(bed)


def _settle_by_now(bed: Bed) -> None:
    """Settle what has settled by now, or by the exit that ends it."""
    # Presence ends when the exit is confirmed, which may lie in the past when a report comes late.
    left_ms = exit_confirmed_ms(bed)
    settle(bed, bed.now_ms if left_ms is None else min(bed.now_ms, left_ms))


def settling_since_ms(bed: Bed) -> int:
    """Rule 3: from the start of presence, or the end of maintenance or away if later."""
    return bed.later_of(bed.state.since_ms, bed.state.suspension_ended_ms)


def exit_at(bed: Bed, since_ms: int) -> None:
    """A confirmed exit at `since_ms`: opens or resumes an episode, or only empties the bed (rules 4, 5, 21)."""
    state = bed.state
    opens = state.armed or state.first_exit
    state.occupancy, state.since_ms = ABSENT, since_ms
    state.armed = state.first_exit = False
    ended_by_exit(bed)
    if state.episode is not None:
        state.episode.held = False
    elif opens:
        state.episode = Episode(since_ms)
        judge_by_windows(bed, state.episode)
        bed.log(EXIT, rule="4")
        count_exit(bed, since_ms)


def return_at(bed: Bed, since_ms: int) -> None:
    """A confirmed return, presence starting at `since_ms` (rule 2)."""
    state = bed.state
    state.occupancy, state.since_ms = PRESENT, since_ms
    ended_by_return(bed)
    if state.mode == AWAY and not state.away_noticed:
        state.away_noticed = True
        bed.log(NOTICE, "occupied_while_away", rule="15")
    if state.episode is not None:
        _hold(bed, state.episode, since_ms)


def disclose_missed(bed: Bed, episode: Episode, *, rule: str) -> None:
    """`missed_alarm`, only with the mode active, once per episode, never beside an alarm."""
    if not episode.missed and bed.state.mode == ACTIVE and bed.state.alarm.state in NO_ALARM_YET:
        episode.missed = True
        bed.log(MISSED_ALARM, rule=rule)


def _hold(bed: Bed, episode: Episode, since_ms: int) -> None:
    episode.held = True
    end_prealert_at_return(bed, episode)
    # As in a gap, also where stop_at_end had dropped the deadline: the gateway was not there to raise it in time.
    if episode.restarted and episode.is_overdue(since_ms):
        disclose_missed(bed, episode, rule="17")


def _confirm_exit(bed: Bed) -> None:
    due_ms = exit_confirmed_ms(bed)
    if due_ms is not None and bed.state.occupancy != ABSENT and bed.now_ms >= due_ms:
        exit_at(bed, bed.state.raw_since_ms)


def _confirm_return(bed: Bed) -> None:
    since_ms = entry_since_ms(bed)
    if since_ms is None or bed.state.occupancy == PRESENT:
        return
    if bed.now_ms >= since_ms + to_ms(bed.profile.entry_confirm_s):
        return_at(bed, since_ms)


def _sound_rule(bed: Bed) -> str:
    episode = bed.state.episode
    if episode is not None and episode.held:
        return "2"
    return "17" if bed.boot_ms == bed.now_ms else "5"
