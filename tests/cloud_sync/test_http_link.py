"""The way by HTTP: whatever answers there, the lane hears a BrokerError; the token stays with its receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloud_sync.http_link import HttpAddress, http_link
from cloud_sync.mqtt import BrokerError
from protocol.packing import MESSAGE_BYTES_MAX

BATCH = b"batch"


@asynccontextmanager
async def answering(answer: bytes, heard: list[bytes]) -> AsyncIterator[int]:
    """A port where every request gets the same bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        # Closed with the body unread, the port would answer with a reset too.
        await reader.readexactly(len(BATCH))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def first_answer(port: int) -> bytes:
    async with asyncio.timeout(10), http_link(HttpAddress(f"http://127.0.0.1:{port}", "secret")) as link:
        link.send("sb/v1/gw-01/alarm", BATCH, lambda reason: None)
        return (await anext(aiter(link.messages())))[1]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"garbage\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", id="too many headers"),
        pytest.param(b"HTTP/1.1 " + b"9" * 70_000 + b"\r\n\r\n", id="a status line without end"),
        pytest.param(b"HTTP/1.1 503 later\r\nContent-Length: 0\r\n\r\n", id="503"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_of_the_link(answer: bytes) -> None:
    async with answering(answer, []) as port:
        with pytest.raises(BrokerError, match=f"127.0.0.1:{port}"):
            await first_answer(port)


async def test_no_more_is_read_than_an_ack_may_have() -> None:
    body = bytes(4 * MESSAGE_BYTES_MAX)
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, []) as port:
        assert len(await first_answer(port)) == MESSAGE_BYTES_MAX


async def test_a_redirect_does_not_carry_the_token_away() -> None:
    elsewhere: list[bytes] = []
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", elsewhere) as other:
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with answering(answer, []) as port:
            with pytest.raises(BrokerError, match="302"):
                await first_answer(port)
    assert elsewhere == []
