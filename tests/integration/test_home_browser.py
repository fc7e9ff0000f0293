"""The platform's pages in a real browser on a simulated month: accessibility, size, the wall board, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.web.board import build_app as build_board
from protocol.batch import AlarmEvent, LiveBed, LiveSnapshot
from tests.gateway.web.small_ward import SmallWard, alarming, bed
from tests.integration.chromium import OPEN, opened, picture, quiet, serious, serving
from tests.integration.home_pages import PAGES, SETTINGS, sign_in, signed_in
from tools.home_month import NOW, NOW_UTC_MS, bed_of, deliver, gateway_of, make_month, stamp
from tools.home_pages import OpenHome, open_home

FIRST_VIEW_BYTES_MAX = 150_000
RESIDENTS = 12
PICTURED = {("en", "light"), ("zh-CN", "dark")}  # the pictures of docs/images

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenHome]:
    with ExitStack() as owned:
        yield open_home(make_month(tmp_path_factory.mktemp("home"), residents=RESIDENTS, minutes_of_nights=1), owned)


class Wire:
    """What a browser asked for and got since the last `begin`, by its own counters; nothing comes from a cache."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._finished: dict[str, int] = {}
        self._open: dict[str, int] = {}
        self.asked: list[str] = []

    async def begin(self) -> None:
        if not self.asked:
            self._client.on("Network.requestWillBeSent", lambda event: self.asked.append(event["request"]["url"]))
            self._client.on("Network.dataReceived", self._received)
            self._client.on("Network.loadingFinished", self._done)
            await self._client.send("Network.enable")
            await self._client.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self._finished.clear()
        self._open.clear()
        self.asked.clear()

    def _received(self, event: dict[str, Any]) -> None:
        size = event["encodedDataLength"] or event["dataLength"]
        self._open[event["requestId"]] = self._open.get(event["requestId"], 0) + size

    def _done(self, event: dict[str, Any]) -> None:
        self._finished[event["requestId"]] = event["encodedDataLength"]

    @property
    def bytes(self) -> int:
        """On the wire, headers included; of a stream that is still open what has come of it."""
        return sum(({**self._open, **self._finished}).values())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_every_page_is_small_accessible_and_fits_a_phone(
    browser: Browser, home: OpenHome, language: str, theme: str
) -> None:
    async with signed_in(browser, home, language, replace(SETTINGS, theme=theme)) as (page, address):
        wire = Wire(await page.context.new_cdp_session(page))
        found = {}
        for name, path in PAGES.items():
            home.hear(RESIDENTS)
            await wire.begin()
            answer = await page.goto(f"{address}{path}", wait_until="load")
            assert answer is not None
            assert answer.status == 200
            current = 0 if name in ("resident", "admission", "bed") else 1
            await expect(page.locator("nav.site a[aria-current]")).to_have_count(current)
            assert 1_000 < wire.bytes < FIRST_VIEW_BYTES_MAX, name
            asked = {urlsplit(url).netloc for url in wire.asked if not url.startswith("data:")}
            assert asked == {urlsplit(address).netloc}
            if (language, theme) in PICTURED:
                await picture(page, f"platform-{name}-{language[:2]}", whole=True)
            found[name] = await serious(page)
            found[name] += await too_wide(page)
        await page.goto(f"{address}residents/nobody")
        found["error"] = await serious(page)
        await page.get_by_role("button", name="退出" if language == "zh-CN" else "Sign out").click()
        await page.goto(f"{address}login")
        await wire.begin()
        await page.goto(f"{address}login", wait_until="load")
        assert 1_000 < wire.bytes < FIRST_VIEW_BYTES_MAX
        if (language, theme) in PICTURED:
            await picture(page, f"platform-login-{language[:2]}", whole=True)
        found["login"] = await serious(page) + await too_wide(page)
        await sign_in(page)
        assert {name: rules for name, rules in found.items() if rules} == {}
        # The page of nobody answers 404, which the browser tells; nothing else went wrong.
        complaints: Sequence[str] = page.__dict__["complaints"]
        assert [line for line in complaints if "404" not in line] == []


async def too_wide(page: Page) -> list[str]:
    """What is wider than the screen of a phone."""
    await page.set_viewport_size({"width": 360, "height": 740})
    wide = await page.evaluate("document.documentElement.scrollWidth")
    await page.set_viewport_size({"width": 1440, "height": 900})
    return [f"{wide} pixels wide on a phone"] if wide > 360 else []


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


async def test_a_residents_page_prints_dark_on_white_and_fills_its_paper(browser: Browser, home: OpenHome) -> None:
    async with signed_in(browser, home, settings=replace(SETTINGS, theme="dark")) as (page, address):
        await page.goto(f"{address}residents/r1")
        await page.emulate_media(media="print")
        colour = "getComputedStyle(document.documentElement).getPropertyValue('--absent')"
        assert await page.evaluate(colour) == "#9a4a04"  # the light one: the dark one is a yellow on white
        sheets = (await page.pdf(prefer_css_page_size=True)).count(b"/Type /Page\n")
        assert 1 < sheets <= 6


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


@pytest.mark.parametrize("path", ["residents", "residents/r2", "alarms"])
@pytest.mark.parametrize("width", [360, 1024])
async def test_an_alarm_is_acknowledged_by_a_click_on_every_page_that_shows_it(
    browser: Browser, home: OpenHome, path: str, width: int
) -> None:
    name = f"{path}{width}"
    deliver(home.database, "alarm", gateway_of(1), name, [alarm_event(name, "alarm_raise", "high")])
    async with signed_in(browser, home) as (page, address):
        await page.set_viewport_size({"width": width, "height": 740})
        await page.goto(f"{address}{path}")
        await page.locator(f'button[value="{name}"]').click(timeout=5_000)
        await page.wait_for_url("**told=done")
        assert urlsplit(page.url).path == f"/{path}"
        await expect(page.get_by_role("status").filter(has_text="The gateway has confirmed it")).to_be_visible()
        assert await serious(page) == []
        quiet(page)
    cleared = alarm_event(name, "alarm_clear", "returned")
    deliver(home.database, "alarm", gateway_of(1), f"{name}-over", [cleared])


def alarm_event(name: str, event: str, detail: str) -> AlarmEvent:
    return AlarmEvent(bed_of(1), stamp(NOW), event, detail, name, "", "high", 1)


async def test_a_page_that_is_open_while_its_resident_leaves_shows_nothing_of_them_any_more(
    browser: Browser, home: OpenHome
) -> None:
    async with signed_in(browser, home) as (page, address):
        await page.goto(f"{address}residents/r5")
        await expect(page.locator(".figures").first).to_be_visible()
        await home.register.discharge("r5")
        await expect(page.locator(".now-panel")).to_contain_text("discharged", timeout=15_000)
        assert await page.locator(".figures, .trend, table").count() == 0
