"""Occupancy: who is in bed, since when, and what is only unclear."""

from __future__ import annotations

from firmware_py.belt.occupancy import EXIT_DIM_S, EXIT_S, SILENT_S, WEIGHT_OFF, WEIGHT_ON, Occupancy
from protocol.wire.frames import EMPTY, OCCUPIED, UNCLEAR

BODY, NOTHING, PUMP = (250, 10), (5, 14), (60, 2)


def _run(core: Occupancy, seconds: int, look: tuple[int, int], burst: bool = False, fault: bool = False) -> None:
    for k in range(seconds):
        core.second(look[0], look[1], burst, k + 1 if fault else 0)


def _in_bed() -> Occupancy:
    core = Occupancy()
    _run(core, 60, BODY)
    assert core.state == OCCUPIED
    return core


def test_nothing_is_known_at_first() -> None:
    core = Occupancy()
    core.second(*BODY, False, 0)
    assert core.state == UNCLEAR


def test_somebody_who_was_there_from_the_start_is_in_bed_since_then() -> None:
    core = Occupancy()
    _run(core, 5, BODY)
    assert (core.state, core.state_age_s) == (OCCUPIED, 5)


def test_an_empty_bed_is_empty_after_twelve_seconds_and_no_exit() -> None:
    core = Occupancy()
    _run(core, 12, NOTHING)
    assert (core.state, core.state_age_s, core.exit_count) == (EMPTY, 12, 0)


def test_silence_after_a_movement_is_an_exit_dated_back() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, EXIT_S, NOTHING)
    assert (core.state, core.state_age_s, core.exit_count) == (EMPTY, EXIT_S, 1)


def test_four_silent_seconds_after_a_movement_are_no_exit() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, EXIT_S - 1, NOTHING)
    _run(core, 5, BODY)
    assert (core.state, core.exit_count) == (OCCUPIED, 0)


def test_silence_without_a_movement_is_unclear_and_asks_for_a_check() -> None:
    core = _in_bed()
    _run(core, SILENT_S, NOTHING)
    assert (core.state, core.state_age_s, core.check, core.exit_count) == (UNCLEAR, SILENT_S, True, 0)


def test_beats_that_come_back_end_the_doubt() -> None:
    core = _in_bed()
    _run(core, SILENT_S, NOTHING)
    _run(core, 5, BODY)
    assert (core.state, core.check) == (OCCUPIED, False)


def test_a_return_ends_the_absence_and_is_dated_to_its_first_second() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, 100, NOTHING)
    _run(core, 6, (900, 8), burst=True)
    _run(core, 4, BODY)
    assert core.state == OCCUPIED
    assert core.state_age_s == 10
    assert core.finished == [(164, 100)]


def test_only_the_last_eight_absences_are_kept() -> None:
    core = _in_bed()
    for _ in range(10):
        _run(core, 3, (900, 8), burst=True)
        _run(core, 30, NOTHING)
        _run(core, 10, BODY)
    assert len(core.finished) == 8
    assert core.exit_count == 10


def test_hands_on_the_bed_are_nobody_in_it() -> None:
    core = Occupancy()
    _run(core, 20, NOTHING)
    for _ in range(10):
        _run(core, 3, (900, 8), burst=True)
        _run(core, 3, NOTHING)
    assert core.state == EMPTY


def test_a_pump_that_goes_on_does_not_hide_an_exit() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, 10, PUMP)
    assert core.state == EMPTY


def test_a_neighbour_does_not_hide_an_exit_nor_fill_the_bed() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, 120, (45, 10))
    assert core.state == EMPTY


def test_a_stuck_sensor_makes_an_occupied_bed_unclear_not_empty() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, 10, (0, 0), fault=True)
    assert (core.state, core.exit_count) == (UNCLEAR, 0)


def test_lost_samples_count_as_time() -> None:
    core = _in_bed()
    age_s = core.state_age_s
    core.skip(7)
    assert core.state_age_s == age_s + 7


def test_silence_without_weight_is_an_exit_though_nobody_was_felt_leaving() -> None:
    core = _in_bed()
    core.weight = WEIGHT_OFF
    _run(core, EXIT_S, NOTHING)
    assert (core.state, core.state_age_s, core.exit_count) == (EMPTY, EXIT_S, 1)


def test_silence_with_weight_after_a_movement_is_no_exit_and_unclear_in_the_end() -> None:
    core = _in_bed()
    core.weight = WEIGHT_ON
    _run(core, 3, BODY, burst=True)
    _run(core, SILENT_S - 1, NOTHING)
    assert core.state == OCCUPIED
    _run(core, 1, NOTHING)
    assert (core.state, core.check, core.exit_count) == (UNCLEAR, True, 0)


def test_what_shakes_a_bed_without_weight_is_nobody() -> None:
    core = Occupancy()
    _run(core, 20, NOTHING)
    core.weight = WEIGHT_OFF
    _run(core, 60, BODY)
    assert core.state == EMPTY


