"""clock: the elapsed axis over restarts and reboots."""

from __future__ import annotations

import pytest

from gateway.clock import ELAPSED_FIRST_MS, Anchor, GatewayClock, elapsed_at_start_ms
from protocol.clock_scale import ClockScale

UTC = 1_700_000_000_000
SAVED = Anchor("boot-1", 50_000, 1_000_000, UTC, True)


def test_a_first_start_begins_the_axis() -> None:
    assert elapsed_at_start_ms(None, Anchor("boot-1", 9, 0, UTC, True)) == ELAPSED_FIRST_MS


def test_in_the_same_boot_the_boot_clock_counts_whatever_the_wall_clock_does() -> None:
    for utc_ms in (UTC - 10**9, UTC + 20_000, UTC + 10**9):
        assert elapsed_at_start_ms(SAVED, Anchor("boot-1", 70_000, 0, utc_ms, True)) == 1_020_000


def test_after_a_reboot_trusted_wall_time_counts() -> None:
    assert elapsed_at_start_ms(SAVED, Anchor("boot-2", 8_000, 0, UTC + 95_000, True)) == 1_095_000


def test_the_axis_never_runs_back() -> None:
    assert elapsed_at_start_ms(SAVED, Anchor("boot-2", 8_000, 0, UTC - 95_000, True)) == 1_000_000


@pytest.mark.parametrize(("then", "now"), [(True, False), (False, True), (False, False)])
def test_after_a_reboot_without_trust_only_the_time_since_boot_is_known(then: bool, now: bool) -> None:
    saved = Anchor("boot-1", 50_000, 1_000_000, UTC, then)
    assert elapsed_at_start_ms(saved, Anchor("boot-2", 8_000, 0, UTC + 95_000, now)) == 1_008_000


def test_on_a_compressed_clock_boot_time_counts_as_many_times() -> None:
    scale = ClockScale(0, 0, 60.0)
    saved = Anchor("boot-1", 50_000, 1_000_000, 6_000_000, True)
    assert elapsed_at_start_ms(saved, Anchor("boot-1", 51_000, 0, 6_060_000, True), scale) == 1_060_000


def test_a_restart_carries_the_axis_on() -> None:
    first = GatewayClock(None, "always", ClockScale())
    saved = first.anchor()
    second = GatewayClock(saved, "always", ClockScale())
    assert 0 <= second.elapsed_ms() - saved.elapsed_ms < 2_000


def test_a_compressed_clock_is_trusted() -> None:
    assert GatewayClock(None, "auto", ClockScale(0, 0, 60.0)).trusted()


def test_time_that_was_trusted_in_this_boot_stays_trusted() -> None:
    saved = GatewayClock(None, "always", ClockScale()).anchor()
    assert GatewayClock(saved, "auto", ClockScale()).trusted()
