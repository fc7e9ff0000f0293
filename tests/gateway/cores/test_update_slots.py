"""update_slots: which version starts, when it may change, and that a bad one always ends where it began."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cores.update_slots import (
    PACKAGED,
    SETTLE_MS,
    TRIAL_MS,
    TRIAL_STARTS,
    Running,
    Slots,
    SlotsError,
    begin_trial,
    choose,
    commit,
    may_update,
    newer,
    packaged,
    proved,
    roll_back,
)


def running(version: str = "1.1", state: str = "ok", reasons: tuple[str, ...] = (), **more: object) -> Running:
    return Running(version, state, reasons, int(str(more.get("age_ms", 0))), tuple(more.get("open_beds", ())))  # type: ignore[arg-type]


def test_without_updates_the_packaged_version_starts() -> None:
    assert choose(Slots()) == (Slots(), PACKAGED)


def test_a_trial_has_its_starts_and_then_the_version_before_it_starts_again() -> None:
    slots = begin_trial(Slots(current="1.0"), "1.1", "1.0")
    for _ in range(TRIAL_STARTS):
        slots, version = choose(slots)
        assert version == "1.1"
    slots, version = choose(slots)
    assert (version, slots) == ("1.0", Slots(current="1.0", failed=("1.1",)))


def test_a_version_that_proved_itself_stays() -> None:
    slots = commit(choose(begin_trial(Slots(), "1.1", "1.0"))[0])
    assert choose(slots) == (slots, "1.1")


def test_a_failed_version_is_not_tried_again() -> None:
    with pytest.raises(SlotsError, match="tried and did not work"):
        begin_trial(roll_back(begin_trial(Slots(), "1.1", "1.0")), "1.1", "1.0")


@pytest.mark.parametrize("version", ["1.0", "0.9.9", "1.0.0"])
def test_an_older_or_the_same_version_is_refused(version: str) -> None:
    with pytest.raises(SlotsError, match="not newer"):
        begin_trial(Slots(), version, "1.0")


def test_one_trial_at_a_time() -> None:
    with pytest.raises(SlotsError, match="on trial"):
        begin_trial(begin_trial(Slots(), "1.1", "1.0"), "1.2", "1.0")


def test_rolling_back_without_a_trial_leaves_the_update_for_the_package() -> None:
    assert roll_back(Slots(current="1.1")) == Slots(failed=("1.1",))
    assert roll_back(Slots()) == Slots()


def test_a_newer_package_takes_over_and_ends_a_trial() -> None:
    assert packaged(Slots("1.1", "1.2", 1), "1.1.1") == Slots()
    assert packaged(Slots("1.3", None), "1.2") == Slots("1.3")


def test_versions_are_compared_as_numbers() -> None:
    assert newer("1.10", "1.9")
    assert not newer("1.0", "1")
    for text in ("../../etc", "1.0-rc1", "", "1..2"):
        with pytest.raises(SlotsError):
            newer(text, "1")


def test_an_open_alarm_or_absence_is_no_moment_for_an_update() -> None:
    assert may_update(running(open_beds=("201-1",))) == ("bed 201-1 has an alarm or an absence open",)
    assert may_update(running()) == ()


def test_a_gateway_that_does_not_run_watches_nobody_and_may_be_updated() -> None:
    assert may_update(None) == ()
    assert may_update(running(age_ms=3_600_000, open_beds=("201-1",))) == ()


def judged(states: list[Running | None], before: Running | None) -> str:
    since_ms = None
    for second, state in enumerate(states):
        verdict, since_ms = proved("1.1", before, state, since_ms, 0, second * 1000)
        if verdict != "wait":
            return verdict
    return "wait"


def test_a_minute_of_running_well_keeps_the_version() -> None:
    assert judged([None] * 10 + [running()] * (SETTLE_MS // 1000), running("1.0")) == "wait"
    assert judged([None] * 10 + [running()] * (SETTLE_MS // 1000 + 1), running("1.0")) == "commit"


def test_one_that_never_runs_well_goes_back() -> None:
    stale = running(state="degraded", reasons=("no_readings",))
    assert judged([stale] * (TRIAL_MS // 1000 + 1), running("1.0")) == "roll_back"


def test_one_that_crashes_now_and_then_goes_back() -> None:
    assert judged(([running()] * 50 + [None]) * 10, running("1.0")) == "roll_back"


def test_what_was_wrong_before_is_not_held_against_it() -> None:
    before = running("1.0", "degraded", ("radio_down",))
    assert judged([running(state="degraded", reasons=("radio_down",))] * 100, before) == "commit"
    assert judged([running(state="degraded", reasons=("radio_down", "storage"))] * 400, before) == "roll_back"


def test_the_old_version_still_running_proves_nothing() -> None:
    assert judged([running("1.0")] * 400, running("1.0")) == "roll_back"


@given(st.lists(st.sampled_from(["start", "commit", "roll_back", "begin", "power_cut"]), max_size=40))
def test_whatever_happens_a_version_starts_that_was_packaged_committed_or_has_starts_left(steps: list[str]) -> None:
    slots, number, good = Slots(), 1, {PACKAGED}
    for step in steps:
        if step == "begin" and slots.trial is None:
            number += 1
            slots = begin_trial(slots, f"1.{number}", "1.0")
        elif step == "commit" and slots.trial is not None:
            good.add(slots.trial)
            slots = commit(slots)
        elif step == "roll_back":
            slots = roll_back(slots)
        elif step == "power_cut":
            slots = Slots.from_state(slots.to_state())
        slots, version = choose(slots)
        assert version in good or version == slots.trial
        assert slots.starts_left < TRIAL_STARTS
