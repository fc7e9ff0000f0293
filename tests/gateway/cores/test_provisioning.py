"""provisioning: bindings above the file's, refusals by name, keys that no power cut loses."""

from __future__ import annotations

import json

import pytest

from gateway.cores.labels import BedLabel, BeltLabel
from gateway.cores.provisioning import LOCK_MS, TRIES_MAX, Site, react

A, B = bytes([0xA] * 8), bytes([0xB] * 8)
SECRET, KEY, OTHER = bytes(16), bytes([1] * 16), bytes([2] * 16)
LABEL = BeltLabel(A, 2, SECRET)


def site(**beds: bytes | None) -> Site:
    return Site("gw", beds or {"one": None, "two": None})


def claimed(place: Site, serial: bytes = A, key: bytes = KEY) -> None:
    place.begin_key(BeltLabel(serial, 2, SECRET), SECRET, key, 1000)
    place.end_key(serial)


def code(refusal: object) -> str:
    return getattr(refusal, "code", "")


def test_a_claimed_belt_is_at_its_bed_and_its_key_is_the_new_one() -> None:
    place = site()
    claimed(place)
    assert place.bind(A, "one", 5) is None
    assert place.beds() == {"one": A, "two": None}
    assert place.belts[A].key == KEY
    assert place.belts[A].claimed


def test_a_belt_of_another_bed_is_refused_and_the_bed_is_named() -> None:
    place = site()
    claimed(place)
    place.bind(A, "one", 5)
    refusal = place.may_claim(A, "two", 0)
    assert refusal is not None
    assert (refusal.code, refusal.values["bed"]) == ("already_bound", "one")
    assert code(place.may_claim(A, "one", 0)) == "already_here"


def test_a_belt_that_the_file_binds_counts_as_bound() -> None:
    place = site(one=A, two=None)
    assert code(place.may_claim(A, "two", 0)) == "already_bound"
    place.unbind("one")
    assert place.may_claim(A, "two", 0) is None
    assert place.beds() == {"one": None, "two": None}


def test_a_swap_keeps_the_bed_and_makes_the_old_belt_a_spare_that_can_come_back() -> None:
    place = site()
    claimed(place, A)
    claimed(place, B, OTHER)
    place.bind(A, "one", 5)
    assert place.bind(B, "one", 6) == A
    assert place.beds()["one"] == B
    assert place.may_claim(A, "two", 7) is None
    assert place.keys_for(LABEL) == [KEY, SECRET]


def test_a_belt_of_the_file_can_be_swapped_too() -> None:
    place = site(one=A, two=None)
    claimed(place, B)
    assert place.bind(B, "one", 5) == A
    assert place.beds() == {"one": B, "two": None}


def test_wrong_codes_lock_the_belt_for_a_while_and_a_right_one_forgets_them() -> None:
    place = site()
    assert [place.wrong_code(A, 100) for _ in range(TRIES_MAX)] == [4, 3, 2, 1, 0]
    refusal = place.may_claim(A, "one", 100)
    assert refusal is not None
    assert (refusal.code, refusal.values["wait_s"]) == ("locked", LOCK_MS // 1000)
    assert place.may_claim(B, "one", 100) is None
    assert place.may_claim(A, "one", 100 + LOCK_MS) is None
    assert place.wrong_code(A, 100 + LOCK_MS) == TRIES_MAX - 1
    place.right_code(A)
    assert place.wrong_code(A, 200 + LOCK_MS) == TRIES_MAX - 1


def test_a_key_that_was_sent_but_not_confirmed_is_tried_after_a_power_cut() -> None:
    place = site()
    place.begin_key(LABEL, SECRET, KEY, 0)
    again = site()
    again.load(json.loads(json.dumps(place.to_state())))
    assert set(again.keys_for(LABEL)) == {SECRET, KEY}


def test_the_labels_of_other_gateways_and_unknown_beds_are_refused() -> None:
    assert code(site().may_scan_bed(BedLabel("elsewhere", "one"))) == "other_gateway"
    assert code(site().may_scan_bed(BedLabel("gw", "nine"))) == "unknown_bed"
    assert code(site().may_claim(A, "nine", 0)) == "unknown_bed"
    assert site().may_scan_bed(BedLabel("gw", "one")) is None


def test_a_planned_belt_knows_its_bed_and_keeps_its_labels_secret_until_it_is_claimed() -> None:
    place = site()
    place.plan(LABEL, "two")
    assert place.planned_bed(A) == "two"
    assert place.keys_for(LABEL) == [SECRET]
    claimed(place)
    place.bind(A, "two", 1)
    assert place.planned_bed(A) == ""


def test_nothing_of_a_decommissioned_belts_keys_is_kept_and_it_does_not_come_back() -> None:
    place = site()
    claimed(place)
    place.bind(A, "one", 1)
    place.decommission(A, True)
    assert place.beds()["one"] is None
    assert KEY.hex() not in json.dumps(place.to_state())
    assert code(place.may_claim(A, "two", 0)) == "decommissioned"
    again = site()
    again.load(place.to_state())
    assert code(again.may_claim(A, "two", 0)) == "decommissioned"


def test_the_state_survives_and_one_that_contradicts_itself_is_refused() -> None:
    place = site()
    claimed(place)
    claimed(place, B)
    place.bind(A, "one", 1)
    state = place.to_state()
    again = site()
    again.load(json.loads(json.dumps(state)))
    assert again.to_state() == state
    state["belts"][1]["bed"] = "one"
    with pytest.raises(ValueError, match="twice"):
        site().load(state)
    with pytest.raises(ValueError, match="version"):
        site().load({**state, "version": 9})


def test_keys_are_in_no_repr() -> None:
    place = site()
    claimed(place)
    assert KEY.hex() not in repr(place.belts[A])


def test_the_belt_that_moves_after_the_press_is_the_one() -> None:
    samples = [
        (A, 0, False, "empty"), (B, 0, True, "occupied"),
        (A, 1500, True, "empty"), (B, 1600, True, "occupied"),
    ]  # fmt: skip
    assert react(samples, 1000, 30_000) == [A]


def test_a_belt_that_finds_somebody_reacts_and_one_that_moved_before_does_not() -> None:
    assert react([(A, 0, False, "empty"), (A, 2000, False, "unclear")], 1000, 30_000) == [A]
    assert react([(A, 500, True, "occupied"), (A, 2000, True, "occupied")], 1000, 30_000) == []
    assert react([(A, 0, False, "empty"), (A, 40_000, True, "empty")], 1000, 30_000) == []
