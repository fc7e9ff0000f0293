"""Virtual HCI adapters on Unix sockets: each connection is one adapter for one gateway process (or any HCI host)."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from bumble.transport.common import StreamPacketSink, StreamPacketSource

from hil.radio.link import AdapterController, VirtualLink

__all__ = ["SocketInUseError", "serve_adapters"]

_numbers = itertools.count(1)


class SocketInUseError(RuntimeError):
    """Another process serves that socket."""


class _Sink(StreamPacketSink):
    """Packets to one host; none once it is gone, for asyncio tells of each byte written to a lost connection."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        super().__init__(transport)
        self._transport = transport

    def on_packet(self, packet: bytes) -> None:
        """Write it, while there is somebody to read it."""
        if not self._transport.is_closing():
            super().on_packet(packet)


class _Session(StreamPacketSource):
    """One host: its adapter is made when it connects and falls silent when its process is gone, however it went."""

    def __init__(self, link: VirtualLink) -> None:
        super().__init__()
        self._link = link
        self._adapter: AdapterController | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """H4 packets in both directions from here."""
        assert isinstance(transport, asyncio.WriteTransport)
        number = next(_numbers)
        address = f"00:5B:1E:00:{number >> 8 & 0xFF:02X}:{number & 0xFF:02X}"
        self._adapter = AdapterController(
            f"hci{number}", host_source=self, host_sink=_Sink(transport), link=self._link,
            public_address=address,
        )  # fmt: skip
        self._adapter.unplug = transport.abort

    def connection_lost(self, exc: Exception | None) -> None:
        """The host is gone: belts see a supervision timeout and advertise again."""
        if self._adapter is not None:
            self._adapter.host = None
            self._adapter.forget_host()
            self._link.remove_controller(self._adapter)
            self._adapter = None


async def serve_adapters(link: VirtualLink, path: Path) -> asyncio.Server:
    """Listen on `path`; SocketInUseError if a living process does already (a dead one's leftover is replaced)."""
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        _clear(path)
    else:
        writer.close()
        raise SocketInUseError(f"{path} is served by another process: choose another --socket or end that one")
    return await asyncio.get_running_loop().create_unix_server(lambda: _Session(link), str(path))


def _clear(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
