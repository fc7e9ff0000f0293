"""All channels of a gateway, each isolated from the others (channel.py): the present signal goes to every one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.alerter.channel import Channel, Delivery
from gateway.alerter.signal import QUIET, Signal

__all__ = ["Alerter"]


class Alerter:
    """`hand` returns at once; `run` is the task that holds the channels' tasks and `parts`, what else must run."""

    def __init__(self, channels: list[Channel], parts: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        self.channels = channels
        self.room_sound = False
        """Whether channels in residents' rooms sound too: as configured, or because no other has proven to work."""
        self.signal = QUIET
        self.beat: Callable[[], None] = lambda: None
        """Tell the relay that the alarm path lives; never waits."""
        self._parts = parts

    def hand(self, signal: Signal) -> None:
        """Give every channel the present signal; no disk, network or cloud lies between here and the channel."""
        self.signal = signal
        for channel in self.channels:
            channel.hand(signal, room_sound=self.room_sound)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for run in (*(channel.run for channel in self.channels), *self._parts):
                tasks.create_task(_forever(run))

    def close(self) -> None:
        """Let go of what the channels hold; they stay as dark and silent as their hardware makes them."""
        for channel in self.channels:
            channel.close()

    def failing(self) -> dict[str, str]:
        """Channel name -> why it does not deliver at present."""
        return {channel.name: channel.failing for channel in self.channels if channel.failing}

    def deliveries(self) -> list[tuple[str, Delivery]]:
        """What is remembered of all channels, newest first."""
        records = [(channel.name, delivery) for channel in self.channels for delivery in channel.deliveries]
        return sorted(records, key=lambda record: record[1].done_ms, reverse=True)


async def _forever(run: Callable[[], Awaitable[None]]) -> None:
    await run()
