"""`sleepbelt firmware`: keys, signed artefacts with a manifest, and errors that say what to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hil.commands.firmware import SUMMARY, main


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "signing.pem"
    assert main(["keygen", str(path)]) == 0
    return path


def test_artefacts_are_what_the_manifest_says(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = tmp_path / "out"
    assert main(["build", "--key", str(key), "--board", "pico-w", "esp32-s3", "--out", str(out), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert set(manifest["boards"]) == {"pico-w", "esp32-s3"}
    for made in manifest["boards"].values():
        image = (out / made["image"]).read_bytes()
        assert (len(image), hashlib.sha256(image).hexdigest()) == (made["bytes"], made["sha256"])
    assert {path.name for path in (out / "boot").iterdir()} == {"boot.py", "main.py"}


def test_a_signing_key_is_for_its_owner_only_and_never_replaced(key: Path) -> None:
    assert key.stat().st_mode & 0o77 == 0
    before = key.read_text()
    assert main(["keygen", str(key)]) == 2
    assert key.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["build", "--key", "/nowhere.pem"], "firmware keygen"),
        (["build", "--key", "/nowhere.pem", "--board", "toaster"], "toaster"),
        (["flash", "--board", "toaster"], "toaster"),
        (["flash", "--board", "pico-w", "--serial", "12"], "--serial"),
        (["update", "/nowhere.img", "--address", "x", "--belt-key", "12"], "--belt-key"),
        (["update", "/nowhere.img", "--address", "x", "--belt-key", "00" * 16], "/nowhere.img"),
    ],
)
def test_bad_input_is_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def test_a_flash_without_a_build_fails_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "--board", "pico-w", "--build", str(tmp_path)]) == 1
    assert "firmware build" in capsys.readouterr().err


def test_an_update_without_bluetooth_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "update.img"
    image.write_bytes(b"SBI1")
    address = ["--address", "F0:4D:55:00:00:01", "--belt-key", "00" * 16, "--adapter", f"unix:{tmp_path}/none"]
    assert main(["update", str(image), *address]) == 1
    said = capsys.readouterr().err
    assert "no connection to F0:4D:55:00:00:01" in said
    assert "is Bluetooth on" in said


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "sleepbelt firmware build" in capsys.readouterr().out
    assert SUMMARY
