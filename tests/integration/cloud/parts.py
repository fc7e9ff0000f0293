"""A real broker, the real receiver as a process and a real uplink, for tests in real time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloud_sync.broker import embedded_broker

GATEWAY = "gw-01"


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
        return self._process.wait(10)

    @property
    def address(self) -> str:
        return self._http

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._http + path, timeout=5) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running(*parts: Broker | Receiver) -> Iterator[None]:
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
