"""The last fault, kept across the restart that it leads to.

A crash leaves its traceback in a file, a hang what the supervisor noted in memory that a watchdog's reset spares
(board.note). The next run records either; the file stays until the next crash, for whoever looks after the belt.
"""

import os
import sys

CRASH_FILE = "/crash.txt"  # not recorded yet
LAST_FILE = "/last_crash.txt"
TEXT_BYTES_MAX = 1000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def keep(directory: str, error: Exception, utc_ms: int) -> None:
    """Write down what ended this run, and when if that is known (not 0); a flash that refuses must not hide it."""
    printer: "Any" = getattr(sys, "print_exception", None)
    try:
        with open(directory + CRASH_FILE, "w") as file:
            file.write("utc_ms %d\n" % utc_ms)
            if printer:
                printer(error, file)
            else:  # CPython, in tests
                file.write("%s: %s" % (type(error).__name__, error))
    except OSError:
        pass


def take(directory: str) -> int:
    """Line (of the stripped source) in which the last run crashed, 0 if that is not known, -1 if none did. Once."""
    try:
        with open(directory + CRASH_FILE) as file:
            text = file.read(TEXT_BYTES_MAX)
        os.rename(directory + CRASH_FILE, directory + LAST_FILE)
    except (OSError, ValueError):
        return -1
    at = text.rfind(", line ")
    digits = ""
    while at >= 0 and text[at + 7 + len(digits) : at + 8 + len(digits)].isdigit():
        digits = text[at + 7 : at + 8 + len(digits)]
    return int(digits) if digits else 0
