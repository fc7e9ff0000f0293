"""Tells each endpoint what the outbox holds for it, tried again with growing pauses, and watches for silent gateways.

Each endpoint goes by itself: one that hangs holds up neither another one nor the commits.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from cloud_sync.clock import Clock
from cloud_sync.receiver import hook_events
from cloud_sync.receiver.hook_events import HookEvent
from cloud_sync.receiver.settings import HookSettings
from cloud_sync.receiver.stores import outbox
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.database import Database, transaction
from cloud_sync.receiver.stores.outbox import Delivery
from cloud_sync.receiver.threads import StoreThread
from cloud_sync.secret_file import SecretFileError, read_secrets
from cloud_sync.webhook import signed_request
from cloud_sync.webhook_post import post
from protocol.batch import LiveSnapshot

__all__ = ["Hooks", "pause_s"]

log = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_S = (2, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
"""Pauses between tries of one event, over two days in all; then it is given up: log and delivery log say so."""
LOOK_S = 2.0  # what another worker noted is found within this
FAILING_PAUSE_S_MAX = 60.0
SWEEP_S = 3600.0
SILENT_S = 120.0  # gateways describe their beds every few seconds
GONE = 410
WITHHELD = "not sent: consent was withdrawn"


def pause_s(tries: int) -> float | None:
    """The pause after so many failed tries; None: give up."""
    return RETRY_S[tries - 1] if 1 <= tries <= len(RETRY_S) else None


class Hooks:
    """`heard` and `committed` feed it; `run` until cancelled. `outbox_thread`: a connection of its own."""

    def __init__(
        self,
        hooks: Sequence[HookSettings],
        outbox_thread: StoreThread[Database],
        clock: Clock,
        withheld: Callable[[str | None], frozenset[str]],
        is_connected: Callable[[], bool],
        pause: Callable[[int], float | None] = pause_s,
        silent_s: float = SILENT_S,
    ) -> None:
        self._outbox, self._clock, self._withheld, self._pause = outbox_thread, clock, withheld, pause
        self._endpoints = [_Endpoint(hook) for hook in hooks]
        self._gateways = _Silence(is_connected, silent_s)

    def heard(self, snapshot: LiveSnapshot) -> None:
        """A gateway described its beds."""
        self._gateways.heard(snapshot.gateway, snapshot.utc_ms)

    def committed(self) -> None:
        """Something was stored: look at once."""
        for endpoint in self._endpoints:
            endpoint.wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for endpoint in self._endpoints:
                tasks.create_task(self._serve(endpoint))
            tasks.create_task(self._watch())
            tasks.create_task(self._sweep())

    async def _serve(self, endpoint: _Endpoint) -> None:
        try:
            while True:
                try:
                    await self._do("prepare webhooks", lambda database: outbox.adopt(
                        database, endpoint.hook.name, endpoint.hook.events, self._clock.utc_ms(), _real_utc_ms()))
                    await self._deliver_due(endpoint)
                except StoreError as error:
                    endpoint.say(str(error))
                await endpoint.rest()
        finally:
            endpoint.thread.shutdown(wait=False, cancel_futures=True)

    async def _deliver_due(self, endpoint: _Endpoint) -> None:
        """Send what is due, until nothing is or the endpoint does not take it."""
        while delivery := await self._do(
            "claim a delivery", lambda database: outbox.claim(database, endpoint.hook.name, _real_utc_ms())
        ):
            needed = hook_events.class_of(delivery.event)
            if needed is not None and needed in self._withheld(delivery.resident_id or None):
                await self._settle(delivery, None, WITHHELD)
                continue
            error, status = await endpoint.send(delivery)
            endpoint.say(error)
            pause = self._pause(delivery.tries) if error and status != GONE else None
            if error and pause is None:
                log.error("%s: %s is given up after %d tries: %s", endpoint.hook, delivery.event_key, delivery.tries,
                          error)
            again_ms = None if pause is None else _real_utc_ms() + round(pause * random.uniform(800, 1200))
            await self._settle(delivery, again_ms, error)
            if error:
                return

    async def _settle(self, delivery: Delivery, again_utc_ms: int | None, error: str) -> None:
        await self._do("settle a delivery", lambda database: outbox.settle(database, delivery, again_utc_ms, error))

    async def _watch(self) -> None:
        """Note gateways that fall silent, and that they are back."""
        known = False
        while True:
            try:
                if not known:
                    self._gateways.lost |= await self._do("read webhooks", outbox.lost_gateways)
                    known = True
                for event in self._gateways.look(time.monotonic()):
                    await self._note(event)
                    self.committed()
            except StoreError as error:
                log.warning("%s", error)
            await asyncio.sleep(LOOK_S)

    async def _note(self, event: HookEvent) -> None:
        await self._do("note an event", lambda database: outbox.note(database, event, self._clock.utc_ms()))

    async def _sweep(self) -> None:
        while True:
            try:
                await self._do("sweep webhooks", outbox.sweep)
            except StoreError as error:
                log.warning("%s", error)
            await asyncio.sleep(SWEEP_S)

    async def _do(self, what: str, change: Callable[[Database], T]) -> T:
        def at_once(database: Database) -> T:
            with transaction(database, what):
                return change(database)

        return await self._outbox.call(at_once)


class _Endpoint:
    """One endpoint: its thread, and how it fares."""

    def __init__(self, hook: HookSettings) -> None:
        self.hook = hook
        self.wake = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, "webhook")
        self._failing = ""
        self._failures = 0

    async def send(self, delivery: Delivery) -> tuple[str, int]:
        """("" or why it was not taken, HTTP status or 0)"""
        try:
            secrets = read_secrets(self.hook.secret_file)
        except SecretFileError as error:
            return f"secret_file: {error}", 0
        request = signed_request(
            self.hook.url, delivery.event_key, delivery.body.encode(), secrets, _real_utc_ms() // 1000
        )
        try:
            status, _ = await asyncio.get_running_loop().run_in_executor(self.thread, post, request)
        except OSError as error:
            return str(error), 0
        return ("" if 200 <= status < 300 else f"HTTP status {status}"), status

    def say(self, error: str) -> None:
        """Log a change, not a state."""
        if error and not self._failing:
            log.warning("%s does not take events: %s", self.hook, error)
        elif self._failing and not error:
            log.info("%s takes events again", self.hook)
        self._failing, self._failures = error, self._failures + 1 if error else 0

    async def rest(self) -> None:
        """Until there may be something to do; longer while nothing is taken, whatever is noted meanwhile."""
        if self._failures:
            await asyncio.sleep(min(FAILING_PAUSE_S_MAX, LOOK_S * 2.0 ** min(self._failures - 1, 10)))
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.wake.wait()
        self.wake.clear()


class _Silence:
    """Which gateways say nothing any more; what is not heard while the broker is away counts for nothing."""

    def __init__(self, is_connected: Callable[[], bool], silent_s: float) -> None:
        self._is_connected, self._silent_s = is_connected, silent_s
        self._heard: dict[str, tuple[float, int]] = {}  # gateway -> (when, monotonic; what its clock said)
        self.lost: dict[str, int] = {}  # gateway -> what its clock said last

    def heard(self, gateway: str, utc_ms: int) -> None:
        self._heard[gateway] = (time.monotonic(), utc_ms)

    def look(self, now_s: float) -> list[HookEvent]:
        """What has changed since the last look."""
        events = []
        for gateway, (at_s, utc_ms) in self._heard.items():
            if not self._is_connected():
                self._heard[gateway] = (now_s, utc_ms)
            elif gateway in self.lost and utc_ms > self.lost[gateway]:
                events.append(hook_events.gateway_back(gateway, self.lost.pop(gateway), utc_ms))
            elif gateway not in self.lost and now_s - at_s > self._silent_s:
                self.lost[gateway] = utc_ms
                events.append(hook_events.gateway_lost(gateway, utc_ms))
        return events


def _real_utc_ms() -> int:
    return time.time_ns() // 1_000_000
