"""Whether the gateway deserves to go on: what the supervisor's watchdog is told, and the word for people.

systemd starts a gateway anew when its pings stop, so a ping stands for the pipeline: a reading handled, or a scan that
shows life while there is nothing to read (facts/PEERS.md: a timer's ping is how a process says "online" while dead).
A radio in known trouble (no adapter, bluetoothd gone) is no reason for a restart: it would cost the wall board and mend
nothing. Instants are monotonic ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEAF_MS", "FRESH_MS", "SCAN_TURN_MS", "Health", "Verdict"]

FRESH_MS = 15_000
"""A reading this recent is fresh; past it the state is degraded (belts report each second)."""
SCAN_TURN_MS = 90_000
"""The scan shows life each second, in trouble after each of its timeouts and pauses (60 s at most)."""
DEAF_MS = 300_000
"""A scan that claims to run and has heard no belt for this long, though it did before, is not believed any longer."""

State = Literal["starting", "ok", "degraded", "dead"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ping`: tell the watchdog we live. `reasons`: codes of what is wrong; `status`: a line for `systemctl status`."""

    ping: bool
    state: State
    reasons: tuple[str, ...]
    status: str


class Health:
    """Gets the pipeline's facts, says the verdict. `belts`: how many are configured."""

    def __init__(self, belts: int, now_ms: int) -> None:
        self._belts = belts
        self._began_ms = now_ms
        self._reading_ms: int | None = None
        self._scan_ms: int | None = None
        self._trouble = ""

    def bound(self, belts: int) -> None:
        """How many belts there are to hear from now on."""
        self._belts = belts

    def reading(self, now_ms: int) -> None:
        """Something that a belt said has passed through the rules."""
        self._reading_ms = now_ms

    def scan(self, at_ms: int, trouble: str) -> None:
        """The scan showed life at `at_ms`; `trouble` is why it hears nothing, "" while it runs."""
        self._scan_ms = max(at_ms, self._scan_ms or at_ms)
        self._trouble = trouble

    def verdict(self, now_ms: int, hanging: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> Verdict:
        """`hanging`: parts of the alarm path that take no turns; `others`: troubles that a restart does not mend."""
        if hanging:
            return Verdict(False, "dead", tuple(f"hangs:{part}" for part in hanging), f"{', '.join(hanging)} hangs")
        scan_ms = self._began_ms if self._scan_ms is None else self._scan_ms
        is_fresh = self._reading_ms is not None and now_ms - self._reading_ms <= FRESH_MS
        if not is_fresh and now_ms - scan_ms > SCAN_TURN_MS:
            return Verdict(False, "dead", ("scan_hangs",), "no reading, and the scan shows no life")
        if self._is_deaf(now_ms):
            return Verdict(False, "dead", ("deaf",), "the scan says that it runs, and no belt is heard any longer")
        reasons = ([] if is_fresh else self._why_stale(now_ms)) + list(others)
        if self._trouble and "radio_down" not in reasons:
            reasons.append("radio_down")
        if reasons == ["starting"]:
            return Verdict(True, "starting", ("starting",), "waiting for the first reading")
        if reasons:
            return Verdict(True, "degraded", tuple(reasons), self._degraded(reasons))
        said = f"hearing belts, {self._belts} configured" if self._belts else "no belt bound yet"
        return Verdict(True, "ok", (), said)

    def _why_stale(self, now_ms: int) -> list[str]:
        if not self._belts:
            return []
        if self._trouble:
            return ["radio_down"]
        if self._reading_ms is None and now_ms - self._began_ms <= FRESH_MS:
            return ["starting"]
        return ["no_readings"]

    def _degraded(self, reasons: list[str]) -> str:
        radio = f" ({self._trouble})" if self._trouble else ""
        return f"degraded: {', '.join(reasons)}{radio}"

    def _is_deaf(self, now_ms: int) -> bool:
        # Only with two belts: one that is switched off or carried away is no fault of ours. And only what was heard
        # before can be missed: a process that started deaf is not started again for it, so this never loops.
        return (
            self._belts >= 2
            and not self._trouble
            and self._reading_ms is not None
            and now_ms - self._reading_ms > DEAF_MS
        )
