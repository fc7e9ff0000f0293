"""tools.soak_radio: what it judges of twenty belts."""

from __future__ import annotations

import pytest

from tools.soak_radio import _age_in_99_of_100


def test_with_a_beacon_each_second_the_state_is_hardly_older_than_one() -> None:
    assert _age_in_99_of_100([1.0] * 100) == pytest.approx(0.99)


def test_one_long_silence_counts_for_as_long_as_it_lasts() -> None:
    """Of 200 s the last 2 of the silence are the hundredth."""
    assert _age_in_99_of_100([1.0] * 190 + [10.0]) == pytest.approx(8.0)
