"""The technician's page on a small phone, in both languages, light and dark: accessible, no wider than the phone, and
nothing to tap that is smaller than a thumb. Belts are spoken by the test; test_provision_browser has the real firmware.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from cloud_sync.pages.pins import hash_pin
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning
from tests.gateway.spoken_belt import SpokenBelt
from tests.integration.chromium import opened, picture, serious

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PIN = "48271"
WIDTH, HEIGHT = 360, 740
THUMB_PX = 44
SMALL = """() => [...document.querySelectorAll("main button, main label.button, main summary, main input, main a")]
  .filter((each) => each.checkVisibility() && !each.classList.contains("visually-hidden"))
  .map((each) => [each.outerHTML.slice(0, 90), each.getBoundingClientRect().height])
  .filter(([, height]) => height < %d).map(([html, height]) => `${Math.round(height)} px: ${html}`)"""
WRONG_SITE = '[site]\ngateway = "gw-01"\ntimezone = "Asia/Shangai"\n[[rooms]]\nbeds = ["101-1"]\n'
NEW_SITE = '[site]\ngateway = "gw-01"\ntimezone = "Asia/Shanghai"\n[[rooms]]\nname = "9"\nbeds = ["101-1", "901-1"]\n'


@asynccontextmanager
async def signed_in(
    browser: Browser, folder: Path, language: str, *belts: SpokenBelt
) -> AsyncIterator[tuple[Page, Site]]:
    account = f'accounts = [{{ name = "anna", role = "admin", pin = "{hash_pin(PIN)}" }}]\n'
    async with provisioning(configured(folder, more=account), *belts) as site:
        page = await opened(browser, f"{site.gateway.page}login?back=/provision", language, WIDTH, HEIGHT)
        await page.fill("[name=pin]", PIN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#typed")).to_be_attached()
        await page.wait_for_load_state()  # the page's script listens from here on
        yield page, site
        await page.context.close()


async def faults(page: Page) -> list[str]:
    wide = await page.evaluate("document.documentElement.scrollWidth")
    small: list[str] = await page.evaluate(SMALL % THUMB_PX)
    return [*await serious(page), *small, *([f"{wide} pixels wide"] if wide > WIDTH else [])]


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
async def test_every_state_of_the_page_is_accessible_and_made_for_thumbs(
    browser: Browser, tmp_path: Path, language: str, theme: str
) -> None:
    bound, spare, foreign = new_belt(1), new_belt(2), new_belt(3)
    labels = label_of(bound), label_of(spare)
    name = f"{language[:2]}-{theme}"
    async with signed_in(browser, tmp_path, language, bound, spare, foreign) as (page, site):
        await page.goto(f"{site.gateway.page}preference?theme={theme}&back=/provision")
        await site.ask("scan", text=labels[0])
        await site.ask("bind", belt=bound.serial.hex(), bed="101-1")
        await site.live("101-1")
        await site.ask("scan", text=labels[1])
        found = {}
        await page.locator('[data-choose="101-2"]').click()
        await expect(page.locator('[data-part="belts"] button[data-op="bind"]')).to_be_visible()
        await expect(page.locator("[data-take]")).to_be_visible()
        found["empty bed"] = await faults(page)
        await page.locator("[data-take]").click()
        await expect(page.locator("#code")).to_be_focused()
        await page.evaluate("window.scrollTo(0, 0)")
        await picture(page, f"provision-take-{name}")
        found["typed code"] = await faults(page)
        await page.locator('[data-choose="101-1"]').click()
        await expect(page.locator('[data-op="walk_start"]')).to_be_visible()
        await page.evaluate("window.scrollTo(0, 0)")
        await picture(page, f"provision-bed-{name}", whole=True)
        found["live bed"] = await faults(page)
        await page.locator('[data-op="walk_start"]').click()
        await expect(page.locator("#walk-step")).to_be_visible()
        found["walk test"] = await faults(page)
        await page.locator('[data-op="walk_stop"]').click()
        await page.locator('[data-op="walk_stop"]').click()
        await expect(page.locator("#walk-step")).to_be_hidden()
        await _upload(page, WRONG_SITE)
        await expect(page.locator("#said")).to_contain_text("Asia/Shangai")
        await expect(page.locator("#said")).to_contain_text("site.timezone")
        found["wrong site file"] = await faults(page)
        await _upload(page, NEW_SITE)
        await expect(page.locator("#site-said button")).to_be_visible()
        await page.locator("#site-said").scroll_into_view_if_needed()
        await picture(page, f"provision-site-{name}")
        found["site file"] = await faults(page)
        await page.locator("#wipe summary").click()
        found["out of service"] = await faults(page)
        other = "light" if theme == "dark" else "dark"
        await page.goto(f"{site.gateway.page}preference?theme={other}&back=/provision")
        await page.locator("[data-take]").click()
        await expect(page.locator('[data-op="walk_start"]')).to_be_visible()
        found[f"a live bed, {other}"] = await faults(page)
        assert {state: rules for state, rules in found.items() if rules} == {}
        refused = [text for text in page.__dict__["complaints"] if "409" not in text]
        assert refused == []


async def test_a_site_file_from_the_phone_needs_a_second_tap_where_beds_go_and_then_the_gateway_restarts(
    browser: Browser, tmp_path: Path
) -> None:
    async with signed_in(browser, tmp_path, "en") as (page, site):
        await _upload(page, NEW_SITE)
        button = page.locator("#site-said button")
        await expect(page.locator("#site-said")).to_contain_text("bed 102-1 is removed")
        await button.click()
        await expect(button).to_have_text("Tap again to confirm")
        assert not site.gateway.restarting
        await button.click()
        await expect(page.locator("#said")).to_contain_text("The gateway starts anew")
        async with asyncio.timeout(5):
            while not site.gateway.restarting:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_gateway_goes_out_of_service_from_the_page_and_the_belts_codes_come_as_a_file(
    browser: Browser, tmp_path: Path
) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with signed_in(browser, tmp_path, "en", belt) as (page, site):
        await site.ask("scan", text=label)
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await page.locator("#wipe summary").click()
        first, second = page.locator('[data-wipe="wipe_belts"]'), page.locator('[data-wipe="wipe"]')
        await first.click()
        await first.click()
        await expect(page.locator("#said")).to_contain_text("Write its name, gw-01")
        await page.fill("#wipe-name", "gw-01")
        async with page.expect_download() as download:
            await first.click()
            await first.click()
        file = await (await download.value).path()
        assert file.read_text().splitlines() == ["serial,model,claim_secret", f"{belt.serial.hex()},1,{belt.key.hex()}"]
        await second.click()
        await second.click()
        await expect(page.locator("#wipe-said")).to_contain_text("The gateway erases itself")
    assert (tmp_path / "data" / "wipe.json").exists()


async def _upload(page: Page, text: str) -> None:
    await page.set_input_files("#site", {"name": "site.toml", "mimeType": "text/plain", "buffer": text.encode()})
