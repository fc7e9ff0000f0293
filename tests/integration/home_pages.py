"""The platform's pages in a browser: which there are, a signed-in visitor, a gateway that answers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Browser, Page

from cloud_sync.clock import Clock
from cloud_sync.mqtt import parse_broker_url
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.commander import Commander
from cloud_sync.receiver.web import build_app
from gateway.cores.bed_settings import BedSettings, blank_form
from gateway.cores.profile import SHIPPED
from protocol.clock_scale import ClockScale
from protocol.command import DONE, Answer
from tests.integration.chromium import opened, serving
from tools.home_month import bed_of, gateway_of
from tools.home_pages import OpenHome

PIN = "4827"
SETTINGS = WebSettings(port=0, theme="light", accounts=(Account("admin", "admin", hash_pin(PIN)),))
PAGES = {
    "residents": "residents",
    "resident": "residents/r1",
    "alarms": "alarms",
    "devices": "devices",
    "handover": "handover",
    "wall": "wall",
    "bed": f"beds/{gateway_of(0)}/{bed_of(0)}",
    "admissions": "admissions",
    "admission": "admissions/r2",
    "accounts": "accounts",
    "audit": "audit",
}
"""Name of a page's picture -> its path; the form to sign in comes before them."""
ON_A_PHONE = ("test-alarm", "belt-firmware")
"""Pages of a technician beside a bed; cloud/test_platform_technician.py makes their pictures."""


class AnsweringGateway(Commander):
    """The way down, with a gateway at its end that shows a bed's settings as gateway/platform_commands.py does."""

    def __init__(self) -> None:
        super().__init__(parse_broker_url("mqtt://127.0.0.1:1"), Ed25519PrivateKey.generate(), Clock(ClockScale()))

    async def ask(self, gateway: str, kind: str, bed: str, who: str, argument: Mapping[str, str]) -> Answer:
        texts = blank_form(BedSettings("standard", ({"start": "21:00", "end": "06:30", "allowed_s": 1200},), None))
        detail: dict[str, Any] = {"texts": texts, "profiles": list(SHIPPED), "version": 3}
        return Answer(1, DONE, detail)


@asynccontextmanager
async def signed_in(
    browser: Browser, home: OpenHome, language: str = "en", settings: WebSettings = SETTINGS
) -> AsyncIterator[tuple[Page, str]]:
    """A page of an admin and the address of the platform."""
    home.home.commander = AnsweringGateway()
    async with serving(build_app(home.platform, settings, home.home, home.register), settings) as address:
        page = await opened(browser, f"{address}login", language, width=1440, height=900)
        await sign_in(page)
        yield page, address


async def sign_in(page: Page) -> None:
    """Type the PIN into the form that is shown."""
    await page.locator("#pin").fill(PIN)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/residents")
