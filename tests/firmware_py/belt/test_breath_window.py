"""The window of respiration that keeps samples gives the numbers of the one that keeps rounded products."""

from __future__ import annotations

import numpy as np

from firmware_py.belt.breath import SlowCorrelator
from firmware_py.belt.signal import Correlator


def test_both_correlators_give_the_same_curve_over_and_beyond_a_window() -> None:
    rng = np.random.default_rng(3)
    fast, slow = Correlator(5, 7, 75, 30), SlowCorrelator(5, 7, 75, 30)
    for _ in range(100):
        block = rng.integers(-127, 128, 5).tolist()
        for i, value in enumerate(block):
            fast.values[i] = slow.values[i] = value
        fast.push()
        slow.push()
        assert slow.energy == fast.energy
        assert np.abs(np.array(slow.curve) - np.array(fast.curve)).max() <= 1 + 30 * 32 * 256 / slow.energy
