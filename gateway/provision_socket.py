"""`provision.sock` in the data folder: the operations of provisioning for whoever may write there, without a PIN.

One JSON object a line each way: `{"operation": ..., "arguments": {...}}` and `{"ok": true, "result": {...}}` or
`{"ok": false, "code": ..., "values": {...}}`. Who asks is known from the kernel, and stands in the audit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.provision_error import ProvisionError
from gateway.provision_ops import Operations
from protocol.phrase import Phrase

__all__ = ["SOCKET_FILE", "GatewayAwayError", "ask", "is_served", "serve_operations"]

log = logging.getLogger(__name__)

SOCKET_FILE = "provision.sock"
LINE_BYTES_MAX = 1_000_000
ASK_S_MAX = 180.0


class GatewayAwayError(Exception):
    """No gateway answers in this data folder; the text says what to do."""


async def serve_operations(operations: Operations, folder: Path) -> None:
    """Answer until cancelled. A folder where no socket can be made costs the command, never the gateway."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = _who(writer.get_extra_info("socket"))
        with contextlib.suppress(ConnectionError, ValueError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                writer.write(json.dumps(await _answered(operations, line, who), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        writer.close()

    with _short(folder) as short:
        path = short / SOCKET_FILE
        try:
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(answer, path, limit=LINE_BYTES_MAX)
            finally:
                os.umask(before)
        except OSError as error:
            log.error("%s: %s; `sleepbelt provision` does not work", folder / SOCKET_FILE, error.strerror)
            await asyncio.Event().wait()
            return
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            with contextlib.suppress(OSError):  # a disk that turned read-only keeps it
                path.unlink(missing_ok=True)


async def _answered(operations: Operations, line: bytes, who: str) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        name, arguments = asked["operation"], asked.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        return {"ok": False, "code": "unknown_operation", "values": {"found": "?"}}
    try:
        # Who may open the socket may read the gateway's files.
        return {"ok": True, "result": await operations.call(name, arguments, who, admin=True)}
    except ProvisionError as error:
        return {"ok": False, "code": error.code, "values": error.values}


def ask(folder: Path, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One operation of the gateway that runs on `folder`: its result; ProvisionError, GatewayAwayError."""
    with _short(folder) as short, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(ASK_S_MAX)
        try:
            link.connect(str(short / SOCKET_FILE))
            link.sendall(json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n")
            answer = json.loads(link.makefile("rb").readline() or b"{}")
        except PermissionError:
            raise GatewayAwayError(
                Phrase(
                    "{folder}: not permitted; run this as the gateway's user (sudo -u sleepbelt ...)",
                    folder=folder / SOCKET_FILE,
                )
            ) from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no answer"
            raise GatewayAwayError(
                Phrase(
                    "no gateway answers at {folder} ({why}); start it: sleepbelt run --config FILE",
                    folder=folder / SOCKET_FILE,
                    why=why,
                )
            ) from None
    if not answer.get("ok"):
        raise ProvisionError(str(answer.get("code", "no_answer")), **answer.get("values", {}))
    result: dict[str, Any] = answer["result"]
    return result


def is_served(folder: Path) -> bool:
    """Whether a gateway runs on this data folder; a socket that a killed one left behind does not count."""
    if not (folder / SOCKET_FILE).exists():
        return False
    with _short(folder) as short, socket.socket(socket.AF_UNIX) as link:
        return link.connect_ex(str(short / SOCKET_FILE)) == 0


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The folder by a path that is short enough for a socket's (108 bytes), however long its own is."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise GatewayAwayError(
            Phrase("{folder}: {why}; is this the gateway's data_dir?", folder=folder, why=error.strerror)
        ) from None
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _who(link: socket.socket) -> str:
    """The system's user at the other end, as `local:NAME`."""
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:{uid}"
