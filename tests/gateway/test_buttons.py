"""buttons: presses on mock pins arrive as presses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from gateway.alerter.buttons import Buttons
from gateway.cores.button import DEBOUNCE_MS, LONG_MS, Press

UP_PIN, DOWN_PIN = 23, 24


@asynccontextmanager
async def watched(factory: MockFactory) -> AsyncIterator[asyncio.Queue[tuple[int, Press]]]:
    presses: asyncio.Queue[tuple[int, Press]] = asyncio.Queue()
    buttons = Buttons([(UP_PIN, True), (DOWN_PIN, False)], factory, lambda i, press: presses.put_nowait((i, press)))
    task = asyncio.create_task(buttons.run())
    await asyncio.sleep(0.01)
    try:
        yield presses
    finally:
        task.cancel()
        await asyncio.wait([task])
        buttons.close()


async def held(pin: MockPin, low: bool, for_s: float) -> None:
    (pin.drive_low if low else pin.drive_high)()
    await asyncio.sleep(for_s)
    (pin.drive_high if low else pin.drive_low)()


@pytest.mark.parametrize(("index", "pin", "low"), [(0, UP_PIN, True), (1, DOWN_PIN, False)])
async def test_a_press_is_told_with_its_button_whichever_level_it_has(index: int, pin: int, low: bool) -> None:
    factory = MockFactory()
    async with watched(factory) as presses:
        await held(factory.pin(pin), low, 3 * DEBOUNCE_MS / 1000)
        assert await asyncio.wait_for(presses.get(), 5) == (index, "short")


async def test_a_long_press_is_told_while_it_is_held() -> None:
    factory = MockFactory()
    async with watched(factory) as presses:
        factory.pin(UP_PIN).drive_low()
        assert await asyncio.wait_for(presses.get(), 5 + LONG_MS / 1000) == (0, "long")
        factory.pin(UP_PIN).drive_high()


async def test_a_bouncing_press_is_one() -> None:
    factory = MockFactory()
    async with watched(factory) as presses:
        for _ in range(5):
            await held(factory.pin(UP_PIN), True, 0.002)
        await held(factory.pin(UP_PIN), True, 2 * DEBOUNCE_MS / 1000)
        assert await asyncio.wait_for(presses.get(), 5) == (0, "short")
        await asyncio.sleep(3 * DEBOUNCE_MS / 1000)
        assert presses.empty()


def test_a_pin_that_is_taken_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match="pin 23"):
        Buttons([(UP_PIN, True), (UP_PIN, True)], MockFactory(), lambda _, __: None)
