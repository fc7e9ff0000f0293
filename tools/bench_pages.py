"""Server time of each page of the platform on a simulated month of 20 residents (SQLite). Rows as `tools.bench` reads.

`python -m tools.bench_pages`: the application is called without a network, so that only the server's own time counts.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from cloud_sync.pages.pdf import PdfError, new_sheet
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.web import build_app
from tools.bench_rows import Row, print_rows, row
from tools.home_month import make_month
from tools.home_pages import open_home

LIMIT_MS = 300.0
CALLS = 9
PAGES = {
    "residents": "/residents",
    "resident with 30 nights": "/residents/r1",
    "alarms of 30 days": "/alarms?days=30",
    "devices, a day": "/devices",
    "devices, 7 days": "/devices?days=7",
    "hand-over sheet": "/handover",
    "wall board": "/wall",
    "audit": "/audit",
    "admissions": "/admissions",
    "accounts": "/accounts",
}


async def _measure(folder: Path) -> list[Row]:
    with ExitStack() as owned:
        opened = open_home(make_month(folder), owned)
        account = Account("bench", "admin", hash_pin("4827"))
        app = build_app(
            opened.platform, WebSettings(language="en", accounts=(account,)), opened.home, opened.register
        )
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        rows = []
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await sign_in(client, "bench", "4827")
            for name, path in PAGES.items():
                times, size = [], 0
                for _ in range(CALLS):
                    began = time.perf_counter()
                    answer = await client.get(path)
                    times.append((time.perf_counter() - began) * 1000)
                    size = len(answer.content)
                    if answer.status_code != 200:
                        raise SystemExit(f"bench: {path} answers {answer.status_code}")
                source = f"issue 6, {size // 1024} kB, worst of {CALLS} calls {max(times):.0f} ms"
                rows.append(row(f"page: {name}", statistics.median(times), "ms", LIMIT_MS, source=source))
            if _can_draw():
                began = time.perf_counter()
                answer = await client.get("/handover.pdf", timeout=60)
                took = (time.perf_counter() - began) * 1000
                rows.append(row("page: hand-over PDF (in a thread)", took, "ms"))
        return rows


async def sign_in(client: httpx.AsyncClient, account: str, pin: str) -> None:
    """Sign in as a browser does."""
    page = await client.get("/login")
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert csrf is not None
    answer = await client.post("/login", data={"account": account, "pin": pin, "csrf": csrf[1]})
    assert answer.status_code == 303


def _can_draw() -> bool:
    try:
        new_sheet("zh")
    except PdfError:
        return False
    return True


def main() -> int:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as folder:
        print_rows(asyncio.run(_measure(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
