"""reconnect: one attempt at a time, growing pauses, slots in turn."""

from __future__ import annotations

import itertools

from gateway.cores.reconnect import PAUSE_MS_MAX, PAUSE_MS_MIN, SEEN_MS_MAX, STABLE_MS, TURN_MS, Reconnector

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))


def test_a_belt_is_tried_only_while_it_is_seen() -> None:
    plan = Reconnector([A], 5)
    assert plan.next_attempt(0) is None
    plan.seen(A, 0)
    assert plan.next_attempt(SEEN_MS_MAX + 1) is None
    assert plan.next_attempt(SEEN_MS_MAX) == A


def test_a_belt_is_news_when_it_is_seen_anew_and_has_no_session() -> None:
    plan = Reconnector([A], 5)
    assert plan.seen(A, 0)
    assert not plan.seen(A, SEEN_MS_MAX)
    assert plan.seen(A, 2 * SEEN_MS_MAX + 1)
    plan.unseen(A)
    assert plan.seen(A, 2 * SEEN_MS_MAX + 2)
    plan.connected(A, 2 * SEEN_MS_MAX + 3)
    assert not plan.seen(A, 9 * SEEN_MS_MAX)
    plan.dropped(A, 9 * SEEN_MS_MAX)
    assert plan.seen(A, 9 * SEEN_MS_MAX + 1)


def test_the_plan_is_complete_while_every_belt_that_may_be_connected_is() -> None:
    plan = Reconnector([A, B], 5)
    assert not plan.is_complete
    plan.connected(A, 0)
    assert not plan.is_complete
    plan.allow(B, False)
    assert plan.is_complete
    plan.dropped(A, STABLE_MS)
    assert not plan.is_complete


def test_only_one_attempt_runs_at_a_time() -> None:
    plan = Reconnector([A, B], 5)
    plan.seen(A, 0)
    plan.seen(B, 0)
    first = plan.next_attempt(0)
    assert first is not None
    assert plan.next_attempt(0) is None
    plan.connected(first, 10)
    assert plan.next_attempt(10) not in (None, first)


def test_pauses_grow_to_a_limit_and_a_stable_session_resets_them() -> None:
    plan = Reconnector([A], 5)
    pauses = [plan.failed(A, 0) for _ in range(12)]
    assert pauses[:3] == [PAUSE_MS_MIN, 2 * PAUSE_MS_MIN, 4 * PAUSE_MS_MIN]
    assert pauses[-1] == PAUSE_MS_MAX
    plan.connected(A, 0)
    assert plan.dropped(A, STABLE_MS) == PAUSE_MS_MIN


def test_a_session_that_drops_at_once_does_not_reset_the_pauses() -> None:
    plan = Reconnector([A], 5)
    for _ in range(3):
        plan.failed(A, 0)
    plan.connected(A, 0)
    assert plan.dropped(A, 100) == 8 * PAUSE_MS_MIN


def test_a_belt_whose_link_was_lost_is_tried_only_after_it_was_heard_again() -> None:
    plan = Reconnector([A], 5)
    plan.seen(A, 0)
    assert plan.next_attempt(0) == A
    plan.connected(A, 0)
    plan.seen(A, STABLE_MS)  # beacons go on while it is connected
    plan.dropped(A, STABLE_MS)
    assert plan.next_attempt(STABLE_MS + PAUSE_MS_MIN) is None
    plan.seen(A, STABLE_MS + PAUSE_MS_MIN)
    assert plan.next_attempt(STABLE_MS + PAUSE_MS_MIN) == A


def test_a_failing_belt_does_not_hold_back_another() -> None:
    plan = Reconnector([A, B], 5)
    plan.seen(A, 0)
    plan.seen(B, 0)
    assert plan.next_attempt(0) == A
    plan.failed(A, 0)
    assert plan.next_attempt(0) == B


def test_slots_are_shared_in_turn() -> None:
    plan = Reconnector([A, B, C], 1)
    now = 0
    served = []
    for _ in range(3):
        for belt in (A, B, C):
            plan.seen(belt, now)
        taken = plan.next_attempt(now)
        assert taken is not None
        served.append(taken)
        plan.connected(taken, now)
        assert plan.next_attempt(now) is None
        assert plan.to_release(now + TURN_MS - 1) is None
        now += TURN_MS
        for other in (A, B, C):
            plan.seen(other, now)
        assert plan.to_release(now) == taken
        plan.dropped(taken, now)
    assert sorted(served) == [A, B, C]


def test_nobody_is_released_while_nobody_waits() -> None:
    plan = Reconnector([A], 1)
    plan.seen(A, 0)
    plan.next_attempt(0)
    plan.connected(A, 0)
    assert plan.to_release(10 * TURN_MS) is None


def test_twenty_belts_on_five_slots_each_have_a_session_at_least_every_two_minutes() -> None:
    belts = [bytes([n]) * 8 for n in range(20)]
    plan = Reconnector(belts, 5)
    begun: dict[bytes, list[int]] = {belt: [] for belt in belts}
    holders: dict[bytes, int] = {}
    busy_until_ms, trying = 0, None
    # As the radio does: it looks each quarter of a second, one connect at a time, .4 s each (facts/RADIO.md).
    for now_ms in range(0, 1_800_000, 250):
        for belt in belts:
            plan.seen(belt, now_ms)
        if trying is not None and now_ms >= busy_until_ms:
            plan.connected(trying, now_ms)
            begun[trying].append(now_ms)
            holders[trying] = now_ms
            trying = None
        if trying is not None:
            continue
        over = plan.to_release(now_ms)
        if over is not None:
            del holders[over]
            plan.dropped(over, now_ms)
        trying = plan.next_attempt(now_ms)
        busy_until_ms = now_ms + 400
        assert len(holders) <= 5
    for times in begun.values():
        gaps = [after - before for before, after in itertools.pairwise([0, *times, 1_800_000])]
        assert max(gaps) <= 120_000
    counts = [len(times) for times in begun.values()]
    assert max(counts) - min(counts) <= 1


def test_a_belt_that_is_not_allowed_is_not_tried_and_does_not_wait_for_a_slot() -> None:
    plan = Reconnector([A, B], 1)
    plan.allow(B, False)
    for belt in (A, B):
        plan.seen(belt, 0)
    assert plan.next_attempt(0) == A
    plan.connected(A, 0)
    plan.seen(B, TURN_MS)
    assert plan.to_release(TURN_MS) is None
    plan.allow(B, True)
    assert plan.to_release(TURN_MS) == A
