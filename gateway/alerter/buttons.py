"""Buttons at the beds or the station, on GPIO pins by gpiozero: edges in, presses out (gateway/cores/button.py)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gateway.cores.button import Button, Press

__all__ = ["Buttons"]

EDGES_MAX = 256


class Buttons:
    """`pins`: (BCM pin, pull_up) of each; `pressed(index, press)` is called on the loop. OSError if a pin is taken."""

    def __init__(self, pins: Sequence[tuple[int, bool]], factory: Any, pressed: Callable[[int, Press], None]) -> None:
        from gpiozero import Button as PinButton
        from gpiozero import GPIOZeroError

        self._pressed = pressed
        self._devices: list[Any] = []
        for pin, pull_up in pins:
            try:
                # Debounced in the core, whose times a test can set.
                self._devices.append(PinButton(pin, pull_up=pull_up, bounce_time=None, pin_factory=factory))
            except GPIOZeroError as error:
                self.close()
                raise OSError(f"pin {pin}: {error}") from error
        # At the limit (a contact that flutters) the oldest edges go; the newest level is what counts.
        self._edges: deque[tuple[int, int, bool]] = deque(maxlen=EDGES_MAX)
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Watch the buttons for ever."""
        loop = asyncio.get_running_loop()
        cores = []
        for index, device in enumerate(self._devices):
            device.when_activated = partial(self._edge, loop, index, True)
            device.when_deactivated = partial(self._edge, loop, index, False)
            cores.append(Button(_now_ms(), bool(device.is_pressed)))
        while True:
            self._wake.clear()
            while self._edges:
                index, at_ms, down = self._edges.popleft()
                self._tell(index, cores[index].level(at_ms, down))
            now_ms = _now_ms()
            for index, core in enumerate(cores):
                self._tell(index, core.advance(now_ms))
            due_ms = min((at for core in cores if (at := core.next_deadline_ms()) is not None), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_ms is None else max(1, due_ms - now_ms) / 1000):
                    await self._wake.wait()

    def close(self) -> None:
        """Give the pins back."""
        for device in self._devices:
            device.close()

    def _edge(self, loop: asyncio.AbstractEventLoop, index: int, down: bool) -> None:
        """Called by gpiozero, in a thread of its own."""
        self._edges.append((index, _now_ms(), down))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._wake.set)

    def _tell(self, index: int, presses: Sequence[Press]) -> None:
        for press in presses:
            self._pressed(index, press)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
