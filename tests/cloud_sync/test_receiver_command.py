"""`sleepbelt receiver`: what it says about good and bad input."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from cloud_sync.commands.receiver import main
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites

CONFIG = """\
[receiver]
data = "data"
broker = "mqtt://gw:secret@127.0.0.1:1883"
http = "127.0.0.1:0"
api_token = "0123456789abcdef"

[receiver.web]
language = "en"
"""


def test_a_good_file_is_checked_without_starting_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "receiver.toml"
    config.write_text(CONFIG)
    assert main(["--config", str(config), "--check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"ok": True, "data": str(tmp_path / "data"), "broker": "mqtt://127.0.0.1:1883", "residents": 0}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mqtt://gw:secret@127.0.0.1:1883", "http://gw:secret@x"), "receiver.broker"),
        (('http = "127.0.0.1:0"', 'http = "8090"'), "receiver.http"),
        (('data = "data"', 'date = "data"'), "receiver.date: no such setting"),
        (('data = "data"', ""), "receiver.data"),
        (("0123456789abcdef", "short"), "receiver.api_token"),
        (('language = "en"', 'language = "fr"'), "receiver.web.language"),
        ((CONFIG, "[reciever]"), "[receiver] is missing"),
        (("[receiver]", "[receiver"), "not TOML"),
    ],
)
def test_a_wrong_key_is_named_and_the_exit_code_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    config = tmp_path / "receiver.toml"
    config.write_text(CONFIG.replace(*change))
    assert main(["--config", str(config), "--check"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["--broker", "nonsense"],
        ["--embedded-broker", "1883"],
        ["--http", "here"],
        ["--config", "/nowhere/receiver.toml"],
        ["--residents", "/nowhere/residents.toml"],
    ],
)
def test_bad_words_on_the_command_line_exit_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--check"]) == 2
    assert capsys.readouterr().err.startswith("sleepbelt receiver: ")


def test_a_port_in_use_is_said_and_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--data", str(tmp_path), "--http", f"127.0.0.1:{port}"]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_broker_port_in_use_is_said_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["--data", str(tmp_path), "--http", "127.0.0.1:0", "--embedded-broker", f"127.0.0.1:{port}"]
        assert main(words) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_database_from_the_future_is_refused_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SqliteWrites(tmp_path / "receiver.db").close()
    with sqlite3.connect(tmp_path / "receiver.db") as direct:
        direct.execute("PRAGMA user_version=99")
    assert main(["--data", str(tmp_path), "--http", "127.0.0.1:0"]) == 1
    assert "version 99" in capsys.readouterr().err


def test_a_data_folder_that_is_a_file_is_refused_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--data", str(tmp_path / "file"), "--http", "127.0.0.1:0"]) == 1
    assert "cannot use the database" in capsys.readouterr().err


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "sleepbelt receiver --config" in capsys.readouterr().out


@pytest.mark.parametrize("config_text", [CONFIG, CONFIG.replace('data = "data"\n', "")])
def test_the_data_flag_takes_the_place_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config_text: str
) -> None:
    config = tmp_path / "receiver.toml"
    config.write_text(config_text)
    assert main(["--config", str(config), "--data", str(tmp_path / "other"), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == str(tmp_path / "other")
