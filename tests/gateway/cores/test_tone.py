"""tone: bursts by priority, as a WAV file that players take."""

from __future__ import annotations

import array
import io
import wave

import pytest

from gateway.cores.tone import PATTERNS, RATE_HZ, burst_wav


def samples(priority: str, volume_percent: int = 100) -> array.array[int]:
    with wave.open(io.BytesIO(burst_wav(priority, volume_percent))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        return array.array("h", file.readframes(file.getnframes()))


@pytest.mark.parametrize(("priority", "pulses"), [("high", 10), ("medium", 3), ("low", 2)])
def test_a_burst_has_the_pulses_of_its_priority(priority: str, pulses: int) -> None:
    loud = [abs(value) > 300 for value in samples(priority)]
    gap = round(0.05 * RATE_HZ)
    starts = [i for i, on in enumerate(loud) if on and not any(loud[max(0, i - gap) : i])]
    assert len(starts) == pulses == PATTERNS[priority].pulses


def test_a_burst_lasts_as_long_as_its_pattern_says() -> None:
    for priority, pattern in PATTERNS.items():
        assert abs(len(samples(priority)) / RATE_HZ - pattern.burst_s) < 0.001


def test_the_more_urgent_comes_again_sooner() -> None:
    assert PATTERNS["high"].pause_s < PATTERNS["medium"].pause_s < PATTERNS["low"].pause_s


def test_pulses_begin_and_end_without_a_click() -> None:
    burst = samples("low")
    assert abs(burst[0]) < 100
    assert abs(burst[-1]) < 100


def test_the_volume_scales_the_sound() -> None:
    full, half = max(samples("medium")), max(samples("medium", 50))
    assert 0.49 < half / full < 0.51
    assert full < 32_768
