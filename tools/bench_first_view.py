"""Time and bytes of the first view of each page on a browser slowed four times, as a cheap tablet is: Chromium.

`python -m tools.bench_first_view`: a fresh browser profile for each page, so that nothing comes from a cache; from the
click to the end of `load`, with the picture painted. Needs Debian's Chromium, as the page tests do.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from cloud_sync.pages.settings import WebSettings
from cloud_sync.receiver.web import build_app
from gateway.web.board import build_app as build_board
from tests.gateway.web.small_ward import SmallWard, alarming, bed
from tests.integration.chromium import ARGUMENTS, CHROMIUM, serving
from tests.integration.home_pages import PAGES, AnsweringGateway
from tools.bench_rows import Row, print_rows, row
from tools.home_month import make_month
from tools.home_pages import open_home

SLOWER, CALLS, RESIDENTS = 4, 5, 20
LIMIT_MS, LIMIT_KB = 1000.0, 150.0
SETTINGS = WebSettings(port=0, open_access=True, language="zh")
# Shown to whoever comes without signing in: a carer's pages.
CARERS = ("residents", "resident", "alarms", "devices", "handover", "wall")
_LOADED = """() => new Promise(done => requestAnimationFrame(() => setTimeout(() => {
  const page = performance.getEntriesByType('navigation')[0];
  const painted = performance.getEntriesByName('first-contentful-paint')[0];
  const got = performance.getEntriesByType('resource').filter(one => !one.name.includes('/stream'));
  done([Math.max(page.loadEventEnd, painted ? painted.startTime : 0),
        got.reduce((sum, one) => sum + one.transferSize, page.transferSize)]);
})))"""


async def _first_view(browser: Browser, address: str) -> tuple[float, int]:
    """(ms, bytes)"""
    context = await browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800})
    try:
        page = await context.new_page()
        client = await context.new_cdp_session(page)
        await client.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        await page.goto(address, wait_until="load")
        took_ms, size = await page.evaluate(_LOADED)
        return float(took_ms), int(size)
    finally:
        await context.close()


async def _measure(folder: Path) -> list[Row]:
    with ExitStack() as owned:
        opened = open_home(make_month(folder, RESIDENTS, 30, 1), owned)
        opened.home.commander = AnsweringGateway()
        app = build_app(opened.platform, SETTINGS, opened.home, opened.register)
        board = build_board(SmallWard(*(bed(str(n)) for n in range(7)), alarming("8")), SETTINGS)
        async with (
            async_playwright() as playwright,
            serving(app, SETTINGS) as platform,
            serving(board, SETTINGS) as gateway,
        ):
            browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
            pages = {f"platform, {name}": platform + PAGES[name] for name in CARERS} | {"gateway's board": gateway}
            rows = []
            for name, address in pages.items():
                opened.hear(RESIDENTS)
                views = [await _first_view(browser, address) for _ in range(CALLS)]
                took_ms, size = statistics.median(ms for ms, _ in views), max(size for _, size in views)
                source = f"issue 6, CPU {SLOWER}x slower, worst of {CALLS}: {max(ms for ms, _ in views):.0f} ms"
                rows.append(row(f"first view: {name}", took_ms, "ms", LIMIT_MS, source=source))
                rows.append(row(f"first view: {name}, bytes", size / 1000, "kB", LIMIT_KB, source="issue 6"))
            await browser.close()
        return rows


def main() -> int:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as folder:
        print_rows(asyncio.run(_measure(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
