"""The gateway's clock: one elapsed axis that no clock step and no restart moves, and whether to believe wall time.

The elapsed axis runs on CLOCK_BOOTTIME. Across restarts it is carried on from the last anchor that the store kept:

| since the anchor | the axis advances by |
|---|---|
| same boot of the machine | the boot-time difference, exact |
| another boot, wall time trusted then and now | the UTC difference (never backwards) |
| another boot, wall time not trusted | the time since this boot: all that is known to have passed (rule 18) |
"""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloud_sync.clock import Clock
from protocol.clock_scale import REAL_TIME, ClockScale

__all__ = ["ELAPSED_FIRST_MS", "Anchor", "GatewayClock", "elapsed_at_start_ms", "wall_time_trusted"]

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
TIMESYNC_FILE = Path("/run/systemd/timesync/synchronized")
# The axis begins here and not at 0, so that what a belt remembers from before its gateway's first start is positive.
ELAPSED_FIRST_MS = 100 * 86_400_000
TRUST_EVERY_MS = 1_000  # each reading asks; the system is asked this often
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Anchor:
    """One instant on all axes: the machine's boot and real boot time, the elapsed axis, and wall time."""

    boot_id: str
    boottime_ms: int
    elapsed_ms: int
    utc_ms: int
    trusted: bool

    def to_state(self) -> dict[str, Any]:
        return asdict(self)


def elapsed_at_start_ms(anchor: Anchor | None, now: Anchor, scale: ClockScale = REAL_TIME) -> int:
    """Elapsed ms of `now` (whose own elapsed_ms is ignored), carried on from `anchor`; the axis' beginning without one.

    Boot times are real ms and wall times virtual ms; `scale` turns the former into virtual differences.
    """
    if anchor is None:
        return ELAPSED_FIRST_MS
    if anchor.boot_id == now.boot_id:
        real_now_ms = scale.real_ms(now.utc_ms)
        passed_ms = now.utc_ms - scale.virtual_ms(real_now_ms - (now.boottime_ms - anchor.boottime_ms))
    elif anchor.trusted and now.trusted:
        passed_ms = now.utc_ms - anchor.utc_ms
    else:
        passed_ms = now.boottime_ms
    return anchor.elapsed_ms + max(0, passed_ms)


def wall_time_trusted() -> bool:
    """True if the kernel or systemd says that this machine's wall clock was synchronised since its boot."""
    if TIMESYNC_FILE.exists():
        return True
    # adjtimex(2) with modes = 0 only reads. The year is no test: a clock at 1970 becomes the image's date.
    status = (ctypes.c_char * 256)()
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(status)))
    except (OSError, AttributeError):
        return False
    # struct timex: modes, then (aligned) offset, freq, maxerror, esterror, and the status word.
    word = ctypes.sizeof(ctypes.c_long)
    flags = int.from_bytes(bytes(status)[5 * word : 5 * word + 4], "little")
    return state not in (-1, _TIME_ERROR) and not flags & _STA_UNSYNC


class GatewayClock(Clock):
    """`Clock` with the elapsed ledger; `trust` is "auto" (asked of the system) or "always" (configured)."""

    def __init__(self, anchor: Anchor | None = None, trust: str = "auto", scale: ClockScale | None = None) -> None:
        super().__init__(scale)
        self._origin_ms = time.time_ns() // 1_000_000 - _boottime_ms()
        # A compressed clock is agreed between its processes, so there is nothing to distrust.
        self._trusted = trust == "always" or self.scale != REAL_TIME
        self.boot_id = _boot_id()
        if anchor is not None and anchor.boot_id == self.boot_id and anchor.trusted:
            self._trusted = True
        self._asked_ms: int | None = None
        self._base_mono_ms = self.mono_ms()
        self._base_elapsed_ms = 0
        self._base_elapsed_ms = elapsed_at_start_ms(anchor, self.anchor(), self.scale)

    def _real_mono_ms(self) -> int:
        # CLOCK_BOOTTIME, not CLOCK_MONOTONIC: an absence goes on while the machine is suspended.
        return self._origin_ms + _boottime_ms()

    def elapsed_ms(self) -> int:
        """Milliseconds on the gateway's elapsed axis, the `now_ms` of every core."""
        return self._base_elapsed_ms + self.mono_ms() - self._base_mono_ms

    def mono_at_ms(self, elapsed_ms: int) -> int:
        """The `mono_ms()` at which the elapsed axis reads `elapsed_ms`; for `sleep_until_ms`."""
        return elapsed_ms - self._base_elapsed_ms + self._base_mono_ms

    def trusted(self) -> bool:
        """True if windows and labels may believe `utc_ms()`: synchronised once since this boot is enough (rule 18)."""
        if not self._trusted:
            now_ms = _boottime_ms()
            if self._asked_ms is None or now_ms - self._asked_ms >= TRUST_EVERY_MS:
                self._asked_ms = now_ms
                self._trusted = wall_time_trusted()
        return self._trusted

    def believe(self) -> None:
        """Somebody who may ask the system says that wall time was synchronised since boot."""
        self._trusted = True

    def anchor(self) -> Anchor:
        """Now on all axes; the store keeps the newest one for the next start."""
        return Anchor(self.boot_id, _boottime_ms(), self.elapsed_ms(), self.utc_ms(), self.trusted())


def _boottime_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _boot_id() -> str:
    try:
        return BOOT_ID_FILE.read_text("ascii").strip()
    except OSError:
        # Without the kernel's id every start counts as another boot: time then comes from UTC or is a lower bound.
        return os.urandom(16).hex()
