"""Server time and statements of each page of the platform on a simulated month of 20 residents: SQLite and PostgreSQL.

`python -m tools.bench_pages`: the month comes in as batches, then the application is called without a network, so that
only the server's own time counts. Rows as `tools.bench` reads.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from cloud_sync.pages.pdf import PdfError, new_sheet
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.stores.postgres import PostgresDatabase
from cloud_sync.receiver.stores.sqlite_file import SqliteDatabase
from cloud_sync.receiver.web import build_app
from tests.cloud_sync.postgres_server import postgres_server
from tools.bench_rows import Row, print_rows, row
from tools.home_month import make_month
from tools.home_pages import open_home

LIMIT_MS = 300.0
CALLS = 9
PAGES = {
    "residents": "/residents",
    "resident with 30 nights": "/residents/r1",
    "resident, an older night": "/residents/r1?night={older}",
    "alarms of 30 days": "/alarms?days=30",
    "devices, a day": "/devices",
    "devices, 7 days": "/devices?days=7",
    "hand-over sheet": "/handover",
    "wall board": "/wall",
    "audit": "/audit",
    "admissions": "/admissions",
    "an admission": "/admissions/r2",
    "accounts": "/accounts",
}


class Statements:
    """How many statements pages have sent to their databases."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count within the block."""
        kinds: Sequence[Any] = (SqliteDatabase, PostgresDatabase)
        plain = [kind.execute for kind in kinds]

        def counting(execute: Any) -> Any:
            def counted(*arguments: Any) -> Any:
                self.count += 1
                return execute(*arguments)

            return counted

        for kind, execute in zip(kinds, plain, strict=True):
            kind.execute = counting(execute)
        try:
            yield
        finally:
            for kind, execute in zip(kinds, plain, strict=True):
                kind.execute = execute


async def _measure(folder: Path, url: str, residents: int, days: int) -> list[Row]:
    with ExitStack() as owned:
        began = time.perf_counter()
        month = make_month(folder, residents, days, days, url=url)
        where = "PostgreSQL" if url else "SQLite"
        print(f"bench: the month is in {where} after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        opened = open_home(month, owned)
        account = Account("bench", "admin", hash_pin("4827"))
        app = build_app(
            opened.platform, WebSettings(language="en", accounts=(account,)), opened.home, opened.register
        )
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await sign_in(client, "bench", "4827")
            page = await opened.platform.resident("r1")
            assert page is not None
            older = page.nights[-1].night_of
            rows = [await _page(client, f"{name}, {where}", path.format(older=older)) for name, path in PAGES.items()]
            if _can_draw() and not url:
                began = time.perf_counter()
                await client.get("/handover.pdf", timeout=60)
                took = (time.perf_counter() - began) * 1000
                rows.append(row("page: hand-over PDF (in a thread)", took, "ms"))
        return rows


async def _page(client: httpx.AsyncClient, name: str, path: str) -> Row:
    times, size, statements = [], 0, Statements()
    with statements.counted():
        for _ in range(CALLS):
            began = time.perf_counter()
            answer = await client.get(path)
            times.append((time.perf_counter() - began) * 1000)
            size = len(answer.content)
            if answer.status_code != 200:
                raise SystemExit(f"bench: {path} answers {answer.status_code}")
    source = (
        f"issue 6, {statements.count / CALLS:g} statements, {size // 1024} kB, worst of {CALLS} calls "
        f"{max(times):.0f} ms"
    )
    return row(f"page: {name}", statistics.median(times), "ms", LIMIT_MS, source=source)


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
    parser = argparse.ArgumentParser(prog="python -m tools.bench_pages", description=__doc__)
    parser.add_argument("--residents", type=int, default=20)
    parser.add_argument("--days", type=int, default=30, help="nights, and days of minutes (default: 30)")
    size = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder), "", **size))
    with tempfile.TemporaryDirectory() as folder, postgres_server("bench", ()) as url:
        rows += asyncio.run(_measure(Path(folder), url, **size))
    print_rows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
