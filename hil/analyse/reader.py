"""Recordings of the raw signal: CSV, NPY and NPZ files to counts, or an error that says what is wrong where."""

from __future__ import annotations

import csv
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ_MIN, RATE_HZ_MAX = 50, 1000
BITS_DEFAULT = 10
BITS_MAX = 24
UNITS_BITS = 14  # what the belt's pipeline works in
TIME_TOLERANCE = 0.01  # of the rate
STEP_MAX = 1.75  # sample periods between neighbours of a time column; more is a hole


class RecordingError(ValueError):
    """A recording that cannot be analysed; the text says what, where, why and what to do."""


@dataclass(frozen=True)
class Recording:
    """Samples in 14-bit units (int16) at rate_hz."""

    samples: NDArray[np.int16]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


def read(path: Path, rate_hz: int, array: str | None = None, bits: int | None = None,
         rails: tuple[float, float] | None = None) -> Recording:  # fmt: skip
    """Read a recording; RecordingError on bad input. rails = counts at which the sensor is at its end."""
    if not RATE_HZ_MIN <= rate_hz <= RATE_HZ_MAX:
        raise RecordingError(f"--rate-hz {rate_hz}: the rate must be {RATE_HZ_MIN} to {RATE_HZ_MAX} samples a second")
    if bits is not None and not 6 <= bits <= BITS_MAX:
        raise RecordingError(f"--bits {bits}: the width of a count must be 6 to {BITS_MAX} bits")
    if path.is_dir():
        raise RecordingError(f"{path}: is a folder; name one recording (.csv, .npy or .npz)")
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    try:
        counts = _counts(path, rate_hz, array)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    return Recording(_to_units(counts, path, bits, rails, rate_hz), rate_hz)


def _counts(path: Path, rate_hz: int, array: str | None) -> NDArray[np.float64]:
    kind = path.suffix.lower()
    if kind == ".npz":
        return _flat(_from_npz(path, array), path)
    if array is not None:
        raise RecordingError(f"{path}: --array names an array inside a .npz file; this is none")
    if kind == ".npy":
        return _flat(_load(path), path)
    return _from_csv(path, rate_hz)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects, which are never loaded" if "pickle" in str(error) else str(error)
        raise RecordingError(f"{path}: not a readable NumPy file: {reason}") from None


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
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise RecordingError(f"{path}: array {base} cannot be read: {error}") from None
    for index in indices:
        if values.ndim < 2 or not -len(values) <= index < len(values):
            raise RecordingError(f"{path}: array {base} has shape {values.shape}; there is no [{index}] in it")
        values = values[index]
    if values.ndim == 2 and 1 not in values.shape:
        raise RecordingError(
            f"{path}: array {base} has shape {values.shape}; choose one recording, for example --array '{base}[0]'"
        )
    return values


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


def _from_csv(path: Path, rate_hz: int) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    lines: list[int] = []
    width = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if not cells or all(not cell.strip() for cell in cells):
                    continue
                if not rows and not width and not _number(cells[0]) and not _number(cells[-1]):
                    width = len(cells)  # a header
                    continue
                rows.append(_csv_row(cells, width, path, reader.line_num))
                width = width or len(cells)
                lines.append(reader.line_num)
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: is not text; recordings are .csv, .npy or .npz files") from None
    except csv.Error as error:
        raise RecordingError(f"{path}: line {len(lines) + 1}: {error}") from None
    if not rows:
        raise RecordingError(f"{path}: holds no samples")
    table = np.array(rows)
    if table.shape[1] == 2:
        _check_times(table[:, 0], lines, rate_hz, path)
    counts: NDArray[np.float64] = table[:, -1]
    return counts


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv_row(cells: list[str], width: int, path: Path, line: int) -> list[float]:
    if len(cells) not in (1, 2) or (width and len(cells) != width):
        raise RecordingError(
            f"{path}: line {line}: {len(cells)} columns; every line of a recording has `counts` or `time_s,counts`"
        )
    values = []
    for column, cell in enumerate(cells, 1):
        try:
            value = float(cell)
        except ValueError:
            raise RecordingError(f"{path}: line {line}, column {column}: {cell.strip()!r} is not a number") from None
        if not np.isfinite(value):
            raise RecordingError(f"{path}: line {line}, column {column}: {cell.strip()} is not a count")
        values.append(value)
    return values


def _check_times(times_s: NDArray[np.float64], lines: list[int], rate_hz: int, path: Path) -> None:
    if len(times_s) < 2:
        return
    steps_s = np.diff(times_s)
    back = np.flatnonzero(steps_s <= 0)
    if len(back):
        k = int(back[0])
        raise RecordingError(
            f"{path}: line {lines[k + 1]}: time {times_s[k + 1]:g} s does not come after {times_s[k]:g} s"
        )
    found_hz = 1 / float(np.median(steps_s))
    mean_hz = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    hole = np.flatnonzero(steps_s > max(STEP_MAX / rate_hz, 1 / rate_hz + 0.0011))
    if len(hole) and abs(found_hz / rate_hz - 1) < 0.2:
        k = int(hole[0])
        raise RecordingError(
            f"{path}: line {lines[k + 1]}: {steps_s[k]:g} s without samples before {times_s[k + 1]:g} s; "
            "analyse the parts before and after it on their own"
        )
    if abs(mean_hz / rate_hz - 1) > TIME_TOLERANCE:
        raise RecordingError(
            f"{path}: the time column has {mean_hz:.1f} samples a second, --rate-hz says {rate_hz}; give the right one"
        )


def _to_units(counts: NDArray[np.float64], path: Path, bits: int | None, rails: tuple[float, float] | None,
              rate_hz: int) -> NDArray[np.int16]:  # fmt: skip
    if not counts.size:
        raise RecordingError(f"{path}: holds no samples")
    if counts.size < rate_hz:
        raise RecordingError(f"{path}: {counts.size} samples are less than one second at {rate_hz} Hz")
    low, high = float(counts.min()), float(counts.max())
    width = bits or BITS_DEFAULT
    if low < 0 and -low <= 2 ** (width - 1) and high < 2 ** (width - 1):
        counts = counts + 2 ** (width - 1)  # two's complement: a signed converter
    elif low < 0 or high >= 2**width:
        need = next((b for b in range(width, 64) if high < 2**b and low >= -(2 ** (b - 1))), 64)
        given = f"--bits {bits}" if bits else f"{BITS_DEFAULT}-bit counts"
        raise RecordingError(
            f"{path}: values from {low:g} to {high:g} do not fit {given}; "
            f"give the converter's width, at least --bits {need}"
        )
    _check_clipping(counts, path, rails)
    units = np.round(counts * 2.0 ** (UNITS_BITS - width)).clip(0, 2**UNITS_BITS - 1)
    return units.astype(np.int16)


def _check_clipping(counts: NDArray[np.float64], path: Path, rails: tuple[float, float] | None) -> None:
    if rails is not None and rails[0] >= rails[1]:
        raise RecordingError(f"--rails {rails[0]:g} {rails[1]:g}: the lower rail comes first")
    low, high = rails if rails is not None else (float(counts.min()), float(counts.max()))
    at_rail = (counts <= low) | (counts >= high)
    if at_rail.mean() > 0.999:
        what = f"all samples are {low:g}" if low == high else f"all samples are at the rails {low:g} and {high:g}"
        raise RecordingError(f"{path}: {what}: the sensor is clipped or stuck and there is nothing to analyse")
