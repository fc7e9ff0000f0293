"""relay: the contact is held by heartbeats alone, and opens for a call, a silence, a test and a closed link."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cores.relay import (
    BEAT_LIMIT_MS,
    CALL_MS_MIN,
    TEST_MS,
    RelayCore,
    answer,
    beat,
    read_answer,
    read_beat,
)

T0 = 1_000_000


def beating(calls: bool = True) -> RelayCore:
    core = RelayCore(calls)
    core.beat(T0, False)
    return core


def test_before_the_first_heartbeat_the_contact_is_open() -> None:
    assert RelayCore(True).why_open(T0) == "no gateway"


def test_a_heartbeat_holds_the_contact_until_its_limit_and_no_longer() -> None:
    core = beating()
    assert core.next_deadline_ms(T0) == T0 + BEAT_LIMIT_MS
    assert core.energised(T0 + BEAT_LIMIT_MS - 1)
    assert core.why_open(T0 + BEAT_LIMIT_MS) == "no heartbeat for 8 s"
    assert core.next_deadline_ms(T0 + BEAT_LIMIT_MS) is None


def test_the_limit_is_below_the_ten_seconds_promised() -> None:
    assert BEAT_LIMIT_MS <= 9_000


def test_a_call_opens_the_contact_at_once_and_its_end_closes_it() -> None:
    core = beating()
    core.beat(T0 + 100, True)
    assert core.why_open(T0 + 100) == "call"
    core.beat(T0 + 5000, False)
    assert core.energised(T0 + 5000)


def test_a_call_answered_at_once_still_opens_for_the_shortest_time() -> None:
    core = beating()
    core.beat(T0, True)
    core.beat(T0 + 10, False)
    assert core.why_open(T0 + CALL_MS_MIN - 1) == "shortest opening"
    assert core.next_deadline_ms(T0 + 10) == T0 + CALL_MS_MIN
    assert core.energised(T0 + CALL_MS_MIN)


def test_in_fault_mode_a_call_leaves_the_contact_held() -> None:
    core = beating(calls=False)
    core.beat(T0 + 100, True)
    assert core.energised(T0 + 100)
    assert not core.energised(T0 + 100 + BEAT_LIMIT_MS)


def test_after_a_silence_the_next_heartbeat_holds_it_again() -> None:
    core = beating()
    late_ms = T0 + BEAT_LIMIT_MS
    core.beat(late_ms + 100, False)
    assert not core.energised(late_ms + 100)
    assert core.energised(late_ms + CALL_MS_MIN)


def test_a_closed_link_opens_it_without_waiting() -> None:
    core = beating()
    core.lost()
    assert core.why_open(T0 + 1) == "no gateway"


def test_a_test_opens_it_for_its_time_and_closes_it_again() -> None:
    core = beating()
    core.beat(T0 + 10, False, test=True)
    assert not core.energised(T0 + 10)
    core.beat(T0 + 1010, False)
    assert not core.energised(T0 + 10 + TEST_MS - 1)
    assert core.energised(T0 + 10 + TEST_MS)


@given(st.lists(st.tuples(st.integers(0, 12_000), st.booleans(), st.booleans()), max_size=12), st.booleans())
@settings(max_examples=200)
def test_it_is_never_held_without_a_fresh_heartbeat_nor_during_a_call(
    beats: list[tuple[int, bool, bool]], calls: bool
) -> None:
    core = RelayCore(calls)
    now_ms, beat_ms, call = T0, None, False
    for wait_ms, call, test in beats:
        now_ms += wait_ms
        core.beat(now_ms, call, test)
        beat_ms = now_ms
        assert not (core.energised(now_ms) and (test or (calls and call)))
    # Between deadlines nothing changes: who sleeps until the next one misses nothing.
    for _ in range(4):
        held = core.energised(now_ms)
        due_ms = core.next_deadline_ms(now_ms)
        if due_ms is None:
            break
        assert core.energised(due_ms - 1) == held
        now_ms = due_ms
        if core.energised(now_ms):
            assert beat_ms is not None
            assert now_ms - beat_ms < BEAT_LIMIT_MS
            assert not (calls and call)
    assert not core.energised(now_ms + BEAT_LIMIT_MS)


def test_packets_are_read_as_they_were_written() -> None:
    assert beat(300, True) == b"SBB1\x2c\x01"
    assert read_beat(beat(7, False, test=True)) == (7, False, True)
    assert read_answer(answer(255, True)) == (255, True)


@pytest.mark.parametrize("packet", [b"", b"SBB1\x00", b"SBB2\x00\x00", b"SBB1\x00\x04", b"SBB1\x00\x00\x00"])
def test_anything_else_is_no_heartbeat(packet: bytes) -> None:
    assert read_beat(packet) is None


@pytest.mark.parametrize("packet", [b"", b"SBA1\x00\x02", b"SBB1\x00\x00"])
def test_anything_else_is_no_answer(packet: bytes) -> None:
    assert read_answer(packet) is None
