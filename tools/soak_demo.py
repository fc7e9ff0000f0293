"""A whole night of the demo (21:30 to 07:00) without faults, then one with the uplink cut and the gateway killed."""

from __future__ import annotations

import json
import subprocess
import sys

RUNS: tuple[list[str], ...] = (
    [],
    ["--cut-uplink", "22:10-23:30", "--kill-gateway", "22:15", "--kill-gateway", "03:00"],
)
SPEED, NIGHT_S, WARM_UP_S = 60, 9.5 * 3600, 15


def main() -> int:
    """1 if a run lost a reading or raised another number of alarms than the one that is due."""
    failed = 0
    for faults in RUNS:
        command = [sys.executable, "-m", "gateway.cli", "demo", "--json", "--speed", str(SPEED), *faults]
        done = subprocess.run(
            [*command, "--for", str(NIGHT_S / SPEED + WARM_UP_S)], stdout=subprocess.PIPE, text=True, check=False
        )
        summary = json.loads(done.stdout) if done.returncode in (0, 1) and done.stdout else {}
        print(json.dumps(summary), flush=True)
        failed += summary.get("lost") != 0 or summary.get("alarms_raised") != 1 or summary.get("alarms_stored") != 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
