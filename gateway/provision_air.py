"""What belts were lately heard to say, as far as provisioning asks: who reacted to a press, how well each is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from gateway.cores.provisioning import react
from gateway.cores.survey import Survey, survey
from gateway.radio import BeaconHeard, Heard, RadioEvent
from protocol.messages import OCCUPANCIES, BeaconReport, LiveReport
from protocol.wire import frames

__all__ = ["Said", "Voices"]

AIR_MAX = 1800  # a report and a beacon a second over the longest survey (provision_ops.SURVEY_S_MAX)
REACT_MS = 30_000
WELL_HEARD_DBM = -75
SECOND_MS = 1000
SURVEY_MS_MIN = 10_000  # of a belt that came a moment ago


class Said(NamedTuple):
    """One thing a belt was heard to say; `number` tells one report from the next. A tuple: two are made a second."""

    at_ms: int
    kind: str
    number: int
    occupancy: str
    moving: bool
    rate: bool
    exits: int
    flags: int
    rssi_dbm: int | None


class _Log:
    """The last AIR_MAX things that one belt said, packed: as objects they would be 2 MiB with eight belts."""

    __slots__ = ("_count", "_rows", "first_ms", "newest")
    _ROW = Struct("<qIBb")
    _KINDS = ("report", "beacon")
    _NO_RSSI = -128

    def __init__(self) -> None:
        self._rows = bytearray(AIR_MAX * self._ROW.size)
        self._count = 0
        self.first_ms: int | None = None
        self.newest: Said | None = None

    def add(self, said: Said) -> None:
        bits = self._KINDS.index(said.kind) | said.moving << 1 | OCCUPANCIES.index(said.occupancy) << 2
        rssi = self._NO_RSSI if said.rssi_dbm is None else max(-127, min(127, said.rssi_dbm))
        at = self._count % AIR_MAX * self._ROW.size
        self._ROW.pack_into(self._rows, at, said.at_ms, said.number & 0xFFFFFFFF, bits, rssi)
        self._count += 1
        if self.first_ms is None:
            self.first_ms = said.at_ms
        self.newest = said

    def __iter__(self) -> Iterator[tuple[int, str, int, bool, str, int | None]]:
        """(at_ms, kind, number, moving, occupancy, rssi_dbm), oldest first."""
        for n in range(max(0, self._count - AIR_MAX), self._count):
            at_ms, number, bits, rssi = self._ROW.unpack_from(self._rows, n % AIR_MAX * self._ROW.size)
            yield (at_ms, self._KINDS[bits & 1], number, bool(bits & 2), OCCUPANCIES[bits >> 2],
                   None if rssi == self._NO_RSSI else rssi)


class Voices:
    """`heard` gets every event of the radio; `on_said` is told of each report and beacon. Instants are elapsed ms."""

    def __init__(self) -> None:
        self.on_said: Callable[[bytes, Said], None] = lambda serial, said: None
        self._said: dict[bytes, _Log] = {}

    def heard(self, event: RadioEvent) -> None:
        if isinstance(event, BeaconHeard):
            self._keep(event.serial, _of_beacon(event))
        elif isinstance(event, Heard) and isinstance(event.message, LiveReport):
            self._keep(event.serial, _of_report(event.received_ms, event.message))

    def newest(self, serial: bytes) -> Said | None:
        """What the belt said last."""
        said = self._said.get(serial)
        return None if said is None else said.newest

    def reacting(self, serials: Iterable[bytes], since_ms: int) -> list[bytes]:
        """Which of these belts reacted to a press or to somebody lying down since then."""
        samples = [(serial, at_ms, moving, occupancy)
                   for serial in serials for at_ms, _, _, moving, occupancy, _ in self._said.get(serial, ())]
        return list(react(sorted(samples), since_ms, REACT_MS))

    def surveyed(self, serial: bytes, from_ms: int, now_ms: int) -> Survey:
        """How well the belt was heard since `from_ms`, or since it was listened to: what it said before is not lost."""
        log = self._said.get(serial)
        if log is not None and log.first_ms is not None:
            from_ms = min(max(from_ms, log.first_ms - SECOND_MS), max(from_ms, now_ms - SURVEY_MS_MIN))
        said = [one for one in self._said.get(serial, ()) if one[0] > from_ms]
        numbers: dict[str, set[int]] = {}
        for _, kind, number, *_ in said:
            numbers.setdefault(kind, set()).add(number)
        # Others that are well heard: the fault is near this belt.
        good = sum(self._mean_rssi(other, from_ms) > WELL_HEARD_DBM for other in self._said if other != serial)
        heard = max((len(found) for found in numbers.values()), default=0)
        rssi = [float(rssi_dbm) for *_, rssi_dbm in said if rssi_dbm is not None]
        return survey(rssi, heard, (now_ms - from_ms) / 1000, good)

    def _keep(self, serial: bytes, said: Said) -> None:
        log = self._said.get(serial)
        if log is None:
            log = self._said[serial] = _Log()
        log.add(said)
        self.on_said(serial, said)

    def _mean_rssi(self, serial: bytes, from_ms: int) -> float:
        rssi = [said[-1] for said in self._said[serial] if said[0] > from_ms and said[-1] is not None]
        return sum(rssi) / len(rssi) if rssi else -999.0


def _of_report(at_ms: int, report: LiveReport) -> Said:
    rate = report.heart_rate_bpm is not None or report.respiration_per_min is not None
    moving = bool(report.flags & frames.FLAG_MOVING)
    return Said(at_ms, "report", report.uptime_ms // 1000, report.occupancy, moving, rate, report.exit_count & 0xFF,
                report.flags, None)


def _of_beacon(event: BeaconHeard) -> Said:
    beacon: BeaconReport = event.beacon
    rate = beacon.heart_rate_bpm is not None or beacon.respiration_per_min is not None
    moving = bool(beacon.flags & frames.FLAG_MOVING)
    return Said(event.received_ms, "beacon", event.counter, beacon.occupancy, moving, rate, beacon.exit_count_low,
                beacon.flags, event.rssi_dbm)
