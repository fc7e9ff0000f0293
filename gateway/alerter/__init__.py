"""Local alerting: hands the present signal to every channel, each isolated from the others (channel.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.alerter.channel import Channel, Delivery
from gateway.alerter.pins import has_gpio, pin_channel
from gateway.alerter.signal import QUIET, Signal, signal_of
from gateway.config import AlerterConfig

__all__ = ["QUIET", "Alerter", "Channel", "Delivery", "Signal", "build_alerter", "signal_of"]

log = logging.getLogger(__name__)


class Alerter:
    """All channels of one gateway. `hand` returns at once; `run` is the task that holds the channels' tasks."""

    def __init__(self, channels: list[Channel]) -> None:
        self.channels = channels

    def hand(self, signal: Signal) -> None:
        """Give every channel the present signal; no disk, network or cloud lies between here and the channel."""
        for channel in self.channels:
            channel.hand(signal)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for channel in self.channels:
                tasks.create_task(channel.run())

    def close(self) -> None:
        """Let go of what the channels hold; they stay as dark and silent as their hardware makes them."""
        for channel in self.channels:
            channel.close()

    def failing(self) -> dict[str, str]:
        """Channel name -> why it does not deliver at present."""
        return {channel.name: channel.failing for channel in self.channels if channel.failing}


def build_alerter(config: AlerterConfig, page: Callable[[Signal], Awaitable[None]]) -> Alerter:
    """The channels of the configuration; `page` wakes the wall board's streams."""
    channels = [Channel("page", page)]
    pins = {"buzzer": config.buzzer_pin, "light": config.light_pin}
    wanted = {kind: pin for kind, pin in pins.items() if pin is not None}
    mock = config.mock_pins
    if wanted and not mock and not has_gpio():
        log.warning("alerter: this machine has no GPIO; mock pins stand in for %s", " and ".join(wanted))
        mock = True
    for kind, pin in wanted.items():
        channels.append(Channel(kind, *pin_channel(kind, pin, mock)))
    return Alerter(channels)
