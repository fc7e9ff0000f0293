"""Channels and buttons as the configuration has them. Hardware that cannot be opened is a channel that says why."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from gateway.alerter.alerter import Alerter
from gateway.alerter.buttons import Buttons
from gateway.alerter.channel import Channel
from gateway.alerter.pins import PinOutput, open_factory
from gateway.alerter.relay import RelayLink
from gateway.alerter.signal import Signal
from gateway.alerter.tone import TonePlayer
from gateway.alerter_config import AlerterConfig
from gateway.cores.button import Press

__all__ = ["build_alerter", "build_buttons"]

log = logging.getLogger(__name__)


def build_alerter(config: AlerterConfig, page: Callable[[Signal], Awaitable[None]]) -> Alerter:
    """The channels of the configuration; `page` wakes the wall board's streams."""
    channels = [Channel("page", page)]
    factory = _Factory(config.mock_pins)
    pins: list[tuple[Literal["buzzer", "light"], int | None, str]] = [
        ("buzzer", config.buzzer_pin, config.buzzer_place), ("light", config.light_pin, config.light_place)
    ]  # fmt: skip
    for kind, pin, place in pins:
        if pin is not None:
            channels.append(_pin_channel(kind, pin, place == "room", factory))
    if config.tone is not None:
        channels.append(_tone_channel(config))
    if config.relay_pin is None and config.relay_serial is None:
        alerter = Alerter(channels)
    else:
        relay = RelayLink(relay_arguments(config), config.relay_mode == "call", config.relay_socket)
        channel = Channel("relay", relay.show, test=relay.test, reaches_staff=True)
        relay.on_trouble = channel.tell
        alerter = Alerter([*channels, channel], [relay.run])
        alerter.beat = relay.beat
    alerter.room_sound = config.in_room_sound
    return alerter


def build_buttons(config: AlerterConfig, pressed: Callable[[int, Press], None]) -> Buttons | None:
    """The buttons of the configuration; None without any. OSError if their pins cannot be opened."""
    if not config.buttons:
        return None
    return Buttons([(button.pin, button.pull_up) for button in config.buttons], open_factory(config.mock_pins), pressed)


def relay_arguments(config: AlerterConfig) -> list[str]:
    """The relay process' arguments, but for its link."""
    if config.relay_serial is not None:
        return ["--serial", str(config.relay_serial), "--mode", config.relay_mode]
    arguments = ["--pin", str(config.relay_pin), "--mode", config.relay_mode]
    if not config.relay_active_high:
        arguments.append("--active-low")
    if config.relay_pulse_pin is not None:
        arguments += ["--pulse-pin", str(config.relay_pulse_pin)]
    return [*arguments, "--mock"] if config.mock_pins else arguments


class _Factory:
    """The pins of this process, opened when the first is needed; the same for all of them."""

    def __init__(self, mock: bool) -> None:
        self._mock = mock
        self._factory: Any = None

    def open(self) -> Any:
        if self._factory is None:
            self._factory = open_factory(self._mock)
        return self._factory


def _pin_channel(kind: Literal["buzzer", "light"], pin: int, in_room: bool, factory: _Factory) -> Channel:
    try:
        output = PinOutput(kind, pin, factory.open())
    except OSError as error:
        return _broken(kind, str(error))
    return Channel(kind, output.show, output.close, test=output.test, in_room=in_room, reaches_staff=not in_room)


def _tone_channel(config: AlerterConfig) -> Channel:
    assert config.tone is not None
    player = TonePlayer(config.tone.command, config.tone.volume_percent)
    in_room = config.tone.place == "room"
    channel = Channel(
        "tone", player.show, player.close, test=player.test, in_room=in_room, reaches_staff=not in_room
    )  # fmt: skip
    player.on_trouble = channel.tell
    return channel


def _broken(name: str, why: str) -> Channel:
    """Watching with a channel less beats not watching: it fails from the start, and the board says so."""

    async def fail(_: Signal | None = None) -> None:
        raise OSError(why)

    channel = Channel(name, fail, test=fail)
    channel.tell(why)
    return channel
