"""Compressed time: 1x before the agreed real instant, `speed` after it, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.clock_scale import REAL_TIME, ClockScale, parse_clock_scale

NIGHT = ClockScale(real_start_ms=1_000_000, virtual_start_ms=50_000_000, speed=60.0)


def test_real_time_is_itself() -> None:
    assert REAL_TIME.virtual_ms(1_795_000_000_123) == 1_795_000_000_123


def test_before_the_start_virtual_time_runs_at_1x_towards_it() -> None:
    assert NIGHT.virtual_ms(997_000) == 49_997_000


def test_after_the_start_it_runs_at_speed() -> None:
    assert NIGHT.virtual_ms(1_001_000) == 50_060_000


def test_a_wait_after_the_start_is_shorter_by_the_speed() -> None:
    assert NIGHT.real_delay_s(60.0, 1_000_000) == pytest.approx(1.0)


def test_a_wait_over_the_start_pays_the_slow_part_in_full() -> None:
    assert NIGHT.real_delay_s(2.0 + 60.0, 998_000) == pytest.approx(3.0)


@given(st.integers(-10_000_000, 10_000_000), st.sampled_from((1.0, 7.5, 60.0, 600.0)))
def test_at_the_real_time_of_a_virtual_instant_it_has_been_reached(virtual_ms: int, speed: float) -> None:
    scale = ClockScale(1_000, 5_000, speed)
    real_ms = scale.real_ms(virtual_ms)
    assert scale.virtual_ms(real_ms) >= virtual_ms
    assert scale.virtual_ms(real_ms - 1) <= virtual_ms


def test_the_text_for_the_environment_comes_back() -> None:
    assert parse_clock_scale(NIGHT.text()) == NIGHT


@pytest.mark.parametrize("text", [None, ""])
def test_unset_is_real_time(text: str | None) -> None:
    assert parse_clock_scale(text) == REAL_TIME


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "1,2,0", "1,2,-5", "1,2,1e9", "nan,2,3", "1,2,nan", "inf,0,1"])
def test_a_scale_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="SLEEPBELT_CLOCK"):
        parse_clock_scale(text)
