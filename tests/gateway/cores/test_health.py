"""health: a ping stands for the pipeline; radio trouble degrades, a hang or deafness ends the pings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.cores.health import DEAF_MS, FRESH_MS, SCAN_TURN_MS, Health


def test_before_the_first_reading_it_is_starting_and_pings() -> None:
    health = Health(2, 0)
    verdict = health.verdict(1_000)
    assert (verdict.ping, verdict.state) == (True, "starting")


def test_a_fresh_reading_is_all_it_needs() -> None:
    health = Health(1, 0)
    health.reading(1_000_000)
    assert health.verdict(1_000_000 + FRESH_MS).state == "ok"


def test_readings_that_end_are_told_within_fifteen_seconds() -> None:
    health = Health(2, 0)
    health.reading(10_000)
    health.scan(25_000, "")
    verdict = health.verdict(10_000 + FRESH_MS + 1)
    assert (verdict.ping, verdict.state, verdict.reasons) == (True, "degraded", ("no_readings",))


def test_no_adapter_is_degraded_and_no_reason_for_a_restart() -> None:
    health = Health(2, 0)
    for at_ms in range(0, 3_600_000, 25_000):
        health.scan(at_ms, "there is no adapter hci0")
        verdict = health.verdict(at_ms)
        assert verdict.ping
    assert (verdict.state, verdict.reasons) == ("degraded", ("radio_down",))
    assert "no adapter" in verdict.status


def test_a_scan_that_shows_no_life_and_no_reading_ends_the_pings() -> None:
    health = Health(1, 0)
    health.scan(5_000, "")
    assert health.verdict(5_000 + SCAN_TURN_MS).ping
    assert not health.verdict(5_000 + SCAN_TURN_MS + 1).ping


def test_readings_vouch_for_a_scan_that_waits_for_the_bus() -> None:
    health = Health(1, 0)
    health.scan(0, "")
    health.reading(SCAN_TURN_MS * 2)
    assert health.verdict(SCAN_TURN_MS * 2 + 1).ping


def test_a_part_of_the_alarm_path_that_hangs_ends_the_pings_whatever_is_heard() -> None:
    health = Health(1, 0)
    health.reading(1_000)
    verdict = health.verdict(1_001, hanging=("deadlines",))
    assert (verdict.ping, verdict.reasons) == (False, ("hangs:deadlines",))


def test_an_adapter_that_goes_deaf_gets_one_restart_and_no_loop() -> None:
    health = Health(2, 0)
    health.reading(1_000)
    late_ms = 1_000 + DEAF_MS + 1
    health.scan(late_ms, "")
    assert not health.verdict(late_ms).ping
    again = Health(2, late_ms)
    again.scan(late_ms + 2 * DEAF_MS, "")
    assert again.verdict(late_ms + 2 * DEAF_MS).ping


def test_one_silent_belt_is_its_own_trouble() -> None:
    health = Health(1, 0)
    health.reading(0)
    health.scan(10 * DEAF_MS, "")
    assert health.verdict(10 * DEAF_MS).ping


def test_without_belts_there_is_nothing_to_hear() -> None:
    health = Health(0, 0)
    health.scan(3_600_000, "")
    assert health.verdict(3_600_000).state == "ok"


def test_a_failing_disk_degrades_and_pings() -> None:
    health = Health(1, 0)
    health.reading(1_000)
    verdict = health.verdict(1_000, others=("storage",))
    assert (verdict.ping, verdict.state, verdict.reasons) == (True, "degraded", ("storage",))


@given(st.lists(st.tuples(st.integers(0, 30_000), st.sampled_from(["reading", "scan", "trouble"])), max_size=60))
def test_what_shows_life_every_half_minute_always_pings_with_one_belt(steps: list[tuple[int, str]]) -> None:
    health, now_ms = Health(1, 0), 0
    for wait_ms, kind in steps:
        now_ms += wait_ms
        if kind == "reading":
            health.reading(now_ms)
        health.scan(now_ms, "no adapter" if kind == "trouble" else "")
        assert health.verdict(now_ms).ping
