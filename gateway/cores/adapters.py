"""Which adapter serves which belt, where a gateway has several: the one that hears it and has most room.

A belt stays where it is while that adapter works and hears it, so no session is given up for a better place. Instants
are real monotonic ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["AdapterPlan"]

HEARD_MS_MAX = 10_000


class AdapterPlan:
    """Adapters by their index; tell what is heard and which are in trouble, ask `moves` each second."""

    def __init__(self, adapters: int) -> None:
        self._works = [True] * adapters
        self._heard: dict[bytes, dict[int, tuple[int, int]]] = {}  # serial -> adapter -> (at ms, rssi dBm)
        self._home: dict[bytes, int] = {}

    def heard(self, serial: bytes, adapter: int, rssi_dbm: int | None, now_ms: int) -> None:
        """A belt of ours advertised, or spoke in its session, and that adapter took it."""
        self._heard.setdefault(serial, {})[adapter] = (now_ms, -127 if rssi_dbm is None else rssi_dbm)

    def works(self, adapter: int, works: bool) -> None:
        """Whether the adapter's scan runs."""
        self._works[adapter] = works

    def forget(self, serial: bytes) -> None:
        """Serve the belt no longer."""
        self._heard.pop(serial, None)
        self._home.pop(serial, None)

    def home(self, serial: bytes) -> int | None:
        """The adapter that serves the belt; None before it was heard."""
        return self._home.get(serial)

    def moves(self, now_ms: int) -> Sequence[tuple[bytes, int]]:
        """(serial, its new adapter) for each belt that has none yet or whose adapter does not hear it any more."""
        moved = []
        load = Counter(self._home.values())
        for serial, heard in self._heard.items():
            hearing = {
                adapter: rssi_dbm for adapter, (at_ms, rssi_dbm) in heard.items()
                if self._works[adapter] and now_ms - at_ms <= HEARD_MS_MAX
            }
            before = self._home.get(serial)
            if not hearing or before in hearing:
                continue
            best = min(hearing, key=lambda adapter: (load[adapter], -hearing[adapter], adapter))
            if before is not None:
                load[before] -= 1
            load[best] += 1
            self._home[serial] = best
            moved.append((serial, best))
        return moved
