"""`sleepbelt run` as a user has it: checks, clear errors, a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.commands import provision, run
from gateway.provision_socket import ask, is_served

GOOD = (
    '[gateway]\nid = "gw-01"\ndata_dir = "data"\n[radio]\nbackend = "bumble"\nadapter = "unix:{folder}/none.sock"\n'
    '[web]\nhost = "127.0.0.1"\nport = 0\n'
    '[[beds]]\nlabel = "A"\nserial = "0011223344556677"\nkey = "00112233445566778899aabbccddeeff"\n'
)


def config(folder: Path, text: str = GOOD) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text.replace("{folder}", str(folder)))
    file.chmod(0o600)
    return file


def test_check_says_what_the_file_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--config", str(config(tmp_path)), "--check"]) == 0
    assert "bed A: profile standard, belt 0011223344556677" in capsys.readouterr().out


def test_check_lists_every_problem_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, GOOD.replace("port = 0", "port = 0\ncolour = 1").replace('"gw-01"', "5"))
    assert run.main(["--config", str(file), "--check", "--json"]) == 2
    said = capsys.readouterr()
    assert {problem["path"] for problem in json.loads(said.out)["problems"]} == {"gateway.id", "web.colour"}
    assert "Traceback" not in said.err


def test_an_unknown_radio_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--config", str(config(tmp_path, GOOD.replace("bumble", "smoke")))]) == 2
    assert "radio.backend: found 'smoke'; allowed: one of bluez" in capsys.readouterr().err


def test_a_data_folder_that_cannot_be_is_a_clear_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("in the way")
    assert run.main(["--config", str(config(tmp_path))]) == 1
    assert "gateway.data_dir" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_a_summary_also_without_an_adapter(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "run", "--config", str(config(tmp_path)), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["event"] == "ready"
    assert ready["page"].startswith("http://127.0.0.1:")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    summary = json.loads(out)
    assert process.returncode == 0
    assert (summary["event"], summary["readings_received"], summary["alarms_raised"]) == ("summary", 0, 0)
    assert "Traceback" not in err


@contextmanager
def served(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The gateway as a process of its own, that has told that it is ready and answers on its socket."""
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "run", "--config", str(config(folder)), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["beds"] == ["A"]
        for _ in range(200):
            if is_served(folder / "data"):
                break
            time.sleep(0.05)
        yield process
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.readline())["event"] == "summary"
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_site_file_put_in_force_starts_the_gateway_anew_in_the_same_process(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        assert process.stdout is not None
        site = '[site]\ngateway = "gw-01"\n[[rooms]]\nname = "1"\nbeds = ["A", "B"]\n'
        assert ask(tmp_path / "data", "site", {"text": site, "apply": True})["applied"]
        again = json.loads(process.stdout.readline())
        assert (again["event"], again["beds"]) == ("ready", ["A", "B"])


def test_a_whole_gateway_is_erased_by_one_command_and_starts_as_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["wipe", "--config", str(tmp_path / "gateway.toml"), "--lang", "en", "--gateway", "gw-01",
               "--out", str(tmp_path / "proof.json"), "--belts-out", str(tmp_path / "belts.csv")]
    with served(tmp_path) as process:
        assert process.stdout is not None
        assert provision.main([*command[:-2], "--leave-belts"]) == 2  # no place for the belts' codes
        assert provision.main(["wipe", *command[1:5], "--gateway", "gw-02", *command[7:]]) == 1
        assert provision.main(command) == 1  # the belt of bed A is not there
        assert provision.main([*command, "--leave-belts"]) == 0
        assert json.loads(process.stdout.readline())["event"] == "wiped"
        assert json.loads(process.stdout.readline())["setup_token"]
    assert provision.main(["verify", str(tmp_path / "proof.json")]) == 0
    said = capsys.readouterr().out
    assert "still there" in said
    assert "good: gateway gw-01" in said
    assert provision.main(command) == 1  # nothing runs: its belts would stay locked
    assert provision.main([*command, "--leave-belts", "--with-config"]) == 0
    assert not (tmp_path / "gateway.toml").exists()
