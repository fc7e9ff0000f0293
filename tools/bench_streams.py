"""How long after a bed changes 200 open boards of the platform are told: `python -m tools.bench_streams`.

One real server, 200 real connections on this machine, the residents of a simulated home; a change every 1.5 s, so that
each stands alone. Measured from the gateway's word to the page's bytes. The browsers are a process of their own, as
they are in a home; both read the same monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

from cloud_sync.pages.server import PageServer
from cloud_sync.pages.settings import WebSettings
from cloud_sync.receiver.web import build_app
from tools.bench_rows import Row, print_rows, row
from tools.home_month import make_month
from tools.home_pages import OpenHome, open_home, snapshots

STREAMS, CHANGES, RESIDENTS = 200, 12, 20
LIMIT_MS = 50.0
PAUSE_S = 1.5


async def _browsers(host: str, port: int, parent: Connection) -> None:
    """Open the boards, say so, and tell when each state came to each of them once the parent asks."""
    arrived_s: list[list[float]] = [[] for _ in range(STREAMS)]

    async def run(arrivals: list[float]) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**20)
        writer.write(f"GET /stream/residents HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"event: state"):
                    arrivals.append(time.perf_counter())
        finally:
            writer.close()

    tasks = [asyncio.create_task(run(arrivals)) for arrivals in arrived_s]
    while not all(arrived_s):  # noqa: ASYNC110 - a measurement begins when all of them have come
        await asyncio.sleep(0.05)
    parent.send("open")
    await asyncio.to_thread(parent.recv)
    parent.send(json.dumps(arrived_s))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _browse(host: str, port: int, parent: Connection) -> None:
    asyncio.run(_browsers(host, port, parent))


async def _measure(folder: Path) -> list[Row]:
    with ExitStack() as owned:
        opened = open_home(make_month(folder, residents=RESIDENTS, nights=3, minutes_of_nights=1), owned)
        await opened.platform.refresh_places()
        settings = WebSettings(host="127.0.0.1", port=0, open_access=True, streams_max=STREAMS + 10)
        server = PageServer(build_app(opened.platform, settings, opened.home), settings)
        serving = asyncio.create_task(server.serve_pages())
        url = urlsplit(server.address)
        ours, theirs = multiprocessing.Pipe()
        browsers = multiprocessing.get_context("spawn").Process(
            target=_browse, args=(url.hostname or "127.0.0.1", url.port or 80, theirs), daemon=True
        )
        browsers.start()
        try:
            async with asyncio.timeout(120):
                await asyncio.to_thread(ours.recv)
                began_s = await _changes(opened)
                ours.send("tell")
                arrived_s = json.loads(await asyncio.to_thread(ours.recv))
        finally:
            browsers.kill()
            await server.stop()
            await serving
    delays_ms = sorted(_delay_ms(at_s, arrivals) for at_s in began_s for arrivals in arrived_s)
    source = f"issue 6, {len(delays_ms)} deliveries, median {delays_ms[len(delays_ms) // 2]:.0f} ms"
    p99_ms = delays_ms[int(len(delays_ms) * 0.99)]
    return [row(f"{STREAMS} live streams, change to page, p99", p99_ms, "ms", LIMIT_MS, source=source)]


async def _changes(opened: OpenHome) -> list[float]:
    """Change a bed now and then; when each change was told to the platform."""
    began_s = []
    for number in range(CHANGES):
        await asyncio.sleep(PAUSE_S)
        snapshot = snapshots(RESIDENTS, opened.platform.now_utc_ms())[0]
        first = replace(snapshot.beds[0], heart_rate_bpm=60 + number)
        began_s.append(time.perf_counter())
        opened.platform.heard(replace(snapshot, beds=(first, *snapshot.beds[1:])))
    await asyncio.sleep(PAUSE_S)
    return began_s


def _delay_ms(began_s: float, arrived_s: list[float]) -> float:
    """Until the first state after `began_s`; a page that was not told before the next change counts with all of it."""
    return 1000 * min((at_s - began_s for at_s in arrived_s if began_s <= at_s), default=PAUSE_S)


def main() -> int:
    """Print the row."""
    with tempfile.TemporaryDirectory() as folder:
        print_rows(asyncio.run(_measure(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
