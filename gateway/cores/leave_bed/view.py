"""What a page shows of one bed: a snapshot in words and instants, no decision."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.cores.leave_bed.alarm import realarm_due_ms
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.clock import Now
from gateway.cores.leave_bed.presence import settling_since_ms
from gateway.cores.leave_bed.state import ABSENT, ASSIST, NO_ALARM_YET, NONE, PRESENT, SUSPENDED_MODES, UNKNOWN


@dataclass(frozen=True, slots=True)
class BedView:
    """One bed at one moment. `*_ms` on the elapsed clock, `*_utc_ms` for labels; None where there is none."""

    bed: str
    state: str
    """unknown / present / absent / held (back in bed, not settled)."""
    since_ms: int | None
    """Start of that presence or absence."""
    out_since_ms: int | None
    out_since_utc_ms: int | None
    deadline_ms: int | None
    """When the running absence alarms, if it will; a carer's presence (assist) puts it off to its end."""
    deadline_utc_ms: int | None
    alarm: str
    """none / unacknowledged / acknowledged / latched."""
    level: int
    priority: str
    alarm_since_ms: int | None
    sounding: bool
    realarm_ms: int | None
    """When an answered alarm calls again, if the resident is still out by then (rules 11, 13)."""
    mode: str
    """active / assist / maintenance / away."""
    mode_until_ms: int | None
    mode_until_utc_ms: int | None
    armed: bool
    armed_ms: int | None
    """When a bed that is settling will be armed, if nothing comes between (rule 3)."""
    silent: bool
    """The belt is not heard."""
    offline: bool
    """`belt_offline` (or `radio_down` over all beds) is raised."""
    bound: bool
    window_open: bool
    watched: bool
    """An exit now would be timed and alarmed."""
    not_watched_reason: str
    """"" or one of unbound, gateway_down, maintenance, away, silent, rule_off, outside_window, out_of_bed, not_settled,
    unknown, assist (resident may be up with a carer; alarms are held back)."""
    prealert: bool
    notices: list[str] = field(default_factory=list)
    """Notices raised now, by code."""


def view_of(bed: Bed, now: Now, *, running: bool, radio_down: bool) -> BedView:
    """The view of `bed`; labels by the wall clock of `now`."""
    state, episode, alarm = bed.state, bed.state.episode, bed.state.alarm
    offset_ms = now.utc_ms - now.now_ms
    deadline_ms, realarm_ms = _deadline_ms(bed), None
    if episode is not None and not episode.held:
        realarm_ms = _after_assist(bed, realarm_due_ms(bed))
    out_ms = None if episode is None else episode.out_since_ms
    reason = _not_watched(bed, running)
    return BedView(
        bed=bed.name,
        state=_word(bed),
        since_ms=state.since_ms,
        out_since_ms=out_ms,
        out_since_utc_ms=None if out_ms is None else out_ms + offset_ms,
        deadline_ms=deadline_ms,
        deadline_utc_ms=None if deadline_ms is None else deadline_ms + offset_ms,
        alarm=alarm.state,
        level=alarm.level,
        priority=alarm.priority or bed.profile.priority,
        alarm_since_ms=None if alarm.state == NONE else alarm.raised_ms,
        sounding=alarm.sounding,
        realarm_ms=realarm_ms,
        mode=state.mode,
        mode_until_ms=state.mode_until_ms,
        mode_until_utc_ms=None if state.mode_until_ms is None else state.mode_until_ms + offset_ms,
        armed=state.armed,
        armed_ms=_armed_ms(bed),
        silent=not state.heard,
        offline=state.offline or (radio_down and not state.heard),
        bound=state.bound,
        window_open=bed.window_open(bed.now_ms),
        watched=not reason,
        not_watched_reason=reason,
        prealert=episode is not None and episode.prealert == "raised",
        notices=list(state.notices),
    )


def essence_of(bed: Bed) -> tuple[object, ...]:
    """What of the view a restart must know: state, since_ms, deadline_ms, alarm, level, mode, armed, silent."""
    state, alarm = bed.state, bed.state.alarm
    return (_word(bed), state.since_ms, _deadline_ms(bed), alarm.state, alarm.level, state.mode, state.armed,
            not state.heard)  # fmt: skip


def _word(bed: Bed) -> str:
    episode = bed.state.episode
    return "held" if episode is not None and episode.held else bed.state.occupancy


def _deadline_ms(bed: Bed) -> int | None:
    episode = bed.state.episode
    if episode is None or episode.held or bed.state.alarm.state not in NO_ALARM_YET:
        return None
    return _after_assist(bed, episode.deadline_ms())


def _after_assist(bed: Bed, due_ms: int | None) -> int | None:
    """Rule 13: what falls due while a carer is present comes when assist ends."""
    if due_ms is None or bed.state.mode != ASSIST:
        return due_ms
    return bed.later_of(due_ms, bed.state.mode_until_ms)


def _armed_ms(bed: Bed) -> int | None:
    state = bed.state
    if state.occupancy != PRESENT or state.armed or bed.suspended or not state.heard:
        return None
    return settling_since_ms(bed) + to_ms(bed.profile.settle_s)


def _not_watched(bed: Bed, running: bool) -> str:
    """Why an exit now, or the absence now running, would raise no alarm; "" if it would."""
    state, episode = bed.state, bed.state.episode
    tracked = episode is not None and episode.deadline_ms() is not None
    checks = (
        (not state.bound, "unbound"),
        (not running, "gateway_down"),
        (state.mode in SUSPENDED_MODES, state.mode),
        (not bed.profile.windows, "rule_off"),
        (not state.heard and not tracked, "silent"),
        (state.mode == ASSIST, "assist"),
        (state.occupancy == UNKNOWN, "unknown"),
        (not tracked and not bed.window_open(bed.now_ms), "outside_window"),
        (episode is None and state.occupancy == ABSENT, "out_of_bed"),
        (episode is None and not state.armed, "not_settled"),
        (episode is not None and not episode.held and not tracked, "outside_window"),
    )
    return next((reason for applies, reason in checks if applies), "")
