"""A store with 90 days of 8 belts in it (the default retention): memory, files and CPU of a gateway that opens it."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from cloud_sync.outbox import LANE_VITALS
from gateway.store_files import Chunk, StoreFiles, Writes
from tools.bench_rows import Row, print_rows, row

DAYS, BELTS = 90, 8
DAY_MS = 86_400_000
FIRST_MS = 20_700 * DAY_MS
CHUNK_BYTES = 130  # a minute of one belt, as stored
PEERS = "facts/PEERS.md"
_OPEN = """
import os, sys, time
from pathlib import Path
from gateway.metrics import rss_bytes
from gateway.store_files import StoreFiles
before, began = rss_bytes(), time.process_time()
files = StoreFiles(Path(sys.argv[1]))
print(rss_bytes() - before, len(os.listdir("/proc/self/fd")), time.process_time() - began)
"""


def _fill(folder: Path) -> None:
    files = StoreFiles(folder)
    for day in range(DAYS):
        minutes = [FIRST_MS + day * DAY_MS + 60_000 * minute for minute in range(1440)]
        chunks = [Chunk(f"bed-{n}", at, secrets.token_bytes(CHUNK_BYTES), 60) for at in minutes for n in range(BELTS)]
        files.commit(Writes(chunks=chunks))
        files.acked(LANE_VITALS, range(files.floor(LANE_VITALS), files.next_seq(LANE_VITALS)))
    files.close()


def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        folder = Path(name)
        _fill(folder)
        size = sum(file.stat().st_size for file in folder.iterdir())
        command = [sys.executable, "-c", _OPEN, name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    rss, opened, cpu_s = map(float, done.stdout.split())
    return [
        row("store_of_90_days_rss", rss / (1 << 20), "MiB", limit=4, source=f"{PEERS}: no growth"),
        row("store_of_90_days_open_files", opened, ""),
        row("store_of_90_days_size", size / (1 << 20), "MiB"),
        row("store_of_90_days_open_cpu", cpu_s, "s", limit=3, source=f"{PEERS}: ready to alarm"),
    ]


if __name__ == "__main__":
    print_rows(_measure())
