"""The belt: .mpy sizes for every architecture and heap in use on the unix port (8-byte words; a board has 4)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools.bench_rows import Row, print_rows, row

TOOLS = Path(__file__).parent
FLASH_BUDGET = 256 * 1024


def _json(*arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, *arguments], cwd=TOOLS.parent, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _sizes() -> list[Row]:
    rows = []
    for architecture, sizes in _json("-m", "tools.mpy").items():
        assert isinstance(sizes, dict)
        total = sizes["total_bytes"]
        rows.append(row(f"firmware_mpy_{architecture}", total, "bytes", limit=FLASH_BUDGET, source="slot of 256 KiB"))
    return rows


def _heap() -> list[Row]:
    rows = []
    for name, value in _json("-m", "tools.firmware_heap").items():
        if isinstance(value, int | float):
            rows.append(row(f"firmware_{name}", float(value), "bytes" if "bytes" in name else ""))
    return rows


if __name__ == "__main__":
    print_rows([*_sizes(), *_heap()])
