"""The sound of an alarm as numbers: bursts of pulses by priority, after the patterns of IEC 60601-1-8 (without claim).

| priority | pulses of a burst | pulse | burst again after |
|---|---|---|---|
| high | 3 + 2, pause, 3 + 2 | 0.15 s | 3 s |
| medium | 3 | 0.2 s | 6 s |
| low | 2 | 0.2 s | 18 s |
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

__all__ = ["PATTERNS", "RATE_HZ", "Pattern", "burst_wav"]

RATE_HZ = 16_000
FUNDAMENTAL_HZ = 523.25  # c'': with its harmonics it is heard through a door and by old ears
_HARMONICS = (1.0, 0.7, 0.5, 0.35, 0.25)
_RAMP = 0.15  # of a pulse, at either end: no clicks
_PEAK = 30_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """One burst: how long each pulse is, the silence after each pulse, and the silence after the burst."""

    pulse_s: float
    gaps_s: tuple[float, ...]  # one a pulse but the last
    pause_s: float

    @property
    def pulses(self) -> int:
        return len(self.gaps_s) + 1

    @property
    def burst_s(self) -> float:
        return self.pulses * self.pulse_s + sum(self.gaps_s)


_HALF = (0.1, 0.1, 0.35, 0.1)
PATTERNS = {
    "high": Pattern(0.15, (*_HALF, 0.8, *_HALF), 3.0),
    "medium": Pattern(0.2, (0.2, 0.2), 6.0),
    "low": Pattern(0.2, (0.2,), 18.0),
}


def burst_wav(priority: str, volume_percent: int = 100) -> bytes:
    """One burst as a WAV file: mono, 16 bit, RATE_HZ; KeyError for a priority there is not."""
    pattern = PATTERNS[priority]
    pulse = _pulse(pattern.pulse_s, volume_percent)
    samples = b"".join(pulse + bytes(2 * round(gap_s * RATE_HZ)) for gap_s in (*pattern.gaps_s, 0.0))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def _pulse(seconds: float, volume_percent: int) -> bytes:
    count = round(seconds * RATE_HZ)
    ramp = max(1, round(count * _RAMP))
    scale = _PEAK * volume_percent / 100 / sum(_HARMONICS)
    values = []
    for i in range(count):
        phase = 2 * math.pi * FUNDAMENTAL_HZ * i / RATE_HZ
        wave = sum(weight * math.sin(phase * (n + 1)) for n, weight in enumerate(_HARMONICS))
        values.append(round(scale * wave * min(1.0, (i + 1) / ramp, (count - i) / ramp)))
    return struct.pack(f"<{count}h", *values)
