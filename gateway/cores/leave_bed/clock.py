"""The two times a decision is given: elapsed to wait, wall to open windows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Now:
    """One moment: `now_ms` elapsed (never steps, survives restarts), `utc_ms` wall time, `trusted` or not (rule 18)."""

    now_ms: int
    utc_ms: int
    trusted: bool = True
