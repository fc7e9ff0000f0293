"""The emulated board's `machine`: an ADC with a FIFO, a watchdog, resets that end the process."""

import os

from emulation import IDENTIFY, RESET_SOFT, emulator

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class Pin:
    def __init__(self, number):
        self.number = number


class ADC:
    """Counts of `bits` bits at `rate_hz`, 1024 deep; read_fifo_into gives whole blocks only."""

    def __init__(self, pin):
        self.rate_hz = emulator.rate_hz
        self.bits = emulator.bits

    def start(self):
        emulator.start_samples()

    def read_fifo_into(self, buf):
        return emulator.take_samples(buf)


class WDT:
    def __init__(self, timeout):
        emulator.watchdog_ms = timeout
        emulator.feed()

    def feed(self):
        emulator.feed()


def note(number):
    emulator.note = number


def read_note():
    """What the run before noted, if it ended in a reset: a power cut forgets it."""
    try:
        with open(emulator.note_path, "rb") as file:
            number = file.read(1)[0]
        os.remove(emulator.note_path)
    except OSError:
        return -1
    return number


def reset_cause():
    return int(os.getenv("SLEEPBELT_RESET_CAUSE") or "1")


def reset():
    emulator.reset(RESET_SOFT)


def idle_for(ms):
    emulator.idle(ms, True)


def identify(seconds):
    emulator.send(IDENTIFY, bytes((seconds,)))
