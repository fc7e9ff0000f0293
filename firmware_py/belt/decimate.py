"""From the native rate of a sensor to the 50 Hz of the signal cores, in integers.

Each output is the weighted mean of the native samples inside its 20 ms, the samples at the borders counted by the
part that lies inside. That needs no common divisor of the rates, keeps no history and has nulls at 50 and 100 Hz, so
mains hum (also at 60 Hz: -15 dB) cannot fold into the beat band.
"""

from array import array

RATE_HZ = 50


class Decimator:
    """Resample int counts at native_rate_hz (50..1000) to 50 Hz; results are shifted left by `shift` (right if < 0)."""

    def __init__(self, native_rate_hz: int, shift: int = 0) -> None:
        if not RATE_HZ <= native_rate_hz <= 1000:
            raise ValueError("native rate must be 50 to 1000 Hz")
        self._rate = native_rate_hz
        self._shift = shift
        self._sum = 0
        self._phase = 0

    def push(self, samples: "array[int]", first: int, count: int, out: "array[int]", at: int) -> int:
        """Take samples[first:first + count]; write finished outputs to out[at:]; return how many were written."""
        rate = self._rate
        shift = self._shift
        total = self._sum
        phase = self._phase
        start = at
        for i in range(first, first + count):
            value = samples[i]
            phase += RATE_HZ
            if phase < rate:
                total += value * RATE_HZ
            else:
                phase -= rate
                total += value * (RATE_HZ - phase)
                out[at] = (total << shift) // rate if shift >= 0 else (total // rate) >> -shift
                at += 1
                total = value * phase
        self._sum = total
        self._phase = phase
        return at - start
