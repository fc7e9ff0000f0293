"""Movement strength, and what makes a burst a turn-over."""

from __future__ import annotations

from array import array

from firmware_py.belt.movement import Movement

LYING = (250, 400, 300, 20, 100)
TURNED = (140, 150, 260, 24, 190)


def _second(core: Movement, peak: int, looks: tuple[int, ...], clipped: int = 0, occupied: bool = True) -> int:
    core.second(peak, clipped, occupied)
    core.look(array("i", looks), clipped, occupied)
    return core.turn_over


def _lying(seconds: int = 40) -> Movement:
    core = Movement()
    for _ in range(seconds):
        _second(core, 400, LYING)
    return core


def test_quiet_beats_are_no_movement() -> None:
    core = _lying()
    assert (core.strength, core.burst) == (0, False)


def test_a_clipped_second_is_a_strong_movement() -> None:
    core = _lying()
    _second(core, 6000, LYING, clipped=20)
    assert core.burst
    assert core.strength >= 80


def test_a_long_burst_and_other_beats_after_it_are_one_turn_over() -> None:
    core = _lying()
    for _ in range(5):
        _second(core, 5000, LYING, clipped=5)
    assert sum(_second(core, 300, TURNED) for _ in range(20)) == 1
    assert core.turn_over_count == 1


def test_the_same_beats_after_a_short_burst_are_a_small_movement() -> None:
    core = _lying()
    for _ in range(2):
        _second(core, 2500, LYING)
    assert sum(_second(core, 400, LYING) for _ in range(20)) == 0


def test_leaving_the_bed_is_no_turn_over() -> None:
    core = _lying()
    for _ in range(6):
        _second(core, 5000, LYING, clipped=5)
    assert sum(_second(core, 5, (4, 5, 5, 28, 1), occupied=k < 5) for k in range(20)) == 0


def test_a_stronger_sensor_is_learned_and_not_movement_for_ever() -> None:
    core = Movement()
    for _ in range(20):
        _second(core, 5000, LYING, occupied=False)
    assert not core.burst


def _sits_up(core: Movement, seconds: int) -> int:
    """Six strong seconds, then the weak signal of somebody on the edge; the turn-overs counted meanwhile."""
    for _ in range(6):
        _second(core, 5000, LYING, clipped=5)
    return sum(_second(core, 90, (70, 90, 80, 20, 60)) for _ in range(seconds))


def test_sitting_up_before_leaving_is_no_turn_over() -> None:
    core = _lying()
    counted = _sits_up(core, 30)
    counted += sum(_second(core, 5000, LYING, clipped=5) for _ in range(3))
    counted += sum(_second(core, 5, (4, 5, 5, 28, 1), occupied=k < 6) for k in range(60))
    assert (counted, core.turn_over_count) == (0, 0)


def test_turning_onto_a_side_that_reaches_the_sensor_weakly_counts_once_it_has_lasted() -> None:
    assert _sits_up(_lying(), 90) == 1


def test_lying_down_again_after_sitting_up_is_one_turn_over_in_all() -> None:
    core = _lying()
    assert _sits_up(core, 20) == 0
    for _ in range(6):
        _second(core, 5000, LYING, clipped=5)
    assert sum(_second(core, 400, LYING) for _ in range(90)) == 1


def test_settling_down_right_after_coming_to_bed_is_no_turn_over() -> None:
    core = Movement()
    for _ in range(3):
        _second(core, 400, LYING)
    for _ in range(9):
        _second(core, 5000, LYING, clipped=5)
    assert sum(_second(core, 400, LYING) for _ in range(30)) == 0
