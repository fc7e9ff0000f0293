"""Run by the service before the gateway starts, and by the package's scripts: which version starts.

    python -m gateway.update_boot choose              (point the link at the slot to start)
    python -m gateway.update_boot packaged VERSION    (the package manager has installed VERSION)
    python -m gateway.update_boot quiet               (0: no bed has an alarm or an absence open; 1: one has)
    python -m gateway.update_boot watch               (follow a trial, also after a power cut in the middle of it)

It imports the standard library and the slots' core only, and always from the packaged version.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from gateway.cores.update_slots import PACKAGED, choose, may_update, packaged
from gateway.update import Places, clean, point, read_health, watch_trial

__all__ = ["main", "restart_service"]

DONE, FAILED, BAD_INPUT = 0, 1, 2


def restart_service() -> None:
    """Start the gateway anew, without waiting for it to be ready: a version on trial may never be."""
    subprocess.run(["systemctl", "restart", "--no-block", "sleepbelt.service"], check=False)


def main(argv: Sequence[str], places: Places | None = None) -> int:
    """0 done, 1 the trial was rolled back or it is not quiet, 2 bad arguments."""
    where = Places() if places is None else places
    match list(argv):
        case ["choose"]:
            _choose(where)
        case ["packaged", version]:
            where.keep(packaged(where.load(), version))
            clean(where)
        case ["quiet"]:
            return DONE if not may_update(read_health(where)) else FAILED
        case ["watch"]:
            well = watch_trial(where, restart_service, _say, _now_ms, time.sleep)
            return DONE if well else FAILED
        case _:
            print((__doc__ or "").strip(), file=sys.stderr)
            return BAD_INPUT
    return DONE


def _choose(places: Places) -> None:
    before = places.load()
    after, version = choose(before)
    if version != PACKAGED and not (places.slot(version) / "bin" / "sleepbelt").exists():
        _say(f"the folder of version {version} is gone; the packaged version starts")
        version = PACKAGED
    if after != before:
        # Before the start that it counts: a version that takes the machine down with it has used it up.
        places.keep(after)
        if before.trial is not None and after.trial is None:
            _say(f"version {before.trial} has used up its starts; {version or 'the packaged version'} starts again")
    point(places, version)


def _say(text: str) -> None:
    print(f"sleepbelt update: {text}", flush=True)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
