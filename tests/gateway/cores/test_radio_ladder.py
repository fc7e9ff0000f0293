"""radio_ladder: what is done about a stuck adapter, in which order, and when it is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cores.radio_ladder import HOUR_MS, LIMITS, RadioLadder, Rung

A, B = b"A", b"B"
PAUSE_MS = LIMITS[Rung.POWER].pause_ms
ALL = tuple(Rung)


def failing(*serials: bytes, rungs: tuple[Rung, ...] = (Rung.POWER,)) -> RadioLadder:
    ladder = RadioLadder(rungs)
    for serial in serials:
        ladder.connect_failed(serial)
    return ladder


def rungs_taken(ladder: RadioLadder, begin_ms: int, end_ms: int, step_ms: int = 5_000) -> list[tuple[int, Rung]]:
    """What is done while nothing ever works."""
    taken = []
    for now_ms in range(begin_ms, end_ms, step_ms):
        ladder.connect_failed(A)
        ladder.connect_failed(A)
        if (rung := ladder.due(0, now_ms)) is not None:
            taken.append((now_ms, rung))
    return taken


def test_one_failed_connect_is_no_reason() -> None:
    assert failing(A).due(sessions=0, now_ms=0) is None


def test_two_failed_connects_with_no_session_up_are_a_reason() -> None:
    assert failing(A, A).due(sessions=0, now_ms=0) is Rung.POWER


def test_one_belt_out_of_range_never_costs_the_others_their_links() -> None:
    assert failing(*[A] * 100, rungs=ALL).due(sessions=1, now_ms=0) is None


def test_two_belts_that_fail_again_and_again_are_a_reason_even_with_sessions_up() -> None:
    assert failing(*[A, B] * 4).due(sessions=1, now_ms=0) is Rung.POWER


def test_a_connect_that_works_ends_the_count() -> None:
    ladder = failing(A)
    ladder.connected()
    ladder.connect_failed(A)
    assert ladder.due(sessions=0, now_ms=0) is None


def test_a_scan_that_cannot_start_twice_is_a_reason_and_one_that_starts_ends_the_count() -> None:
    ladder = RadioLadder()
    ladder.scan_failed()
    ladder.scan_started()
    ladder.scan_failed()
    assert ladder.due(sessions=3, now_ms=0) is None
    ladder.scan_failed()
    assert ladder.due(sessions=3, now_ms=0) is Rung.POWER


@pytest.mark.parametrize(("later_ms", "due"), [(PAUSE_MS - 1, None), (PAUSE_MS, Rung.POWER)])
def test_the_next_power_cycle_waits(later_ms: int, due: Rung | None) -> None:
    ladder = failing(A, A)
    assert ladder.due(sessions=0, now_ms=0)
    ladder.connect_failed(A)
    ladder.connect_failed(A)
    assert ladder.due(sessions=0, now_ms=later_ms) is due


def test_an_hour_has_a_limit_and_the_next_hour_begins_anew() -> None:
    ladder = failing(A, A)
    most = LIMITS[Rung.POWER].count_max
    assert len(rungs_taken(ladder, 0, HOUR_MS)) == most
    assert len(rungs_taken(ladder, HOUR_MS, HOUR_MS + most * PAUSE_MS)) == most


def test_a_rung_that_did_not_help_is_followed_by_the_next_and_the_machine_restarts_last() -> None:
    taken = [rung for _, rung in rungs_taken(RadioLadder(ALL), 0, 400_000)]
    assert taken[:4] == list(ALL)


def test_without_leave_to_restart_the_machine_the_lower_rungs_are_tried_again() -> None:
    taken = [rung for _, rung in rungs_taken(RadioLadder(ALL[:3]), 0, 400_000)]
    assert taken[:4] == [Rung.POWER, Rung.DAEMON, Rung.ADAPTER, Rung.POWER]
    assert Rung.REBOOT not in taken


def test_what_helped_starts_the_next_trouble_at_the_lowest_rung() -> None:
    ladder = failing(A, A, rungs=ALL)
    assert ladder.due(0, 0) is Rung.POWER
    ladder.connected()
    ladder.connect_failed(A)
    ladder.connect_failed(A)
    assert ladder.due(0, 60_000) is Rung.POWER


def test_after_bluetoothd_died_and_came_back_the_adapter_is_switched_once_unless_a_session_is_up() -> None:
    ladder = RadioLadder()
    ladder.daemon_is_new()
    assert ladder.due(1, 0) is None
    assert ladder.due(0, 1) is None
    ladder.daemon_is_new()
    assert ladder.due(0, 2) is Rung.POWER
    assert ladder.due(0, 3) is None
    for hours in range(LIMITS[Rung.POWER].count_max):
        ladder.daemon_is_new()
        taken = ladder.due(0, 4 + hours)
    assert taken is None  # the limit of an hour holds here too


def test_a_dead_bluetoothd_is_not_asked_to_switch_an_adapter() -> None:
    ladder = RadioLadder(ALL)
    for _ in range(2):
        ladder.scan_failed(daemon_is_dead=True)
    assert ladder.due(0, 0) is Rung.DAEMON
    alone = RadioLadder()
    for _ in range(2):
        alone.scan_failed(daemon_is_dead=True)
    assert alone.due(0, 0) is None


@given(st.lists(st.integers(500, 200_000), min_size=1, max_size=400), st.booleans())
def test_no_rung_is_ever_taken_more_often_than_its_limit_nor_before_the_last_had_its_time(
    steps: list[int], daemon_is_dead: bool
) -> None:
    ladder, now_ms = RadioLadder(ALL), 0
    done: list[tuple[int, Rung]] = []
    for step_ms in steps:
        now_ms += step_ms
        for _ in range(2):
            ladder.scan_failed(daemon_is_dead=daemon_is_dead)
        rung = ladder.due(0, now_ms)
        if rung is None:
            continue
        limit = LIMITS[rung]
        assert not done or now_ms - done[-1][0] >= LIMITS[done[-1][1]].pause_ms
        assert sum(other is rung and now_ms - at < limit.window_ms for at, other in done) < limit.count_max
        done.append((now_ms, rung))
