"""`sleepbelt` names its commands, loads only the one that was called, and explains what it cannot do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway import cli

COMMANDS = {
    "run", "replay", "night", "receiver", "analyse", "hil", "demo", "pin", "audit", "certificate", "firmware", "doctor",
    "provision",
}  # fmt: skip


def test_the_usage_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ")} >= COMMANDS
    assert "not installed" not in listed


def test_no_command_is_bad_input_and_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: sleepbelt" in capsys.readouterr().out


def test_an_unknown_command_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["repaly"]) == 2
    said = capsys.readouterr().err
    assert "repaly" in said
    assert "replay" in said


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sleepbelt 0.")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "example" in said.lower()
    assert f"sleepbelt {name}" in said


def test_looking_for_a_command_loads_no_other_part() -> None:
    probe = (
        "import sys\nfrom gateway import cli\ntry:\n    cli.main(['replay', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'bleak', 'aiomqtt', 'starlette', 'numpy', 'bumble', 'cloud_sync.uplink', 'hil'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, timeout=60)
