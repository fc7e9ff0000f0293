"""`make soak`: the long seeded runs (tools/soak_*.py) one after another; hours if asked, minutes by default.

`python -m tools.soak [--only NAME ...]`; each soak prints its own progress on stderr and fails with a code of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).parent


def soaks() -> list[str]:
    """Names of the soaks there are."""
    return sorted(path.stem.removeprefix("soak_") for path in TOOLS.glob("soak_*.py"))


def main() -> int:
    """Run them all even if one fails; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=soaks(), default=soaks())
    arguments = parser.parse_args()
    failed = []
    for name in arguments.only:
        began = time.monotonic()
        print(f"soak: {name} ...", file=sys.stderr, flush=True)
        code = subprocess.run([sys.executable, "-m", f"tools.soak_{name}"], cwd=TOOLS.parent, check=False).returncode
        print(f"soak: {name}: code {code} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if code:
            failed.append(name)
    print(f"soak: {len(arguments.only) - len(failed)} passed, {len(failed)} failed {' '.join(failed)}".rstrip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
