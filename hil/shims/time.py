"""Virtual time in place of the interpreter's `time`: ticks wrap at 2^30 ms as on boards, sleeping asks the host."""

from emulation import emulator
from utime import gmtime, localtime, mktime  # noqa: F401

_PERIOD = 1 << 30


def ticks_ms():
    return (emulator.ticks_start + emulator.now_ms) & (_PERIOD - 1)


def ticks_us():
    return (emulator.ticks_start + emulator.now_ms) * 1000 & (_PERIOD - 1)


def ticks_add(ticks, delta):
    return (ticks + delta) & (_PERIOD - 1)


def ticks_diff(end, start):
    return ((end - start + _PERIOD // 2) & (_PERIOD - 1)) - _PERIOD // 2


def sleep_ms(ms):
    emulator.idle(ms, False)


def sleep(seconds):
    emulator.idle(int(seconds * 1000), False)


def time():
    return emulator.now_ms // 1000  # an unset clock: nothing of it belongs on the wire
