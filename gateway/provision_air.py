"""What belts were lately heard to say, as far as provisioning asks: who reacted to a press, how well each is heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.cores.provisioning import react
from gateway.cores.survey import Survey, survey
from gateway.radio import BeaconHeard, Heard, RadioEvent
from protocol.messages import BeaconReport, LiveReport
from protocol.wire import frames

__all__ = ["Said", "Voices"]

AIR_MAX = 1200
REACT_MS = 30_000
WELL_HEARD_DBM = -75


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a belt was heard to say; `number` tells one report from the next."""

    at_ms: int
    kind: str
    number: int
    occupancy: str
    moving: bool
    rate: bool
    exits: int
    flags: int
    rssi_dbm: int | None


class Voices:
    """`heard` gets every event of the radio; `on_said` is told of each report and beacon. Instants are elapsed ms."""

    def __init__(self) -> None:
        self.on_said: Callable[[bytes, Said], None] = lambda serial, said: None
        self._said: dict[bytes, deque[Said]] = {}

    def heard(self, event: RadioEvent) -> None:
        if isinstance(event, BeaconHeard):
            self._keep(event.serial, _of_beacon(event))
        elif isinstance(event, Heard) and isinstance(event.message, LiveReport):
            self._keep(event.serial, _of_report(event.received_ms, event.message))

    def newest(self, serial: bytes) -> Said | None:
        """What the belt said last."""
        said = self._said.get(serial)
        return said[-1] if said else None

    def reacting(self, serials: Iterable[bytes], since_ms: int) -> list[bytes]:
        """Which of these belts reacted to a press or to somebody lying down since then."""
        samples = [(serial, said.at_ms, said.moving, said.occupancy)
                   for serial in serials for said in self._said.get(serial, ())]
        return list(react(sorted(samples), since_ms, REACT_MS))

    def surveyed(self, serial: bytes, from_ms: int, now_ms: int) -> Survey:
        """How well the belt was heard since `from_ms`."""
        said = [one for one in self._said.get(serial, ()) if one.at_ms > from_ms]
        numbers: dict[str, set[int]] = {}
        for one in said:
            numbers.setdefault(one.kind, set()).add(one.number)
        # Others that are well heard: the fault is near this belt.
        good = sum(self._mean_rssi(other, from_ms) > WELL_HEARD_DBM for other in self._said if other != serial)
        heard = max((len(found) for found in numbers.values()), default=0)
        rssi = [float(one.rssi_dbm) for one in said if one.rssi_dbm is not None]
        return survey(rssi, heard, (now_ms - from_ms) / 1000, good)

    def _keep(self, serial: bytes, said: Said) -> None:
        self._said.setdefault(serial, deque(maxlen=AIR_MAX)).append(said)
        self.on_said(serial, said)

    def _mean_rssi(self, serial: bytes, from_ms: int) -> float:
        rssi = [one.rssi_dbm for one in self._said[serial] if one.at_ms > from_ms and one.rssi_dbm is not None]
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
