"""The signal path gives the same numbers on CPython, MicroPython's unix port and wasm32 (31-bit small ints)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.synth import Interference, Synth, load
from tests.interpreters import run_cpython, run_unix, run_wasm

TRACE = Path(__file__).parent / "signal_trace.py"
RATE_HZ = 250


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes with one of everything, a pump, a full-scale square wave and a stuck sensor, 14-bit units."""
    script = load("short_mixed")
    counts = Synth(replace(script, interference=(Interference("pump", 100, 300),)), RATE_HZ).all().astype(np.int32)
    units = counts * 16
    units[530 * RATE_HZ : 545 * RATE_HZ] = np.where(np.arange(15 * RATE_HZ) % 40 < 20, 0, 16383)
    units[560 * RATE_HZ : 590 * RATE_HZ] = 16383
    path = tmp_path_factory.mktemp("identity") / "recording.bin"
    path.write_bytes(units.astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def reference(recording: Path) -> list[str]:
    """Lines of CPython."""
    return run_cpython(TRACE, str(recording), str(RATE_HZ)).splitlines()


def _reports(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("allocated")]


def test_the_recording_exercises_every_state(reference: list[str]) -> None:
    rows = [tuple(map(int, line.split(","))) for line in _reports(reference)]
    assert {row[0] for row in rows} == {0, 1, 2}
    assert any(row[2] > 0 for row in rows)
    assert any(row[5] > 0 for row in rows)
    assert any(row[9] for row in rows)


def test_the_unix_port_reports_what_cpython_reports(recording: Path, reference: list[str]) -> None:
    lines = run_unix(TRACE, str(recording), str(RATE_HZ)).splitlines()
    assert _reports(lines) == _reports(reference)


def test_wasm32_reports_what_cpython_reports_and_allocates_nothing_on_the_way(
    recording: Path, reference: list[str]
) -> None:
    lines = run_wasm(TRACE, str(recording), str(RATE_HZ)).splitlines()
    assert _reports(lines) == _reports(reference)
    assert int(lines[-1].split()[1]) == 0
