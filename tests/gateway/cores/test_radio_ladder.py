"""radio_ladder: when an adapter is switched off and on, and when it is left alone."""

from __future__ import annotations

import pytest

from gateway.cores.radio_ladder import HOUR_MS, PAUSE_MS, PER_HOUR_MAX, RadioLadder

A, B = b"A", b"B"


def failing(*serials: bytes) -> RadioLadder:
    ladder = RadioLadder()
    for serial in serials:
        ladder.connect_failed(serial)
    return ladder


def test_one_failed_connect_is_no_reason() -> None:
    assert not failing(A).power_cycle_due(sessions=0, now_ms=0)


def test_two_failed_connects_with_no_session_up_are_a_reason() -> None:
    assert failing(A, A).power_cycle_due(sessions=0, now_ms=0)


def test_one_belt_out_of_range_never_costs_the_others_their_links() -> None:
    assert not failing(*[A] * 100).power_cycle_due(sessions=1, now_ms=0)


def test_two_belts_that_fail_again_and_again_are_a_reason_even_with_sessions_up() -> None:
    assert failing(*[A, B] * 4).power_cycle_due(sessions=1, now_ms=0)


def test_a_connect_that_works_ends_the_count() -> None:
    ladder = failing(A)
    ladder.connected()
    ladder.connect_failed(A)
    assert not ladder.power_cycle_due(sessions=0, now_ms=0)


def test_a_scan_that_cannot_start_twice_is_a_reason_and_one_that_starts_ends_the_count() -> None:
    ladder = RadioLadder()
    ladder.scan_failed()
    ladder.scan_started()
    ladder.scan_failed()
    assert not ladder.power_cycle_due(sessions=3, now_ms=0)
    ladder.scan_failed()
    assert ladder.power_cycle_due(sessions=3, now_ms=0)


@pytest.mark.parametrize(("later_ms", "due"), [(PAUSE_MS - 1, False), (PAUSE_MS, True)])
def test_the_next_power_cycle_waits_half_a_minute(later_ms: int, due: bool) -> None:
    ladder = failing(A, A)
    assert ladder.power_cycle_due(sessions=0, now_ms=0)
    ladder.connect_failed(A)
    ladder.connect_failed(A)
    assert ladder.power_cycle_due(sessions=0, now_ms=later_ms) is due


def test_an_hour_has_a_limit_and_the_next_hour_begins_anew() -> None:
    ladder = failing(A, A)

    def cycles(begin_ms: int, end_ms: int) -> int:
        done = 0
        for now_ms in range(begin_ms, end_ms, PAUSE_MS):
            ladder.connect_failed(A)
            ladder.connect_failed(A)
            done += ladder.power_cycle_due(sessions=0, now_ms=now_ms)
        return done

    assert cycles(0, HOUR_MS) == PER_HOUR_MAX
    assert cycles(HOUR_MS, HOUR_MS + PER_HOUR_MAX * PAUSE_MS) == PER_HOUR_MAX
