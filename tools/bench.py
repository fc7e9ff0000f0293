"""`make bench`: runs every tools/bench_*.py and writes all rows to build/bench.json.

Machines are noisy: compare ratios and counts, not seconds. `python -m tools.bench [--only NAME ...] [--out FILE]`.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).parent
ROOT = TOOLS.parent


def benches() -> list[str]:
    """Names of the benchmarks there are."""
    return sorted(path.stem.removeprefix("bench_") for path in TOOLS.glob("bench_*.py") if path.stem != "bench_rows")


def _run(name: str) -> list[dict[str, Any]]:
    began = time.monotonic()
    print(f"bench: {name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"tools.bench_{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: {name} failed with code {done.returncode}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    print(f"bench: {name}: {len(found)} rows in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def _line(item: dict[str, Any]) -> str:
    against = ""
    if "limit" in item:
        against = f"limit {item['limit']:g}"
    elif "peer" in item:
        against = f"peer {item['peer']:g}"
    ratio = f"x {item['ratio']:g}" if "ratio" in item else ""
    figure = f"{item['name']:<52} {item['value']:>12g} {item.get('unit', ''):<8}"
    return f"{figure} {against:<14} {ratio:<10} {item.get('source', '')}".rstrip()


def main() -> int:
    """Run and print; 0 even above a limit: figures are read, not asserted."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--only", nargs="+", choices=benches(), default=benches())
    arguments = parser.parse_args()
    rows = [item for name in arguments.only for item in _run(name)]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", "utf-8")
    print("\n".join(_line(item) for item in rows))
    print(f"written to {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
