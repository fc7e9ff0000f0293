"""Compiles the firmware for every board into build/mpy/<board>/ and prints the sizes as JSON; 1 if a file is too large.

    python -m tools.mpy [--board pico-w ...]

Bytecode is the same for every architecture and every file compiles for each; native files would differ, one artefact
per architecture (facts/FIRMWARE.md).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from firmware_py.tooling.compile import BOARDS, BuildError, compile_board  # noqa: E402

OUTPUT = ROOT / "build" / "mpy"


def main() -> int:
    """0 when everything compiles within its size, 1 with the reason otherwise."""
    parser = argparse.ArgumentParser(description="Compile the firmware for its boards and print the sizes as JSON.")
    parser.add_argument("--board", nargs="+", choices=BOARDS, default=list(BOARDS))
    arguments = parser.parse_args()
    result = {}
    for name in arguments.board:
        folder = OUTPUT / name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            sizes = compile_board(BOARDS[name], folder)
        except BuildError as error:
            print(f"mpy: {error}", file=sys.stderr)
            return 1
        result[name] = {"total_bytes": sum(sizes.values()), "files": sizes}
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
