"""Tells the supervisor how the gateway is: systemd's watchdog, a line of status, and health.json for other programs.

Called from the task that hears the radio, not from a timer of its own: where that hangs, the pings end. What is said is
decided in cores/health.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from cloud_sync.service_notify import ServiceNotify
from gateway.cores.health import Health, Verdict
from gateway.radio import Radio

__all__ = ["HEALTH_FILE", "Watch"]

HEALTH_FILE = "health.json"
WRITE_MS = 5_000  # on a tmpfs; also when the state changes


class Watch:
    """One gateway's word to its supervisor. `beat` at least once a second, from the pipeline."""

    def __init__(
        self, belts: int, version: str, notify: ServiceNotify | None = None, folder: Path | None = None
    ) -> None:
        """`folder`: where health.json goes; by default the supervisor's RUNTIME_DIRECTORY, if there is one."""
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        self._folder = folder if folder is not None else (Path(given) if given else None)
        self._notify = ServiceNotify() if notify is None else notify
        self._version = version
        self._health = Health(belts, _now_ms())
        self.verdict = self._health.verdict(_now_ms())
        self._written_ms = 0
        self._open_beds: tuple[str, ...] = ()

    def ready(self) -> None:
        """The alarm path stands."""
        self._notify.ready(self.verdict.status)

    def bound(self, belts: int) -> None:
        """How many belts are bound to beds; it changes while the gateway runs."""
        self._health.bound(belts)

    def reading(self) -> None:
        """A reading has passed through the rules."""
        self._health.reading(_now_ms())

    def beat(
        self,
        radio: Radio,
        hanging: Callable[[], tuple[str, ...]],
        others: Callable[[], tuple[str, ...]],
        open_beds: Callable[[], tuple[str, ...]],
    ) -> None:
        """Once a second. `open_beds`: those with an alarm or an absence open, for who wants to update."""
        now_ms = _now_ms()
        if radio.scan_turn_ms is not None:
            self._health.scan(radio.scan_turn_ms, radio.trouble)
        before, self.verdict = self.verdict, self._health.verdict(now_ms, hanging(), others())
        self._notify.status(self.verdict.status)
        if self.verdict.ping:
            self._notify.ping()
        opened = open_beds()
        is_news = before.state != self.verdict.state or opened != self._open_beds
        if is_news or now_ms - self._written_ms >= WRITE_MS:
            self._written_ms, self._open_beds = now_ms, opened
            self._write(self.verdict)

    def stopping(self) -> None:
        """The end, in order."""
        self._notify.stopping()
        self._notify.close()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / HEALTH_FILE).unlink(missing_ok=True)

    def _write(self, verdict: Verdict) -> None:
        if self._folder is None:
            return
        boottime_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        said = {"state": verdict.state, "reasons": verdict.reasons, "status": verdict.status, "version": self._version,
                "pid": os.getpid(), "boottime_ms": boottime_ms, "open_beds": self._open_beds}
        part = self._folder / f"{HEALTH_FILE}.part"
        try:
            part.write_text(json.dumps(said), "utf-8")
            part.replace(self._folder / HEALTH_FILE)
        except OSError:
            # Full or gone: who reads it sees that it grows old, which is what it is for.
            return


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
