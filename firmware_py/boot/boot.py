"""Chooses the application slot: /a or /b. Small on purpose: this file is never updated over the air.

`slot` names the slot in use. `trial`, written with an update, names the slot under trial and whether it was started
("b0", "b1"). It gets one start: if the belt resets before the application confirms it by removing `trial`, the other
slot is taken again. Power may fail between any two steps: each can be repeated.
"""

import os
import sys

SLOT_FILE = "/slot"
TRIAL_FILE = "/trial"
SERVICE_FILE = "/service"
WATCHDOG_MS = 8000  # RP2 can count 8388 at most
_FRESH, _STARTED = "0", "1"


def _read(path: str, otherwise: str) -> str:
    try:
        with open(path) as file:
            text: str = file.read(2)
            return text
    except (OSError, ValueError):
        return otherwise


def _write(path: str, text: str) -> None:
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.rename(path + ".tmp", path)


def choose(root: str = "") -> str:
    """Directory of the slot to start; notes the start of a trial before it happens, ends a failed one.

    A trial that cannot be noted waits: the slot that was in use before starts. A failed trial that cannot be ended is
    an OSError: the old slot would be served and confirm the bad one.
    """
    slot = "b" if _read(root + SLOT_FILE, "a") == "b" else "a"
    other = "a" if slot == "b" else "b"
    trial = _read(root + TRIAL_FILE, "")
    try:
        if trial == slot + _STARTED:
            slot = other
            _write(root + SLOT_FILE, slot)
            os.remove(root + TRIAL_FILE)
        elif trial == slot + _FRESH:
            _write(root + TRIAL_FILE, slot + _STARTED)
        elif trial:
            os.remove(root + TRIAL_FILE)  # of the slot that was already left, or torn
    except OSError:
        if trial != slot + _FRESH:
            raise
        slot = other
    return root + "/" + slot


def is_in_service(root: str = "") -> bool:
    """Whether somebody is flashing this belt: then nothing starts, and no watchdog ends it."""
    return _read(root + SERVICE_FILE, "-") != "-"


if sys.platform in ("rp2", "esp32") and not is_in_service():
    import machine

    # Armed before the application runs: one that dies at import restarts the belt, which ends its trial.
    machine.WDT(timeout=WATCHDOG_MS)
    sys.path.insert(0, choose())
