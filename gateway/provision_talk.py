"""Talking with belts for a technician: sessions under a key that is being tried, commands and their answers.

A belt that is being claimed goes through the same radio as every other (its sessions, limits and ladder).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from gateway.clock import GatewayClock
from gateway.provision_error import ProvisionError
from gateway.radio import Belt, Closed, Heard, NoSession, Opened, Radio, RadioEvent
from gateway.radio_link import Result
from protocol.messages import Hello
from protocol.wire import frames

__all__ = ["BeltTalk"]

IN_RANGE_S = 10.0  # real; a belt advertises four times a second
SIGHTING_WAIT_S = 6.0
SESSION_WAIT_S = 15.0
TRIES_UNREACHABLE = 3
RESULT_WAIT_S = 10.0
PROOF_WAIT_S = 20.0
REQUEST_FIRST = 0x8000  # apart from the numbers that history requests use
FATAL = ("decommissioned", "busy", "version", "not_a_belt", "refused")


class BeltTalk:
    """One per gateway, on the event loop. `radio` is set once it is open; `heard` gets every event of it."""

    def __init__(self, clock: GatewayClock) -> None:
        self.radio: Radio | None = None
        self._clock = clock
        self._open: dict[bytes, Hello] = {}
        self._under: dict[bytes, bytes] = {}  # serial -> key that the radio tries
        self._events: dict[bytes, asyncio.Queue[Opened | NoSession]] = {}
        self._results: dict[tuple[bytes, int], asyncio.Queue[Result]] = {}
        self._request = REQUEST_FIRST

    def heard(self, event: RadioEvent) -> bool:
        """Take an event of the radio; True for the beginning or refusal of a session that nobody waits for."""
        serial = event.serial
        if isinstance(event, Opened | NoSession):
            if isinstance(event, Opened):
                self._open[serial] = event.hello
            if serial not in self._events:
                return True
            self._events[serial].put_nowait(event)
        elif isinstance(event, Closed):
            self._open.pop(serial, None)
        elif isinstance(event, Heard) and isinstance(event.message, Result):
            waiting = self._results.get((serial, event.message.request_id))
            if waiting is not None:
                waiting.put_nowait(event.message)
        return False

    # -- which belts the radio serves --------------------------------------------------------------------------------

    def serve(self, serial: bytes, key: bytes, *, hurry: bool = False) -> None:
        """Let the radio hold a session with the belt under this key from now on."""
        assert self.radio is not None
        self._under[serial] = key
        self.radio.put(Belt(serial, key), hurry=hurry)

    def let_go(self, serial: bytes) -> None:
        """The radio has nothing to do with the belt any more."""
        assert self.radio is not None
        self._open.pop(serial, None)
        self._under.pop(serial, None)
        self.radio.drop(serial)

    def under(self, serial: bytes, otherwise: bytes) -> bytes:
        """The key that the radio tries."""
        return self._under.get(serial, otherwise)

    def hello(self, serial: bytes) -> Hello | None:
        """What the belt said of itself at the start of the session that is open; None without one."""
        return self._open.get(serial)

    def open_under(self, serial: bytes) -> bytes | None:
        """The key of the session that is open, None without one."""
        return self._under.get(serial) if serial in self._open else None

    # -- sessions ------------------------------------------------------------------------------------------------------

    async def in_range(self, serial: bytes) -> None:
        """Returns once the belt is heard; `not_in_range`, with what is, if it is not."""
        assert self.radio is not None
        limit_ms = IN_RANGE_S * 1000 * self._clock.scale.speed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SIGHTING_WAIT_S):
                while serial not in self._open:
                    now_ms = self._clock.elapsed_ms()
                    if any(s.serial == serial and now_ms - s.heard_ms <= limit_ms for s in self.radio.sightings()):
                        return
                    await asyncio.sleep(0.1)
                return
        others = [s for s in self.radio.sightings() if self._clock.elapsed_ms() - s.heard_ms <= limit_ms]
        if self.radio.trouble:
            raise ProvisionError("no_radio", why=self.radio.trouble)
        raise ProvisionError("not_in_range", belt=serial.hex(), others=len(others))

    async def try_key(self, serial: bytes, key: bytes) -> str:
        """"" if a session opened; `wrong_key` or `claimed_elsewhere`. ProvisionError if trying others is no use."""
        for _ in range(TRIES_UNREACHABLE):
            try:
                with self._listening(serial) as events:
                    self.serve(serial, key, hurry=True)
                    async with asyncio.timeout(SESSION_WAIT_S):
                        event = await events.get()
            except TimeoutError:
                self.let_go(serial)
                raise ProvisionError("no_answer", belt=serial.hex()) from None
            if isinstance(event, Opened):
                return ""
            if event.code in ("wrong_key", "claimed_elsewhere"):
                return event.code
            if event.code in FATAL:
                self.let_go(serial)
                raise ProvisionError(f"belt_{event.code}", belt=serial.hex())
        self.let_go(serial)
        raise ProvisionError("no_answer", belt=serial.hex())

    async def session(self, serial: bytes) -> Hello:
        """The belt's hello, of the session that is open or comes about now."""
        try:
            with self._listening(serial) as events:
                async with asyncio.timeout(SESSION_WAIT_S):
                    while serial not in self._open:
                        event = await events.get()
                        if isinstance(event, NoSession) and event.code != "unreachable":
                            raise ProvisionError(f"belt_{event.code}", belt=serial.hex())
        except TimeoutError:
            raise ProvisionError("no_answer", belt=serial.hex()) from None
        return self._open[serial]

    async def reach(self, serial: bytes, key: bytes) -> Hello:
        """A session with a belt of ours, whether the radio serves it already or not; ProvisionError if it is away."""
        if serial not in self._open:
            await self.in_range(serial)
            self.serve(serial, self._under.get(serial, key), hurry=True)
        return await self.session(serial)

    async def refuses(self, serial: bytes, key: bytes) -> bool:
        """Whether the belt refuses a new session because it is out of service."""
        self.let_go(serial)
        try:
            with self._listening(serial) as events:
                async with asyncio.timeout(PROOF_WAIT_S):
                    self.serve(serial, key, hurry=True)
                    while True:
                        event = await events.get()
                        if isinstance(event, NoSession) and event.code == "decommissioned":
                            return True
        except TimeoutError:
            return False

    @contextlib.contextmanager
    def _listening(self, serial: bytes) -> Iterator[asyncio.Queue[Opened | NoSession]]:
        queue: asyncio.Queue[Opened | NoSession] = asyncio.Queue()
        self._events[serial] = queue
        try:
            yield queue
        finally:
            self._events.pop(serial, None)

    # -- commands ------------------------------------------------------------------------------------------------------

    async def command(
        self, serial: bytes, key: bytes, command: int, argument: int, finish_s: float = 0.0
    ) -> Result:
        """The answer of a belt of ours; with `finish_s` the second one, which says that what was started has ended."""
        await self.reach(serial, key)
        return await self.ask(serial, frames.COMMAND, (command, argument), finish_s=finish_s)

    async def give_key(self, serial: bytes, key: bytes, gateway: bytes) -> int:
        """Replace the belt's key; the status that it answers. `gateway`: the 8 bytes by which it knows its owner."""
        return (await self.ask(serial, frames.CLAIM, (key, gateway))).status

    async def ask(
        self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"", finish_s: float = 0.0
    ) -> Result:
        """A frame that has a request id before `values`, and the belt's answer; ProvisionError `no_answer` without."""
        request = self._next_request()
        assert self.radio is not None
        answers: asyncio.Queue[Result] = asyncio.Queue()
        self._results[serial, request] = answers
        try:
            if not self.radio.send(serial, kind, (request, *values), tail):
                raise ProvisionError("no_answer", belt=serial.hex())
            async with asyncio.timeout(RESULT_WAIT_S):
                result = await answers.get()
            if finish_s and result.status == frames.STATUS_STARTED:
                async with asyncio.timeout(finish_s):
                    result = await answers.get()
        except TimeoutError:
            raise ProvisionError("no_answer", belt=serial.hex()) from None
        finally:
            del self._results[serial, request]
        return result

    def _next_request(self) -> int:
        self._request = self._request + 1 if self._request < 0xFFFF else REQUEST_FIRST
        return self._request
