"""Finished absences that a belt reports after a silence: applied in order, after the fact, without sound (rule 16).

Chosen readings. An absence shorter than `exit_confirm_s` is no confirmed exit here either (rule 1). That it is finished
is the belt's own word: its end counts as a return at once, without `entry_confirm_s` and without asking for vitals.
A return that was not confirmed when the belt was last heard is none if the belt tells of another state since then: a
silent belt is never a return. A missed alarm is disclosed when the gap is reconstructed, that is when the belt is heard
again.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cores.facts import EMPTY, OCCUPIED, FinishedAbsence
from gateway.cores.leave_bed.bed import Bed, to_ms
from gateway.cores.leave_bed.presence import disclose_missed, exit_at, return_at, settle
from gateway.cores.leave_bed.state import ABSENT


def apply_finished(bed: Bed, absences: Sequence[FinishedAbsence], last_heard_ms: int) -> int:
    """Replay what ended inside (last_heard, now]; returns the earliest moment a later raw state can have begun."""
    spans = sorted((_span(bed, absence) for absence in absences), key=lambda span: span[1])
    known_ms = last_heard_ms
    for start_ms, end_ms in spans:
        if known_ms < end_ms <= bed.now_ms:
            _apply(bed, max(start_ms, known_ms), end_ms)
            known_ms = end_ms
    return known_ms


def _span(bed: Bed, absence: FinishedAbsence) -> tuple[int, int]:
    end_ms = bed.now_ms - to_ms(absence.ended_ago_s)
    return end_ms - to_ms(absence.duration_s), end_ms


def _apply(bed: Bed, start_ms: int, end_ms: int) -> None:
    state = bed.state
    exit_ms = to_ms(bed.profile.exit_confirm_s)
    began_in_gap = True
    if state.raw == EMPTY:
        # Already empty when last heard: the absence began before the gap, confirmed or not, and its since stands.
        start_ms = state.raw_since_ms
        began_in_gap = False
    if state.occupancy != ABSENT:
        if end_ms - start_ms < exit_ms:
            if state.raw == EMPTY:
                state.raw, state.raw_since_ms = OCCUPIED, end_ms
            return
        settle(bed, start_ms + exit_ms)
        exit_at(bed, start_ms)
    state.raw, state.raw_since_ms = OCCUPIED, end_ms
    episode = state.episode
    if episode is not None and began_in_gap and episode.is_overdue(end_ms):
        disclose_missed(bed, episode, rule="16")
    return_at(bed, end_ms)
