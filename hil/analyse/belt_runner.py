"""The belt's signal path over a file of samples: one line a second, the same on CPython and on MicroPython.

`micropython belt_runner.py ROOT FILE RATE_HZ BITS` prints the twelve numbers of each second, comma-separated.
FILE holds little-endian int16 of BITS bits at RATE_HZ. ROOT is the folder that holds firmware_py and protocol.
"""

import sys
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


def seconds(file: "BinaryIO", rate_hz: int, bits: int) -> "Iterator[tuple[int, ...]]":
    """Yield the pipeline's report for each whole second of samples in the file."""
    from firmware_py.belt.decimate import RATE_HZ, Decimator
    from firmware_py.belt.pipeline import UNITS_BITS, Pipeline

    pipeline = Pipeline(bits=UNITS_BITS)
    decimator = Decimator(rate_hz, UNITS_BITS - bits)  # as the belt's sampler does
    block = array("h", [0] * rate_hz)
    out = array("h", [0] * (RATE_HZ + 2))
    while file.readinto(block) == 2 * rate_hz:  # type: ignore[attr-defined]
        count = decimator.push(block, 0, rate_hz, out, 0)
        pipeline.push(out, count, 0)
        yield pipeline.second()


def main(argv: "list[str]") -> None:
    """Print the reports of the file named in argv."""
    sys.path.insert(0, argv[1])
    with open(argv[2], "rb") as file:
        for second in seconds(file, int(argv[3]), int(argv[4])):
            print(",".join([str(value) for value in second]))


if __name__ == "__main__":
    main(globals().get("ARGV") or sys.argv)  # the wasm32 port has no argv: its starter sets ARGV
