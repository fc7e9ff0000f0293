"""Several adapters as one radio: every one hears beacons, each belt has its session through one of them.

A beacon that two adapters hear counts once (by its counter). When an adapter dies, its belts move to another that hears
them (cores/adapters.py decides); nothing is lost meanwhile, for their beacons are heard there already.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.cores.adapters import AdapterPlan
from gateway.cores.air import BeltAir
from gateway.radio import BleakRadio
from gateway.radio_events import BeaconHeard, Belt, Heard, Opened, RadioEvent, Sighting

__all__ = ["ManyAdapters"]

log = logging.getLogger(__name__)

LOOK_S = 1.0


class ManyAdapters:
    """A `Radio` over the radios of several adapters, by the adapters' names."""

    def __init__(self, parts: Mapping[str, BleakRadio], belts: Sequence[Belt]) -> None:
        self._names = list(parts)
        self._parts = list(parts.values())
        self._plan = AdapterPlan(len(self._parts))
        self._counter = {belt.serial: belt.beacon_counter for belt in belts}
        self.on_event: Callable[[RadioEvent], None] = lambda event: None
        self._own: Counter[str] = Counter()
        for belt in belts:
            self._forbid(belt.serial)

    @property
    def counters(self) -> Counter[str]:
        """Of all adapters together; `beacons` counts one that several heard once."""
        total = sum((part.counters for part in self._parts), Counter[str]())
        return Counter({**total, **self._own})

    @property
    def trouble(self) -> str:
        """Empty while one adapter hears."""
        said = [part.trouble for part in self._parts]
        return "" if not all(said) else f"no adapter works: {self._names[0]}: {said[0]}"

    @property
    def scan_turn_ms(self) -> int | None:
        """When any scan last showed life."""
        turns = [part.scan_turn_ms for part in self._parts if part.scan_turn_ms is not None]
        return max(turns) if turns else None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, part in enumerate(self._parts):
                part.on_event = partial(self._heard, number)
                tasks.create_task(part.run())
            tasks.create_task(self._place())

    def send(self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bool:
        return any(part.send(serial, kind, values, tail) for part in self._parts)

    def put(self, belt: Belt, *, hurry: bool = False) -> None:
        is_new = belt.serial not in self._counter
        self._counter[belt.serial] = max(self._counter.get(belt.serial, 0), belt.beacon_counter)
        for part in self._parts:
            part.put(belt, hurry=hurry)
        if is_new:
            self._forbid(belt.serial)

    def drop(self, serial: bytes) -> None:
        self._counter.pop(serial, None)
        self._plan.forget(serial)
        for part in self._parts:
            part.drop(serial)

    def sightings(self) -> list[Sighting]:
        best: dict[bytes, Sighting] = {}
        for part in self._parts:
            for sighting in part.sightings():
                other = best.get(sighting.serial)
                if other is None or (sighting.rssi_dbm or -999) > (other.rssi_dbm or -999):
                    best[sighting.serial] = sighting
        return list(best.values())

    def air(self) -> dict[bytes, BeltAir]:
        """Of the adapter that heard each belt last."""
        found: dict[bytes, BeltAir] = {}
        for part in self._parts:
            for serial, air in part.air().items():
                other = found.get(serial)
                if other is None or other.age_s is None or (air.age_s is not None and air.age_s < other.age_s):
                    found[serial] = air
        return found

    def _forbid(self, serial: bytes) -> None:
        """Nobody connects a belt before it has a place."""
        for part in self._parts:
            part.allow(serial, False)

    def _heard(self, number: int, event: RadioEvent) -> None:
        if event.serial not in self._counter:
            return  # dropped meanwhile
        if isinstance(event, BeaconHeard):
            self._plan.heard(event.serial, number, event.rssi_dbm, _now_ms())
            if event.counter <= self._counter[event.serial]:
                return
            self._counter[event.serial] = event.counter
            self._own["beacons"] += 1
        elif isinstance(event, Heard | Opened):
            self._plan.heard(event.serial, number, None, _now_ms())
        self.on_event(event)

    async def _place(self) -> None:
        while True:
            for number, part in enumerate(self._parts):
                self._plan.works(number, not part.trouble)
            before = {serial: self._plan.home(serial) for serial in self._counter}
            for serial, number in self._plan.moves(_now_ms()):
                if (left := before.get(serial)) is not None:
                    self._parts[left].allow(serial, False)
                    self._own["adapter_moves"] += 1
                    log.warning(
                        "belt %s: moves from adapter %s to %s", serial.hex(), self._names[left], self._names[number]
                    )
                self._parts[number].allow(serial, True)
            await asyncio.sleep(LOOK_S)


def _now_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)
