"""belt_updates: one belt a room, never with an alarm or an absence open, and a bad version stops at one belt."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cores.belt_updates import ATTEMPTS_MAX, RETRY_MS, SETTLE_MS, TIMEOUT_MS, BeltAt, BeltUpdates

A, B = BeltAt("a", "201", "1.0"), BeltAt("b", "201", "1.0")
C = BeltAt("c", "202", "1.0")


def new(belt: BeltAt) -> BeltAt:
    return replace(belt, version="2.0")


def test_one_belt_of_each_room_begins() -> None:
    plan = BeltUpdates("2.0")
    assert [plan.next_belt([A, B, C], 0) for _ in range(3)] == ["a", "c", None]


def test_never_two_belts_of_a_room_at_once() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A, B], 0)
    assert plan.why_not(B, [A, B], 1) == "room_busy"
    assert plan.next_belt([A, B], 1_000) is None


def test_the_next_of_a_room_waits_until_the_first_has_run_well_for_a_while() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A, B], 0)
    assert plan.next_belt([new(A), B], 60_000) is None
    assert plan.next_belt([new(A), B], 60_000 + SETTLE_MS - 1) is None
    assert plan.next_belt([new(A), B], 60_000 + SETTLE_MS) == "b"


def test_one_that_falls_silent_again_starts_the_wait_over() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A, B], 0)
    plan.next_belt([new(A), B], 60_000)
    plan.next_belt([replace(new(A), heard=False), B], 90_000)
    assert plan.next_belt([new(A), B], 60_000 + SETTLE_MS) is None


@pytest.mark.parametrize(("change", "why"), [
    ({"alarm": True}, "alarm_open"),
    ({"absent": True, "occupied": False}, "absence_open"),
    ({"heard": False}, "not_heard"),
    ({"session": False}, "no_session"),
    ({"occupied": False}, "bed_empty"),
    ({"settled": False}, "not_settled"),
    ({"battery_percent": 20}, "battery_low"),
    ({"version": "2.0"}, "done"),
])  # fmt: skip
def test_a_belt_waits_and_says_why(change: dict[str, Any], why: str) -> None:
    belt = replace(A, **change)
    assert BeltUpdates("2.0").why_not(belt, [belt], 0) == why
    assert BeltUpdates("2.0").next_belt([belt], 0) is None


@pytest.mark.parametrize("change", [{"alarm": True}, {"absent": True}])
def test_a_bed_beside_it_that_is_open_holds_it_back_too(change: dict[str, Any]) -> None:
    assert BeltUpdates("2.0").next_belt([A, replace(B, **change)], 0) is None
    assert BeltUpdates("2.0").next_belt([A, replace(C, **change)], 0) == "a"


def test_a_transfer_pauses_when_something_opens_in_the_room_and_goes_on_afterwards() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A, B], 0)
    assert plan.must_stop("a", [A, replace(B, absent=True)])
    plan.postponed("a")
    assert plan.next_belt([A, replace(B, absent=True)], 10_000) is None
    assert plan.next_belt([A, B], 20_000) == "a"


def test_a_failure_waits_longer_each_time_and_has_an_end() -> None:
    plan, now_ms = BeltUpdates("2.0"), 0
    for attempt in range(ATTEMPTS_MAX):
        assert plan.next_belt([A], now_ms) == "a"
        plan.failed("a", now_ms)
        if attempt + 1 < ATTEMPTS_MAX:
            assert plan.next_belt([A], now_ms + RETRY_MS * 2**attempt - 1) is None
        now_ms += RETRY_MS * 2**attempt
    assert plan.why_not(A, [A], now_ms * 100) == "given_up"


def test_a_version_that_a_belt_could_not_take_stops_its_room() -> None:
    plan, now_ms = BeltUpdates("2.0"), 0
    for _ in range(ATTEMPTS_MAX):
        now_ms += 10 * RETRY_MS
        plan.next_belt([A], now_ms)
        plan.failed("a", now_ms)
    assert plan.why_not(B, [A, B], now_ms) == "room_stopped"


def test_one_that_never_comes_back_has_failed() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A], 0)
    assert plan.next_belt([replace(A, heard=False)], TIMEOUT_MS) is None
    assert plan.why_not(A, [A], TIMEOUT_MS) == "retry_later"


def test_a_restart_of_the_gateway_keeps_what_was_tried() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A], 0)
    again = BeltUpdates("2.0", plan.to_state())
    assert again.why_not(A, [A], 1) == ""
    assert BeltUpdates("2.0", plan.to_state()).next_belt([replace(B, serial="0"), A], 1) == "a"  # it has a part already
    for _ in range(ATTEMPTS_MAX - 1):
        again.failed("a", 0)
    assert again.why_not(A, [A], 10**9) == "given_up"
    assert BeltUpdates("3.0", again.to_state()).why_not(A, [A], 0) == ""


_BELT = st.builds(
    BeltAt, st.just(""), st.just(""), st.sampled_from(["1.0", "2.0"]), *([st.booleans()] * 6), st.none(),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(1, 400_000), st.lists(_BELT, min_size=6, max_size=6)), max_size=40))
def test_in_no_history_two_belts_of_a_room_are_at_it_or_one_begins_with_a_bed_open(
    history: list[tuple[int, list[BeltAt]]],
) -> None:
    plan, now_ms, running = BeltUpdates("2.0"), 0, {}
    for wait_ms, drawn in history:
        now_ms += wait_ms
        belts = [replace(belt, serial=f"s{n}", room=f"r{n % 2}") for n, belt in enumerate(drawn)]
        while (serial := plan.next_belt(belts, now_ms)) is not None:
            room = next(belt.room for belt in belts if belt.serial == serial)
            assert not any(belt.alarm or belt.absent for belt in belts if belt.room == room)
            running[serial] = room
        tries = plan.to_state()["tries"]
        at_it = [belt.room for belt in belts if tries.get(belt.serial, {}).get("began_ms") is not None]
        assert len(at_it) == len(set(at_it))


def test_an_image_that_one_belt_went_back_from_reaches_no_other_also_after_a_restart() -> None:
    plan = BeltUpdates("2.0")
    plan.next_belt([A, B, C], 0)
    assert not plan.must_stop("c", [A, B, C])
    plan.rejected("a", "went_back")
    assert plan.must_stop("c", [A, B, C])
    again = BeltUpdates("2.0", json.loads(json.dumps(plan.to_state())))
    assert again.stopped_by == ("a", "went_back")
    assert [again.why_not(belt, [A, B, C], 1) for belt in (A, B)] == ["given_up", "stopped"]
    assert again.next_belt([A, B, C], 10**9) is None
    assert BeltUpdates("2.1", again.to_state()).next_belt([A, B, C], 0) == "a"


def test_a_belt_without_an_image_for_its_board_waits_and_holds_nobody_back() -> None:
    plan = BeltUpdates("2.0")
    foreign = replace(A, fits=False)
    assert plan.why_not(foreign, [foreign, B], 0) == "no_image"
    assert plan.next_belt([foreign, B], 0) == "b"
