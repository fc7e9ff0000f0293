"""The platform's pages in a real browser on a simulated month: accessibility, size, the wall board, pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.web import build_app
from gateway.web.board import build_app as build_board
from protocol.batch import LiveBed, LiveSnapshot
from tests.gateway.web.small_ward import SmallWard, alarming, bed
from tests.integration.chromium import OPEN, opened, picture, quiet, serving
from tools.home_month import NOW_UTC_MS, bed_of, make_month
from tools.home_pages import OpenHome, open_home

AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
SETTINGS = WebSettings(port=0, theme="light", accounts=(Account("admin", "admin", hash_pin("4827")),))
PAGES = {
    "residents": "residents",
    "resident": "residents/r1",
    "alarms": "alarms",
    "devices": "devices",
    "handover": "handover",
    "wall": "wall",
    "admissions": "admissions",
    "admission": "admissions/r2",
    "accounts": "accounts",
    "audit": "audit",
}
FIRST_VIEW_BYTES_MAX = 150_000
RESIDENTS = 12

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenHome]:
    with ExitStack() as owned:
        yield open_home(make_month(tmp_path_factory.mktemp("home"), residents=RESIDENTS, minutes_of_nights=1), owned)


@asynccontextmanager
async def signed_in(
    browser: Browser, home: OpenHome, language: str = "en", settings: WebSettings = SETTINGS
) -> AsyncIterator[tuple[Page, str]]:
    """A page of an admin and the address of the platform."""
    async with serving(build_app(home.platform, settings, home.home, home.register), settings) as address:
        page = await opened(browser, f"{address}login", language, width=1440, height=900)
        await page.locator("#pin").fill("4827")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/residents")
        yield page, address


async def serious(page: Page) -> list[str]:
    """What axe finds that matters, as `rule: elements`."""
    assert AXE.exists(), f"no axe-core in {AXE}: `make test` installs it (npm)"
    await page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {'; '.join(node['html'][:120] for node in rule['nodes'][:3])}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
async def test_every_page_is_small_accessible_and_fits_a_phone(
    browser: Browser, home: OpenHome, language: str, theme: str
) -> None:
    async with signed_in(browser, home, language, replace(SETTINGS, theme=theme)) as (page, address):
        found = {}
        for name, path in PAGES.items():
            home.hear(RESIDENTS)
            answer = await page.goto(f"{address}{path}")
            assert answer is not None
            assert answer.status == 200
            assert len(await answer.body()) < FIRST_VIEW_BYTES_MAX
            current = 0 if name in ("resident", "admission") else 1
            await expect(page.locator("nav.site a[aria-current]")).to_have_count(current)
            await picture(page, f"platform-{name}-{language[:2]}", whole=True)
            found[name] = await serious(page)
            await page.set_viewport_size({"width": 360, "height": 740})
            wide = await page.evaluate("document.documentElement.scrollWidth")
            found[name] += [f"{wide} pixels wide on a phone"] if wide > 360 else []
            await page.set_viewport_size({"width": 1440, "height": 900})
        assert {name: rules for name, rules in found.items() if rules} == {}
        quiet(page)


async def test_axe_finds_nothing_serious_on_the_wall_board_of_a_gateway(browser: Browser) -> None:
    async with serving(build_board(SmallWard(bed("1"), alarming("2")), OPEN)) as address:
        page = await opened(browser, address)
        await expect(page.locator(".run").first).not_to_be_empty()
        assert await serious(page) == []


async def test_the_hand_over_sheet_prints_on_a4_without_its_navigation(browser: Browser, home: OpenHome) -> None:
    async with signed_in(browser, home) as (page, address):
        await page.goto(f"{address}handover")
        await page.emulate_media(media="print")
        await expect(page.locator("nav.site")).to_be_hidden()
        await expect(page.locator("table.handover")).to_be_visible()
        assert (await page.pdf(prefer_css_page_size=True)).startswith(b"%PDF-")


async def test_the_wall_board_follows_a_bed_and_shows_no_name(browser: Browser, home: OpenHome) -> None:
    await home.platform.refresh_places()
    async with signed_in(browser, home) as (page, address):
        home.hear(RESIDENTS)
        await page.goto(f"{address}wall")
        tile = page.locator('article[data-name="r1"]')
        await expect(tile.locator(".tile-state")).to_contain_text("In bed")
        left = LiveBed(bed_of(0), "absent", out_since_utc_ms=NOW_UTC_MS, heard_utc_ms=NOW_UTC_MS)
        home.platform.heard(LiveSnapshot("gw-01", home.platform.now_utc_ms(), True, (left,)))
        await expect(tile.locator(".tile-state")).to_contain_text("Out of bed")
        assert "桂兰" not in await page.content()
        quiet(page)
