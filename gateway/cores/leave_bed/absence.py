"""How long an absence may last: deadline, window end, pre-alert, alarm (rules 6, 7, 9, 18, 20)."""

from __future__ import annotations

from gateway.cores.effects import PREALERT, PREALERT_CLEAR
from gateway.cores.facts import OCCUPIED
from gateway.cores.leave_bed.alarm import clear_alarm, raise_alarm
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.state import ACTIVE, NO_ALARM_YET, Episode
from gateway.cores.profile import Profile
from gateway.cores.windows import covering, upcoming


def judge_by_windows(bed: Bed, episode: Episode) -> None:
    """Rule 6: fix base, allowance and window end as elapsed instants, by the wall clock as it goes now."""
    windows, zone = bed.profile.windows, bed.zone
    episode.base_ms = episode.end_ms = episode.window = None
    episode.dropped = False
    episode.provisional = not bed.trusted
    if not windows:
        return
    if not bed.trusted:
        episode.base_ms = episode.out_since_ms
        episode.allowed_ms = _smallest_allowance_ms(bed.profile)
        return
    out_utc_ms = bed.utc_ms(episode.out_since_ms)
    opening = covering(windows, zone, out_utc_ms)
    if opening is not None:
        episode.base_ms = episode.out_since_ms
    else:
        opening = upcoming(windows, zone, out_utc_ms)
        if opening is None or opening.start_utc_ms - out_utc_ms > to_ms(bed.profile.carry_in_s):
            return
        episode.base_ms = opening.start_utc_ms - bed.offset_ms
    episode.end_ms = opening.end_utc_ms - bed.offset_ms
    episode.window = opening.index
    episode.allowed_ms = to_ms(windows[opening.index].allowed_s)


def time_became_trusted(bed: Bed) -> None:
    """Rule 18: a provisional episode without an alarm is judged again; an alarm stays."""
    episode = bed.state.episode
    if episode is not None and episode.provisional and bed.state.alarm.state in NO_ALARM_YET:
        judge_by_windows(bed, episode)


def profile_changed(bed: Bed, *, new_windows: bool) -> None:
    """Rule 20, after `bed.profile` has been replaced; `new_windows` if they, or their time zone, were among it."""
    episode, profile = bed.state.episode, bed.profile
    if not profile.windows:
        # "Switching the rule off clears": whatever alarm there is, a latched one too. That it "counts as none" is
        # read as belonging to the condition "without an alarm" below, as in rule 7.
        clear_alarm(bed, "rule_disabled", rule="20")
    if episode is None:
        return
    if new_windows:
        if bed.state.alarm.state in NO_ALARM_YET:
            judge_by_windows(bed, episode)
    elif episode.window is not None and episode.window < len(profile.windows):
        episode.allowed_ms = to_ms(profile.windows[episode.window].allowed_s)
    elif profile.windows:  # no window allowed it: judged without trusted time, or not timed at all
        episode.allowed_ms = _smallest_allowance_ms(profile)


def judge_absence(bed: Bed) -> None:
    """Rule 7, then rule 9, then the pre-alert."""
    episode = bed.state.episode
    if episode is None or bed.state.alarm.state not in NO_ALARM_YET:
        return
    if bed.profile.tail == "stop_at_end" and episode.end_ms is not None and bed.now_ms >= episode.end_ms:
        episode.dropped = True
    deadline_ms = episode.deadline_ms()
    if deadline_ms is None or not _may_alarm(bed, episode):
        return
    if bed.now_ms >= deadline_ms:
        if not _waits_for_belt_after_boot(bed, deadline_ms):
            if episode.prealert == "raised":
                episode.prealert = "spent"
            raise_alarm(bed)
        return
    due_ms = prealert_due_ms(bed)
    if due_ms is not None and bed.now_ms >= due_ms:
        episode.prealert = "raised"
        bed.log(PREALERT, rule="prealert")


def prealert_due_ms(bed: Bed) -> int | None:
    """When the pre-alert of the open episode is due; never before base, once per episode."""
    episode = bed.state.episode
    deadline_ms = None if episode is None or episode.prealert else episode.deadline_ms()
    if episode is None or deadline_ms is None:
        return None
    # 0 s, that is off, falls on the deadline itself, where the alarm takes its place.
    return max(deadline_ms - to_ms(bed.profile.prealert_s), deadline_ms - episode.allowed_ms)


def end_prealert_at_return(bed: Bed, episode: Episode) -> None:
    if episode.prealert == "raised":
        episode.prealert = "spent"
        bed.log(PREALERT_CLEAR, rule="prealert")


def touch_until_ms(bed: Bed) -> int | None:
    """Until when raw occupied counts as a return being confirmed (rule 9).

    Measured from raw occupied, with `require_vitals` too, and by the last word of a belt that has fallen silent.
    """
    if bed.state.raw != OCCUPIED:
        return None
    return bed.state.raw_since_ms + to_ms(bed.profile.entry_confirm_s)


def boot_wait_until_ms(bed: Bed) -> int | None:
    """Rule 17: until when a deadline missed while the gateway was down waits for the belt."""
    if bed.boot_ms is None or bed.state.heard_since_boot:
        return None
    return bed.boot_ms + to_ms(bed.profile.boot_wait_s)


def _may_alarm(bed: Bed, episode: Episode) -> bool:
    touch_ms = touch_until_ms(bed)
    return not episode.held and bed.state.mode == ACTIVE and (touch_ms is None or bed.now_ms >= touch_ms)


def _waits_for_belt_after_boot(bed: Bed, deadline_ms: int) -> bool:
    until_ms = boot_wait_until_ms(bed)
    return until_ms is not None and bed.now_ms < until_ms and deadline_ms < until_ms - to_ms(bed.profile.boot_wait_s)


def _smallest_allowance_ms(profile: Profile) -> int:
    return min(to_ms(window.allowed_s) for window in profile.windows)
