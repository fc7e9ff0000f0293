"""adapters: which one serves a belt, and where it goes when that one dies."""

from __future__ import annotations

from gateway.cores.adapters import HEARD_MS_MAX, AdapterPlan

BELTS = [bytes([n]) * 8 for n in range(1, 7)]


def heard_by_both(plan: AdapterPlan, now_ms: int) -> None:
    for belt in BELTS:
        plan.heard(belt, 0, -50, now_ms)
        plan.heard(belt, 1, -70, now_ms)


def test_a_belt_that_nobody_heard_has_no_place() -> None:
    plan = AdapterPlan(2)
    assert list(plan.moves(0)) == []
    assert plan.home(BELTS[0]) is None


def test_belts_are_spread_evenly_and_stay_where_they_are() -> None:
    plan = AdapterPlan(2)
    heard_by_both(plan, 0)
    homes = [home for _, home in plan.moves(0)]
    assert sorted(homes) == [0, 0, 0, 1, 1, 1]
    heard_by_both(plan, 1000)
    assert list(plan.moves(1000)) == []


def test_the_first_place_is_where_it_is_heard_best() -> None:
    plan = AdapterPlan(2)
    plan.heard(BELTS[0], 0, -80, 0)
    plan.heard(BELTS[0], 1, -50, 0)
    assert list(plan.moves(0)) == [(BELTS[0], 1)]


def test_all_belts_of_an_adapter_in_trouble_move_and_do_not_come_back_by_themselves() -> None:
    plan = AdapterPlan(2)
    heard_by_both(plan, 0)
    plan.moves(0)
    plan.works(0, False)
    assert {home for _, home in plan.moves(1000)} == {1}
    plan.works(0, True)
    heard_by_both(plan, 2000)
    assert list(plan.moves(2000)) == []


def test_a_belt_that_its_adapter_does_not_hear_any_more_moves_to_one_that_does() -> None:
    plan = AdapterPlan(2)
    plan.heard(BELTS[0], 0, -50, 0)
    plan.moves(0)
    late_ms = HEARD_MS_MAX + 1
    plan.heard(BELTS[0], 1, -70, late_ms)
    assert list(plan.moves(late_ms)) == [(BELTS[0], 1)]


def test_a_belt_that_nobody_hears_any_more_keeps_its_place() -> None:
    plan = AdapterPlan(2)
    plan.heard(BELTS[0], 0, -50, 0)
    plan.moves(0)
    assert list(plan.moves(60_000)) == []


def test_a_belt_that_was_dropped_leaves_its_place_to_another() -> None:
    plan = AdapterPlan(2)
    heard_by_both(plan, 0)
    plan.moves(0)
    plan.forget(BELTS[0])
    assert plan.home(BELTS[0]) is None
