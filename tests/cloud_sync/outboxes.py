"""An outbox for tests: in memory, ordered, and it remembers what became of each item."""

import asyncio
from collections.abc import Mapping, Sequence

from cloud_sync.outbox import LANES, OutboxItem


class MemoryOutbox:
    """cloud_sync.outbox.Outbox without a disk."""

    def __init__(self, epoch: str = "e0") -> None:
        self.epoch = epoch
        self._items: dict[str, dict[int, OutboxItem]] = {lane: {} for lane in LANES}
        self._next = dict.fromkeys(LANES, 1)
        self._acked: dict[str, dict[int, OutboxItem]] = {lane: {} for lane in LANES}
        self._grown = asyncio.Event()
        self._shrunk = asyncio.Event()
        self.freed: dict[str, list[int]] = {lane: [] for lane in LANES}
        self.refused: dict[str, dict[int, str]] = {lane: {} for lane in LANES}

    def put(self, lane: str, body: bytes) -> int:
        seq = self._next[lane]
        self._next[lane] = seq + 1
        self._items[lane][seq] = OutboxItem(seq, lane, body)
        self._grown.set()
        return seq

    def left(self) -> int:
        return sum(len(items) for items in self._items.values())

    async def pending(self, lane: str, after_seq: int, limit_bytes: int) -> Sequence[OutboxItem]:
        found: list[OutboxItem] = []
        size = 0
        for seq in sorted(self._items[lane]):
            if seq > after_seq:
                size += len(self._items[lane][seq].body)
                if found and size > limit_bytes:
                    break
                found.append(self._items[lane][seq])
        return found

    async def acked(self, lane: str, seqs: Sequence[int]) -> None:
        for seq in seqs:
            item = self._items[lane].pop(seq, None)
            if item is not None:
                self._acked[lane][seq] = item
                self.freed[lane].append(seq)
        self._shrunk.set()

    async def wait_freed(self, lane: str, count: int) -> None:
        """Returns once `count` items of the lane were freed."""
        while len(self.freed[lane]) < count:
            self._shrunk.clear()
            await self._shrunk.wait()

    async def rejected(self, lane: str, reasons: Mapping[int, str]) -> None:
        self.refused[lane].update(reasons)
        for seq in reasons:
            self._items[lane].pop(seq, None)

    async def rewind(self, lane: str, from_seq: int) -> None:
        again = {seq: item for seq, item in self._acked[lane].items() if seq >= from_seq}
        self._items[lane] |= again

    async def floor(self, lane: str) -> int:
        return min(self._items[lane], default=self._next[lane])

    async def wait(self, lane: str, after_seq: int) -> None:
        while not any(seq > after_seq for seq in self._items[lane]):
            self._grown.clear()
            await self._grown.wait()
