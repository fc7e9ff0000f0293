"""An event loop whose clock jumps to the next timer: shells are tested in virtual time, deterministically.

- time stands still while callbacks run and jumps when nothing is ready, so an hour of timers takes milliseconds;
- executor jobs run inline, at once: their order is the order in which they were submitted;
- real sockets, pipes and foreign threads are refused: what they do is not on this clock.
Everything waiting with no timer left is a deadlock and raises instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from cloud_sync.clock import Clock

T = TypeVar("T")
Args = TypeVarTuple("Args")


class VirtualTimeError(RuntimeError):
    """Something tried to leave virtual time, or everything waits for nothing."""


class _TimeSelector(selectors.BaseSelector):
    """Registers only the loop's own wake-up pipe; its `select` lets virtual time pass."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._keys:
            raise VirtualTimeError(f"a real file or socket ({fileobj!r}) has no place on a virtual clock")
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise VirtualTimeError("deadlock: every task waits and no timer is set")
        if timeout > 0:
            self.now_s += timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Event loop on virtual seconds from 0; a test selects it by `@pytest.mark.asyncio(loop_factories=["virtual"])`."""

    def __init__(self) -> None:
        self._time_selector = _TimeSelector()
        super().__init__(self._time_selector)
        self._owner = threading.get_ident()

    def time(self) -> float:
        return self._time_selector.now_s

    def run_in_executor(self, executor: Any, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        """The job's outcome, already there: it ran inline."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as failed:  # a job's failure belongs to whoever awaits it
            future.set_exception(failed)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._owner:
            raise VirtualTimeError("a foreign thread has no place on a virtual clock")
        return self.call_soon(callback, *args, context=context)


class LoopClock(Clock):
    """`Clock` read from a virtual-time loop, with UTC beginning at `utc_start_ms`; `step_utc` moves wall time only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, utc_start_ms: int) -> None:
        super().__init__()
        self._loop = loop
        self._utc_offset_ms = utc_start_ms

    def mono_ms(self) -> int:
        return round(self._loop.time() * 1000)

    def utc_ms(self) -> int:
        return self._utc_offset_ms + self.mono_ms()

    def real_delay_s(self, virtual_delay_s: float) -> float:
        return max(0.0, virtual_delay_s)

    def step_utc(self, by_ms: int) -> None:
        """What a time server or a person does to the wall clock."""
        self._utc_offset_ms += by_ms
