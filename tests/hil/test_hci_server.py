"""The virtual adapters' sockets: what happens when a host goes away without a word."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from hil.radio.hci_server import serve_adapters
from hil.radio.link import VirtualLink

RESET = struct.pack("<BHB", 1, 0x0C03, 0)
PACKETS = 200


async def test_a_host_that_vanished_is_written_to_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve_adapters(VirtualLink(), tmp_path / "h.sock")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "h.sock"))
    writer.write(RESET)
    await reader.readexactly(7)  # Command Complete
    writer.write(RESET * PACKETS)  # whose answers nobody will read
    writer.transport.abort()
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    server.close()
    assert "socket.send()" not in caplog.text


async def test_who_ends_a_connection_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    """Bumble's controller says that it will, and never does: the kernel waits, and cannot be switched off any more."""
    server = await serve_adapters(VirtualLink(), tmp_path / "h.sock")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "h.sock"))
    writer.write(RESET)
    await reader.readexactly(7)
    disconnect = 0x0406
    writer.write(struct.pack("<BHBHB", 1, disconnect, 3, 7, 0x13))
    kind, event, length, status, packets, command = struct.unpack("<BBBBBH", await reader.readexactly(7))
    assert (kind, event, length, status, packets, command) == (4, 0x0F, 4, 0x02, 1, disconnect)
    writer.close()
    server.close()
