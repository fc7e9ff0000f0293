"""One way to reach staff, by itself: its queue, task, timeout and record. A channel that hangs delays no other.

A delivery that fails or takes too long is tried again with growing pauses until it works or a newer signal replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.alerter.signal import QUIET, Signal

__all__ = ["Channel", "Delivery"]

log = logging.getLogger(__name__)

QUEUE_MAX = 32
RECORDS_MAX = 256
RETRY_S_MIN = 0.2
RETRY_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one signal; times are real monotonic ms. `error` empty: delivered."""

    signal: Signal
    handed_ms: int
    done_ms: int
    attempts: int
    error: str = ""


class Channel:
    """Delivers signals by `show(signal)`, which may hang or raise OSError or RuntimeError; `run()` is its task."""

    def __init__(
        self,
        name: str,
        show: Callable[[Signal], Awaitable[None]],
        close: Callable[[], None] = lambda: None,
        timeout_s: float = 2.0,
    ) -> None:
        self.name = name
        self.close = close
        self._show = show
        self._timeout_s = timeout_s
        self._queue: deque[tuple[Signal, int]] = deque(maxlen=QUEUE_MAX)
        self._wake = asyncio.Event()
        self._last = QUIET
        self.deliveries: deque[Delivery] = deque(maxlen=RECORDS_MAX)
        self.failing: str = ""

    def hand(self, signal: Signal) -> None:
        """Queue a signal and return at once; at the limit the oldest goes, because the newest says all."""
        if signal == self._last:
            return
        self._last = signal
        self._queue.append((signal, _now_ms()))
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._deliver(*self._queue.popleft())

    async def _deliver(self, signal: Signal, handed_ms: int) -> None:
        attempts = 0
        pause_s = RETRY_S_MIN
        while True:
            attempts += 1
            error = await self._attempt(signal)
            if not error or self._queue:
                # A newer signal waits: trying the old one again would only make that one late.
                self.deliveries.append(Delivery(signal, handed_ms, _now_ms(), attempts, error))
                self._say(error)
                return
            self._say(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            pause_s = min(RETRY_S_MAX, pause_s * 2)

    async def _attempt(self, signal: Signal) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._show(signal)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except (OSError, RuntimeError) as error:
            return str(error) or type(error).__name__
        return ""

    def _say(self, error: str) -> None:
        if error and not self.failing:
            log.error("alert channel %s fails: %s", self.name, error)
        elif self.failing and not error:
            log.info("alert channel %s works again", self.name)
        self.failing = error


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
