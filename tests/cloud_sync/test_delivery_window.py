"""The window of a lane on links by numbers: what part of the rate is used, how long an alarm would stand in queue."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass, field

import pytest

from cloud_sync.delivery import VITALS_POLICY, Batch, LaneDelivery
from cloud_sync.outbox import OutboxItem
from protocol.batch import LANE_VITALS, Ack

ITEM_BYTES = 100
WIRE_SHARE = 0.25  # what compression leaves


@dataclass
class Way:
    """A link with one queue before it, and a receiver that acks after a commit of `commit_ms` on average."""

    bytes_per_ms: float
    round_trip_ms: int
    commit_ms: int = 20
    is_uneven: bool = False
    draw: random.Random = field(default_factory=lambda: random.Random(1))
    free_ms: float = 0.0
    carried: list[tuple[float, int]] = field(default_factory=list)
    queued_ms: list[float] = field(default_factory=list)
    acks: list[tuple[float, Ack]] = field(default_factory=list)

    def take(self, batch: Batch, wire_bytes: int, now_ms: int) -> None:
        self.free_ms = max(self.free_ms, now_ms) + wire_bytes / self.bytes_per_ms
        self.queued_ms.append(self.free_ms - now_ms)
        self.carried.append((self.free_ms, wire_bytes))
        commit_ms = self.draw.expovariate(1 / self.commit_ms) if self.is_uneven else self.commit_ms
        seqs = (batch.items[0].seq, batch.items[-1].seq)
        self.acks.append((self.free_ms + self.round_trip_ms + commit_ms, Ack(LANE_VITALS, "e", (seqs,))))

    def due(self, now_ms: int) -> list[Ack]:
        due = [ack for at_ms, ack in self.acks if at_ms <= now_ms]
        self.acks = [pair for pair in self.acks if pair[0] > now_ms]
        return due


def drain(core: LaneDelivery, way: Way, from_ms: int, until_ms: int) -> None:
    """A backlog that never ends."""
    for now_ms in range(from_ms, until_ms):
        for ack in way.due(now_ms):
            core.acked(ack, now_ms)
        while (want := core.want()) is not None:
            first, count = want[0] + 1, max(1, want[1] // ITEM_BYTES)
            items = [OutboxItem(seq, LANE_VITALS, bytes(ITEM_BYTES)) for seq in range(first, first + count)]
            core.loaded(items, now_ms, 0)
        while (batch := core.next_batch(now_ms)) is not None:
            wire_bytes = round(WIRE_SHARE * ITEM_BYTES * len(batch.items) * way.draw.uniform(0.8, 1.2))
            core.sent(batch, wire_bytes, bytes(16), now_ms, way.draw.random())
            assert not batch.resend
            way.take(batch, wire_bytes, now_ms)


def drained(way: Way, from_s: int, until_s: int) -> tuple[float, float]:
    """(share of the link's rate that was used from `from_s` on, how long 99 of 100 messages stood in queue in ms)."""
    core = LaneDelivery(VITALS_POLICY, "e")
    core.connected()
    drain(core, way, 0, 1000 * from_s)
    way.queued_ms.clear()
    drain(core, way, 1000 * from_s, 1000 * until_s)
    used = sum(size for at_ms, size in way.carried if 1000 * from_s <= at_ms < 1000 * until_s)
    return used / (1000 * (until_s - from_s) * way.bytes_per_ms), statistics.quantiles(way.queued_ms, n=100)[98]


@pytest.mark.parametrize("is_uneven", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_narrow_link_is_filled_and_its_queue_stays_short(is_uneven: bool, seed: int) -> None:
    way = Way(bytes_per_ms=32, round_trip_ms=100, is_uneven=is_uneven, draw=random.Random(seed))
    used, queued_ms = drained(way, 2, 100)  # over three times of an emptied link
    assert used > 0.93
    assert queued_ms < 330  # 50 ms of way and the alarm itself stay of 400


@pytest.mark.parametrize(("bytes_per_ms", "round_trip_ms"), [(8, 100), (32, 20), (32, 300), (128, 60), (300, 40)])
def test_links_of_many_kinds_are_filled(bytes_per_ms: float, round_trip_ms: int) -> None:
    used, queued_ms = drained(Way(bytes_per_ms, round_trip_ms), 4, 60)
    assert used > 0.85
    assert queued_ms < max(VITALS_POLICY.window_bytes_min / bytes_per_ms, 360)


def test_on_a_fast_link_the_window_is_at_its_limit_within_a_second() -> None:
    core = LaneDelivery(VITALS_POLICY, "e")
    core.connected()
    drain(core, Way(bytes_per_ms=12_500, round_trip_ms=1), 0, 1000)
    assert core.window_bytes == VITALS_POLICY.window_bytes_max


def test_a_link_that_becomes_slower_soon_has_a_short_queue_again() -> None:
    core = LaneDelivery(VITALS_POLICY, "e")
    core.connected()
    way = Way(bytes_per_ms=128, round_trip_ms=100)
    drain(core, way, 0, 10_000)
    way.bytes_per_ms = 32
    drain(core, way, 10_000, 13_000)
    way.queued_ms.clear()
    drain(core, way, 13_000, 20_000)
    assert max(way.queued_ms) < 330


def test_a_way_that_becomes_longer_is_filled_again_in_a_few_minutes() -> None:
    core = LaneDelivery(VITALS_POLICY, "e")
    core.connected()
    way = Way(bytes_per_ms=32, round_trip_ms=50)
    drain(core, way, 0, 10_000)
    way.round_trip_ms = 400
    drain(core, way, 10_000, 300_000)
    way.carried.clear()
    drain(core, way, 300_000, 330_000)
    assert sum(size for _, size in way.carried) > 0.85 * 32 * 30_000


def test_now_and_then_the_link_runs_empty_for_one_message() -> None:
    core = LaneDelivery(VITALS_POLICY, "e")
    core.connected()
    way = Way(bytes_per_ms=32, round_trip_ms=100)
    drain(core, way, 0, 100_000)
    begins = [end_ms - size / 32 for end_ms, size in way.carried]
    idle = [begin for begin, (before, _) in zip(begins[1:], way.carried, strict=False) if begin - before > 100]
    assert [round(at_ms / 30_000) for at_ms in idle] == [1, 1, 2, 2, 3, 3]  # before that message and after it
