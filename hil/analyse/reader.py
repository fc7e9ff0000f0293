"""Recordings of the raw signal: CSV, NPY and NPZ files to counts, or an error that says what is wrong where."""

from __future__ import annotations

import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.analyse.csv_file import from_csv
from hil.analyse.recording import BITS_MAX, BITS_MIN, UNITS_BITS, Recording, RecordingError
from hil.analyse.width import to_recording

__all__ = ["RATE_HZ_MAX", "RATE_HZ_MIN", "UNITS_BITS", "Recording", "RecordingError", "read"]

RATE_HZ_MIN, RATE_HZ_MAX = 50, 1000
# What numpy raises at a damaged or cut file, besides OSError.
_DAMAGED = (
    ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, tokenize.TokenError, SyntaxError,
    RuntimeError,
)  # fmt: skip


def read(
    path: Path, rate_hz: int, array: str | None = None, bits: int | None = None,
    rails: tuple[float, float] | None = None, progress: Callable[[str], None] = lambda words: None,
) -> Recording:  # fmt: skip
    """Read a recording; RecordingError on bad input. rails = counts at which the sensor is at its end."""
    if not RATE_HZ_MIN <= rate_hz <= RATE_HZ_MAX:
        raise RecordingError(f"--rate-hz {rate_hz}: the rate must be {RATE_HZ_MIN} to {RATE_HZ_MAX} samples a second")
    if bits is not None and not BITS_MIN <= bits <= BITS_MAX:
        raise RecordingError(f"--bits {bits}: the width of a count must be {BITS_MIN} to {BITS_MAX} bits")
    if rails is not None and not rails[0] < rails[1]:
        raise RecordingError(f"--rails {rails[0]:g} {rails[1]:g}: two counts, the lower rail first")
    try:
        if path.is_dir():
            raise RecordingError(f"{path}: is a folder; name one recording (.csv, .npy or .npz)")
        counts = _counts(path, rate_hz, array, progress)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise RecordingError(f"{path}: says it holds more than fits into memory; damaged, or to be cut") from None
    return to_recording(counts, path, bits, rails, rate_hz)


def _counts(path: Path, rate_hz: int, array: str | None, progress: Callable[[str], None]) -> NDArray[np.float64]:
    kind = path.suffix.lower()
    if kind == ".npz":
        return _flat(_from_npz(path, array), path)
    if array is not None:
        raise RecordingError(f"{path}: --array names an array inside a .npz file; this is none")
    if kind == ".npy":
        values = _load(path)
        if isinstance(values, np.lib.npyio.NpzFile):
            raise RecordingError(f"{path}: is an archive of arrays; rename it to .npz")
        return _flat(values, path)
    return from_csv(path, rate_hz, progress)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except _DAMAGED as error:
        raise RecordingError(f"{path}: not a readable NumPy file: {_why(error)}") from None


def _from_npz(path: Path, name: str | None) -> Any:
    archive = _load(path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise RecordingError(f"{path}: is not a .npz archive; rename it to .npy if it is a single array")
    with archive:
        names = list(archive.files)
        if not names:
            raise RecordingError(f"{path}: the archive holds no array")
        if name is None:
            if len(names) > 1:
                raise RecordingError(f"{path}: holds {len(names)} arrays; choose one with --array: {_some(names)}")
            name = names[0]
        match = re.fullmatch(r"(.*?)((?:\[-?\d+\])*)", name)
        base, indices = (match[1], [int(i) for i in re.findall(r"-?\d+", match[2])]) if match else (name, [])
        if name in names:
            base, indices = name, []
        if base not in names:
            raise RecordingError(f"{path}: no array called {base!r}; there are: {_some(names)}")
        try:
            values = archive[base]
        except _DAMAGED as error:
            raise RecordingError(f"{path}: array {base} cannot be read: {_why(error)}") from None
    for index in indices:
        if values.ndim < 2 or not -len(values) <= index < len(values):
            raise RecordingError(f"{path}: array {base} has shape {values.shape}; there is no [{index}] in it")
        values = values[index]
    if values.ndim == 2 and 1 not in values.shape:
        raise RecordingError(
            f"{path}: array {base} has shape {values.shape}; choose one recording, for example --array '{base}[0]'"
        )
    return values


def _why(error: Exception) -> str:
    said = str(error)
    if said.startswith("Object arrays"):
        return "it holds Python objects, which are never loaded"
    # numpy takes whatever has no header of its own for a pickle
    return "it does not begin as one (no header)" if "pickle" in said else said


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _flat(values: Any, path: Path) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise RecordingError(f"{path}: values of type {values.dtype} are no counts; integers or floats are")
    if values.ndim == 2 and 1 in values.shape:
        values = values.ravel()
    if values.ndim != 1:
        raise RecordingError(f"{path}: has shape {values.shape}; one recording is one row of samples")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        many = f"{bad.size} of {values.size} are not numbers"
        raise RecordingError(f"{path}: sample {bad[0]} is {values[bad[0]]} ({many}); cut or fill them first")
    counts: NDArray[np.float64] = values.astype(np.float64)
    return counts
