"""Buzzer and light on GPIO pins by gpiozero; mock pins where the configuration asks for them.

| | unanswered alarm | answered (acknowledged, latched) |
|---|---|---|
| buzzer, high | 0.15 s on, 0.15 s off | silent |
| buzzer, medium | 0.3 s on, 0.7 s off | silent |
| buzzer, low | 0.3 s on, 4.7 s off | silent |
| light, high / medium / low | blinks 2 / 1 / 0.2 times a second | steady |
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

from gateway.alerter.hands import Hands
from gateway.alerter.signal import Signal

__all__ = ["PinOutput", "open_factory"]

SOUND_S = {"high": (0.15, 0.15), "medium": (0.3, 0.7), "low": (0.3, 4.7)}
BLINK_S = {"high": (0.25, 0.25), "medium": (0.5, 0.5), "low": (0.5, 4.5)}
TEST_S = {"buzzer": 0.3, "light": 2.0}


def open_factory(mock: bool) -> Any:
    """What makes the pins of this process; OSError, with what to do, if there are none."""
    # gpiozero is imported only by a gateway that has something on its pins.
    from gpiozero import Device, GPIOZeroError

    if mock:
        from gpiozero.pins.mock import MockFactory

        return MockFactory()
    if not any(Path("/dev").glob("gpiochip*")):
        raise OSError("this machine has no GPIO (/dev/gpiochip*); set alerter.mock_pins = true to try without")
    try:
        Device.ensure_pin_factory()
    except GPIOZeroError as error:
        raise OSError(f"{error}; install lgpio beside the gateway") from error
    return Device.pin_factory


class PinOutput:
    """A buzzer or a light on a BCM pin; `show` and `test` may hang with the hardware. OSError if the pin is taken."""

    def __init__(self, kind: Literal["buzzer", "light"], pin: int, factory: Any) -> None:
        from gpiozero import LED, Buzzer, GPIOZeroError

        try:
            self._device = (Buzzer if kind == "buzzer" else LED)(pin, pin_factory=factory)
        except GPIOZeroError as error:
            raise OSError(f"pin {pin}: {error}") from error
        self._kind = kind
        self._hands = Hands(kind)

    async def show(self, signal: Signal) -> None:
        await self._hands.do(lambda: (_sound if self._kind == "buzzer" else _light)(self._device, signal))

    async def test(self) -> None:
        """On for a moment and off again; OSError if the pin, read back, does not follow."""
        await self._hands.do(self._device.on)
        shown = await self._hands.do(lambda: self._device.value)
        await asyncio.sleep(TEST_S[self._kind])
        await self._hands.do(self._device.off)
        if not shown or await self._hands.do(lambda: self._device.value):
            raise OSError("the pin does not follow")

    def close(self) -> None:
        """Give the pin back; not waited for."""
        self._hands.close(self._device.close)


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
