"""Chooses the application slot: /a or /b. Small on purpose: this file is never updated over the air.

A slot under trial gets one start; if the belt resets before the application confirms (by removing `trial`), the other
slot is taken again.
"""

import os
import sys

SLOT_FILE = "/slot"
TRIAL_FILE = "/trial"


def choose() -> str:
    """Directory of the slot to start."""
    try:
        with open(SLOT_FILE) as file:
            slot = file.read(1)
    except OSError:
        slot = "a"
    try:
        os.stat(TRIAL_FILE)
    except OSError:
        return "/" + slot
    with open(TRIAL_FILE) as file:
        started = file.read(1) == "1"
    if started:
        slot = "a" if slot == "b" else "b"
        with open(SLOT_FILE, "w") as file:
            file.write(slot)
        os.remove(TRIAL_FILE)
    else:
        with open(TRIAL_FILE, "w") as file:
            file.write("1")
    return "/" + slot


if sys.platform in ("rp2", "esp32"):
    sys.path.insert(0, choose())
