"""Buzzer and light on GPIO pins by gpiozero; mock pins where the machine has none.

| | unanswered alarm | answered (acknowledged, latched) |
|---|---|---|
| buzzer, high | 0.15 s on, 0.15 s off | silent |
| buzzer, medium | 0.3 s on, 0.7 s off | silent |
| buzzer, low | 0.3 s on, 4.7 s off | silent |
| light, high / medium / low | blinks 2 / 1 / 0.2 times a second | steady |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.alerter.signal import Signal

__all__ = ["has_gpio", "pin_channel"]

log = logging.getLogger(__name__)

SOUND_S = {"high": (0.15, 0.15), "medium": (0.3, 0.7), "low": (0.3, 4.7)}
BLINK_S = {"high": (0.25, 0.25), "medium": (0.5, 0.5), "low": (0.5, 4.5)}


def has_gpio() -> bool:
    """True if this machine has a GPIO chip."""
    return any(Path("/dev").glob("gpiochip*"))


def pin_channel(
    kind: str, pin: int, mock: bool, factory: Any = None
) -> tuple[Callable[[Signal], Awaitable[None]], Callable[[], None]]:
    """(show, close) for a "buzzer" or "light" on a BCM pin number; `show` may hang with the hardware."""
    # gpiozero is imported only by a gateway that has something on its pins.
    from gpiozero import LED, Buzzer

    if mock and factory is None:
        from gpiozero.pins.mock import MockFactory

        factory = MockFactory()
    device = (Buzzer if kind == "buzzer" else LED)(pin, pin_factory=factory)
    # A thread of its own: pin libraries block, and one that hangs must hold neither the loop nor another channel.
    thread = ThreadPoolExecutor(1, kind)
    apply = _sound if kind == "buzzer" else _light

    async def show(signal: Signal) -> None:
        await asyncio.get_running_loop().run_in_executor(thread, apply, device, signal)

    def close() -> None:
        # Not waited for: pins that hang must not hold up the end of the process either.
        thread.submit(device.close)
        thread.shutdown(wait=False)

    return show, close


def _sound(device: Any, signal: Signal) -> None:
    if signal.sound:
        on_s, off_s = SOUND_S[signal.sound]
        device.beep(on_s, off_s, background=True)
    else:
        device.off()


def _light(device: Any, signal: Signal) -> None:
    if not signal.light:
        device.off()
    elif signal.steady:
        device.on()
    else:
        on_s, off_s = BLINK_S[signal.light]
        device.blink(on_s, off_s, background=True)
