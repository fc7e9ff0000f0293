"""air: strength, loss and age of a belt, from what was heard of it."""

from __future__ import annotations

from gateway.cores.air import AirLog, BeltAir


def test_a_belt_never_heard_has_no_figures() -> None:
    assert AirLog().figures(1000) == BeltAir(None, None, None)


def test_the_share_of_counters_that_are_missing_is_the_loss() -> None:
    air = AirLog()
    for counter in range(100, 140, 2):
        air.beacon(counter, -60, counter * 1000)
    figures = air.figures(139_500)
    assert figures.beacon_loss_percent == 48.7
    assert figures.rssi_dbm == -60
    assert figures.age_s == 1.5


def test_loss_is_forgotten_after_a_minute_of_beacons_that_all_came() -> None:
    air = AirLog()
    for counter in (1, 50, *range(60, 140)):
        air.beacon(counter, -60, counter * 1000)
    assert air.figures(140_000).beacon_loss_percent == 0


def test_a_restart_that_reserves_new_counters_is_no_loss() -> None:
    air = AirLog()
    air.beacon(10, -60, 0)
    air.beacon(100_010, -60, 1000)
    assert air.figures(1000).beacon_loss_percent == 0


def test_a_frame_of_a_session_is_heard_too() -> None:
    air = AirLog()
    air.frame(5_000)
    assert air.figures(7_000).age_s == 2
