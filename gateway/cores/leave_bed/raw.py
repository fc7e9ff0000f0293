"""Confirmations under way: since when, and when they are complete (rules 1, 2, 22)."""

from __future__ import annotations

from gateway.cores.facts import EMPTY, OCCUPIED
from gateway.cores.leave_bed.bed import Bed, to_ms


def entry_since_ms(bed: Bed) -> int | None:
    """Where a return under confirmation starts: raw occupied, or the valid rate if later (rule 22); None: nowhere."""
    state = bed.state
    if state.raw != OCCUPIED:
        return None
    if not bed.profile.require_vitals:
        return state.raw_since_ms
    if state.rate.since_ms is None:
        return None
    return max(state.raw_since_ms, state.rate.since_ms)


def exit_confirmed_ms(bed: Bed) -> int | None:
    """When raw empty has lasted long enough; None while raw is anything else."""
    return bed.state.raw_since_ms + to_ms(bed.profile.exit_confirm_s) if bed.state.raw == EMPTY else None
