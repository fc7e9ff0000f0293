"""What all channels should show now, as one value computed from the beds: levels, not edges.

A channel that missed ten changes needs only the newest: so a channel that hangs and recovers never replays old alarms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.cores.leave_bed import BedView

__all__ = ["QUIET", "Signal", "signal_of"]

_RANK = {"high": 3, "medium": 2, "low": 1}


@dataclass(frozen=True, slots=True)
class Signal:
    """`sound`: priority that sounds, "" silent. `light`: priority of the most urgent open alarm, "" none.

    `steady`: every open alarm is answered (acknowledged or latched), so the light does not blink.
    """

    sound: str = ""
    light: str = ""
    steady: bool = False
    beds: tuple[str, ...] = ()  # with an open alarm, most urgent first

    @property
    def alarming(self) -> bool:
        return bool(self.light)


QUIET = Signal()


def signal_of(views: Iterable[BedView]) -> Signal:
    """The highest priority sounds; an unanswered alarm outranks every answered one (IEC 60601-1-8's order)."""
    open_alarms = sorted(
        (view for view in views if view.alarm != "none"),
        key=lambda view: (view.alarm != "unacknowledged", -_RANK.get(view.priority, 0), -view.level, view.bed),
    )
    if not open_alarms:
        return QUIET
    sounding = [view for view in open_alarms if view.sounding]
    return Signal(
        sound=max((view.priority for view in sounding), key=lambda word: _RANK.get(word, 0), default=""),
        light=open_alarms[0].priority,
        steady=open_alarms[0].alarm != "unacknowledged",
        beds=tuple(view.bed for view in open_alarms),
    )
