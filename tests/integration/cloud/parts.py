"""A real broker, the real receiver as a process and a real uplink, for tests in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.broker import embedded_broker

GATEWAY = "gw-01"
PACKET_BYTES = 1400
STOP_S = 60.0  # on a machine that does many other things at once


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """The embedded broker on one port, which can be away for a while."""

    def __init__(self) -> None:
        self.port = free_port()
        self._stack: contextlib.ExitStack | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(embedded_broker("127.0.0.1", self.port))

    def stop(self) -> None:
        if self._stack is not None:
            self._stack.close()
        self._stack = None


class Mosquitto:
    """mosquitto as a process of its own on one port, which keeps nothing and can be killed."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host, self.port = host, free_port()
        self._conf = folder / "mosquitto.conf"
        self._conf.write_text(
            f"listener {self.port} {host}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        )
        if os.geteuid() == 0:  # else mosquitto would go on as a user that cannot read the test's folder
            self._conf.write_text(self._conf.read_text() + "user root\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", str(self._conf)], stderr=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 0.2):
                return
            time.sleep(0.05)
        raise AssertionError(f"mosquitto does not listen (code {self._process.poll()})")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)


@dataclass(frozen=True)
class Shape:
    """A link as a modem has it, the same in both directions: its rate, and the time a bit is under way."""

    bits_per_s: float
    delay_s: float
    queue_bytes: int = 64 * 1024  # before its router; a full one lets senders wait, as TCP makes them


class _Direction:
    """One direction of a shaped link: what all connections send stands in one queue."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._free_s = 0.0  # when all that stands in the queue has left it

    async def pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """Returns when the queue has room for more; the data arrive when their time has come, in order."""
        loop = asyncio.get_running_loop()
        begin_s = max(loop.time(), self._free_s)
        self._free_s = begin_s + 8 * len(data) / self._shape.bits_per_s
        loop.call_at(self._free_s + self._shape.delay_s, _write, writer, data)
        over_s = self._free_s - loop.time() - 8 * self._shape.queue_bytes / self._shape.bits_per_s
        if over_s > 0:
            await asyncio.sleep(over_s)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


class Network:
    """A way to a TCP port of this machine that can be parted: nothing passes, no connection is closed or made."""

    def __init__(self, port: int, shape: Shape | None = None) -> None:
        self.port = free_port()
        self.carried_up = 0  # bytes towards the port, where the link is shaped
        self._up: _Direction | None = None if shape is None else _Direction(shape)
        self._down: _Direction | None = None if shape is None else _Direction(shape)
        self._to_port = port
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        self.heal(reset=False)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def part(self) -> None:
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self, reset: bool) -> None:
        """Let through again: what was under way goes on, or with `reset` its connections are gone."""
        if reset:
            asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._open.set)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_writer}
        await asyncio.gather(self._pump(reader, to_writer, self._up), self._pump(to_reader, writer, self._down))
        self._writers -= {writer, to_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: _Direction | None
    ) -> None:
        try:
            while data := await reader.read(65_536 if direction is None else PACKET_BYTES):
                await self._open.wait()
                self.carried_up += len(data) if direction is self._up and direction else 0
                if direction is not None:
                    await direction.pass_on(data, writer)
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


class Receiver:
    """`sleepbelt receiver` as a process of its own."""

    def __init__(self, folder: Path, broker_url: str, *more: str) -> None:
        self._command = [
            sys.executable, "-m", "gateway.cli", "receiver", "--data", str(folder), "--broker", broker_url,
            "--http", f"127.0.0.1:{free_port()}", "--json", *more,
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self._http = ""
        self.ready: dict[str, Any] = {}

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "SLEEPBELT_CLOCK"}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the receiver ended before it was ready"
        self.ready = json.loads(line)
        self._http = self.ready["http"]

    @property
    def process(self) -> subprocess.Popen[str] | None:
        return self._process

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_S)

    @property
    def address(self) -> str:
        return self._http

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self._http + path, timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._http + path, timeout=5) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(*parts: Broker | Mosquitto | Network | Receiver) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for part in parts:
            part.start()
            stack.callback(part.stop)
        yield


class EventStream:
    """An open /api/events; use as a context manager."""

    def __init__(self, receiver: Receiver) -> None:
        self._answer = urllib.request.urlopen(receiver.address + "api/events", timeout=10)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *error: object) -> None:
        self._answer.close()

    def next(self, event: str) -> Any:
        """The data of the next event of that name; others are skipped."""
        name = ""
        for raw in self._answer:
            key, _, value = raw.decode().strip().partition(": ")
            if key == "event":
                name = value
            elif key == "data" and name == event:
                return json.loads(value)
        raise AssertionError("the stream ended")
