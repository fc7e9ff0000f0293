"""Debian's Chromium, headless, against real applications under uvicorn on loopback; pictures for docs/images."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from starlette.applications import Starlette

from cloud_sync.pages.server import PageServer
from cloud_sync.pages.settings import WebSettings

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
OPEN = WebSettings(port=0, open_access=True, theme="dark")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=user-gesture-required",
]  # fmt: skip


@asynccontextmanager
async def serving(app: Starlette, settings: WebSettings = OPEN) -> AsyncIterator[str]:
    server = PageServer(app, settings)
    task = asyncio.create_task(server.serve_pages())
    try:
        yield server.address
    finally:
        await server.stop()
        await asyncio.wait_for(task, 5)


async def opened(browser: Browser, address: str, language: str = "en", width: int = 1920, height: int = 1080) -> Page:
    """A page whose every complaint (script error, refused resource) fails the test at `quiet`."""
    context = await browser.new_context(locale=language, viewport={"width": width, "height": height})
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.__dict__["complaints"] = complaints
    await page.goto(address)
    return page


def quiet(page: Page) -> None:
    assert page.__dict__["complaints"] == []


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    if os.environ.get("SLEEPBELT_SCREENSHOTS"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=IMAGES / f"{name}.png", full_page=whole)


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
