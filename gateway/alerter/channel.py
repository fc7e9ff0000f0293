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
from dataclasses import dataclass, replace

from gateway.alerter.signal import QUIET, Signal

__all__ = ["GIVEN_UP", "Channel", "Delivery"]

log = logging.getLogger(__name__)

QUEUE_MAX = 32
RECORDS_MAX = 256
RETRY_S_MIN = 0.2
RETRY_S_MAX = 10.0
TEST_S_MAX = 15.0
GIVEN_UP = "given up for an alarm"
"""What a self-test says that a signal ended: neither passed nor failed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one signal; times are real monotonic ms. `error` empty: delivered.

    A delivery that fails has two: one at its first failure, one when it worked at last or was replaced.
    """

    signal: Signal
    handed_ms: int
    done_ms: int
    attempts: int
    error: str = ""


class Channel:
    """Delivers signals by `show(signal)`, which may hang or raise OSError or RuntimeError; `run()` is its task.

    `test`: sees whether the channel works, with the same errors as `show`. `in_room`: its sound is heard in residents'
    rooms. `reaches_staff`: outside the room, without any network.
    """

    def __init__(
        self,
        name: str,
        show: Callable[[Signal], Awaitable[None]],
        close: Callable[[], None] = lambda: None,
        timeout_s: float = 2.0,
        *,
        test: Callable[[], Awaitable[None]] | None = None,
        in_room: bool = False,
        reaches_staff: bool = False,
    ) -> None:
        self.name = name
        self.close = close
        self.in_room, self.reaches_staff = in_room, reaches_staff
        self._show, self._test = show, test
        self._timeout_s = timeout_s
        self._queue: deque[tuple[Signal, int]] = deque(maxlen=QUEUE_MAX)
        self._wake = asyncio.Event()
        self._last = QUIET
        self._asked: asyncio.Future[str] | None = None
        self.deliveries: deque[Delivery] = deque(maxlen=RECORDS_MAX)
        self.on_delivery: Callable[[Channel, Delivery], None] = lambda channel, delivery: None
        self.failing: str = ""

    @property
    def testable(self) -> bool:
        return self._test is not None

    def hand(self, signal: Signal, *, room_sound: bool = False) -> None:
        """Queue a signal and return at once; at the limit the oldest goes, because the newest says all."""
        if self.in_room and not room_sound:
            signal = replace(signal, sound="")
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
            if self._asked is not None:
                await self._run_test(self._asked)
                self._asked = None

    async def self_test(self) -> str:
        """Try the channel; "" if it works, else why not. A signal that comes meanwhile goes first and ends the test."""
        if self._test is None:
            return "this channel has no test"
        self._asked = asyncio.get_running_loop().create_future()
        self._wake.set()
        try:
            async with asyncio.timeout(TEST_S_MAX):
                return await self._asked
        except TimeoutError:
            return self.failing or f"no answer within {TEST_S_MAX:g} s"

    def tell(self, error: str) -> None:
        """What the channel itself notices between deliveries; "" once all is well again."""
        if error and not self.failing:
            log.error("alert channel %s fails: %s", self.name, error)
        elif self.failing and not error:
            log.info("alert channel %s works again", self.name)
        self.failing = error

    async def _deliver(self, signal: Signal, handed_ms: int) -> None:
        attempts = 0
        pause_s = RETRY_S_MIN
        while True:
            attempts += 1
            error = await self._attempt(signal)
            if not error or self._queue:
                # A newer signal waits: trying the old one again would only make that one late.
                self._record(Delivery(signal, handed_ms, _now_ms(), attempts, error))
                return
            if attempts == 1:
                self._record(Delivery(signal, handed_ms, _now_ms(), attempts, error))
            self.tell(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            self._wake.clear()
            if self._queue:
                self._record(Delivery(signal, handed_ms, _now_ms(), attempts, error))
                return
            pause_s = min(RETRY_S_MAX, pause_s * 2)

    async def _attempt(self, signal: Signal) -> str:
        return await _tried(self._show(signal), self._timeout_s)

    async def _run_test(self, asked: asyncio.Future[str]) -> None:
        assert self._test is not None
        running = asyncio.create_task(_tried(self._test(), TEST_S_MAX))
        signalled = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({running, signalled}, return_when=asyncio.FIRST_COMPLETED)
            error = running.result() if running.done() else GIVEN_UP
        finally:
            for task in (running, signalled):
                task.cancel()
            await asyncio.wait({running, signalled})
        if not self._queue:
            # What the channel showed before its test.
            error = await self._attempt(self._last) or error
            self.tell(error)
        if not asked.done():
            asked.set_result(error)

    def _record(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.tell(delivery.error)
        self.on_delivery(self, delivery)


async def _tried(action: Awaitable[None], timeout_s: float) -> str:
    """"" if it worked, else why not."""
    try:
        async with asyncio.timeout(timeout_s):
            await action
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, RuntimeError) as error:
        return str(error) or type(error).__name__
    return ""


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
