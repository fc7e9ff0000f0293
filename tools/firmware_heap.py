"""Heap the firmware uses on the unix port after some minutes, as JSON: `python tools/firmware_heap.py [MINUTES]`.

Measured after a collection with the firmware compiled on the belt itself; words are 8 bytes here and 4 on a board.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hil.belt_host import RATE_HZ, BeltHost, Identity  # noqa: E402
from hil.synth import Synth, load  # noqa: E402


async def measure(minutes: int) -> dict[str, float]:
    """Heap in use at the start and after `minutes`, and what one belt-hour costs in real seconds."""
    with tempfile.TemporaryDirectory() as directory:
        Identity.fresh(1, seed=1).write(Path(directory))
        host = BeltHost(Path(directory), Synth(load("restless"), rate_hz=RATE_HZ))
        await host.start()
        try:
            await host.run_until(60_000)
            early = await host.measure_heap()
            begun = time.monotonic()
            await host.run_until((1 + minutes) * 60_000)
            took_s = time.monotonic() - begun
            late = await host.measure_heap()
        finally:
            await host.stop()
    return {
        "heap_bytes_after_1_min": early,
        "heap_bytes": late,
        "minutes": minutes + 1,
        "word_bytes": 8,
        "real_s_per_belt_hour": round(took_s * 60 / minutes, 2),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 30))))
