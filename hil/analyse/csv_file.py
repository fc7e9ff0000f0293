"""CSV recordings: `counts` or `time_s,counts` a line, under a header or none, between commas, semicolons or tabs."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analyse.recording import RecordingError

TIME_TOLERANCE = 0.01  # of the rate
STEP_MAX = 1.75  # sample periods between neighbours of a time column; more is a hole
PROGRESS_LINES = 1_000_000
CELL_SHOWN = 40
_SEPARATORS = (";", "\t", ",")


def from_csv(path: Path, rate_hz: int, progress: Callable[[str], None]) -> NDArray[np.float64]:
    """The counts of a CSV file; OSError if it cannot be read, RecordingError with the line if it is no recording."""
    # 24 bytes a sample however long the night is: lists of lists would take the memory of a small machine.
    times, counts, lines = array("d"), array("d"), array("q")
    width = 0
    try:
        # A header may be in any encoding (Excel's is the country's own), numbers are the same bytes in all of them.
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for line, cells in _rows(file, path):
                if not width and not counts and not _is_number(cells[0]) and not _is_number(cells[-1]):
                    width = len(cells)
                    continue
                values = _values(cells, width, path, line)
                width = width or len(cells)
                counts.append(values[-1])
                lines.append(line)
                if width == 2:
                    times.append(values[0])
                if len(counts) % PROGRESS_LINES == 0:
                    progress(f"read {len(counts)} samples")
    except csv.Error as error:
        raise RecordingError(f"{path}: line {lines[-1] + 1 if lines else 1}: {error}") from None
    if not counts:
        raise RecordingError(f"{path}: holds no samples")
    if times:
        _check_times(np.frombuffer(times), lines, rate_hz, path)
    return np.frombuffer(counts).copy()


def _rows(file: Iterator[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of each line that is neither blank nor a comment (#)."""
    separator = ""
    for line, text in enumerate(file, 1):
        if "\0" in text:
            raise RecordingError(f"{path}: is not text, or not in UTF-8; recordings are .csv, .npy or .npz files")
        if not text.strip() or text.startswith("#"):
            continue
        separator = separator or next((each for each in _SEPARATORS if each in text), "")
        split = next(csv.reader([text], delimiter=separator or ",")) if '"' in text else text.split(separator or ",")
        yield line, split


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(cell: str) -> str:
    text = cell.strip()
    return text if len(text) <= CELL_SHOWN else text[:CELL_SHOWN] + "..."


def _values(cells: list[str], width: int, path: Path, line: int) -> list[float]:
    if len(cells) not in (1, 2) or (width and len(cells) != width):
        raise RecordingError(
            f"{path}: line {line}: {len(cells)} columns; every line of a recording has `counts` or `time_s,counts`"
        )
    values = []
    for column, cell in enumerate(cells, 1):
        try:
            value = float(cell)
        except ValueError:
            raise RecordingError(f"{path}: line {line}, column {column}: {_shown(cell)!r} is not a number") from None
        if not math.isfinite(value):
            raise RecordingError(f"{path}: line {line}, column {column}: {_shown(cell)} is not a count")
        values.append(value)
    return values


def _check_times(times_s: NDArray[np.float64], lines: array[int], rate_hz: int, path: Path) -> None:
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
