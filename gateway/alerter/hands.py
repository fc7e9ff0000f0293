"""A thread that touches hardware in a channel's stead, one action after another.

Pin libraries block. What hangs here holds up neither the loop nor another channel, nor (a daemon thread, unlike those
of an executor) the end of the process; and as few actions wait as a channel can have under way, so nothing piles up.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Hands"]

WAITING_MAX = 2

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Hands:
    """`do` an action; `close` with the last one. The thread begins with the first action."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.Queue[_Job | Callable[[], Any]] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None

    async def do(self, action: Callable[[], Any]) -> Any:
        """What the action returns; OSError if it fails, or if earlier ones hang."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._put((loop, done, action))
        return await done

    def close(self, last: Callable[[], Any]) -> None:
        """Do one last thing without waiting for it, and end."""
        with contextlib.suppress(OSError):  # it hangs: nothing can be done any more
            self._put(last)

    def _put(self, job: _Job | Callable[[], Any]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise OSError("the hardware does not answer") from None

    def _work(self) -> None:
        # gpiozero is imported only by a gateway that has something on its pins.
        from gpiozero import GPIOZeroError

        while True:
            job = self._jobs.get()
            if not isinstance(job, tuple):
                with contextlib.suppress(GPIOZeroError, OSError, RuntimeError):
                    job()
                return
            loop, done, action = job
            result, error = None, None
            try:
                result = action()
            except (GPIOZeroError, OSError, RuntimeError) as failure:
                error = OSError(str(failure) or type(failure).__name__)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, done, result, error)


def _settle(done: asyncio.Future[Any], result: Any, error: OSError | None) -> None:
    if done.done():
        return  # who waited has given up
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)
