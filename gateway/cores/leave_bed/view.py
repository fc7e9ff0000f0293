"""What a page shows of one bed: a snapshot in words and instants, no decision."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """When the running absence alarms, if it will."""
    deadline_utc_ms: int | None
    alarm: str
    """none / unacknowledged / acknowledged / latched."""
    level: int
    priority: str
    alarm_since_ms: int | None
    sounding: bool
    realarm_ms: int | None
    mode: str
    """active / assist / maintenance / away."""
    mode_until_ms: int | None
    mode_until_utc_ms: int | None
    armed: bool
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
