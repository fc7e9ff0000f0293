"""Server-sent events: the newest state to every open page, a heartbeat when nothing changes, a limit on open pages.

Pages that show the same thing follow one `Feed`: a change is read, rendered and encoded once, however many follow it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

from starlette.responses import PlainTextResponse, Response, StreamingResponse

HEARTBEAT_S = 5.0  # a page calls its connection lost after 12 s without a word (15 s are promised)

log = logging.getLogger(__name__)

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
    every_s: float | None = None,
) -> AsyncGenerator[State, None]:
    """What `read` gives, at once and after each change that concerns it, at most once in `pause_s`; and when `every_s`
    have passed without one: that nothing comes any more is a change nobody tells.

    Listening begins before the first read: a change between the two would otherwise stay unseen until the next one.
    """
    coming = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)
        yield await read()
        while True:
            await asyncio.wait([coming], timeout=every_s)
            if not coming.done():
                yield await read()
                continue
            try:
                change = coming.result()
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


Pieces = tuple[Mapping[str, str], Mapping[str, Any]]
"""Fragments of a page by name, and what else its script wants to know."""


class Feed:
    """Tells its followers which fragments of one view have changed; runs while it is followed.

    Who comes new, or was too slow for the change before, gets all fragments instead of the changed ones.
    """

    def __init__(
        self, states: AsyncIterator[State], make: Callable[[State], Pieces], clock: Callable[[], Mapping[str, Any]],
        heartbeat_s: float,
    ) -> None:  # fmt: skip
        self._clock, self._heartbeat_s = clock, heartbeat_s
        self._fragments: Mapping[str, str] = {}
        self._more: Mapping[str, Any] = {}
        self._version = 0
        self._whole: bytes | None = None  # of this version, made when the first follower wants it
        self._changed, self._beat = b"", b""
        self._turn = asyncio.Event()  # set, and replaced, at each change and each heartbeat
        self._ended = False
        self.followers = 0
        self.task = asyncio.create_task(self._run(states, make))

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """The events of one reader, until the feed ends."""
        seen = 0
        while not self._ended:
            turn = self._turn
            if self._version == seen:
                await turn.wait()
            if self._version != seen:
                events = self._changed if seen and self._version == seen + 1 else self._all()
                seen = self._version
                yield events
            elif not self._ended:
                yield self._beat

    def _all(self) -> bytes:
        if self._whole is None:
            self._whole = event_bytes("state", {**self._clock(), "fragments": self._fragments, **self._more})
        return self._whole + event_bytes("beat", self._clock())  # it may have been made a while ago

    async def _run(self, states: AsyncIterator[State], make: Callable[[State], Pieces]) -> None:
        beating = asyncio.create_task(self._beats())
        try:
            async for state in states:
                self._tell(*make(state))
        except OSError as error:
            log.error("open pages are not told of changes any more: %s", error)
        finally:
            beating.cancel()
            self._ended = True
            self._turn.set()
            close = getattr(states, "aclose", None)
            if close is not None:
                await close()

    def _tell(self, fragments: Mapping[str, str], more: Mapping[str, Any]) -> None:
        if self._version and fragments == self._fragments and more == self._more:
            return
        changed = {name: html for name, html in fragments.items() if self._fragments.get(name) != html}
        self._fragments, self._more, self._whole = fragments, more, None
        self._changed = event_bytes("state", {**self._clock(), "fragments": changed, **more})
        self._version += 1
        self._wake()

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self._beat = event_bytes("beat", self._clock())
            self._wake()

    def _wake(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()


class Streams:
    """All open event streams of one server."""

    def __init__(self, most: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._most, self._heartbeat_s = most, heartbeat_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._feeds: dict[Hashable, Feed] = {}
        self._closed = False
        self.open = 0

    def response(
        self,
        changes: Callable[[], AsyncIterator[State]],
        render: Callable[[State | None], list[tuple[str, Mapping[str, Any]]]],
    ) -> Response:
        """A response that goes on until the reader or the server ends: `render(state)` gives the events of a change,
        `render(None)` those of a heartbeat. The first call of `render` with a state comes at once. 503 if too many."""
        return self._answer(lambda: self._events(changes, render))

    def shared(
        self,
        key: Hashable,
        states: Callable[[], AsyncIterator[State]],
        make: Callable[[State], Pieces],
        clock: Callable[[], Mapping[str, Any]],
        may_look: Callable[[], bool],
    ) -> Response:
        """A response that follows the feed of `key`, which begins with its first reader and ends with its last.

        `state` events carry {clock, fragments that changed, what else}, `beat` events the clock. A reader who may look
        no longer is told to `reload`, and is left. 503 if too many.
        """
        return self._answer(lambda: self._followed(key, states, make, clock, may_look))

    def _answer(self, body: Callable[[], AsyncGenerator[bytes, None]]) -> Response:
        if self.open >= self._most or self._closed:
            return PlainTextResponse("too many open pages\n", 503, headers={"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)

    async def _followed(
        self,
        key: Hashable,
        states: Callable[[], AsyncIterator[State]],
        make: Callable[[State], Pieces],
        clock: Callable[[], Mapping[str, Any]],
        may_look: Callable[[], bool],
    ) -> AsyncGenerator[bytes, None]:
        feed = self._feeds.get(key)
        if feed is None or feed.task.done():
            feed = self._feeds[key] = Feed(states(), make, clock, self._heartbeat_s)
            self._tasks.add(feed.task)
            feed.task.add_done_callback(self._tasks.discard)
        feed.followers += 1
        self.open += 1
        try:
            yield b"retry: 2000\n\n"
            async for events in feed.follow():
                if not may_look():
                    yield event_bytes("reload", {})
                    return
                yield events
        finally:
            self.open -= 1
            feed.followers -= 1
            if not feed.followers:
                if self._feeds.get(key) is feed:
                    del self._feeds[key]
                feed.task.cancel()

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
