"""Keeps Home Assistant informed over an MQTT broker on the LAN (cores/ha_discovery.py says what it is told).

A broker that is away or hangs delays nothing: this task owns the connection and reads the board's snapshot by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from cloud_sync.mqtt import BrokerError, Link, Will, connect, parse_broker_url
from gateway.cores.ha_discovery import OFFLINE, ONLINE, STATE_EVERY_S, Home, Message, hello, outdated, state
from gateway.outlets import HomeAssistantConfig

__all__ = ["HomeAssistant"]

log = logging.getLogger(__name__)

LOOK_S = 0.5
RATES_EVERY_S = 10
RETRY_S_MAX = 30.0


class HomeAssistant:
    """`run` is its task; `failing` says why nothing is told at present."""

    def __init__(
        self, config: HomeAssistantConfig, gateway: str, version: str, snapshot: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._address = parse_broker_url(config.url)
        self._home = Home(gateway, config.prefix, version)
        self._snapshot = snapshot
        self.failing = "not connected yet"
        self.sent = 0
        self._tested = ""
        self._untold = False
        self.on_try: Callable[[str], None] = lambda error: None
        """Told once the broker has taken the state with a test alarm, "", or why it has not."""

    def test(self, bed: str) -> None:
        """Show a test alarm at a bed from now on; "" ends it."""
        self._tested, self._untold = bed, bool(bed)
        if bed and self.failing:
            self.on_try(self.failing)

    async def run(self) -> None:
        """Connect, tell, and begin again when the connection is gone; for ever."""
        retry_s = 1.0
        while True:
            before = self.sent
            try:
                await self._serve()
            except* BrokerError as errors:
                if not self.failing:
                    log.warning("Home Assistant is not told: %s", errors.exceptions[0])
                self.failing = str(errors.exceptions[0])
            # A broker that took something was there: it is asked again soon.
            retry_s = 1.0 if self.sent > before else min(RETRY_S_MAX, retry_s * 2)
            await asyncio.sleep(retry_s)

    async def _serve(self) -> None:
        home = self._home
        will = Will(home.availability_topic, OFFLINE, retain=True)
        # One identity for one gateway; a broker ends an older connection of the same name.
        async with connect(self._address, f"sleepbelt-ha-{home.gateway}", will=will) as link:
            await link.subscribe(home.birth_topic)
            await link.subscribe(home.config_topics)
            log.info("Home Assistant is told by %s", self._address)
            self.failing = ""
            reborn = asyncio.Event()
            reborn.set()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._births(link, reborn))
                    tasks.create_task(self._tell(link, reborn))
            finally:
                if not self.failing:
                    self._goodbye(link)

    async def _births(self, link: Link, reborn: asyncio.Event) -> None:
        """Home Assistant has started anew and knows nothing; or it still knows a bed that is no more."""
        async for topic, payload in link.messages():
            if topic == self._home.birth_topic:
                if payload == ONLINE:
                    reborn.set()
            elif removal := outdated(self._home, topic, payload, [bed["bed"] for bed in self._snapshot()["beds"]]):
                self._send(link, removal)

    async def _tell(self, link: Link, reborn: asyncio.Event) -> None:
        told: dict[str, tuple[float, bytes, str]] = {}  # topic -> (when, payload, what matters at once)
        loop = asyncio.get_running_loop()
        while True:
            snapshot = self._snapshot()
            if reborn.is_set():
                reborn.clear()
                told.clear()
                for message in hello(self._home, snapshot["beds"]):
                    self._send(link, message)
            for message in self._states(snapshot):
                at_s, payload, urgent = told.get(message.topic, (-1e9, b"", ""))
                now_s, matters = loop.time(), _matters(message.payload)
                changed = message.payload != payload and now_s - at_s >= RATES_EVERY_S
                if matters != urgent or changed or now_s - at_s >= STATE_EVERY_S:
                    told[message.topic] = now_s, message.payload, matters
                    self._send(link, message)
                if self._untold and message.topic == self._home.state_topic(self._tested):
                    self._untold = False
                    self._send_test(link, message)
            await asyncio.sleep(LOOK_S)

    def _states(self, snapshot: Mapping[str, Any]) -> list[Message]:
        offset_ms = snapshot["utc_ms"] - snapshot["elapsed_ms"]
        trusted = snapshot["time_trusted"]
        return [state(self._home, bed, offset_ms, time_trusted=trusted, test=bed["bed"] == self._tested)
                for bed in snapshot["beds"]]

    def _send_test(self, link: Link, message: Message) -> None:
        """Once more with the broker's receipt: an ordinary state has none."""
        link.send(message.topic, message.payload, self.on_try, on_taken=lambda: self.on_try(""))
        self.sent += 1

    def _send(self, link: Link, message: Message) -> None:
        def refused(reason: str) -> None:
            log.warning("the broker refuses %s: %s", message.topic, reason)

        # Retained messages must arrive; a state is followed by a newer one anyway.
        link.send(message.topic, message.payload, refused, qos=1 if message.retain else 0, retain=message.retain)
        self.sent += 1

    def _goodbye(self, link: Link) -> None:
        try:
            link.send(self._home.availability_topic, OFFLINE, lambda reason: None, qos=0, retain=True)
        except BrokerError:
            return  # then its last will says the same


def _matters(payload: bytes) -> str:
    """The part of a state whose change is told at once: all but the rates."""
    values = json.loads(payload)
    for name in ("heart_rate", "respiration", "out_since"):
        values.pop(name)
    return json.dumps(values)
