"""The gateway's radios with what they tell kept in a queue, for a test that waits for one thing after the other."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.radio import BleakRadio, RadioEvent
from gateway.radio_adapters import ManyAdapters

__all__ = ["QueuedAdapters", "QueuedRadio", "next_of"]


class QueuedRadio(BleakRadio):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: asyncio.Queue[RadioEvent] = asyncio.Queue()
        self.on_event = self.heard.put_nowait


class QueuedAdapters(ManyAdapters):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.heard: asyncio.Queue[RadioEvent] = asyncio.Queue()
        self.on_event = self.heard.put_nowait


async def next_of(radio: QueuedRadio | QueuedAdapters, kind: type) -> Any:
    """The next event of that kind; those before it are passed over."""
    async with asyncio.timeout(60):
        while True:
            event = await radio.heard.get()
            if isinstance(event, kind):
                return event
