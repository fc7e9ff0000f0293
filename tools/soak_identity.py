"""One hour of real and simulated signal through the belt's signal path on three interpreters: the same bytes.

`python -m tools.soak_identity [--minutes 60]`. Half of the time is recorded beds from $SLEEPBELT_DATA, else
../shared/data (simulated alone without them), half the simulator's mixed script. CPython, the MicroPython unix port and
wasm32 (31-bit small ints) each write one line a second; code 1 names the first line that differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analyse.reader import UNITS_BITS
from hil.synth import Interference, Synth, load
from tests.interpreters import run_cpython, run_unix, run_wasm

ROOT = Path(__file__).resolve().parent.parent
TRACE = ROOT / "tests" / "firmware_py" / "belt" / "signal_trace.py"
RATE_HZ = 226  # of the recordings
PIECE_S = 240  # an interpreter sees this much at a time: a run must end within run_*'s limit
BEDS = "bed_bcg_226hz_dev.npz"
RUNS = (("unix port", run_unix), ("wasm32", run_wasm))
Piece = tuple[str, NDArray[np.int16]]  # name; ten-bit counts at RATE_HZ


def recorded(seconds: int) -> list[Piece]:
    """Up to `seconds` of recorded beds in pieces, 14-bit units; none if there are no recordings."""
    path = Path(os.environ.get("SLEEPBELT_DATA", ROOT.parent / "shared" / "data")) / BEDS
    if not path.exists():
        print(f"no recordings at {path}: simulated signal alone", file=sys.stderr)
        return []
    data = np.load(path, allow_pickle=False)
    pieces = zip(data["segment_ids"], data["samples"], strict=True)
    found = [(f"bed {name}", samples[: PIECE_S * RATE_HZ]) for name, samples in pieces]
    return found[: max(1, seconds // PIECE_S)]


def simulated(seconds: int) -> list[Piece]:
    """`seconds` of the mixed script in pieces, another seed and another disturbance each, 10-bit counts."""
    kinds = ("pump", "hvac", "mains", "partner", "pet", "snoring")
    result = []
    for number in range(max(1, -(-seconds // PIECE_S))):
        kind = kinds[number % len(kinds)]
        script = replace(load("short_mixed"), seed=900 + number, interference=(Interference(kind, 60, PIECE_S),))
        result.append((f"simulated {900 + number} {kind}", Synth(script, RATE_HZ).block(0, PIECE_S * RATE_HZ)))
    return result


@dataclass(frozen=True)
class Comparison:
    """One piece on all interpreters: seconds and hash of CPython's lines, and what the others say differently."""

    name: str
    seconds: int
    sha256: str
    differences: list[str]


def pieces(seconds: int) -> list[Piece]:
    """Half of the time recorded, as far as there are recordings, the rest simulated."""
    real = recorded(seconds // 2)
    return real + simulated(seconds - PIECE_S * len(real))


def compare(piece: Piece) -> Comparison:
    """Run one piece through the belt's signal path on each interpreter."""
    name, counts = piece
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.i16"
        path.write_bytes((counts.astype("<i4") << (UNITS_BITS - 10)).astype("<i2").tobytes())
        expected = _lines(run_cpython(TRACE, str(path), str(RATE_HZ)))
        differences = []
        for port, run in RUNS:
            lines = _lines(run(TRACE, str(path), str(RATE_HZ)))
            if lines != expected:
                same = [a == b for a, b in zip(lines, expected, strict=False)]
                at = same.index(False) if False in same else len(same)
                differences.append(f"{name}: {port} differs from CPython in second {at + 1}")
    return Comparison(name, len(expected), hashlib.sha256("\n".join(expected).encode()).hexdigest(), differences)


def compare_all(seconds: int) -> Iterator[Comparison]:
    """Piece by piece, as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(compare, pieces(seconds))


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("allocated")]


def main() -> int:
    """Compare piece by piece; 1 if any line differed."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak_identity", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60, help="signal in all (default 60)")
    seconds = 60 * parser.parse_args().minutes
    began = time.monotonic()
    done = []
    for each in compare_all(seconds):
        done.append(each)
        print(f"{each.name}: {each.seconds} s, sha256 {each.sha256[:16]}", file=sys.stderr, flush=True)
    failures = [difference for each in done for difference in each.differences]
    for failure in failures:
        print(failure)
    total_s, real = sum(each.seconds for each in done), sum(each.name.startswith("bed ") for each in done)
    verdict = "identical" if not failures else "NOT identical"
    print(f"{total_s} s of signal, {real} recorded pieces, {len(done) - real} simulated: {verdict} on CPython, "
          f"unix port and wasm32 ({time.monotonic() - began:.0f} s)")  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
