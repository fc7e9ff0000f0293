"""bleak's picture of BlueZ without its noise: a device's strength alone is passed on once a second.

BlueZ signals every advertisement that a filtered scan hears, if only for its RSSI: with belts that say something new
in one of four, that was three of five signals, each of them unpacked, copied and handed through bleak for nothing.
Whatever else changes is passed on at once, as ever (canary: tests/gateway/test_radio_quiet.py, bleak 3.1).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bleak.backends.bluezdbus.defs import DEVICE_INTERFACE
from bleak.backends.bluezdbus.manager import BlueZManager, _global_instances

if TYPE_CHECKING:
    from dbus_fast import Message

__all__ = ["QuietManager", "quiet_bluez"]

STRENGTH_EVERY_S = 1.0


class QuietManager(BlueZManager):
    """One per event loop, as bleak has it."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_s: dict[str, float] = {}  # object path of a device -> loop time of what was last passed on
        self._time_s = asyncio.get_running_loop().time

    def _parse_msg(self, message: Message) -> None:
        if message.member == "PropertiesChanged" and message.body[0] == DEVICE_INTERFACE:
            changed, path = message.body[1], message.path or ""
            now_s = self._time_s()
            is_early = now_s < self._passed_s.get(path, -STRENGTH_EVERY_S) + STRENGTH_EVERY_S
            if is_early and len(changed) == 1 and "RSSI" in changed:
                # It is there for whoever asks next.
                if (device := self._properties.get(path, {}).get(DEVICE_INTERFACE)) is not None:
                    device["RSSI"] = changed["RSSI"].value
                return
            self._passed_s[path] = now_s
        elif message.member == "InterfacesRemoved" and message.body:
            self._passed_s.pop(message.body[0], None)
        super()._parse_msg(message)


def quiet_bluez() -> None:
    """What bleak asks of BlueZ on the running event loop goes through a `QuietManager`, if nothing was asked yet."""
    loop = asyncio.get_running_loop()
    if loop not in _global_instances:
        _global_instances[loop] = QuietManager()
