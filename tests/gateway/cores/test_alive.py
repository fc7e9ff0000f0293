"""alive: a heartbeat needs a turn of every part."""

from __future__ import annotations

import pytest

from gateway.cores.alive import TURN_LIMIT_MS, Alive


def test_a_part_that_was_never_heard_of_hangs() -> None:
    alive = Alive(["radio", "deadlines"])
    alive.turn("radio", 0)
    assert alive.hanging(0) == ["deadlines"]


def test_all_live_while_each_takes_its_turns() -> None:
    alive = Alive(["radio", "deadlines"])
    alive.turn("radio", 0)
    alive.turn("deadlines", 3000)
    assert alive.hanging(TURN_LIMIT_MS) == []
    assert alive.hanging(TURN_LIMIT_MS + 1) == ["radio"]


def test_an_unknown_part_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        Alive(["radio"]).turn("radoi", 0)
