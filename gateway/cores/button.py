"""One button: from raw, bouncing levels to presses; and which bed a press means.

| held for | press | does |
|---|---|---|
| debounced, below 2 s, on release | short | acknowledges the most urgent alarm of the button's beds |
| 2 s, while still held | long | assist (a carer is there) |
| 30 s | stuck | technical notice until it is released |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gateway.cores.leave_bed import BedView

__all__ = ["DEBOUNCE_MS", "LONG_MS", "STUCK_MS", "Button", "Press", "bed_to_acknowledge", "bed_to_assist"]

DEBOUNCE_MS = 30
LONG_MS = 2_000
STUCK_MS = 30_000

Press = Literal["short", "long", "stuck", "freed"]

_PRIORITY_RANK = {"high": 0, "medium": 1, "low": 2}


class Button:
    """Give it every level change, and call `advance` at `next_deadline_ms()`."""

    def __init__(self, now_ms: int, pressed: bool) -> None:
        """`pressed`: the level now; a button found pressed counts as pressed since now, but never as a press."""
        self._raw, self._raw_ms = pressed, now_ms
        self._down = pressed  # debounced
        self._down_ms = now_ms
        self._long_told = pressed
        self._stuck_told = False

    def level(self, now_ms: int, pressed: bool) -> list[Press]:
        """The raw level, at every change or as often as it is read."""
        presses = self.advance(now_ms)
        if pressed != self._raw:
            self._raw, self._raw_ms = pressed, now_ms
        return presses

    def advance(self, now_ms: int) -> list[Press]:
        """Everything that is due by now."""
        presses: list[Press] = []
        if self._raw != self._down and now_ms >= self._raw_ms + DEBOUNCE_MS:
            # The change is dated to its edge, so that debouncing makes no press longer or shorter.
            presses += self._held(self._raw_ms)
            if self._raw:
                self._down_ms, self._long_told = self._raw_ms, False
            else:
                presses += self._released()
            self._down = self._raw
        # A release that is not confirmed yet may be a bounce: it holds back what the time held would tell.
        return presses + (self._held(now_ms) if self._raw else [])

    def next_deadline_ms(self) -> int | None:
        """When `advance` may have something to tell; None: not before the level changes."""
        if self._raw != self._down:
            return self._raw_ms + DEBOUNCE_MS
        if not self._down or self._stuck_told:
            return None
        return self._down_ms + (STUCK_MS if self._long_told else LONG_MS)

    def _held(self, until_ms: int) -> list[Press]:
        presses: list[Press] = []
        if not self._down:
            return presses
        if not self._long_told and until_ms - self._down_ms >= LONG_MS:
            self._long_told = True
            presses.append("long")
        if not self._stuck_told and until_ms - self._down_ms >= STUCK_MS:
            self._stuck_told = True
            presses.append("stuck")
        return presses

    def _released(self) -> list[Press]:
        if self._stuck_told:
            self._stuck_told = False
            return ["freed"]
        return [] if self._long_told else ["short"]


def bed_to_acknowledge(views: Iterable[BedView]) -> str | None:
    """The bed whose alarm a short press answers: unanswered before latched, the most urgent first; None: no alarm."""
    rank = {"unacknowledged": 0, "latched": 1}
    waiting = [view for view in views if view.alarm in rank]
    return min(waiting, key=lambda view: (rank[view.alarm], *_urgency(view))).bed if waiting else None


def bed_to_assist(views: Iterable[BedView]) -> str | None:
    """The bed a carer is at: with the most urgent alarm, else whose resident is out of bed, else the only one there is.

    None where nothing tells one bed from another; guessing would hold back the alarms of a resident nobody is with.
    """
    beds = list(views)
    alarming = [view for view in beds if view.alarm in ("unacknowledged", "acknowledged")]
    if alarming:
        return min(alarming, key=lambda view: (view.alarm != "unacknowledged", *_urgency(view))).bed
    out = [view for view in beds if view.state == "absent"]
    if out:
        return min(out, key=lambda view: (view.deadline_ms is None, view.deadline_ms or 0, view.bed)).bed
    return beds[0].bed if len(beds) == 1 else None


def _urgency(view: BedView) -> tuple[int, int, int, str]:
    since_ms = view.alarm_since_ms if view.alarm_since_ms is not None else 0
    return _PRIORITY_RANK.get(view.priority, 3), -view.level, since_ms, view.bed
