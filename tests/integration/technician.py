"""A technician in a browser, and a body that lies down and gets up when told, for the test of an installation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page, expect

from hil.synth import Synth, load
from tests.gateway.qr_pictures import picture

BODY = """
title = "A technician in the bed"
start = "00:00"
end = "00:30"
seed = 16
[resident]
heart_rate_bpm = 66
gain = 1.3
movements_per_h = 0
turn_overs_per_h = 0
[[event]]
at = "00:00:40"
kind = "enter"
[[event]]
at = "00:10:03"
kind = "turn_over"
[[event]]
at = "00:10:18"
kind = "turn_over"
[[event]]
at = "00:10:33"
kind = "turn_over"
[[event]]
at = "00:20:02"
kind = "exit"
"""
EMPTY, LYING, ROLLING, GONE = 0.0, 39.5, 600.0, 1201.5  # where in the body's half hour each begins
EMPTY_LOOP_S = 30.0


class Body:
    """What lies on the belt's sensor: pieces of one synthesised half hour, chosen while the belt runs."""

    def __init__(self, folder: Path, rate_hz: int) -> None:
        file = folder / "body.toml"
        file.write_text(BODY)
        self._synth, self._rate_hz = Synth(load(str(file)), rate_hz=rate_hz), rate_hz
        self._empty = self._synth.block(0, round(EMPTY_LOOP_S * rate_hz))
        self._at = 0
        self._loops = True

    def play(self, from_s: float) -> None:
        self._at, self._loops = round(from_s * self._rate_hz), from_s == EMPTY

    def block(self, start: int, count: int) -> NDArray[np.int16]:
        if self._loops:
            self._at = (self._at + count) % len(self._empty)
            return np.take(self._empty, range(self._at - count, self._at), mode="wrap")
        found = self._synth.block(self._at, count)
        self._at += count
        return found


class Technician:
    """Scans labels and taps buttons, and counts each of it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0
        self._began_s = 0.0

    def begin(self) -> None:
        """The next bed."""
        self.actions, self._began_s = 0, time.monotonic()

    async def scan(self, label: str) -> None:
        """Photograph a label; the phone's camera gives a file."""
        self.actions += 1
        await self.page.set_input_files(
            "#picture", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture(label)})

    async def tap(self, selector: str) -> None:
        self.actions += 1
        await self.page.locator(selector).first.click()

    async def live(self) -> float:
        """Seconds since `begin` until the page says that the bed is live."""
        await expect(self.page.locator('[data-live="1"]')).to_be_visible(timeout=60_000)
        return time.monotonic() - self._began_s

    async def step(self, name: str, state: str = "waiting") -> None:
        """Wait until the walk test stands there."""
        place = self.page.locator(f'#walk-step[data-step="{name}"][data-state="{state}"]')
        await expect(place).to_be_visible(timeout=60_000)

    async def passed(self, name: str) -> bool:
        """Wait until the step `name`, just started, is over; whether it passed."""
        started = False
        for _ in range(600):
            step, state = await self.page.evaluate(
                "(() => { const at = document.getElementById('walk-step'); "
                "return at ? [at.dataset.step, at.dataset.state] : ['', '']; })()")
            if step != name:
                return True
            started = started or state == "running"
            if started and state == "failed":
                return False
            await asyncio.sleep(0.2)
        raise AssertionError(f"step {name} does not end")
