"""The compiled firmware: within its sizes, the same numbers as its sources, and little enough heap on 32-bit words."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.tooling.compile import BOARDS, SIZE_MAX_BYTES, BuildError, compile_board
from hil.synth import Synth, load
from tests.interpreters import run_cpython, run_wasm

BELT = Path(__file__).parents[1] / "belt"
HEAP_BYTES_MAX = 96 * 1024
INTERPRETER_BYTES = 4608  # what this interpreter has in use when it runs nothing
SECOND_GARBAGE_BYTES_MAX = 16 * 1024  # one of sealing a beacon, a report; collected every few seconds
RATE_HZ = 50


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application slot of a Pico W."""
    folder = tmp_path_factory.mktemp("pico-w")
    compile_board(BOARDS["pico-w"], folder)
    return folder / "slot"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five minutes with an exit and a return."""
    path = tmp_path_factory.mktemp("samples") / "counts.bin"
    path.write_bytes(Synth(load("short_exit"), rate_hz=RATE_HZ).all().astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def figures(slot: Path, samples: Path) -> list[tuple[str, int]]:
    """(what, bytes) of a whole belt on wasm32, as check_belt_memory.py prints them."""
    return _figures(slot, samples)


def _figures(slot: Path, samples: Path, *fitted: str) -> list[tuple[str, int]]:
    script = BELT / "check_belt_memory.py"
    lines = run_wasm(script, str(samples), *fitted, heap_bytes=1_000_000, root=slot).splitlines()
    return [(words[0], int(words[1])) for words in map(str.split, lines)]


def test_a_whole_belt_with_a_session_fits_the_heap_of_a_board(figures: list[tuple[str, int]]) -> None:
    assert max(size for what, size in figures if what == "heap") + INTERPRETER_BYTES <= HEAP_BYTES_MAX


def test_a_belt_with_accelerometer_and_load_cells_fits_too(
    slot: Path, samples: Path, figures: list[tuple[str, int]]
) -> None:
    largest = max(size for what, size in _figures(slot, samples, "all") if what == "heap")
    assert max(size for what, size in figures if what == "heap") < largest <= HEAP_BYTES_MAX - INTERPRETER_BYTES


def test_the_heap_of_a_whole_belt_stays_flat(figures: list[tuple[str, int]]) -> None:
    heap = [size for what, size in figures if what == "heap"]
    assert heap[-2] <= heap[0] + 64  # the last is with an update being installed


def test_the_hot_path_allocates_nothing(figures: list[tuple[str, int]]) -> None:
    assert dict(figures)["hot"] == 0


def test_a_second_makes_no_more_garbage_than_a_board_can_collect(figures: list[tuple[str, int]]) -> None:
    assert dict(figures)["second"] <= SECOND_GARBAGE_BYTES_MAX


def test_stripping_changes_no_number_of_the_signal_path(slot: Path, samples: Path) -> None:
    trace = BELT / "signal_trace.py"
    compiled = run_wasm(trace, str(samples), str(RATE_HZ), root=slot).splitlines()
    assert compiled[:-1] == run_cpython(trace, str(samples), str(RATE_HZ)).splitlines()[:-1]


@pytest.mark.parametrize("board", BOARDS)
def test_the_firmware_compiles_for_every_board_within_its_sizes(board: str, tmp_path: Path) -> None:
    assert sum(compile_board(BOARDS[board], tmp_path).values()) <= 64 * 1024


def test_a_file_over_its_size_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZE_MAX_BYTES, "protocol/wire/frames.mpy", 100)
    with pytest.raises(BuildError, match=r"frames\.mpy for armv6m"):
        compile_board(BOARDS["pico-w"], tmp_path)
