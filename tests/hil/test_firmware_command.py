"""`sleepbelt firmware`: keys, signed artefacts with a manifest, and errors that say what to do."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

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
        (["flash", "--board", "emulated"], "one of pico-w"),
        (["flash", "--board", "pico-w", "--serial", "12"], "--serial"),
        (["partitions", "/nowhere.bin", "/tmp/out.bin"], "/nowhere.bin"),
        (["partitions", "/dev/null", "/tmp/out.bin"], "no partition table"),
        (["update", "/dev/null", "--address", "x", "--belt-key", "00" * 16], "no firmware image"),
        (["update", "/nowhere.img", "--address", "x", "--belt-key", "12"], "--belt-key"),
        (["update", "/nowhere.img", "--address", "x", "--belt-key", "00" * 16], "/nowhere.img"),
    ],
)
def test_bad_input_is_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "no private key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no private key in PEM"),
        ("password", "openssl ec"),
        ("rsa", "not a key of P-256"),
        ("p384", "not a key of P-256"),
    ],
)
def test_a_file_that_is_no_signing_key_is_named_with_what_to_do(
    content: bytes | str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key.pem"
    if isinstance(content, str):
        content = _pem(content)
    if content is not None:
        path.write_bytes(content)
    assert main(["build", "--key", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"{path}: " in said
    assert words in said


def _pem(kind: str) -> bytes:
    key = (
        rsa.generate_private_key(65537, 2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1())
    )
    lock = serialization.BestAvailableEncryption(b"x") if kind == "password" else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def test_a_partition_table_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "table.bin", tmp_path / "out.bin"
    entry = struct.pack("<HBBII16sI", 0x50AA, 1, 0x81, 0x200000, 0x200000, b"vfs", 0)
    table.write_bytes(entry.ljust(0xC00, b"\xff"))
    assert main(["partitions", str(table), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ring_bytes"] == 128 * 1024
    assert b"ring" in out.read_bytes()


def test_an_adapter_that_is_none_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "update.img").write_bytes(b"SBI1")
    arguments = ["update", str(tmp_path / "update.img"), "--address", "x", "--belt-key", "00" * 16]
    assert main([*arguments, "--adapter", "bogus:1"]) == 2
    assert "--adapter bogus:1" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--key", str(key), "--board", "pico-w", "--out", "/proc/out"]) == 1
    assert "/proc/out" in capsys.readouterr().err
    assert main(["keygen", "/proc/none/key.pem"]) == 2
    assert "/proc/none/key.pem: cannot be written" in capsys.readouterr().err


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


@pytest.mark.parametrize("action", ["", "build", "flash", "partitions", "update"])
def test_help_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*action.split(), "--help"])
    assert ended.value.code == 0
    assert f"sleepbelt firmware {action}" in capsys.readouterr().out.split("example", 1)[1]
    assert SUMMARY