def test_a_bed_found_unclear_is_empty_once_no_weight_lies_on_it() -> None:
    core = _in_bed()
    _run(core, SILENT_S, NOTHING)
    assert core.state == UNCLEAR
    core.weight = WEIGHT_OFF
    _run(core, 1, NOTHING)
    assert (core.state, core.state_age_s) == (EMPTY, SILENT_S + 1)


def test_somebody_who_sat_on_the_edge_for_a_minute_is_missed_though_a_neighbour_s_beats_go_on() -> None:
    core = _in_bed()
    _run(core, 4, (900, 8), burst=True)
    _run(core, 60, (75, 10))
    _run(core, 3, (900, 8), burst=True)
    _run(core, EXIT_S, (50, 10))
    assert (core.state, core.exit_count) == (EMPTY, 1)


STRONG_PUMP, WEAK_BODY, WEAK_ON_THE_EDGE = (42, 6), (90, 9), (62, 9)


def _leave(core: Occupancy, look: tuple[int, int], seconds: int) -> None:
    _run(core, 4, (900, 8), burst=True)
    _run(core, seconds, look)


def _weak_on_a_pump(core: Occupancy) -> None:
    _run(core, 30, STRONG_PUMP)
    _run(core, 4, (900, 8), burst=True)
    _run(core, 60, WEAK_BODY)
    assert core.state == OCCUPIED


def test_a_pump_as_strong_as_a_weak_body_that_was_there_before_hides_no_exit() -> None:
    core = Occupancy()
    _weak_on_a_pump(core)
    _leave(core, STRONG_PUMP, EXIT_S)
    assert (core.state, core.exit_count) == (EMPTY, 1)
    _run(core, 60, STRONG_PUMP)
    assert core.state == EMPTY


def test_somebody_weak_on_the_edge_of_a_bed_with_a_pump_has_not_left() -> None:
    core = Occupancy()
    _weak_on_a_pump(core)
    _leave(core, WEAK_ON_THE_EDGE, 40)
    assert (core.state, core.exit_count) == (OCCUPIED, 0)


def test_a_calibrated_belt_knows_the_pump_after_a_restart() -> None:
    core = Occupancy()
    core.usual = WEAK_BODY[0]
    core.know_around(STRONG_PUMP[0])
    _run(core, 60, WEAK_BODY)
    _leave(core, STRONG_PUMP, EXIT_S)
    assert (core.state, core.exit_count) == (EMPTY, 1)


def test_what_an_empty_bed_gives_is_no_silence_where_a_body_gives_hardly_more() -> None:
    core = Occupancy()
    _run(core, 30, (42, 8))
    _run(core, 4, (900, 8), burst=True)
    _run(core, 60, (50, 9))
    _leave(core, (42, 8), 60)
    assert (core.state, core.exit_count) == (OCCUPIED, 0)  # not known: never told as gone


def test_dim_seconds_after_a_movement_must_last_longer() -> None:
    core = Occupancy()
    _run(core, 30, NOTHING)
    _run(core, 60, (400, 10))
    _leave(core, (60, 10), EXIT_DIM_S - 1)
    assert core.state == OCCUPIED
    _run(core, 1, (60, 10))
    assert (core.state, core.exit_count) == (EMPTY, 1)


def test_a_bed_that_became_calmer_is_known_from_calm_seconds_with_somebody_in_it() -> None:
    core = Occupancy()
    _run(core, 30, (43, 10))
    _run(core, 4, (900, 8), burst=True)
    _run(core, 20, (120, 10))
    _run(core, 20, (32, 10))  # the neighbour has gone, and the resident alone is that weak
    _leave(core, (40, 10), 40)
    assert (core.state, core.exit_count) == (OCCUPIED, 0)


def test_weight_on_the_bed_says_that_what_the_empty_bed_gives_is_somebody_as_weak() -> None:
    core = Occupancy()
    core.weight = WEIGHT_OFF
    _weak_on_a_pump_with_weight(core)
    core.weight = WEIGHT_OFF
    _leave(core, (50, 6), 40)
    assert core.state == EMPTY
    core.weight = WEIGHT_ON
    _leave(core, (47, 6), 10)  # comes back and lies far from the sensor
    assert core.state == OCCUPIED


def _weak_on_a_pump_with_weight(core: Occupancy) -> None:
    core.know_around(50)
    core.weight = WEIGHT_ON
    _run(core, 4, (900, 8), burst=True)
    _run(core, 60, WEAK_BODY)
    assert core.state == OCCUPIED


def test_a_door_is_not_what_is_always_there() -> None:
    core = Occupancy()
    _run(core, 20, NOTHING)
    _run(core, 2, (100, 8))
    _run(core, 20, NOTHING)
    _run(core, 4, (900, 8), burst=True)
    _run(core, 60, (80, 9))
    _leave(core, (45, 9), 30)
    assert (core.state, core.exit_count) == (OCCUPIED, 0)
