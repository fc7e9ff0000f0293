"""One part of the demo as a process: its ready line, its closing summary, its log file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


class ChildError(RuntimeError):
    """A part did not start or ended by itself; the text names it, its last words and its log."""


class Child:
    """`sleepbelt ARGUMENTS` in a process that prints JSON lines: one when ready, one when it ends."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._log = log
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self.lines: list[dict[str, Any]] = []

    async def start(self) -> dict[str, Any]:
        """Start it and wait for its ready line; ChildError if it ends first or says nothing."""
        self.lines.clear()
        self._ready = asyncio.get_running_loop().create_future()
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo only, which then ends the parts in order.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.cli", *self._arguments, env=self._environment, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, limit=1 << 20,
            )
        self._reader = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(self._ready, READY_TIMEOUT_S)
        except TimeoutError:
            raise ChildError(f"{self.name}: not ready after {READY_TIMEOUT_S:.0f} s; see {self._log}") from None

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._ready is not None
        while line := await self._process.stdout.readline():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                self.lines.append(said)
                if not self._ready.done() and said.get("event") == "ready":
                    self._ready.set_result(said)
        code = await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(ChildError(f"{self.name}: ended with code {code}: {self._last_words()}"))

    def _last_words(self) -> str:
        words = self._log.read_text("utf-8", "replace").strip().splitlines()
        return f"{words[-1] if words else 'it said nothing'} (log: {self._log})"

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.returncode is None

    def died(self) -> ChildError | None:
        """What to say if it ended by itself."""
        if self.running or self._process is None:
            return None
        return ChildError(f"{self.name}: ended with code {self._process.returncode}: {self._last_words()}")

    async def kill(self) -> None:
        """SIGKILL: what a power cut does to it."""
        if self.running:
            assert self._process is not None
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._ended()

    async def stop(self) -> dict[str, Any]:
        """SIGTERM, wait, and its closing summary ({} if it gave none)."""
        if self.running:
            assert self._process is not None
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._ended()
        summaries = [line for line in self.lines if line.get("event") == "summary"]
        return summaries[-1] if summaries else {}

    async def _ended(self) -> None:
        if self._reader is not None:
            await self._reader
