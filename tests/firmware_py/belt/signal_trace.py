"""Runs on CPython, unix port and wasm32: the belt's reports for a file of int16 samples, and what a second allocates.

Arguments: ROOT FILE RATE_HZ. Prints one line a second, then `allocated BYTES` where the interpreter can tell.
"""

import gc
import sys
from array import array

ARGV = globals().get("ARGV") or sys.argv
sys.path.insert(0, ARGV[1])

from firmware_py.belt.decimate import Decimator  # noqa: E402
from firmware_py.belt.pipeline import Pipeline  # noqa: E402


def main(name: str, rate_hz: int) -> None:
    """Print the reports and the allocation of the last second."""
    pipeline = Pipeline(bits=14)
    decimator = Decimator(rate_hz)
    block = array("h", [0] * rate_hz)
    out = array("h", [0] * 60)
    used = getattr(gc, "mem_alloc", lambda: 0)
    grown = 0
    with open(name, "rb") as file:
        while file.readinto(block) == 2 * rate_hz:
            count = decimator.push(block, 0, rate_hz, out, 0)
            gc.collect()
            before = used()
            pipeline.push(out, count, 0)
            second = pipeline.advance()
            grown = used() - before
            print(",".join([str(value) for value in second]))
    print("allocated", grown)


main(ARGV[2], int(ARGV[3]))
