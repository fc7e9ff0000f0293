"""A broker that lets everybody in and then says no: just enough of MQTT 5 to answer with a reason code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
NOT_AUTHORIZED = 0x87


@contextlib.asynccontextmanager
async def refusing_broker(puback: int = NOT_AUTHORIZED, suback: int = 1, connack: int = 0) -> AsyncIterator[str]:
    """The URL of a broker that answers with these reason codes, for the duration of the block."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await _packet(reader)
                if kind == CONNECT:
                    writer.write(bytes((0x20, 3, 0, connack, 0)))
                elif kind == SUBSCRIBE:
                    writer.write(bytes((0x90, 4)) + body[:2] + bytes((0, suback)))
                elif kind == PUBLISH:
                    length = int.from_bytes(body[:2], "big")
                    writer.write(bytes((0x40, 4)) + body[2 + length : 4 + length] + bytes((puback, 0)))
                elif kind == PINGREQ:
                    writer.write(bytes((0xD0, 0)))
                elif kind == DISCONNECT:
                    break
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return head >> 4, await reader.readexactly(length)
