"""The store on the event loop: one dedicated thread does SQLite, all others hand over and never wait for the disk.

`put` merges into what is pending and returns at once; one writer task commits all of it together, so a slow disk makes
commits larger and rarer, never the queue longer than `PENDING_ROWS_MAX`: at that limit vitals chunks are dropped and
counted (the belt's ring still has their minutes, because it is not acked), alarms and state never are.

Minutes alone wait up to `gather_s` for those of other belts, or go with the next event: a commit costs a disk 40 KB
whatever it holds (tools/bench_writes.py), and the belts keep their minutes until they are acked.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cloud_sync.outbox import LANES, OutboxItem
from gateway.store_files import Repair, StoreFiles, Writes

__all__ = ["Store", "StoreOutbox"]

PENDING_ROWS_MAX = 20_000
GATHER_S = 60.0  # for whoever sets `gather_s`
GATHER_ROWS_MAX = 64  # a belt's history comes in one go: no reason to wait
RETRY_S_MAX = 30.0
T = TypeVar("T")

log = logging.getLogger(__name__)


class Store:
    """Facade of `StoreFiles`; open with `await Store.open(folder)`, run `run()` as a task, end with `close()`."""

    def __init__(self, files: StoreFiles, thread: ThreadPoolExecutor) -> None:
        self._files = files
        self._thread = thread
        self._pending = Writes()
        self._in_hand = 0  # rows of the batch that is being committed
        self._wake = asyncio.Event()
        self._waiting: asyncio.TimerHandle | None = None  # for more minutes
        self.gather_s: Callable[[], float] = lambda: 0.0  # real seconds that minutes may wait
        self._idle = asyncio.Event()
        self._idle.set()
        self._growth = {lane: asyncio.Event() for lane in LANES}
        self.on_committed: Callable[[Writes], None] = lambda writes: None
        self.failing: str | None = None  # why commits fail at present
        self.dropped_chunks = 0

    @classmethod
    async def open(cls, folder: Path) -> Store:
        """Open, check and if need be repair the folder; StoreError says why it cannot be used."""
        thread = ThreadPoolExecutor(1, "store")
        files = await asyncio.get_running_loop().run_in_executor(thread, StoreFiles, folder)
        return cls(files, thread)

    @property
    def repairs(self) -> Sequence[Repair]:
        return self._files.repairs

    @property
    def epoch(self) -> str:
        return self._files.epoch

    async def call(self, function: Callable[[StoreFiles], T]) -> T:
        """Run `function(files)` in the store's thread, after what was handed over before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, self._files)

    def put(self, writes: Writes) -> None:
        """Hand over; durable once `on_committed` has been called with a batch that holds it."""
        if self._in_hand + self._pending.rows() + writes.rows() > PENDING_ROWS_MAX and writes.chunks:
            self.dropped_chunks += len(writes.chunks)
            writes.chunks = []
            writes.belt_acks = {}
        self._pending.merge(writes)
        if self._pending.empty():
            return
        self._idle.clear()
        if not self._pending.can_wait() or self._pending.rows() >= GATHER_ROWS_MAX:
            self._wake.set()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self.gather_s(), self._wake.set)

    async def run(self) -> None:
        """Commit what is handed over, for ever; a failing disk is retried, and `failing` says so meanwhile."""
        retry_s = 0.5
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None
            batch, self._pending = self._pending, Writes()
            while True:
                self._in_hand = batch.rows()
                try:
                    await self.call(lambda files, batch=batch: files.commit(batch))  # type: ignore[misc]
                    break
                except sqlite3.Error as error:
                    if self.failing is None:
                        log.error("the store cannot write (%s); alarms go on, nothing is acknowledged", error)
                    self.failing = str(error)
                    await asyncio.sleep(retry_s)
                    retry_s = min(RETRY_S_MAX, retry_s * 2)
                    # Newer state overtakes the one that could not be written.
                    batch.merge(self._pending)
                    self._pending = Writes()
            if self.failing is not None:
                log.info("the store writes again")
            self.failing, retry_s, self._in_hand = None, 0.5, 0
            for event in self._growth.values():
                event.set()
            self.on_committed(batch)
            if self._pending.empty():
                self._idle.set()

    async def flushed(self) -> None:
        """Returns once everything handed over is committed, which then waits for nothing."""
        if not self._idle.is_set():
            self._wake.set()
        await self._idle.wait()

    async def grown(self, lane: str, after_seq: int) -> None:
        """Returns once an unacked item with a seq above after_seq exists."""
        while True:
            event = self._growth[lane]
            event.clear()
            if await self.call(lambda files: files.pending(lane, after_seq, 1)):
                return
            await event.wait()

    async def close(self) -> None:
        """Close the files; what was not flushed before is lost."""
        await self.call(lambda files: files.close())
        self._thread.shutdown(wait=False)


class StoreOutbox:
    """`cloud_sync.outbox.Outbox` over the store."""

    def __init__(self, store: Store, on_lost: Callable[[str, Sequence[tuple[int, int]]], None] | None = None) -> None:
        """`on_lost(lane, runs of seqs)` tells of what a rewind asked for and the store does not keep any more."""
        self._store, self._on_lost = store, on_lost

    @property
    def epoch(self) -> str:
        return self._store.epoch

    async def pending(self, lane: str, after_seq: int, limit_bytes: int) -> Sequence[OutboxItem]:
        return await self._store.call(lambda files: files.pending(lane, after_seq, limit_bytes))

    async def acked(self, lane: str, seqs: Sequence[int]) -> None:
        await self._store.call(lambda files: files.acked(lane, seqs))

    async def rejected(self, lane: str, reasons: Mapping[int, str]) -> None:
        await self._store.call(lambda files: files.rejected(lane, dict(reasons)))

    async def rewind(self, lane: str, from_seq: int) -> None:
        lost = await self._store.call(lambda files: files.rewind(lane, from_seq))
        if lost and self._on_lost is not None:
            self._on_lost(lane, lost)

    async def floor(self, lane: str) -> int:
        return await self._store.call(lambda files: files.floor(lane))

    async def wait(self, lane: str, after_seq: int) -> None:
        await self._store.grown(lane, after_seq)
