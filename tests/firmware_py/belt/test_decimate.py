"""From the sensor's rate to 50 Hz."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_py.belt.decimate import Decimator


def _resample(values: NDArray[np.int64] | NDArray[np.float64], rate_hz: int, block: int, shift: int = 0) -> list[int]:
    decimator = Decimator(rate_hz, shift)
    samples = array("h", values.astype(np.int16).tobytes())
    out = array("h", [0] * (len(samples) + 2))
    at = 0
    for first in range(0, len(samples), block):
        at += decimator.push(samples, first, min(block, len(samples) - first), out, at)
    return list(out[:at])


@settings(max_examples=40, deadline=None)
@given(st.integers(50, 1000), st.integers(1, 4))
def test_every_second_of_samples_gives_fifty(rate_hz: int, length_s: int) -> None:
    assert len(_resample(np.full(rate_hz * length_s, 7), rate_hz, rate_hz)) == 50 * length_s


@settings(max_examples=40, deadline=None)
@given(st.integers(50, 1000), st.integers(0, 1023))
def test_a_constant_stays_itself(rate_hz: int, value: int) -> None:
    assert set(_resample(np.full(rate_hz, value), rate_hz, rate_hz, shift=4)) == {value * 16}


@settings(max_examples=40, deadline=None)
@given(st.integers(50, 1000), st.integers(1, 90), st.integers(0, 2**31))
def test_the_cut_into_blocks_does_not_matter(rate_hz: int, block: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1024, rate_hz * 2)
    assert _resample(values, rate_hz, block) == _resample(values, rate_hz, rate_hz * 2)


@pytest.mark.parametrize("rate_hz", [100, 226, 250, 500, 1000])
def test_mains_hum_does_not_fold_into_the_beat_band(rate_hz: int) -> None:
    t = np.arange(rate_hz * 4) / rate_hz
    if rate_hz == 100:
        hum = 200 * np.cos(2 * np.pi * 50 * t)
    else:
        hum = 200 * np.sin(2 * np.pi * 50.05 * t)
    folded = np.array(_resample(np.round(500 + hum), rate_hz, rate_hz, shift=4)) / 16 - 500
    assert np.abs(folded[5:-5]).max() < 0.05 * 200


def test_a_wider_converter_is_shifted_down() -> None:
    assert set(_resample(np.full(200, 32000), 200, 200, shift=-1)) == {16000}


@pytest.mark.parametrize("rate_hz", [0, 49, 1001])
def test_a_rate_out_of_range_is_refused(rate_hz: int) -> None:
    with pytest.raises(ValueError, match="50 to 1000"):
        Decimator(rate_hz)
