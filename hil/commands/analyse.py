"""`sleepbelt analyse`: a raw recording through the belt's own signal code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.phrase import LANGUAGES, language_of

if TYPE_CHECKING:
    from hil.analyse.reader import Recording
    from hil.analyse.table import Row

SUMMARY = "run a raw recording through the belt's signal code: one row a second, optional plot"

DONE, FAILED, BAD_INPUT = 0, 1, 2
PROGRESS_FROM_S = 600

DESCRIPTION = """\
Runs a raw recording through the belt's own signal code and prints one row a second: what the belt would report having
seen only the samples before time_s. A heart rate describes the ten seconds before time_s, respiration the thirty.
A value that is not known is an empty field (CSV) or null (JSON). Reference values, no medical measurement.
"""
EXAMPLE = """\
examples:
  sleepbelt analyse night.csv --rate-hz 250 > night_rows.csv
  sleepbelt analyse recording.npz --array 'samples[3]' --rate-hz 226 --json --plot night.png
  sleepbelt analyse load_cell.npy --rate-hz 80 --bits 24 --plot night.png --lang zh > rows.csv
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt analyse",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="CSV (counts, or time_s,counts), NPY or NPZ")
    parser.add_argument("--rate-hz", type=_whole, required=True, metavar="R", help="samples a second, 50 to 1000")
    parser.add_argument("--array", metavar="NAME", help="array in a NPZ file; NAME[3] takes one row of it")
    parser.add_argument("--bits", type=int, metavar="N", help="width of a count (default 10)")
    parser.add_argument(
        "--rails", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="counts where the sensor clips (default: found where the signal stands still far from its middle)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON lines instead of CSV")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="also draw signal, occupancy, rates and quality")
    chosen = language_of(os.environ)
    parser.add_argument("--lang", choices=LANGUAGES, default=chosen,
                        help=f"language of the picture (default: the locale's, {chosen})")  # fmt: skip
    parser.add_argument(
        "--runtime", choices=("cpython", "micropython"), default="cpython", help="interpreter; the output is the same"
    )
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"{text}: the rate must be a whole number of samples a second")
    return int(value)


def main(argv: Sequence[str]) -> int:
    """Analyse a recording; exit codes: 0 done, 1 failed, 2 bad input."""
    options = _parser().parse_args(argv)
    from hil.analyse import engine, reader
    from hil.analyse.plot import check_plot, plot
    from hil.runtime import RuntimeMissingError

    rails = tuple(options.rails) if options.rails else None
    try:
        if options.plot is not None:
            check_plot(options.plot, options.lang)
        recording = reader.read(options.file, options.rate_hz, options.array, options.bits, rails, _tell)
    except reader.RecordingError as error:
        _tell(str(error))
        return BAD_INPUT
    for warning in recording.warnings:
        _tell(f"warning: {warning}")
    try:
        rows = _print_rows(recording, options.runtime, options.json, keep=options.plot is not None)
        if options.plot is not None:
            title = f"{options.file.name} {options.array or ''}".strip()
            plot(recording, rows, options.plot, title, options.lang)
    except (engine.EngineError, RuntimeMissingError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        _tell(str(error))
        return FAILED
    return DONE


def _tell(words: str) -> None:
    print(f"sleepbelt analyse: {words}", file=sys.stderr, flush=True)


def _print_rows(recording: Recording, runtime: str, as_json: bool, keep: bool) -> list[Row]:
    from hil.analyse import engine
    from hil.analyse.table import HEADER, row

    rows: list[Row] = []
    total_s = int(recording.duration_s)
    if not as_json:
        print(HEADER)
    for time_s, second in enumerate(engine.seconds(recording, runtime), 1):
        line = row(time_s, second)
        print(line.to_json() if as_json else line.to_csv())
        if keep:
            rows.append(line)
        if total_s >= PROGRESS_FROM_S and time_s % (total_s // 20) == 0:
            print(f"analysed {time_s} of {total_s} s ({100 * time_s // total_s} %)", file=sys.stderr, flush=True)
    sys.stdout.flush()
    return rows
