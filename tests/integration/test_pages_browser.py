"""The pages in a real browser: an alarm from raise to outcome in both languages, lost connections, sound, screenshots.

Debian's Chromium, headless, against the real applications under uvicorn on loopback. `SLEEPBELT_SCREENSHOTS=1` writes
the pictures of docs/images anew.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.async_api import Browser, expect

from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.server import ListenError, PageServer
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.web import build_app as build_platform
from gateway.web.board import build_app as build_board
from tests.cloud_sync.pages import small_platform
from tests.gateway.web.small_ward import NOW_MS, SmallWard, absent, alarming, bed
from tests.integration.chromium import OPEN, opened, picture, quiet, serving

WORDS = {
    "en": {"alarm": "Please look", "answered": "Acknowledged", "ack": "Acknowledge", "real": "Real"},
    "zh-CN": {"alarm": "请查看", "answered": "已确认", "ack": "确认", "real": "属实"},
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def small_home() -> SmallWard:
    return SmallWard(
        bed("201-1"),
        bed("201-2"),
        absent("202-1", 492),
        bed("202-2", state="held", since_ms=NOW_MS - 24_000, out_since_ms=NOW_MS - 700_000),
        bed("203-1", mode="maintenance", until_ms=NOW_MS + 1_500_000, watched=False, unwatched_reason="maintenance"),
        bed(
            "203-2",
            state="unknown",
            since_ms=NOW_MS - 240_000,
            silent=True,
            watched=False,
            unwatched_reason="silent",
            notices=[{"code": "belt_offline", "detail": "", "since_ms": NOW_MS - 150_000}],
            heart={"value": None, "quality": 0, "reason": "silent"},
            respiration={"value": None, "quality": 0, "reason": "silent"},
        ),
        bed("205-1", heart={"value": None, "quality": 8, "reason": "moving"}),
        bed("205-2"),
    )


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_an_alarm_is_raised_acknowledged_and_given_its_outcome(browser: Browser, language: str) -> None:
    words, ward = WORDS[language], small_home()
    async with serving(build_board(ward, OPEN)) as address:
        page = await opened(browser, address, language)
        tile = page.locator('article[data-name="201-2"]')
        await expect(page.locator("#announce")).to_be_empty()
        await expect(tile.get_by_text(words["alarm"])).to_have_count(0)

        began = time.monotonic()
        await ward.put(alarming("201-2", 1492, level=2, priority="high"))
        await expect(tile.get_by_text(words["alarm"])).to_be_visible()
        assert time.monotonic() - began < 2
        assert await page.locator("article").first.get_attribute("data-name") == "201-2"
        await expect(page.locator("#announce")).to_contain_text("201-2")
        assert (await page.title()).startswith("(1)")
        await expect(tile.locator(".run")).to_contain_text("24:5")
        await picture(page, f"board-{language[:2]}")

        await tile.get_by_role("button", name=words["ack"], exact=False).first.click()
        await expect(tile.get_by_text(words["answered"])).to_be_visible()
        await tile.get_by_role("button", name=words["real"]).click()
        await expect(tile.locator(".outcome")).to_have_count(0)
        assert ward.acts == [("201-2", "acknowledge", "open-access"), ("201-2", "outcome_real", "open-access")]
        quiet(page)


async def test_the_keyboard_alone_answers_an_alarm_and_keeps_its_place(browser: Browser) -> None:
    ward = small_home()
    await ward.put(alarming("205-2"))
    async with serving(build_board(ward, OPEN)) as address:
        page = await opened(browser, address)
        await page.locator('[data-key="assist:205-1"]').focus()
        await ward.put(bed("205-1", turn_overs_tonight=10), alarming("203-1", priority="high"))
        await expect(page.locator('article[data-name="205-1"]').get_by_text("10", exact=True)).to_be_visible()
        assert await page.evaluate("document.activeElement.dataset.key") == "assist:205-1"
        await page.locator('[data-key="acknowledge:205-2"]').focus()
        await page.keyboard.press("Enter")
        await expect(page.locator('article[data-name="205-2"]').get_by_text("Acknowledged")).to_be_visible()


async def test_what_stops_watching_has_to_be_confirmed(browser: Browser) -> None:
    ward = SmallWard(bed("1"))
    async with serving(build_board(ward, OPEN)) as address:
        page = await opened(browser, address)
        await page.locator("details.more summary").click()
        button = page.locator('[data-action="away_on"]')
        await button.click()
        await expect(button).to_contain_text("Press again to confirm")
        assert ward.acts == []
        await button.click()
        await expect(page.locator("#toast")).to_be_visible()
        assert ward.acts == [("1", "away_on", "open-access")]


async def test_the_page_says_that_sound_is_blocked_until_somebody_touches_it_then_sounds(browser: Browser) -> None:
    ward = SmallWard(alarming("1", priority="high"))
    async with serving(build_board(ward, OPEN)) as address:
        page = await opened(browser, address)
        await expect(page.locator("#sound-blocked")).to_be_visible()
        await page.locator("#sound").click()
        await expect(page.locator("#sound-blocked")).to_be_hidden()
        await expect(page.locator("body")).to_have_attribute("data-bursts", "1")


async def test_a_dead_stream_is_told_within_fifteen_seconds_and_forgotten_when_it_is_back(browser: Browser) -> None:
    ward = SmallWard(bed("1"))
    settings = WebSettings(port=0, open_access=True, language="en")
    async with serving(build_board(ward, settings), settings) as address:
        page = await opened(browser, address)
        await expect(page.locator(".run")).not_to_be_empty()
        await expect(page.locator("#lost")).to_be_hidden()
    died = time.monotonic()
    await expect(page.locator("#lost")).to_be_visible(timeout=15_000)
    assert time.monotonic() - died < 15
    await expect(page.locator("#lost")).to_contain_text("Connection lost")
    again = WebSettings(port=int(address.rstrip("/").rpartition(":")[2]), open_access=True, language="en")
    await ward.put(alarming("1"))
    async with serving(build_board(ward, again), again):
        await expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
        await expect(page.get_by_text("Please look")).to_be_visible()
        # A server that was started anew has other secrets: the page has fetched its new token with the stream.
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_text("Acknowledged")).to_be_visible()


async def test_a_phone_shows_one_bed_below_the_other_without_scrolling_sideways(browser: Browser) -> None:
    async with serving(build_board(small_home(), OPEN)) as address:
        page = await opened(browser, address, width=360, height=740)
        await expect(page.locator(".run").first).not_to_be_empty()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360


def small_platform_home() -> small_platform.SmallPlatform:
    now, card, live, night = small_platform.NOW_UTC_MS, small_platform.card, small_platform.live, small_platform.night
    gone = {"heart_rate_bpm": None, "respiration_per_min": None}
    out = live("absent", out_since_utc_ms=now - 1_492_000, **gone)
    poor = night(coverage_percent=71.0, sleep_s=None, times_out=1, turn_overs=4, heart_rate_mean_bpm=None)
    home = small_platform.SmallPlatform(
        card("r1", "张桂兰", "201-1"),
        card("r2", "王德明", "201-2", live=out, night=night(times_out=4, turn_overs=22, sleep_s=19_980)),
        card("r3", "李秀英", "202-1", night=night(provisional=True, sleep_s=21_360, times_out=1, turn_overs=11)),
        card("r4", "陈建国", "202-2", night=night(coverage_percent=93.2, sleep_s=23_120, times_out=3, turn_overs=9)),
        card("r5", "Margaret O'Neill", "203-1", initials="MO", night=poor),
        card("r6", "赵敏", "203-2", live=live(stale=True, last_heard_utc_ms=now - 900_000), night=None),
    )
    home.reports["r1"] = small_platform.report()
    home.minute_rows = small_platform.minutes()
    return home


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_residents_are_shown_live(browser: Browser, language: str) -> None:
    home = small_platform_home()
    settings = replace(OPEN, theme="light")
    async with serving(build_platform(home, settings), settings) as address:
        page = await opened(browser, address, language, width=1440, height=900)
        await expect(page.locator("article")).to_have_count(6)
        away = home.cards["r2"]
        await home.put(replace(away, open_alarms=(small_platform.alarm("201-2"),)))
        strip = page.locator('article[data-name="r2"] .strip')
        await expect(strip).to_contain_text(WORDS[language]["alarm"])
        await expect(page.locator("#announce")).to_contain_text("201-2")
        await expect(page.locator('article[data-name="r2"] .badge b')).to_contain_text("24:5")
        await page.get_by_role("link", name="张桂兰").click()
        await expect(page.locator("svg.timeline")).to_be_visible()
        quiet(page)


async def test_residents_ask_for_sign_in_again_when_the_session_is_gone(browser: Browser) -> None:
    account = Account("夜班", "carer", hash_pin("4827"))
    settings = WebSettings(port=0, language="zh", accounts=(account,))
    home = small_platform_home()
    async with serving(build_platform(home, settings), settings) as address:
        page = await opened(browser, address, "zh-CN")
        await page.get_by_label("PIN").fill("4827")
        await page.keyboard.press("Enter")
        await expect(page.locator("article")).to_have_count(6)
        await expect(page.get_by_text("夜班（护理员）")).to_be_visible()
    again = replace(settings, port=int(address.rstrip("/").rpartition(":")[2]))
    async with serving(build_platform(home, again), again):
        await expect(page.get_by_label("PIN")).to_be_visible(timeout=20_000)
        assert page.url.endswith("/login?back=/residents")


async def test_the_pages_are_served_over_https_with_the_sites_certificate(tmp_path: Path) -> None:
    certificate, key = site_certificate(tmp_path)
    settings = WebSettings(port=0, language="en", tls_certificate=str(certificate), tls_key=str(key))
    async with serving(build_board(SmallWard(bed("1")), settings), settings) as address:
        assert address.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        async with httpx.AsyncClient(verify=trusted) as client:
            assert "Wall board" in (await client.get(address)).text


async def test_a_broken_certificate_is_a_clear_error(tmp_path: Path) -> None:
    nothing = tmp_path / "cert.pem"
    nothing.write_text("not a certificate")
    settings = WebSettings(port=0, tls_certificate=str(nothing), tls_key=str(nothing))
    with pytest.raises(ListenError, match=r"cannot use the certificate .*cert\.pem"):
        PageServer(build_board(SmallWard(), settings), settings)


def site_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "site.pem", folder / "site.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


async def test_a_stopping_server_does_not_wait_for_open_pages() -> None:
    server = PageServer(build_board(SmallWard(bed("1")), OPEN), OPEN)
    task = asyncio.create_task(server.serve_pages())
    async with (
        httpx.AsyncClient(base_url=server.address) as client,
        client.stream("GET", "/stream", headers={"Accept-Language": "en"}) as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        began = time.monotonic()
        await server.stop()
        await asyncio.wait_for(task, 5)
        assert time.monotonic() - began < 2


async def test_a_port_in_use_is_a_clear_error() -> None:
    async with serving(build_board(SmallWard(), OPEN)) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another port"):
            PageServer(build_board(SmallWard(), OPEN), WebSettings(port=port))
