"""reconnect: one attempt at a time, growing pauses, slots in turn."""

from __future__ import annotations

from gateway.cores.reconnect import PAUSE_MS_MAX, PAUSE_MS_MIN, SEEN_MS_MAX, STABLE_MS, TURN_MS, Reconnector

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))


def test_a_belt_is_tried_only_while_it_is_seen() -> None:
    plan = Reconnector([A], 5)
    assert plan.next_attempt(0) is None
    plan.seen(A, 0)
    assert plan.next_attempt(SEEN_MS_MAX + 1) is None
    assert plan.next_attempt(SEEN_MS_MAX) == A


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
