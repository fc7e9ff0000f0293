"""How fast the receiver takes chunks in, from messages to durable commits, on SQLite and PostgreSQL.

The disk counts: every group is committed with FULL durability before the next. Prints name, value, unit, limit, ratio.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

from cloud_sync.ingest import examine
from cloud_sync.receiver.stores.base import StoreWrites
from cloud_sync.receiver.stores.opening import open_writes
from protocol.batch import Envelope, encode_envelope, encode_item
from tests.cloud_sync.samples import START_UTC_MS, minute
from tools.bench_rows import Row, print_rows, row

ROOT = Path(__file__).parents[1]
GATEWAYS, BELTS, MINUTES, FLUSH_MINUTES = 20, 8, 30, 5
WORKERS = 2
GROUP = 16  # messages that share a commit at this rate within 15 ms
PEER = "facts/SYNC.md: goal of the whole pipeline on 2 cores"


def messages() -> list[tuple[str, bytes]]:
    """Batches of many gateways as they arrive: in turn, each with five minutes of eight belts."""
    found = []
    for begin in range(0, MINUTES, FLUSH_MINUTES):
        bodies = [
            encode_item(minute(str(belt), begin + i)) for i in range(FLUSH_MINUTES) for belt in range(BELTS)
        ]
        seq = 1 + begin * BELTS
        for number in range(GATEWAYS):
            gateway = f"gw-{number:02}"
            envelope = Envelope(gateway, "e", seq, seq, tuple(enumerate(bodies)))
            found.append((f"sb/v1/{gateway}/vitals", encode_envelope(envelope)))
    return found


def chunks_per_s(store: StoreWrites, batches: Sequence[tuple[str, bytes]]) -> float:
    begun = time.perf_counter()
    stored = 0
    for at in range(0, len(batches), GROUP):
        arrivals = [examine(*batch) for batch in batches[at : at + GROUP]]
        committed = store.commit([arrival for arrival in arrivals if arrival is not None], START_UTC_MS)
        stored += sum(len(outcomes) for outcomes in committed.outcomes)
    return stored / (time.perf_counter() - begun)


def by_workers(url: str, batches: Sequence[tuple[str, bytes]]) -> float:
    """Chunks a second of several worker processes on one database, from the first's begin to the last's end."""
    open_writes(url).close()
    start = multiprocessing.get_context("spawn")
    ready, spans = start.Barrier(WORKERS), start.Queue()
    of_worker = [batches[number::WORKERS] for number in range(WORKERS)]  # each gateway has its worker
    workers = [start.Process(target=_work, args=(url, some, ready, spans)) for some in of_worker]
    for worker in workers:
        worker.start()
    found: list[tuple[float, float]] = [spans.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    return len(batches) * FLUSH_MINUTES * BELTS / (max(end for _, end in found) - min(begin for begin, _ in found))


def _work(url: str, batches: Sequence[tuple[str, bytes]], ready: Barrier, spans: Queue[tuple[float, float]]) -> None:
    store = open_writes(url)
    ready.wait()
    begun = time.monotonic()  # one clock for all processes
    chunks_per_s(store, batches)
    spans.put((begun, time.monotonic()))
    store.close()


def rows() -> list[Row]:
    batches = messages()
    (ROOT / "build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / "build") as folder:
        store = open_writes(Path(folder) / "receiver.db")
        sqlite = chunks_per_s(store, batches)
        again = chunks_per_s(store, batches)
        store.close()
    found = [
        row("receiver ingest, SQLite, durable, one process", sqlite, "chunks/s"),
        row("receiver ingest, SQLite, chunk time against the goal of 5,000 a second", 1e6 / sqlite, "us/chunk",
            limit=1e6 / 5_000, source=PEER),
        row("receiver ingest, SQLite, repeated batches", again, "chunks/s"),
    ]  # fmt: skip
    if shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        from tests.cloud_sync.postgres_server import emptied, postgres_server

        with postgres_server("bench", ()) as url:
            store = open_writes(emptied(url))
            postgres = chunks_per_s(store, batches)
            store.close()
            together = by_workers(emptied(url), batches)
        found += [
            row("receiver ingest, PostgreSQL, durable, one worker", postgres, "chunks/s"),
            row(f"receiver ingest, PostgreSQL, durable, {WORKERS} workers", together, "chunks/s"),
            row(f"receiver ingest, PostgreSQL, {WORKERS} workers, chunk time against the goal of 5,000 a second",
                1e6 / together, "us/chunk", limit=1e6 / 5_000, source=PEER),
        ]  # fmt: skip
    return found


def main() -> int:
    print_rows(rows())
    return 0


if __name__ == "__main__":
    sys.exit(main())
