"""The signal path gives the same numbers on CPython, MicroPython's unix port and wasm32 (31-bit small ints)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.synth import Interference, Synth, load
from tests.interpreters import run_cpython, run_unix, run_wasm
from tools import soak_identity

TRACE = Path(__file__).parent / "signal_trace.py"
RATE_HZ = 250
DATA = Path(os.environ.get("SLEEPBELT_DATA", Path(__file__).parents[4] / "shared" / "data"))


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


@pytest.mark.timeout(1200)
def test_an_hour_of_recorded_and_simulated_signal_gives_the_same_bytes_on_all_three() -> None:
    """Two minutes of processor time; without recordings all of it is simulated."""
    done = list(soak_identity.compare_all(3600))
    assert [difference for each in done for difference in each.differences] == []
    assert sum(each.seconds for each in done) >= 3600
    if (DATA / soak_identity.BEDS).exists():
        assert sum(each.seconds for each in done if each.name.startswith("bed ")) >= 1600
    assert len({each.sha256 for each in done}) == len(done) >= 15


def test_a_port_that_differs_is_named_with_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(script: Path, *arguments: str) -> str:
        lines = run_cpython(script, *arguments).splitlines()
        lines[4] = lines[4].replace(",", ";", 1)
        return "\n".join(lines)

    monkeypatch.setattr(soak_identity, "RUNS", (("a port", wrong),))
    counts = Synth(load("short_mixed"), soak_identity.RATE_HZ).block(0, 10 * soak_identity.RATE_HZ)
    assert soak_identity.compare(("piece", counts)).differences == ["piece: a port differs from CPython in second 5"]
