"""Where the MicroPython interpreter is looked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hil.runtime import ENVIRONMENT, RuntimeMissingError, find_interpreter, firmware_environment


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_environment_variable_comes_first(tmp_path: Path) -> None:
    mine = _program(tmp_path / "mine")
    assert find_interpreter({ENVIRONMENT: str(mine), "PATH": ""}) == [str(mine)]


def test_a_wrong_environment_variable_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissingError, match=ENVIRONMENT):
        find_interpreter({ENVIRONMENT: str(tmp_path / "nothing")})


def test_path_comes_before_the_wheel(tmp_path: Path) -> None:
    found = _program(tmp_path / "micropython")
    assert find_interpreter({"PATH": str(tmp_path)}) == [str(found)]


def test_the_wheel_beside_this_python_runs_the_shims() -> None:
    command = [*find_interpreter({"PATH": ""}), "-c", "import sys; print(sys.implementation.name)"]
    done = subprocess.run(command, env=firmware_environment(), capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "micropython\n"
