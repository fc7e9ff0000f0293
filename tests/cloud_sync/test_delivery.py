"""The delivery core: windows, resends and acks, by numbers and by random histories."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.delivery import ALARM_POLICY, VITALS_POLICY, Batch, LaneDelivery, LanePolicy
from cloud_sync.outbox import OutboxItem
from protocol.batch import LANE_ALARM, LANE_VITALS, Ack

DIGEST = b"d" * 16


def items(first: int, last: int, size: int = 100, lane: str = LANE_ALARM) -> list[OutboxItem]:
    return [OutboxItem(seq, lane, bytes(size)) for seq in range(first, last + 1)]


def connected(policy: LanePolicy = ALARM_POLICY) -> LaneDelivery:
    core = LaneDelivery(policy, "e")
    core.connected()
    return core


def accept(*ranges: tuple[int, int], lane: str = LANE_ALARM, epoch: str = "e") -> Ack:
    return Ack(lane, epoch, accepted=ranges)


def send(core: LaneDelivery, now_ms: int, wire_bytes: int = 100, digest: bytes = DIGEST) -> Batch:
    batch = core.next_batch(now_ms)
    assert batch is not None
    core.sent(batch, wire_bytes, digest, now_ms, jitter=0.0)
    return batch


def seqs(batch: Batch) -> list[int]:
    return [item.seq for item in batch.items]


def test_an_alarm_is_due_at_once() -> None:
    core = connected()
    core.loaded(items(1, 1), now_ms=5, flush_delay_ms=0)
    assert seqs(send(core, 5)) == [1]


def test_vitals_wait_for_company_until_their_flush_is_due() -> None:
    core = connected(VITALS_POLICY)
    core.loaded(items(1, 1, lane=LANE_VITALS), now_ms=0, flush_delay_ms=1000)
    core.loaded(items(2, 3, lane=LANE_VITALS), now_ms=900, flush_delay_ms=1000)
    assert core.next_batch(999) is None
    assert core.deadline_ms() == 1000
    assert seqs(send(core, 1000)) == [1, 2, 3]


def test_vitals_that_fill_a_batch_do_not_wait_for_their_flush() -> None:
    core = connected(VITALS_POLICY)
    core.loaded(items(1, 40, size=1000, lane=LANE_VITALS), now_ms=0, flush_delay_ms=100_000)
    assert core.next_batch(0) is not None


def test_nothing_is_sent_without_a_connection() -> None:
    core = LaneDelivery(ALARM_POLICY, "e")
    core.loaded(items(1, 1), 0, 0)
    assert core.next_batch(0) is None
    assert core.deadline_ms() is None


def test_an_unacked_batch_is_sent_again_after_its_delay_and_jitter() -> None:
    core = connected()
    core.loaded(items(1, 2), 0, 0)
    batch = core.next_batch(0)
    assert batch is not None
    core.sent(batch, 100, DIGEST, now_ms=0, jitter=0.5)
    assert core.deadline_ms() == 2500
    assert core.next_batch(2499) is None
    again = core.next_batch(2500)
    assert again is not None
    assert (again.number, seqs(again), again.resend) == (batch.number, [1, 2], True)


def test_the_delay_doubles_up_to_its_limit() -> None:
    core = connected()
    core.loaded(items(1, 1), 0, 0)
    delays = []
    now_ms = 0
    for _ in range(6):
        send(core, now_ms)
        due = core.deadline_ms()
        assert due is not None
        delays.append(due - now_ms)
        now_ms = due
    assert delays == [2000, 4000, 8000, 15_000, 15_000, 15_000]


def test_a_new_connection_makes_everything_in_flight_due_again() -> None:
    core = connected()
    core.loaded(items(1, 1), 0, 0)
    send(core, 0)
    core.disconnected()
    core.connected()
    assert seqs(send(core, 1)) == [1]


def test_an_ack_frees_its_seqs_and_the_rest_is_sent_again() -> None:
    core = connected()
    core.loaded(items(1, 4), 0, 0)
    send(core, 0)
    freed = core.acked(accept((1, 1), (3, 4)), 50)
    assert freed.accepted == (1, 3, 4)
    assert core.floor() == 2
    assert seqs(send(core, 2000)) == [2]


def test_a_rejected_item_is_freed_with_its_code() -> None:
    core = connected()
    core.loaded(items(1, 2), 0, 0)
    send(core, 0)
    freed = core.acked(Ack(LANE_ALARM, "e", ((1, 1),), ((2, "bad_value"),)), 50)
    assert freed.rejected == {2: "bad_value"}
    assert core.is_idle()


@pytest.mark.parametrize("ack", [accept((1, 9), lane=LANE_VITALS), accept((1, 9), epoch="other")])
def test_an_ack_of_another_lane_or_epoch_frees_nothing(ack: Ack) -> None:
    core = connected()
    core.loaded(items(1, 1), 0, 0)
    send(core, 0)
    assert core.acked(ack, 1).accepted == ()
    assert not core.is_idle()


def test_ranges_of_an_ack_may_overlap_be_turned_round_or_come_in_any_order() -> None:
    core = connected()
    core.loaded(items(1, 6), 0, 0)
    send(core, 0)
    assert core.acked(accept((5, 5), (9, 2), (2, 3), (1, 3), (5, 5), (100, 2**53)), 1).accepted == (1, 2, 3, 5)


def test_a_huge_ack_costs_a_search_an_item_and_no_walk() -> None:
    core = connected(VITALS_POLICY)
    core.loaded(items(1, 1024, size=1, lane=LANE_VITALS), 0, 0)
    send(core, 0)
    looked: list[int] = []

    class Counted(int):
        def __le__(self, other: int) -> bool:
            looked.append(1)
            return int(self) <= int(other)

        def __lt__(self, other: int) -> bool:
            looked.append(1)
            return int(self) < int(other)

        def __gt__(self, other: int) -> bool:
            looked.append(1)
            return int(self) > int(other)

    ranges = tuple((Counted(10_000 + 3 * n), Counted(10_001 + 3 * n)) for n in range(16_000))
    assert core.acked(accept(*ranges, lane=LANE_VITALS), 1).accepted == ()
    assert len(looked) < 1_000_000  # 16 million if each item were held against each range


def test_an_ack_of_what_was_never_given_or_freed_before_changes_nothing() -> None:
    core = connected()
    core.loaded(items(5, 6), 0, 0)
    send(core, 0)
    assert core.acked(accept((1, 4), (7, 2**53)), 1) == core.acked(Ack(LANE_ALARM, "e", rejected=((99, "x"),)), 2)
    assert core.floor() == 5
    core.acked(accept((5, 6)), 3)
    assert core.acked(accept((5, 6)), 4).accepted == ()


def test_the_items_of_an_unreadable_batch_go_alone() -> None:
    core = connected()
    core.loaded(items(1, 3), 0, 0)
    send(core, 0)
    assert core.acked(Ack(LANE_ALARM, "", unreadable=(DIGEST,)), 10).rejected == {}
    alone = [seqs(send(core, 10, digest=bytes([number]) * 16)) for number in range(3)]
    assert alone == [[1], [2], [3]]


def test_an_item_that_is_unreadable_alone_is_given_up_and_blocks_nothing() -> None:
    core = connected()
    core.loaded(items(1, 1), 0, 0)
    send(core, 0)
    assert core.acked(Ack(LANE_ALARM, "", unreadable=(DIGEST,)), 10).rejected == {1: "unreadable"}
    core.loaded(items(2, 2), 11, 0)
    assert seqs(send(core, 11)) == [2]


def test_a_lane_is_overdue_after_two_resends_without_an_ack() -> None:
    core = connected()
    core.loaded(items(1, 1), 0, 0)
    for now_ms in (0, 2000):
        send(core, now_ms)
        assert not core.is_overdue()
    send(core, 6000)
    assert core.is_overdue()


def test_an_alarm_never_waits_for_the_ack_of_another() -> None:
    core = connected()
    for seq in range(1, 60):
        core.loaded(items(seq, seq), 1000 * seq, 0)
        assert seqs(send(core, 1000 * seq)) == [seq]  # while the one before is still under way
        core.acked(accept((seq - 1, seq - 1)), 1000 * seq + 50)


def test_a_full_window_holds_new_batches_back_until_an_ack() -> None:
    core = connected(VITALS_POLICY)
    core.loaded(items(1, 200, size=1000, lane=LANE_VITALS), 0, 0)
    sent = []
    while (batch := core.next_batch(0)) is not None:
        core.sent(batch, 2048, bytes([batch.number]) * 16, 0, 0.0)
        sent.append(batch)
    assert len(sent) == 4
    core.acked(accept((1, sent[0].items[-1].seq), lane=LANE_VITALS), 30)
    assert core.next_batch(30) is not None


def test_a_batch_that_is_larger_than_the_window_still_leaves_alone() -> None:
    core = connected(VITALS_POLICY)
    core.loaded(items(1, 1, size=100_000, lane=LANE_VITALS), 0, 0)
    assert seqs(send(core, 0, wire_bytes=90_000)) == [1]


def test_the_core_stops_asking_for_more_while_enough_is_waiting() -> None:
    core = connected(VITALS_POLICY)
    want = core.want()
    assert want is not None
    after_seq, limit_bytes = want
    assert after_seq == 0
    core.loaded(items(1, 1, size=limit_bytes, lane=LANE_VITALS), 0, 0)
    assert core.want() is None


class _Cloud:
    """A receiver reduced to what the core can see: it stores by seq, answers, and may lose, repeat or delay answers."""

    def __init__(self, draw: random.Random, loss: float) -> None:
        self.draw, self.loss = draw, loss
        self.stored: dict[int, bytes] = {}
        self.in_the_air: list[tuple[int, list[OutboxItem]]] = []
        self.answers: list[tuple[int, Ack]] = []

    def publish(self, now_ms: int, batch: Batch) -> None:
        assert batch.floor <= batch.items[0].seq
        assert all(seq in self.stored for seq in range(1, batch.floor)), "the floor claims what was never stored"
        for _ in range(self.draw.choice((1, 1, 2))):
            if self.draw.random() >= self.loss:
                self.in_the_air.append((now_ms + self.draw.randrange(1, 4000), list(batch.items)))

    def run(self, now_ms: int) -> list[Ack]:
        arrived = [pair for pair in self.in_the_air if pair[0] <= now_ms]
        self.in_the_air = [pair for pair in self.in_the_air if pair[0] > now_ms]
        for _, batch in arrived:
            for item in batch:
                assert self.stored.setdefault(item.seq, item.body) == item.body
            ranges = tuple((item.seq, item.seq) for item in batch)
            if self.draw.random() >= self.loss:
                self.answers.append((now_ms + self.draw.randrange(1, 3000), accept(*ranges)))
        due = [ack for at_ms, ack in self.answers if at_ms <= now_ms]
        self.answers = [pair for pair in self.answers if pair[0] > now_ms]
        self.draw.shuffle(due)
        return due


@given(seed=st.integers(0, 2**32), loss=st.sampled_from((0.0, 0.2, 0.5)), count=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_under_loss_repetition_and_reordering_everything_is_freed_exactly_once(
    seed: int, loss: float, count: int
) -> None:
    draw = random.Random(seed)
    cloud = _Cloud(draw, loss)
    core = LaneDelivery(ALARM_POLICY, "e")
    outbox = {seq: OutboxItem(seq, LANE_ALARM, bytes([seq]) * draw.randrange(1, 3000)) for seq in range(1, count + 1)}
    freed: list[int] = []
    now_ms = 0
    while len(freed) < count:
        now_ms += draw.randrange(1, 700)
        assert now_ms < 10_000_000, "it never ends"
        if draw.random() < 0.1:
            core.disconnected()
        elif not core.is_connected:
            core.connected()
        if (want := core.want()) is not None and draw.random() < 0.5:
            core.loaded([item for seq, item in outbox.items() if seq > want[0]][: draw.randrange(1, 9)], now_ms, 0)
        while (batch := core.next_batch(now_ms)) is not None:
            core.sent(batch, sum(len(item.body) for item in batch.items), bytes(16), now_ms, draw.random())
            cloud.publish(now_ms, batch)
        for ack in cloud.run(now_ms):
            freed += core.acked(ack, now_ms).accepted
    assert sorted(freed) == list(range(1, count + 1))
    assert set(cloud.stored) == set(outbox)


def test_a_rewind_loads_acked_seqs_again_and_is_obeyed_once() -> None:
    lane = LaneDelivery(ALARM_POLICY, "e")
    lane.connected()
    lane.loaded([OutboxItem(seq, "alarm", b"x") for seq in range(1, 6)], 0, 0)
    batch = lane.next_batch(0)
    assert batch is not None
    lane.sent(batch, 10, b"d", 0, 0.0)
    lane.acked(Ack("alarm", "e", ((1, 5),)), 10)
    asked = Ack("alarm", "e", ((5, 5),), rewind=3)
    assert lane.wants_rewind(asked)
    lane.rewound(3)
    assert (lane.floor(), lane.want()) == (3, (2, lane.want()[1]))  # type: ignore[index]
    assert not lane.wants_rewind(asked)
    assert not lane.wants_rewind(Ack("alarm", "other", (), rewind=1))
