"""How well a belt is heard: strength, share of beacons lost, age. Instants are real monotonic ms."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AirLog", "BeltAir"]

WINDOW = 60  # beacons, one a second on the belt's clock
SMOOTH = 0.2
GAP_MAX = 3_600  # a counter that jumps further was reserved anew by a restart, not lost in the air


@dataclass(frozen=True, slots=True)
class BeltAir:
    """None: never heard. `beacon_loss_percent` over the last minute of beacons; reports stop while one is deaf."""

    rssi_dbm: float | None
    beacon_loss_percent: float | None
    age_s: float | None


class AirLog:
    """What one belt's beacons and frames say about its radio path."""

    def __init__(self) -> None:
        self._rssi_dbm: float | None = None
        self._heard_ms: int | None = None
        self._counters: list[int] = []

    def beacon(self, counter: int, rssi_dbm: int | None, now_ms: int) -> None:
        """A fresh beacon; its counter advances by one a second on the belt."""
        self._heard_ms = now_ms
        if self._counters and not 0 < counter - self._counters[-1] <= GAP_MAX:
            self._counters.clear()
        self._counters = [*(c for c in self._counters if counter - c < WINDOW), counter]
        if rssi_dbm is not None:
            before = self._rssi_dbm
            self._rssi_dbm = rssi_dbm if before is None else before + SMOOTH * (rssi_dbm - before)

    def frame(self, now_ms: int) -> None:
        """An authentic frame of a session."""
        self._heard_ms = now_ms

    def figures(self, now_ms: int) -> BeltAir:
        """As of now."""
        loss = None
        if self._counters:
            sent = self._counters[-1] - self._counters[0] + 1
            loss = round(100 * (1 - len(self._counters) / sent), 1)
        age_s = None if self._heard_ms is None else (now_ms - self._heard_ms) / 1000
        return BeltAir(self._rssi_dbm, loss, age_s)
