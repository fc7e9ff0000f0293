"""Flashing: what lies on a board afterwards, and what stays of a belt that already was one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.boot.boot import choose, is_in_service
from firmware_py.tooling.build import build
from firmware_py.tooling.flash import Flasher, FlashError, PortError
from firmware_py.tooling.image import public_bytes

KEY = ec.derive_private_key(99, ec.SECP256R1())
FAKE = Path(__file__).parent / "fake_mpremote.py"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build(["pico-w", "esp32-s3"], KEY, folder)
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    folder.mkdir()
    return folder


def _flasher(board: Path, port: str = "auto") -> Flasher:
    return Flasher(port, [sys.executable, str(FAKE), str(board)], lambda seconds: None)


def test_a_new_board_becomes_a_belt_with_an_identity(built: Path, board: Path) -> None:
    identity = _flasher(board).flash("pico-w", built, serial="0102030405060708")
    assert (identity.serial, identity.is_new) == ("0102030405060708", True)
    assert json.loads((board / "config" / "identity.json").read_text()) == {
        "serial": identity.serial, "claim_secret": identity.key, "update_key": public_bytes(KEY).hex(),
    }  # fmt: skip
    slot = {str(path.relative_to(board / "a")) for path in (board / "a").rglob("*") if path.is_file()}
    assert slot == {str(path.relative_to(built / "pico-w/slot")) for path in (built / "pico-w/slot").rglob("*.mpy")}
    assert choose(str(board)) == f"{board}/a"
    assert not is_in_service(str(board))


def test_a_belt_that_is_flashed_again_keeps_identity_and_settings_but_no_trial(built: Path, board: Path) -> None:
    first = _flasher(board).flash("pico-w", built)
    (board / "config" / "config.json").write_text("settings")
    (board / "trial").write_text("b0")
    (board / "a" / "stale.mpy").write_text("")
    again = _flasher(board).flash("pico-w", built)
    assert (again.serial, again.key, again.is_new) == (first.serial, first.key, False)
    assert (board / "config" / "config.json").read_text() == "settings"
    assert not (board / "trial").exists()
    assert not (board / "a" / "stale.mpy").exists()


@pytest.mark.parametrize(
    ("ports", "port", "words"),
    [
        ("", "auto", "no board on USB"),
        (
            "/dev/ttyACM0 1 2e8a:0005 M B\n/dev/ttyACM1 2 303a:4001 M B\n",
            "auto",
            "several boards.*ttyACM0, /dev/ttyACM1",
        ),
        ("/dev/ttyACM0 1 2e8a:0005 M B\n", "/dev/no-such-port", "no-such-port.*boards on USB: /dev/ttyACM0"),
    ],
)
def test_a_port_that_is_not_one_board_is_named(built: Path, board: Path, ports: str, port: str, words: str) -> None:
    (board / "ports").write_text(ports)
    with pytest.raises(PortError, match=words):
        _flasher(board, port).flash("pico-w", built)
    assert not (board / "service").exists()


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ("rp2 29 Raspberry Pi Pico 2 W with RP2350", "Pico 2 W.*not a pico-w"),
        ("esp32 29 Generic ESP32S3 module with ESP32S3", "ESP32S3.*not a pico-w"),
        ("rp2 20 Raspberry Pi Pico W with RP2040", r"MicroPython 1\.20; put 1\.29"),
    ],
)
def test_another_board_is_left_as_it_is(built: Path, board: Path, machine: str, words: str) -> None:
    (board / "machine").write_text(machine)
    with pytest.raises(FlashError, match=words):
        _flasher(board).flash("pico-w", built)
    assert not (board / "service").exists()


def test_an_esp32_without_a_partition_for_the_records_is_left_as_it_is(built: Path, board: Path) -> None:
    (board / "machine").write_text("esp32 29 Generic ESP32S3 module with ESP32S3")
    (board / "ring").write_text("0")
    with pytest.raises(FlashError, match="no partition `ring`"):
        _flasher(board).flash("esp32-s3", built)
    assert not (board / "service").exists()
    (board / "ring").write_text("1")
    assert _flasher(board).flash("esp32-s3", built).is_new
    assert not (board / "config" / "sensor.txt").exists()


def test_a_board_is_told_what_is_fitted_and_keeps_it(built: Path, board: Path) -> None:
    _flasher(board).flash("pico-w", built, sensors={"sensor": "ads1115", "load": "hx711"})
    _flasher(board).flash("pico-w", built)
    assert [(board / "config" / f"{name}.txt").read_text() for name in ("sensor", "load")] == ["ads1115", "hx711"]


def _changed(folder: Path, what: str) -> None:
    target = folder / "pico-w" / "slot" / "firmware_py" / "main.mpy"
    if what == "changed":
        target.write_bytes(target.read_bytes() + b"x")
    elif what == "missing":
        target.unlink()
    elif what == "added":
        target.with_name("more.mpy").write_bytes(b"x")
    else:
        (folder / "manifest.json").write_text(what)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("changed", "main.mpy is not as the manifest has it"),
        ("missing", "main.mpy is not as the manifest has it"),
        ("added", "more.mpy is not as the manifest has it"),
        ("{}", "damaged, or without pico-w"),
        ("no json", "damaged, or without pico-w"),
        ("[]", "damaged, or without pico-w"),
    ],
)
def test_what_is_not_as_it_was_built_is_not_flashed(
    built: Path, board: Path, tmp_path: Path, what: str, words: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    _changed(folder, what)
    with pytest.raises(FlashError, match=words):
        _flasher(board).flash("pico-w", folder)
    assert not any(board.iterdir())


def test_a_missing_mpremote_is_named(built: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('No module named mpremote')"]
    with pytest.raises(FlashError, match="mpremote is not installed"):
        Flasher("auto", command).flash("pico-w", built)


def test_a_board_that_is_not_there_is_an_error_with_mpremotes_words(built: Path, board: Path) -> None:
    (board / "unplugged").touch()
    with pytest.raises(FlashError, match="no device found"):
        _flasher(board).flash("pico-w", built)


def test_nothing_built_is_named(tmp_path: Path, board: Path) -> None:
    with pytest.raises(FlashError, match="firmware build"):
        _flasher(board).flash("pico-w", tmp_path)


def test_mpremote_itself_takes_the_commands_that_flashing_gives_it() -> None:
    """Its own help names the sub-commands; a port that does not exist is refused in words, not by a traceback."""
    command = [sys.executable, "-m", "mpremote", "connect", "/dev/no-such-port", "exec", "pass"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "no-such-port" in done.stdout + done.stderr
