"""From the counts of some converter to those that the belt's sampler takes: width, sign and rails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analyse.recording import BELT_BITS_MAX, BITS_DEFAULT, BITS_MAX, UNITS_BITS, Recording, RecordingError

CLIPPED_SHARE = 0.999
RAIL_RIPPLE = 3 / 1024  # of the full scale: a converter at its end still shows its noise
NARROW_BITS = 3  # a recording that needs so many bits less than it is said to have is said to be another's
BEYOND_SHARE = 0.01  # of the samples that may lie beyond given rails
STILL_UNITS = 16  # 14-bit units, one count of ten bits: a recording that moves no further holds nobody


def to_recording(counts: NDArray[np.float64], path: Path, bits: int | None, rails: tuple[float, float] | None,
                 rate_hz: int) -> Recording:  # fmt: skip
    """The recording of these counts (changed in place); RecordingError where there is nothing to analyse."""
    if not counts.size:
        raise RecordingError(f"{path}: holds no samples")
    if counts.size < rate_hz:
        raise RecordingError(f"{path}: {counts.size} samples are less than one second at {rate_hz} Hz")
    low, high = float(counts.min()), float(counts.max())
    width = bits or BITS_DEFAULT
    half = 2.0 ** (width - 1)
    is_signed = low < 0
    if (is_signed and (low < -half or high >= half)) or high >= 2 * half:
        raise RecordingError(_too_wide(path, low, high, bits))
    ends = (-half, half - 1) if is_signed else (0.0, 2 * half - 1)
    is_narrow = not is_signed and _bits_of(low, high) <= width - NARROW_BITS
    _check_clipping(counts, path, [each for each in (rails, None if is_narrow else ends) if each], 2 * half)
    beyond = 0.0
    if rails is not None:
        beyond = float(((counts < rails[0]) | (counts > rails[1])).mean())
        np.clip(counts, *rails, out=counts)
    if is_signed:
        counts += half  # two's complement
    belt_bits = BELT_BITS_MAX if width >= BELT_BITS_MAX else UNITS_BITS
    counts *= 2.0 ** (belt_bits - width)
    np.rint(counts, out=counts)
    np.clip(counts, 0, 2**belt_bits - 1, out=counts)
    samples = counts.astype(np.int16)
    if samples.min() == samples.max():
        raise RecordingError(
            f"{path}: values from {low:g} to {high:g} are all the same as --bits {width}; give the converter's width "
            f"(they fit {_bits_of(low, high)} bits)"
        )
    return Recording(samples, rate_hz, belt_bits, _warnings(path, low, high, width, bits, beyond))


def _too_wide(path: Path, low: float, high: float, bits: int | None) -> str:
    given = f"--bits {bits}" if bits else f"{BITS_DEFAULT}-bit counts"
    what = f"{path}: values from {low:g} to {high:g} do not fit {given}"
    need = _bits_of(low, high)
    if need > BITS_MAX:
        return f"{what}, nor the {BITS_MAX} bits that are the most; counts of a converter are wanted"
    return f"{what}; give the converter's width, at least --bits {need}"


def _bits_of(low: float, high: float) -> int:
    """Bits of the narrowest converter that gives such counts; more than BITS_MAX if none does."""
    for bits in range(1, BITS_MAX + 1):
        if (low >= 0 and high < 2**bits) or (low >= -(2 ** (bits - 1)) and high < 2 ** (bits - 1)):
            return bits
    return BITS_MAX + 1


def _check_clipping(
    counts: NDArray[np.float64], path: Path, rails: Sequence[tuple[float, float]], full_scale: float
) -> None:
    low, high = float(counts.min()), float(counts.max())
    clipped = (counts <= low) | (counts >= high)
    ripple = RAIL_RIPPLE * full_scale
    for bottom, top in rails:
        clipped |= (counts <= bottom + ripple) | (counts >= top - ripple)
    if clipped.mean() > CLIPPED_SHARE:
        what = f"all samples are {low:g}" if low == high else f"all samples are at the rails {low:g} and {high:g}"
        raise RecordingError(f"{path}: {what}: the sensor is clipped or stuck and there is nothing to analyse")


def _warnings(
    path: Path, low: float, high: float, width: int, bits: int | None, beyond: float
) -> tuple[str, ...]:
    values = f"{path}: the values lie between {low:g} and {high:g}"
    given = f"--bits {bits}" if bits else f"{BITS_DEFAULT} bits, which hold without --bits"
    if (high - low) * 2.0 ** (UNITS_BITS - width) < STILL_UNITS:
        return (f"{values}: hardly a change in {given}; counts of a converter are wanted, not volts",)
    if low >= 0 and _bits_of(low, high) <= width - NARROW_BITS:
        return (f"{values}, which fills {_bits_of(low, high)} bits and not {given}; is that the converter's width?",)
    if beyond > BEYOND_SHARE:
        return (f"{values}, {beyond:.0%} of them beyond --rails; are those the counts where the sensor clips?",)
    return ()
