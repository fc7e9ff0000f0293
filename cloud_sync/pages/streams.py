"""Server-sent events: the newest state to every open page, a heartbeat when nothing changes, a limit on open pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

from starlette.responses import PlainTextResponse, Response, StreamingResponse

HEARTBEAT_S = 5.0  # a page calls its connection lost after 12 s without a word (15 s are promised)

State = TypeVar("State")
Change = TypeVar("Change")


def event_bytes(event: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event; the JSON has no line break, so it is one data line."""
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class _Newest(Generic[State]):
    """Holds the newest state for one slow reader; states it had no time for are skipped, so memory is bounded."""

    def __init__(self) -> None:
        self._fresh = asyncio.Event()
        self._state: State | None = None
        self.ended = False

    async def fill(self, source: AsyncIterator[State]) -> None:
        try:
            async for state in source:
                self._state = state
                self._fresh.set()
        finally:
            self.ended = True
            self._fresh.set()

    async def take(self, wait_s: float) -> State | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._fresh.wait()
        if self._state is not None and not self.ended:
            self._fresh.clear()
        state, self._state = self._state, None
        return state


async def read_on_change(
    changes: AsyncIterator[Change],
    read: Callable[[], Awaitable[State]],
    concerns: Callable[[Change], bool] = lambda change: True,
    pause_s: float = 0.0,
) -> AsyncGenerator[State, None]:
    """What `read` gives, at once and after each change that concerns it, at most once in `pause_s`.

    Listening begins before the first read: a change between the two would otherwise stay unseen until the next one.
    """
    coming = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)
        yield await read()
        while True:
            try:
                change = await coming
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(changes))
            if concerns(change):
                await asyncio.sleep(0)  # listen again before reading
                yield await read()
                await asyncio.sleep(pause_s)
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
        # Not left to the garbage collector: a source may count its listeners.
        close = getattr(changes, "aclose", None)
        if close is not None:
            await close()


class Streams:
    """All open event streams of one server."""

    def __init__(self, most: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._most, self._heartbeat_s = most, heartbeat_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.open = 0

    def response(
        self,
        changes: Callable[[], AsyncIterator[State]],
        render: Callable[[State | None], list[tuple[str, Mapping[str, Any]]]],
    ) -> Response:
        """A response that goes on until the reader or the server ends: `render(state)` gives the events of a change,
        `render(None)` those of a heartbeat. The first call of `render` with a state comes at once. 503 if too many."""
        if self.open >= self._most or self._closed:
            return PlainTextResponse("too many open pages\n", 503, headers={"Retry-After": "5"})
        body = self._events(changes, render)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body, media_type="text/event-stream", headers=headers)

    async def _events(
        self,
        changes: Callable[[], AsyncIterator[State]],
        render: Callable[[State | None], list[tuple[str, Mapping[str, Any]]]],
    ) -> AsyncGenerator[bytes, None]:
        newest: _Newest[State] = _Newest()
        task = asyncio.create_task(newest.fill(changes()))
        self._tasks.add(task)
        self.open += 1
        try:
            yield b"retry: 2000\n\n"
            while True:
                state = await newest.take(self._heartbeat_s)
                if state is None and newest.ended:
                    return
                for event, data in render(state):
                    yield event_bytes(event, data)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Ends every stream, so that a server that waits for its connections can stop; new ones are refused."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.sleep(0)
