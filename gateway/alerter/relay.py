"""The gateway's end of the relay: starts its process (or reaches the unit that serves one), beats, calls, tests.

The process alone drives the pin (relay_process.py); here nothing waits for it except the relay's own channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.alerter.signal import Signal
from gateway.cores.relay import CALL_MS_MIN, TEST_MS, beat, read_answer

__all__ = ["RelayLink"]

BEAT_EVERY_MS = 1000
RETRY_S_MIN, RETRY_S_MAX = 0.5, 10.0
SILENT_S = 3.0
UNANSWERED_MAX = 3
PACKET_MAX = 64


class RelayLink:
    """`show` and `test` are the channel's; `beat` is for whoever knows that the alarm path lives; `run` is a task.

    `socket_path` None: the process is a child, started with `arguments`, and ends with the gateway.
    `on_trouble` is told why the link does not work, and "" once it does again.
    """

    def __init__(self, arguments: list[str], calls: bool, socket_path: Path | None = None) -> None:
        self._arguments = arguments
        self._calls = calls
        self._socket_path = socket_path
        self._link: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._answers: dict[int, asyncio.Future[bool]] = {}
        self._number = 0
        self._unanswered = 0
        self._call = False
        self._beat_ms: int | None = None
        self._trouble = ""
        self.on_trouble: Callable[[str], None] = lambda error: None

    @property
    def process_id(self) -> int | None:
        """Of the child that runs now."""
        return None if self._process is None else self._process.pid

    def beat(self) -> None:
        """Say that the alarm path lives, at most once a second; never waits."""
        now_ms = _now_ms()
        if self._beat_ms is None or now_ms - self._beat_ms >= BEAT_EVERY_MS:
            self._beat_ms = now_ms
            with contextlib.suppress(OSError):  # `run` notices and tells
                self._send()

    async def show(self, signal: Signal) -> None:
        """Open the contact for an unanswered alarm, hold it otherwise; OSError if the pin does not show it."""
        self._call = signal.alarming and not signal.steady
        energised = await self._asked()
        if energised and self._call and self._calls:
            raise OSError("the relay did not open")

    async def test(self) -> None:
        """Open the contact for a moment, as a call does, and see it held again; OSError if it does not follow."""
        if await self._asked(test=True):
            raise OSError("the relay did not open")
        await asyncio.sleep((TEST_MS + CALL_MS_MIN) / 1000)
        if not await self._asked() and not (self._call and self._calls):
            raise OSError("the relay was not held again")

    async def run(self) -> None:
        """Keep the link for ever; a relay process that ends is started again."""
        retry_s = RETRY_S_MIN
        try:
            while True:
                try:
                    await self._open()
                    await self._read()
                    self._told("the relay's process has gone; the contact is open")
                except OSError as error:
                    self._told(str(error))
                if self._link is not None and not self._unanswered:
                    retry_s = RETRY_S_MIN
                self._drop()
                await asyncio.sleep(retry_s)
                retry_s = min(RETRY_S_MAX, retry_s * 2)
        finally:
            await self._end()

    async def _open(self) -> None:
        if self._socket_path is not None:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.setblocking(False)
            try:
                link.connect(str(self._socket_path))
            except OSError as error:
                link.close()
                raise OSError(f"{self._socket_path}: {error.strerror}; start the relay's unit") from None
            self._link = link
        else:
            await self._reaped()
            link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.setblocking(False)
            with theirs:
                # A session of its own: Ctrl-C in the gateway's terminal is not meant for it.
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "gateway.alerter.relay_process", *self._arguments, "--fd",
                    str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            self._link = link
        self._unanswered = 0
        self._send()

    async def _read(self) -> None:
        assert self._link is not None
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    packet = await loop.sock_recv(self._link, PACKET_MAX)
            except TimeoutError:
                if self._unanswered >= UNANSWERED_MAX:
                    raise OSError("the relay's process does not answer") from None
                continue  # no heartbeats, no answers
            if not packet:
                return
            said = read_answer(packet)
            if said is None:
                continue
            self._unanswered = 0
            self._told("")
            waiting = self._answers.pop(said[0], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said[1])

    async def _asked(self, *, test: bool = False) -> bool:
        """Send a beat and wait for what the pin shows then; the channel's timeout bounds this."""
        number = self._send(test=test)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    def _send(self, *, test: bool = False) -> int:
        if self._link is None:
            raise OSError("the relay's process does not run")
        self._number = (self._number + 1) & 0xFF
        self._link.send(beat(self._number, self._call, test), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._unanswered += 1
        return self._number

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(OSError("the relay's process has gone"))
        self._answers.clear()

    def _told(self, error: str) -> None:
        if error != self._trouble:
            self._trouble = error
            self.on_trouble(error)

    async def _reaped(self) -> None:
        """A process that hangs with the pin in its hands must go before the next can have it."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(2.0):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._process = None

    async def _end(self) -> None:
        """The closed link tells the process to let go and end."""
        self._drop()
        await self._reaped()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
