"""What the READMEs tell people to type works as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


def _console_lines() -> list[tuple[str, str]]:
    found = []
    for name in READMES:
        for block in re.findall(r"```console\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL):
            found += [(name, line[2:]) for line in block.splitlines() if line.startswith("$ ")]
    return found


@pytest.mark.parametrize(("name", "line"), _console_lines())
def test_a_command_shown_in_a_readme_runs(name: str, line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "sleepbelt"
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words[1:]], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{name}: {line}: {done.stderr.decode()}"
    assert done.stdout.strip()


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_commands_is_complete(name: str) -> None:
    listed = set(re.findall(r"^\| `sleepbelt (\w+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))
    assert listed == {entry.name for entry in entry_points(group="sleepbelt.commands")}


@pytest.mark.parametrize("name", READMES)
def test_every_link_and_picture_is_there(name: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text("utf-8"))
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
