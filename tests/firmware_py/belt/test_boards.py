"""The boards' own files on emulated ports: from the interpreter's start to records, hangs and sensors that are dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.belt.app import FAULT_CRASHED, FAULT_HUNG, FAULT_SENSOR, RESET_WATCHDOG, TASK_RADIO, TASK_SAMPLES
from firmware_py.belt.hx711 import FAILED_SILENT
from firmware_py.tooling.compile import BOARDS, compile_board
from hil.synth import Synth, load
from protocol.wire import frames
from tests.interpreters import run_unix

CHECK = Path(__file__).parent / "check_boards.py"
SAMPLE_HZ = 100
Run = tuple[int, int, list[str]]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes of a bed, ten bits."""
    path = tmp_path_factory.mktemp("samples") / "counts.bin"
    path.write_bytes(Synth(load("short_exit"), SAMPLE_HZ).all().astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module", params=["pico-w", "pico-2-w", "esp32-s3"])
def runs(request: pytest.FixtureRequest, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """What check_boards.py printed: by run, how it ended, how often the watchdog was fed, the records."""
    folder = tmp_path_factory.mktemp(request.param)
    compile_board(BOARDS[request.param], folder)
    lines = run_unix(CHECK, str(folder / "slot"), request.param, str(samples), heap="64m").splitlines()
    found = {}
    for line in lines[:-1]:
        name, ended, fed, *records = line.split()
        found[name] = (int(ended), int(fed), records[0].split(",") if records else [])
    own = [int(word) for word in lines[-1].split()[1:]]
    silent = FAILED_SILENT << 8  # load cells that are named and not there
    assert own == [BOARDS[request.param].model, 0, silent, 32, frames.MAINS_POWERED]  # 32 sectors of the ring
    return found


def test_a_board_starts_through_boot_py_samples_records_and_feeds_its_watchdog(runs: dict[str, Run]) -> None:
    ended, fed, records = runs["first"]
    assert (ended, records[0]) == (0, f"{frames.RECORD_BOOT}:1/0/1")
    assert 68 <= fed <= 70
    minute = records[-1].split(":")
    assert minute[0] == str(frames.RECORD_MINUTE)
    assert int(minute[1].split("/")[0]) >= 50  # seconds in bed: the ADC's pin was read as the volts on it are


def test_a_sampling_timer_that_dies_restarts_the_board_which_then_says_why(runs: dict[str, Run]) -> None:
    ended, fed, _ = runs["hang"]
    assert (ended, fed) == (RESET_WATCHDOG, 19)
    reported = 1 << TASK_RADIO | 1 << TASK_SAMPLES
    assert runs["after"][2][:2] == [f"{frames.RECORD_BOOT}:3/0/1", f"{frames.RECORD_FAULT}:{FAULT_HUNG}/{reported}"]


def test_after_a_power_cut_there_is_nothing_to_say(runs: dict[str, Run]) -> None:
    assert not [record for record in runs["power"][2] if record.startswith(f"{frames.RECORD_FAULT}:")]


def test_a_crash_is_told_after_the_watchdog_has_ended_it(runs: dict[str, Run]) -> None:
    assert runs["crash"][0] == RESET_WATCHDOG
    kind, values = runs["told"][2][1].split(":")
    code, line = map(int, values.split("/"))
    assert (int(kind), code) == (frames.RECORD_FAULT, FAULT_CRASHED)
    assert line > 0


def test_a_sensor_that_never_answers_is_told_and_does_not_keep_the_belt_from_running(runs: dict[str, Run]) -> None:
    ended, fed, records = runs["silent"]
    assert (ended, records[1]) == (0, f"{frames.RECORD_FAULT}:{FAULT_SENSOR}/1")
    assert fed >= 18
