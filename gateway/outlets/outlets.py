"""All outlets of one gateway: built from the configuration, fed by the room's decisions, run beside the alarm path."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cloud_sync.webhook import host_of
from gateway.clock import GatewayClock
from gateway.config import Config
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import BedView
from gateway.cores.webhook import SENT_EVENTS, TEST_ALARM, TEST_ALARM_END, Event
from protocol.batch import Stamp

if TYPE_CHECKING:
    from gateway.outlets.home_assistant import HomeAssistant
    from gateway.outlets.webhook import Delivered, Webhook

__all__ = ["Outlets"]

Note = Callable[[str, str, str, str], None]
"""(kind, who, bed, detail): one audit record."""
HOME_ASSISTANT = "home_assistant"


class Outlets:
    """`decided` returns at once; `run` is the task that holds those of the outlets."""

    def __init__(
        self, config: Config, clock: GatewayClock, snapshot: Callable[[], Mapping[str, Any]], note: Note
    ) -> None:
        self._gateway = config.gateway.id
        self._note = note
        self._clock = clock
        self._tested, self._test_began_ms = "", 0
        self.on_test_delivery: Callable[[str, int, str], None] = lambda channel, after_ms, error: None
        """Told of (channel, after real ms, error) of a test alarm."""
        self.webhooks: list[Webhook] = []
        self.home_assistant: HomeAssistant | None = None
        # Imported by a gateway that has something to tell somebody.
        if config.webhooks:
            from gateway.outlets.webhook import Webhook

            zone = config.gateway.timezone
            self.webhooks = [Webhook(hook, zone, clock, self._failed(str(hook))) for hook in config.webhooks]
            for name, webhook in zip(self._hook_names(), self.webhooks, strict=True):
                webhook.on_try = self._tried(name)
        if config.home_assistant is not None:
            from gateway.outlets.home_assistant import HomeAssistant

            self.home_assistant = HomeAssistant(config.home_assistant, self._gateway, version("sleepbelt"), snapshot)
            self.home_assistant.on_try = lambda error: self._test_delivery(HOME_ASSISTANT, error)

    # -- a walk test's alarm -----------------------------------------------------------------------------------------

    def channels(self) -> list[str]:
        """Every outlet by a name that holds no key and tells it from the others."""
        return self._hook_names() + ([HOME_ASSISTANT] if self.home_assistant is not None else [])

    def test_on(self, bed: str) -> None:
        """Tell every outlet of a test alarm at a bed; what becomes of it goes to `on_test_delivery`."""
        self._tested, self._test_began_ms = bed, _now_ms()
        self._hand(self._test_event(TEST_ALARM, bed))
        if self.home_assistant is not None:
            self.home_assistant.test(bed)

    def test_off(self) -> None:
        """The test alarm is over; who has not been told of it will not be."""
        if not self._tested:
            return
        for webhook in self.webhooks:
            webhook.withdraw(TEST_ALARM)
        self._hand(self._test_event(TEST_ALARM_END, self._tested))
        if self.home_assistant is not None:
            self.home_assistant.test("")
        self._tested = ""

    def _test_event(self, name: str, bed: str) -> Event:
        return Event(self._gateway, self._key(), bed, name, "", "", 0, self._clock.utc_ms(), self._clock.trusted())

    def _tried(self, channel: str) -> Callable[[Event, str], None]:
        def tried(event: Event, error: str) -> None:
            if event.event == TEST_ALARM and event.bed == self._tested:
                self._test_delivery(channel, error)

        return tried

    def _test_delivery(self, channel: str, error: str) -> None:
        if self._tested:
            self.on_test_delivery(channel, _now_ms() - self._test_began_ms, error)

    def _hook_names(self) -> list[str]:
        return [f"webhook {number}: {webhook.config.template} {host_of(webhook.config.url)}"
                for number, webhook in enumerate(self.webhooks, 1)]

    # -- what happens in the room ------------------------------------------------------------------------------------

    def decided(self, effect: Effect, at: Stamp, view: BedView | None) -> None:
        """One decision of the room."""
        if not self.webhooks or effect.event not in SENT_EVENTS:
            return
        event = Event(
            gateway=self._gateway,
            key=self._key(),
            bed=effect.bed or "",
            event=effect.event,
            detail=f"{effect.detail} {effect.reason}".strip(),
            priority=view.priority if view is not None and view.alarm != "none" else "",
            level=view.level if view is not None and view.alarm != "none" else 0,
            utc_ms=at.utc_ms,
            time_trusted=at.trusted,
        )
        self._hand(event)

    def _hand(self, event: Event) -> None:
        for webhook in self.webhooks:
            webhook.hand(event)

    def _key(self) -> str:
        return f"{self._gateway}-{secrets.token_hex(8)}"

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for webhook in self.webhooks:
                tasks.create_task(webhook.run())
            if self.home_assistant is not None:
                tasks.create_task(self.home_assistant.run())

    def failing(self) -> dict[str, str]:
        """Outlet -> why it does not deliver at present."""
        failing = {str(webhook.config): webhook.failing for webhook in self.webhooks if webhook.failing}
        if self.home_assistant is not None and self.home_assistant.failing:
            failing[HOME_ASSISTANT] = self.home_assistant.failing
        return failing

    def figures(self) -> dict[str, int]:
        """Counts for `/api/stats`."""
        if not self.webhooks:
            return {}
        done = [delivery for webhook in self.webhooks for delivery in webhook.deliveries]
        return {"webhooks_failing": sum(bool(webhook.failing) for webhook in self.webhooks),
                "webhook_events_given_up": sum(bool(delivery.error) for delivery in done)}

    def _failed(self, name: str) -> Callable[[Delivered], None]:
        def failed(delivered: Delivered) -> None:
            detail = f"{name}: {delivered.event} {delivered.key} after {delivered.tries} tries: {delivered.error}"
            self._note("webhook_failed", "", delivered.bed, detail)

        return failed


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
