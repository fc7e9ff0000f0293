"""Sends alarm events to webhooks: each endpoint by itself, in order, bounded, tried again, with a delivery record."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cloud_sync.clock import Clock
from cloud_sync.webhook_post import TIMEOUT_S, post
from gateway.cores.webhook import Event, accepted, permanent, request_of, retry_after_s, wants
from gateway.outlets import WebhookConfig

__all__ = ["Delivered", "Webhook"]

log = logging.getLogger(__name__)

QUEUE_MAX = 256
RECORDS_MAX = 256


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one event; `error` empty: delivered."""

    key: str
    event: str
    bed: str
    tries: int
    error: str = ""


class Webhook:
    """One endpoint. `hand` returns at once; `run` is its task."""

    def __init__(
        self,
        config: WebhookConfig,
        timezone: str,
        clock: Clock,
        failed: Callable[[Delivered], None] = lambda delivered: None,
        pause: Callable[[int, str], int | None] = retry_after_s,
    ) -> None:
        """`failed` is told of every event that was given up, for the audit; `pause` as `retry_after_s`."""
        self.config = config
        self.deliveries: deque[Delivered] = deque(maxlen=RECORDS_MAX)
        self.failing = ""  # why it does not deliver at present
        self.dropped = 0
        self.on_try: Callable[[Event, str], None] = lambda event, error: None
        """Told of each try and why it failed, "" if it did not."""
        self._timezone = timezone
        self._clock = clock
        self._failed = failed
        self._pause = pause
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        # A thread of its own: an endpoint that hangs must hold neither the loop nor another endpoint.
        self._thread = ThreadPoolExecutor(1, "webhook")

    def hand(self, event: Event) -> None:
        """Queue an event; at the limit the oldest is given up."""
        if not wants(self.config.template, event.event):
            return
        if len(self._queue) >= QUEUE_MAX:
            self.dropped += 1
            self._done(self._queue.popleft(), 0, "too many events are waiting")
        self._queue.append(event)
        self._wake.set()

    def withdraw(self, name: str) -> None:
        """Events of that name which still wait are not sent any more."""
        self._queue = deque(event for event in self._queue if event.event != name)

    async def run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self._deliver(self._queue.popleft())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _deliver(self, event: Event) -> None:
        tries = 0
        while True:
            tries += 1
            error, final = await self._try(event)
            self._say(error)
            self.on_try(event, error)
            pause_s = self._pause(tries, event.event) if error and not final else None
            if pause_s is None:
                self._done(event, tries, error)
                return
            await asyncio.sleep(pause_s)

    async def _try(self, event: Event) -> tuple[str, bool]:
        """(why not, or "", whether trying again cannot help)"""
        config = self.config
        request = request_of(
            config.template, config.url, config.secret, event, self._clock.utc_ms(), self._timezone, config.language
        )
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                status, body = await asyncio.get_running_loop().run_in_executor(self._thread, post, request)
        except TimeoutError:
            return "no answer", False
        except OSError as error:
            return str(error), False
        return accepted(config.template, status, body), permanent(status)

    def _done(self, event: Event, tries: int, error: str) -> None:
        delivered = Delivered(event.key, event.event, event.bed, tries, error)
        self.deliveries.append(delivered)
        if error:
            log.error("%s: %s of bed %s is given up after %d tries: %s", self.config, event.event, event.bed, tries,
                      error)
            self._failed(delivered)

    def _say(self, error: str) -> None:
        if error and not self.failing:
            log.warning("%s does not take events: %s", self.config, error)
        elif self.failing and not error:
            log.info("%s takes events again", self.config)
        self.failing = error
