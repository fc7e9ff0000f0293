"""What `sleepbelt analyse` works on, and why a file is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNITS_BITS = 14  # what the belt's pipeline works in
BELT_BITS_MAX = 15  # the widest count that a belt's driver gives
BITS_MIN, BITS_DEFAULT, BITS_MAX = 6, 10, 24


class RecordingError(ValueError):
    """A recording that cannot be analysed; the text says what, where, why and what to do."""


@dataclass(frozen=True)
class Recording:
    """Samples (int16, 0 to 2**bits - 1) at rate_hz as the belt's sampler takes them; warnings for whoever gave them."""

    samples: NDArray[np.int16]
    rate_hz: int
    bits: int = UNITS_BITS
    warnings: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz
