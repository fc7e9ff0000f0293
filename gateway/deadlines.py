"""The loop that meets deadlines: sleeps until the next one, judges, asks for the next; woken early by a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from cloud_sync.clock import until_tick_s

ADVANCE_S_MAX = 0.5
"""Time alone tells some things (a silent belt); a bound on how late any decision can be."""
WAIT_S_MIN = 0.001
"""A deadline that is not met by now must not spin the loop, and one must not be asked for before its millisecond."""


class Judged(Protocol):
    """What has deadlines: gateway/room.py."""

    def advance(self) -> None:
        """Decide everything that is due by now."""
        ...

    def next_deadline_ms(self) -> int | None:
        """The next elapsed instant at which `advance` may decide something."""
        ...


class Elapsed(Protocol):
    """The elapsed axis of gateway/clock.py."""

    def elapsed_ms(self) -> int: ...

    def real_delay_s(self, virtual_delay_s: float) -> float: ...


async def meet_deadlines(room: Judged, clock: Elapsed, changed: asyncio.Event, turned: Callable[[], None]) -> None:
    """Judge at every deadline, never before it, for ever. `changed` says that a nearer one may have come; `turned` is
    called after each judgement."""
    while True:
        changed.clear()
        room.advance()
        turned()
        wait_s = until_tick_s(ADVANCE_S_MAX)
        deadline_ms = room.next_deadline_ms()
        if deadline_ms is not None:
            ahead_s = max(0, deadline_ms - clock.elapsed_ms()) / 1000
            wait_s = min(wait_s, clock.real_delay_s(ahead_s) + WAIT_S_MIN)
        # Not a timeout, which takes one round of the loop more, twice a second.
        timer = asyncio.get_running_loop().call_later(wait_s, changed.set)
        try:
            await changed.wait()
        finally:
            timer.cancel()
