"""How long after a bed changes 200 open wall boards of the platform are told: `python -m tools.bench_streams`.

One real server, 200 real connections on this machine, the residents of a simulated home; a change every 1.5 s, so that
each stands alone. Measured from the gateway's word to the page's bytes; this process plays the 200 browsers too.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
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


class Reader:
    """One open stream; `arrived_s` is when the last state came."""

    def __init__(self) -> None:
        self.arrived_s = 0.0
        self.states = 0
        self._came = asyncio.Event()

    async def after(self, states: int) -> None:
        """Returns once more than `states` have come."""
        while self.states <= states:
            self._came.clear()
            await self._came.wait()

    async def run(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**20)
        writer.write(f"GET /stream/residents HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"event: state"):
                    self.arrived_s = time.perf_counter()
                    self.states += 1
                    self._came.set()
        finally:
            writer.close()


async def _measure(folder: Path) -> list[Row]:
    with ExitStack() as owned:
        opened = open_home(make_month(folder, residents=RESIDENTS, nights=3, minutes_of_nights=1), owned)
        await opened.platform.refresh_places()
        settings = WebSettings(host="127.0.0.1", port=0, open_access=True, streams_max=STREAMS + 10)
        server = PageServer(build_app(opened.platform, settings, opened.home), settings)
        serving = asyncio.create_task(server.serve_pages())
        url = urlsplit(server.address)
        readers = [Reader() for _ in range(STREAMS)]
        tasks = [asyncio.create_task(each.run(url.hostname or "127.0.0.1", url.port or 80)) for each in readers]
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(*(each.after(0) for each in readers))
            delays_ms = await _changes(opened, readers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.stop()
            await serving
    delays_ms.sort()
    source = f"issue 6, {len(delays_ms)} deliveries, median {delays_ms[len(delays_ms) // 2]:.0f} ms"
    p99_ms = delays_ms[int(len(delays_ms) * 0.99)]
    return [row(f"{STREAMS} live streams, change to page, p99", p99_ms, "ms", LIMIT_MS, source=source)]


async def _changes(opened: OpenHome, readers: list[Reader]) -> list[float]:
    delays_ms: list[float] = []
    for number in range(CHANGES):
        await asyncio.sleep(PAUSE_S)
        snapshot = snapshots(RESIDENTS, opened.platform.now_utc_ms())[0]
        first = replace(snapshot.beds[0], heart_rate_bpm=60 + number)
        before = [each.states for each in readers]
        began_s = time.perf_counter()
        opened.platform.heard(replace(snapshot, beds=(first, *snapshot.beds[1:])))
        async with asyncio.timeout(30):
            await asyncio.gather(*(each.after(count) for each, count in zip(readers, before, strict=True)))
        delays_ms += [(each.arrived_s - began_s) * 1000 for each in readers]
    return delays_ms


def main() -> int:
    """Print the row."""
    with tempfile.TemporaryDirectory() as folder:
        print_rows(asyncio.run(_measure(Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
