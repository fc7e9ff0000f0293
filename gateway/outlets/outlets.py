"""All outlets of one gateway: built from the configuration, fed by the room's decisions, run beside the alarm path."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gateway.clock import GatewayClock
from gateway.config import Config
from gateway.cores.effects import Effect
from gateway.cores.leave_bed import BedView
from gateway.cores.webhook import SENT_EVENTS, Event
from protocol.batch import Stamp

if TYPE_CHECKING:
    from gateway.outlets.home_assistant import HomeAssistant
    from gateway.outlets.webhook import Delivered, Webhook

__all__ = ["Outlets"]

Note = Callable[[str, str, str, str], None]
"""(kind, who, bed, detail): one audit record."""


class Outlets:
    """`decided` returns at once; `run` is the task that holds those of the outlets."""

    def __init__(
        self, config: Config, clock: GatewayClock, snapshot: Callable[[], Mapping[str, Any]], note: Note
    ) -> None:
        self._gateway = config.gateway.id
        self._note = note
        self.webhooks: list[Webhook] = []
        self.home_assistant: HomeAssistant | None = None
        # Imported by a gateway that has something to tell somebody.
        if config.webhooks:
            from gateway.outlets.webhook import Webhook

            zone = config.gateway.timezone
            self.webhooks = [Webhook(hook, zone, clock, self._failed(str(hook))) for hook in config.webhooks]
        if config.home_assistant is not None:
            from gateway.outlets.home_assistant import HomeAssistant

            self.home_assistant = HomeAssistant(config.home_assistant, self._gateway, version("sleepbelt"), snapshot)

    def decided(self, effect: Effect, at: Stamp, view: BedView | None) -> None:
        """One decision of the room."""
        if not self.webhooks or effect.event not in SENT_EVENTS:
            return
        event = Event(
            gateway=self._gateway,
            key=f"{self._gateway}-{secrets.token_hex(8)}",
            bed=effect.bed or "",
            event=effect.event,
            detail=f"{effect.detail} {effect.reason}".strip(),
            priority=view.priority if view is not None and view.alarm != "none" else "",
            level=view.level if view is not None and view.alarm != "none" else 0,
            utc_ms=at.utc_ms,
            time_trusted=at.trusted,
        )
        for webhook in self.webhooks:
            webhook.hand(event)

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
            failing["home_assistant"] = self.home_assistant.failing
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
