"""`sleepbelt analyse`: rows, formats, and errors that say what is wrong where."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hil.commands.analyse import main
from hil.synth import BedScript, Event, Resident, Synth

RATE_HZ = 100
HEADER = (
    "time_s,occupancy,heart_rate_bpm,heart_rate_quality,heart_rate_reason,"
    "respiration_per_min,respiration_quality,movement,turn_over"
)


@pytest.fixture(scope="module")
def counts() -> NDArray[np.int16]:
    """Seventy and a half seconds of a sleeper."""
    resident = Resident(movements_per_h=0, turn_overs_per_h=0)
    return Synth(BedScript("t", 70.5, 3, resident=resident, events=(Event(0, "enter"),)), RATE_HZ).all()


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    try:
        code = main([str(value) for value in argv])
    except SystemExit as stop:  # argparse
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def recording(tmp_path: Path, counts: NDArray[np.int16]) -> Path:
    path = tmp_path / "night.npy"
    np.save(path, counts)
    return path


def test_one_row_for_every_whole_second_under_the_documented_header(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    assert code == 0
    assert out.splitlines()[0] == HEADER
    assert [row["time_s"] for row in _rows(out)] == [str(k) for k in range(1, 71)]


def test_rates_have_tenths_and_what_is_not_known_is_empty(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    rows = _rows(out)
    assert rows[0]["heart_rate_bpm"] == ""
    assert rows[0]["heart_rate_reason"] == "no_signal"
    assert 55 < float(rows[-1]["heart_rate_bpm"]) < 70
    assert len(rows[-1]["heart_rate_bpm"].split(".")[1]) == 1
    assert rows[-1]["heart_rate_reason"] == ""
    assert rows[-1]["occupancy"] == "occupied"
    assert "nan" not in out.lower()


def test_rows_depend_only_on_the_past(
    recording: Path, counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter = tmp_path / "shorter.npy"
    np.save(shorter, counts[: 40 * RATE_HZ])
    _, whole, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    _, part, _ = _run(capsys, shorter, "--rate-hz", RATE_HZ)
    assert whole.splitlines()[:41] == part.splitlines()


def test_json_lines_carry_the_same_fields_with_null_for_absent(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = _run(capsys, recording, "--rate-hz", RATE_HZ, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert list(rows[0]) == HEADER.split(",")
    assert rows[0]["heart_rate_bpm"] is None
    assert isinstance(rows[-1]["heart_rate_bpm"], float)
    assert len(rows) == 70


def test_csv_npy_and_npz_of_the_same_counts_give_the_same_rows(
    recording: Path, counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, timed, archive = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.npz"
    plain.write_text("\n".join(map(str, counts)) + "\n")
    timed.write_text("time_s,counts\n" + "".join(f"{k / RATE_HZ:.2f},{v}\n" for k, v in enumerate(counts)))
    np.savez(archive, flat=counts, many=np.stack([counts, counts]))
    excel = tmp_path / "excel.csv"  # as a Chinese Windows writes it
    lines = [f"{k / RATE_HZ:.2f};{v}" for k, v in enumerate(counts)]
    excel.write_bytes("\r\n".join(["# 3 号床", '"时间";"计数"', *lines, ""]).encode("gbk"))
    _, expected, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    for arguments in ([plain], [timed], [excel], [archive, "--array", "flat"], [archive, "--array", "many[1]"]):
        code, out, _ = _run(capsys, *arguments, "--rate-hz", RATE_HZ)
        assert (code, out) == (0, expected)


def test_micropython_gives_the_same_output(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, expected, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    code, out, _ = _run(capsys, recording, "--rate-hz", RATE_HZ, "--runtime", "micropython")
    assert (code, out) == (0, expected)


def test_a_wider_converter_needs_bits_and_then_gives_the_same_rows(
    recording: Path, counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = tmp_path / "wide.npy"
    np.save(wide, counts.astype(np.int32) * 16)
    code, _, err = _run(capsys, wide, "--rate-hz", RATE_HZ)
    assert code == 2
    assert "--bits 14" in err
    _, expected, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    assert _run(capsys, wide, "--rate-hz", RATE_HZ, "--bits", 14)[1] == expected


def test_a_signed_converter_is_understood(
    recording: Path, counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = tmp_path / "signed.npy"
    np.save(signed, counts - 512)
    _, expected, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    assert _run(capsys, signed, "--rate-hz", RATE_HZ)[1] == expected


def test_a_plot_is_written(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "out.png"
    code, _, _ = _run(capsys, recording, "--rate-hz", RATE_HZ, "--plot", picture)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_plot_in_chinese_takes_any_name_of_a_file(
    counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, picture = tmp_path / "夜 $1$ _{.npy", tmp_path / "out.svg"
    np.save(recording, counts)
    code, _, err = _run(capsys, recording, "--rate-hz", RATE_HZ, "--plot", picture, "--lang", "zh")
    assert (code, err) == (0, "")
    assert "<!-- 心率质量 -->" in picture.read_text()


def test_a_plot_that_cannot_be_written_is_refused_before_the_analysis(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    code, out, err = _run(capsys, recording, "--rate-hz", RATE_HZ, "--plot", tmp_path / "folder.png")
    assert (code, out) == (2, "")
    assert "cannot be written: Is a directory" in err


def test_reading_a_long_csv_shows_progress(
    counts: NDArray[np.int16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.analyse.csv_file.PROGRESS_LINES", 3000)
    path = tmp_path / "long.csv"
    path.write_text("\n".join(map(str, counts)))
    _, _, err = _run(capsys, path, "--rate-hz", RATE_HZ)
    assert "read 6000 samples" in err


def test_long_recordings_show_progress_on_stderr(
    counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.npy"
    np.save(path, np.tile(counts[:6000:2], 10))
    code, out, err = _run(capsys, path, "--rate-hz", 50)
    assert code == 0
    assert len(out.splitlines()) == 601
    assert "600 of 600 s (100 %)" in err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no samples"),
        ("counts\n", "holds no samples"),
        ("500\n501\nabc\n", "line 3, column 1: 'abc'"),
        ("500\nnan\n", "line 2, column 1: nan"),
        ("500\n501,502\n", "line 2: 2 columns"),
        ("1,2,3\n", "line 1: 3 columns"),
        ("t;c\n0,01;484\n", "line 2, column 1: '0,01' is not a number"),
        ("5" * 4000 + "\n", "5... is not a count"),
        ("0.00,500\n0.01,501\n0.01,502\n", "line 3: time 0.01 s does not come after"),
        ("".join(f"{k / 100:.2f},500\n" for k in range(200)).replace("1.00,", "9.00,"), "9 s"),
    ],
)
def test_a_broken_csv_is_refused_with_the_line(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    code, out, err = _run(capsys, path, "--rate-hz", RATE_HZ)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "bad.csv" in err


def test_a_time_column_of_another_rate_is_refused(
    counts: NDArray[np.int16], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "slow.csv"
    path.write_text("".join(f"{k / 100:.2f},{v}\n" for k, v in enumerate(counts)))
    code, _, err = _run(capsys, path, "--rate-hz", 226)
    assert code == 2
    assert "100.0 samples a second, --rate-hz says 226" in err


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.array([500.0, np.nan] * 200), "sample 1 is nan"),
        (np.zeros(0, np.int16), "holds no samples"),
        (np.full(99, 500), "less than one second"),
        (np.array([0, 1023] * 300), "clipped or stuck"),
        (np.full(600, 1023), "clipped or stuck"),
        (np.tile([1021, 1022, 1023, 1022], 150), "clipped or stuck"),
        (np.tile([413, 470, 579], 200).astype(complex), "are no counts"),
        (np.array(["a"] * 300), "are no counts"),
        (np.full((3, 300), 500), "one row of samples"),
        (np.arange(600) * 10.0, "--bits 13"),
    ],
)
def test_arrays_that_are_no_recording_are_refused(
    values: NDArray[np.int16], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, values)
    code, out, err = _run(capsys, path, "--rate-hz", RATE_HZ)
    assert (code, out) == (2, "")
    assert complaint in err


@pytest.mark.parametrize(
    ("change", "arguments", "complaint"),
    [
        (lambda counts: counts, ["--bits", 24], "all the same as --bits 24"),
        (lambda counts: counts * 2.0**24, [], "nor the 24 bits"),
        (lambda counts: np.clip(counts, 0, 440), ["--rails", 0, 440.5], "clipped or stuck"),
    ],
)
def test_a_wrong_width_or_rail_that_leaves_nothing_is_refused(
    change: Callable[[Any], Any], arguments: list[object], complaint: str, counts: NDArray[np.int16],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "wrong.npy"
    np.save(path, change(np.maximum(counts, 441) if "--rails" in arguments else counts))
    code, out, err = _run(capsys, path, "--rate-hz", RATE_HZ, *arguments)
    assert (code, out) == (2, "")
    assert complaint in err


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (lambda counts: counts, ["--bits", 16], "fills 10 bits and not --bits 16"),
        (lambda counts: (counts - 500.0) / 500, [], "not volts"),
        (lambda counts: counts, ["--rails", 480, 520], "beyond --rails"),
    ],
)
def test_counts_that_seem_to_be_of_another_converter_are_analysed_with_a_warning(
    change: Callable[[Any], Any], arguments: list[object], words: str, counts: NDArray[np.int16],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "doubtful.npy"
    np.save(path, change(counts))
    code, out, err = _run(capsys, path, "--rate-hz", RATE_HZ, *arguments)
    assert (code, len(out.splitlines())) == (0, 71)
    assert f"warning: {path}" in err
    assert words in err


def test_rails_that_are_the_sensors_change_nothing_and_warn_of_nothing(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, expected, _ = _run(capsys, recording, "--rate-hz", RATE_HZ)
    assert _run(capsys, recording, "--rate-hz", RATE_HZ, "--rails", 0, 820) == (0, expected, "")


def test_arrays_of_an_archive_are_named_in_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, night=np.arange(300), day=np.zeros((2, 300)))
    for arguments, complaint in (
        ([], "choose one with --array: night, day"),
        (["--array", "noon"], "no array called 'noon'"),
        (["--array", "day"], "--array 'day[0]'"),
        (["--array", "day[2]"], "no [2] in it"),
    ):
        code, _, err = _run(capsys, path, "--rate-hz", RATE_HZ, *arguments)
        assert code == 2
        assert complaint in err


def test_files_that_are_no_recordings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "zip.npz").write_bytes(b"PK nothing")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    (tmp_path / "wide.csv").write_text("500\n501\n", encoding="utf-16")
    (tmp_path / "text.npy").write_text("500\n501\n")
    np.save(tmp_path / "huge.npy", np.zeros(100, np.int16))
    content = (tmp_path / "huge.npy").read_bytes()
    (tmp_path / "huge.npy").write_bytes(content.replace(b"(100,), }" + 9 * b" ", b"(999999999999,), }"))
    np.save(tmp_path / "header.npy", np.zeros(100, np.int16))
    content = (tmp_path / "header.npy").read_bytes()
    (tmp_path / "header.npy").write_bytes(content.replace(b"}", b"("))
    np.savez_compressed(tmp_path / "damaged.npz", night=np.arange(3000) % 97)
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    np.savez(tmp_path / "archive.npz", night=np.arange(3000) % 97)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, complaint in (
        ("", "is a folder"),
        ("missing.csv", "no such file"),
        ("zip.npz", "not a readable NumPy file"),
        ("picture.csv", "not text"),
        ("wide.csv", "not in UTF-8"),
        ("text.npy", "not a readable NumPy file: it does not begin as one"),
        ("huge.npy", "more than fits into memory"),
        ("header.npy", "not a readable NumPy file"),
        ("damaged.npz", "array night cannot be read"),
        ("archive.npy", "rename it to .npz"),
        ("x" * 300, "cannot be read: File name too long"),
        ("objects.npy", "Python objects"),
    ):
        code, out, err = _run(capsys, tmp_path / name, "--rate-hz", RATE_HZ)
        assert (code, out) == (2, "")
        assert complaint in err


@pytest.mark.parametrize(
    "arguments",
    [["--rate-hz", "20"], ["--rate-hz", "2000"], ["--rate-hz", "99.5"], ["--rate-hz", "fast"], [],
     ["--rate-hz", "100", "--bits", "2"], ["--rate-hz", "100", "--plot", "x.txt"],
     ["--rate-hz", "100", "--plot", "/nowhere/x.png"], ["--rate-hz", "100", "--array", "x"],
     ["--rate-hz", "100", "--plot", "/proc/x.png"], ["--rate-hz", "inf"], ["--rate-hz", "nan"],
     ["--rate-hz", "100", "--rails", "9", "3"], ["--rate-hz", "100", "--rails", "nan", "3"]],
)  # fmt: skip
def test_wrong_options_are_bad_input(
    arguments: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run(capsys, recording, *arguments)
    assert (code, out) == (2, "")
    assert err
