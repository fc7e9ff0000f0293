"""Event streams: newest state, heartbeat, a limit, an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, cast

from starlette.responses import StreamingResponse

from cloud_sync.pages.streams import Pieces, Streams, event_bytes, read_on_change


def told(state: int | None) -> list[tuple[str, Mapping[str, Any]]]:
    return [("beat", {})] if state is None else [("state", {"n": state})]


def body(streams: Streams, source: AsyncIterator[int]) -> AsyncIterator[bytes]:
    response = streams.response(lambda: source, told)
    return cast(AsyncIterator[bytes], cast(StreamingResponse, response).body_iterator)


def test_an_event_is_one_line_whatever_the_text_holds() -> None:
    assert event_bytes("state", {"html": "<p>\n张</p>"}) == 'event: state\ndata: {"html":"<p>\\n张</p>"}\n\n'.encode()


async def test_a_slow_reader_gets_the_newest_state_only() -> None:
    async def source() -> AsyncIterator[int]:
        for n in range(1000):
            yield n
        await asyncio.Event().wait()

    events = body(Streams(1), source())
    assert await anext(events) == b"retry: 2000\n\n"
    assert await anext(events) == b'event: state\ndata: {"n":999}\n\n'


async def test_silence_is_filled_with_heartbeats() -> None:
    async def source() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 0

    events = body(Streams(1, heartbeat_s=0.01), source())
    assert [await anext(events) for _ in range(3)][1:] == [b"event: beat\ndata: {}\n\n"] * 2


async def test_the_stream_ends_with_its_source_after_the_last_state() -> None:
    async def source() -> AsyncIterator[int]:
        yield 7

    assert [event async for event in body(Streams(1), source())][1:] == [b'event: state\ndata: {"n":7}\n\n']


async def test_one_page_too_many_is_told_to_come_back() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    streams = Streams(1)
    first = body(streams, source())
    await anext(first)
    refused = streams.response(source, told)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


async def test_closing_ends_every_stream_and_refuses_new_ones() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    streams = Streams(2)
    events = body(streams, source())
    await anext(events)
    await anext(events)
    await streams.close()
    assert [event async for event in events] == []
    assert streams.open == 0
    assert streams.response(source, told).status_code == 503


class View:
    """A view of numbered cards that counts how often it is read and rendered."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.rendered = self.sources = 0
        self.idle = asyncio.Event()
        self.may_look = True

    async def source(self) -> AsyncIterator[dict[str, str]]:
        self.sources += 1
        try:
            while True:
                if self.states.empty():
                    self.idle.set()
                yield await self.states.get()
        finally:
            self.sources -= 1

    async def put(self, *states: dict[str, str]) -> None:
        """Returns once they are rendered."""
        for state in states:
            self.states.put_nowait(state)
        self.idle.clear()
        await self.idle.wait()

    def make(self, state: dict[str, str]) -> Pieces:
        self.rendered += 1
        return state, {"order": sorted(state)}

    def open(self, streams: Streams, key: str = "board") -> AsyncGenerator[bytes, None]:
        response = streams.shared(key, self.source, self.make, lambda: {"at": 1}, lambda: self.may_look)
        return cast(AsyncGenerator[bytes, None], cast(StreamingResponse, response).body_iterator)


def shown(events: bytes) -> dict[str, str]:
    """The fragments of a `state` event."""
    assert events.startswith(b"event: state\ndata: ")
    found: dict[str, str] = json.loads(events.split(b"\n")[1].removeprefix(b"data: "))["fragments"]
    return found


async def begun(view: View, streams: Streams) -> AsyncGenerator[bytes, None]:
    page = view.open(streams)
    assert await anext(page) == b"retry: 2000\n\n"
    return page


async def test_a_change_is_rendered_once_for_all_pages_and_says_only_what_changed() -> None:
    view, streams = View(), Streams(99)
    pages = [await begun(view, streams) for _ in range(50)]
    view.states.put_nowait({"a": "1", "b": "1"})
    assert [shown(await anext(page)) for page in pages] == [{"a": "1", "b": "1"}] * 50
    view.states.put_nowait({"a": "2", "b": "1"})
    events = [await anext(page) for page in pages]
    assert (view.rendered, view.sources, len({id(event) for event in events})) == (2, 1, 1)
    assert shown(events[0]) == {"a": "2"}


