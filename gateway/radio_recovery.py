"""Carries out what the ladder decides for one adapter: one action at a time, each with a time limit and a log line.

Only the lowest rung works without more rights than a gateway has; the others ask those who have them: systemd to
restart bluetooth.service (polkit), the appliance's helper to reset the adapter (adapter_reset.py), logind to restart
the machine. Where nobody may be asked the attempt fails, is logged, and the next rung is due after its pause.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bleak.exc import BleakError

from gateway import adapter_reset
from gateway.cores.radio_ladder import ORDER, RadioLadder, Rung
from gateway.radio_bluez import BluezWatch, system_call, with_system_bus

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

__all__ = ["Action", "Recovery", "bluez_actions"]

log = logging.getLogger(__name__)

ACTION_TIMEOUT_S = 40.0
SAID = {
    Rung.POWER: "it is switched off and on",
    Rung.DAEMON: "bluetoothd is restarted",
    Rung.ADAPTER: "it is reset",
    Rung.REBOOT: "the machine is restarted",
}

Action = Callable[[], Awaitable[str]]
"""Does it; what went wrong, or ""."""


class Recovery:
    """The ladder of one adapter and the means to climb it."""

    def __init__(self, name: str, actions: Mapping[Rung, Action], counters: Counter[str]) -> None:
        self.ladder = RadioLadder(tuple(actions))
        self._name = name
        self._actions = actions
        self.counters = counters

    async def act_if_due(self, sessions: int, now_ms: int) -> bool:
        """Take the rung that is due; whether one was taken (every link and scan of the adapter is then gone)."""
        rung = self.ladder.due(sessions, now_ms)
        if rung is None:
            return False
        self.counters[f"recovery_{rung}"] += 1
        log.warning("radio: adapter %s is stuck; %s", self._name, SAID[rung])
        try:
            async with asyncio.timeout(ACTION_TIMEOUT_S):
                trouble = await self._actions[rung]()
        except TimeoutError:
            trouble = f"no end after {ACTION_TIMEOUT_S:g} s"
        if trouble:
            self.counters[f"recovery_{rung}_failed"] += 1
            log.error("radio: adapter %s: %s: this did not work: %s", self._name, SAID[rung], trouble)
        return True


def bluez_actions(watch: BluezWatch, hci: str, highest: str) -> dict[Rung, Action]:
    """What a gateway on BlueZ may do, up to the rung `highest` (radio.recovery in the configuration)."""
    actions: dict[Rung, Action] = {
        Rung.POWER: watch.power_cycle,
        Rung.DAEMON: _restart_bluetoothd,
        Rung.ADAPTER: lambda: _reset_adapter(hci or "hci0"),
        Rung.REBOOT: _reboot,
    }
    return {rung: actions[rung] for rung in ORDER[: ORDER.index(Rung(highest)) + 1]}


async def _restart_bluetoothd() -> str:
    async def restart(bus: MessageBus) -> str:
        name = "org.freedesktop.systemd1"
        return await system_call(
            bus, name, "/org/freedesktop/systemd1", f"{name}.Manager", "RestartUnit", "ss",
            ["bluetooth.service", "replace"],
        )  # fmt: skip

    return await _asked(restart)


async def _reset_adapter(hci: str) -> str:
    folder = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not folder:
        return "there is no helper to ask (docs/appliance.md)"
    if not await asyncio.to_thread(adapter_reset.ask, Path(folder), hci):
        return f"the request could not be written to {folder}"
    return ""


async def _reboot() -> str:
    async def reboot(bus: MessageBus) -> str:
        name = "org.freedesktop.login1"
        return await system_call(bus, name, "/org/freedesktop/login1", f"{name}.Manager", "Reboot", "b", [False])

    return await _asked(reboot)


async def _asked(work: Callable[[MessageBus], Awaitable[str]]) -> str:
    try:
        said: str = await with_system_bus(work)
    except (BleakError, OSError, EOFError) as error:
        return str(error) or type(error).__name__
    return said
