"""Event streams: newest state, heartbeat, a limit, an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from starlette.responses import StreamingResponse

from cloud_sync.pages.streams import Streams, event_bytes, read_on_change


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