async def test_who_comes_later_or_was_too_slow_gets_all_of_it() -> None:
    view, streams = View(), Streams(9)
    slow = await begun(view, streams)
    first = asyncio.ensure_future(anext(slow))
    await asyncio.sleep(0)
    await view.put({"a": "0", "b": "1"})
    assert shown(await first) == {"a": "0", "b": "1"}
    await view.put({"a": "1", "b": "1"}, {"a": "2", "b": "1"})
    assert shown(await anext(await begun(view, streams))) == {"a": "2", "b": "1"}
    await view.put({"a": "3", "b": "1"}, {"a": "4", "b": "1"})
    assert shown(await anext(slow)) == {"a": "4", "b": "1"}


async def test_a_reading_that_changed_nothing_tells_nobody() -> None:
    view, streams = View(), Streams(9, heartbeat_s=0.01)
    page = await begun(view, streams)
    view.states.put_nowait({"a": "1"})
    await anext(page)
    view.states.put_nowait({"a": "1"})
    assert await anext(page) == b'event: beat\ndata: {"at":1}\n\n'
    assert view.rendered == 2


async def test_who_may_look_no_longer_is_told_to_sign_in_and_left() -> None:
    view, streams = View(), Streams(9)
    page = await begun(view, streams)
    view.states.put_nowait({"a": "1"})
    await anext(page)
    view.may_look = False
    view.states.put_nowait({"a": "2"})
    assert [events async for events in page] == [b"event: reload\ndata: {}\n\n"]
    assert streams.open == 0


async def test_the_source_is_left_with_the_last_page() -> None:
    view, streams = View(), Streams(9)
    pages = [await begun(view, streams), await begun(view, streams)]
    view.states.put_nowait({"a": "1"})
    for page in pages:
        await anext(page)
    await pages[0].aclose()
    assert view.sources == 1
    await pages[1].aclose()
    await asyncio.sleep(0.01)
    assert (view.sources, streams.open) == (0, 0)


async def test_closing_ends_shared_streams_too() -> None:
    view, streams = View(), Streams(9)
    page = await begun(view, streams)
    waiting = asyncio.ensure_future(anext(page, b"ended"))
    await asyncio.sleep(0)
    await streams.close()
    assert await waiting == b"ended"


async def test_a_view_is_read_again_although_nothing_tells_of_a_change() -> None:
    async def changes() -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield None

    async def read() -> str:
        return "read"

    values = read_on_change(changes(), read, every_s=0.01)
    assert [await anext(values) for _ in range(3)] == ["read"] * 3
    await values.aclose()


async def test_a_change_between_the_first_reading_and_listening_is_not_missed() -> None:
    value, listening, told_of = 1, asyncio.Event(), asyncio.Event()

    async def changes() -> AsyncIterator[None]:
        listening.set()
        await told_of.wait()
        yield None
        await asyncio.Event().wait()

    async def read() -> int:
        assert listening.is_set()
        return value

    values = read_on_change(changes(), read)
    assert await anext(values) == 1
    value = 2
    told_of.set()
    assert await anext(values) == 2
    await values.aclose()


async def test_only_what_concerns_a_page_is_read_again() -> None:
    readings = 0

    async def changes() -> AsyncIterator[str]:
        for touched in ("other", "mine", "other"):
            yield touched

    async def read() -> int:
        nonlocal readings
        readings += 1
        return readings

    assert [value async for value in read_on_change(changes(), read, lambda touched: touched == "mine")] == [1, 2]


async def test_a_source_is_left_when_its_reader_goes() -> None:
    listeners = 0

    async def changes() -> AsyncIterator[int]:
        nonlocal listeners
        listeners += 1
        try:
            while True:
                yield 1
        finally:
            listeners -= 1

    async def read() -> int:
        return listeners

    values = read_on_change(changes(), read)
    assert [await anext(values) for _ in range(3)] == [1, 1, 1]
    await values.aclose()
    assert listeners == 0
