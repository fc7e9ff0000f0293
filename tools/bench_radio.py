"""The radio path on T1 (Bumble) and, where QEMU is installed, on T2 (real kernel and bluetoothd in a box).

Belts, their virtual radio chips and the gateway's radio run in this one process, so CPU per belt is of all three.
`python -m tools.bench_radio [--radio bumble|box ...]`; on a crowded machine T2's times are those of the crowd.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gateway.cores.reconnect import STABLE_MS
from gateway.radio import BeaconHeard, Heard, Opened
from hil.fleet import DrivenBelt
from hil.radio.peripheral import REPORT_FRAGMENT_BYTES
from protocol.messages import LiveReport
from tests.ward import Tier, Ward, open_ward
from tools.bench_rows import Row, print_rows, row

BELTS = 5  # plan of facts/RADIO.md for one adapter
BELTS_MANY = 10
LISTEN_S = 20.0
RECONNECTS = 5
COUNTER_AT = 8  # of an advertisement: flags 3, length, type, company 2, format
BACK_S_MAX = 2.0


class Stopwatch:
    """When each belt handed a report and a beacon to its radio chip."""

    def __init__(self, belts: Sequence[DrivenBelt]) -> None:
        self.reports: dict[bytes, deque[float]] = {belt.identity.serial: deque(maxlen=64) for belt in belts}
        self.beacons: dict[tuple[bytes, int], float] = {}
        for belt in belts:
            self._watch(belt)

    def _watch(self, belt: DrivenBelt) -> None:
        serial, notify, advertise = belt.identity.serial, belt.radio.notify, belt.radio.advertise

        def notified(connection: int, handle: int, value: bytes) -> None:
            if len(value) == REPORT_FRAGMENT_BYTES:
                self.reports[serial].append(time.monotonic())
            notify(connection, handle, value)

        def advertised(interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
            counter = int.from_bytes(data[COUNTER_AT : COUNTER_AT + 4], "little")
            self.beacons.setdefault((serial, counter), time.monotonic())
            advertise(interval_ms, connectable, data, response)

        belt.radio.notify = notified  # type: ignore[method-assign]
        belt.radio.advertise = advertised  # type: ignore[method-assign]


def _delays(ward: Ward, watch: Stopwatch, since: float) -> tuple[list[float], list[float]]:
    """Seconds from the belt's radio to the decoded event, of reports and of beacons."""
    reports, beacons = [], []
    for at, event in ward.events:
        if at < since:
            continue
        if isinstance(event, Heard) and isinstance(event.message, LiveReport):
            given = [sent for sent in watch.reports[event.serial] if sent <= at]
            if given:
                reports.append(at - given[-1])
        elif isinstance(event, BeaconHeard) and (sent_at := watch.beacons.get((event.serial, event.counter))):
            beacons.append(at - sent_at)
    return reports, beacons


def _centile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


async def _measure(name: str) -> list[Row]:
    rows: list[Row] = []
    tier = "t1" if name == "bumble" else "t2"
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as folder:
        async with open_ward(Tier(name), Path(folder), BELTS) as ward:
            watch = Stopwatch(ward.fleet.belts)
            begun = time.monotonic()
            ward.listen()
            for serial in ward.serials:
                await ward.until(Opened, lambda event, s=serial: event.serial == s)  # type: ignore[misc]
            rows.append(row(f"{tier}_five_sessions", time.monotonic() - begun, "s"))
            since, cpu_s = time.monotonic(), time.process_time()
            await asyncio.sleep(LISTEN_S)
            cpu_s = time.process_time() - cpu_s
            reports, beacons = _delays(ward, watch, since)
            rows += [
                row(f"{tier}_notification_to_decoded_p50", 1000 * statistics.median(reports), "ms"),
                row(f"{tier}_notification_to_decoded_p99", 1000 * _centile(reports, 0.99), "ms"),
                row(f"{tier}_beacon_to_rules_p50", 1000 * statistics.median(beacons), "ms"),
                row(f"{tier}_beacon_to_rules_p99", 1000 * _centile(beacons, 0.99), "ms"),
                row(f"{tier}_cpu_per_belt", 100 * cpu_s / LISTEN_S / BELTS, "%"),
            ]
            times = []
            for _ in range(RECONNECTS):
                await asyncio.sleep(STABLE_MS / 1000 + 1)  # links that drop again at once are given growing pauses
                cut = time.monotonic()
                ward.fleet.belts[0].radio.hang_up_all()
                first = ward.serials[0]
                times.append(await ward.until(Opened, lambda event, s=first: event.serial == s, cut) - cut)  # type: ignore[misc]
            rows.append(row(f"{tier}_reconnect_p50", statistics.median(times), "s", limit=BACK_S_MAX,
                            source="PEERS: link drop -> back <= 2 s"))
            rows.append(row(f"{tier}_reconnect_max", max(times), "s"))
    return rows + await _many(name, tier)


async def _many(name: str, tier: str) -> list[Row]:
    """How many of ten belts have a session at once on one adapter with ten slots."""
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as folder:
        async with open_ward(Tier(name), Path(folder), BELTS_MANY) as ward:
            ward.slots(BELTS_MANY)
            ward.listen()
            until = time.monotonic() + 90
            served: set[bytes] = set()
            while len(served) < BELTS_MANY and time.monotonic() < until:
                await asyncio.sleep(0.5)
                served = {event.serial for _, event in ward.events if isinstance(event, Opened)}
    return [row(f"{tier}_belts_in_session_of_{BELTS_MANY}", len(served), "belts")]


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_radio", description=__doc__)
    can_box = shutil.which("qemu-system-x86_64") is not None
    parser.add_argument("--radio", nargs="+", choices=("bumble", "box"), default=["bumble", *(["box"] * can_box)])
    print_rows([found for name in parser.parse_args().radio for found in asyncio.run(_measure(name))])


if __name__ == "__main__":
    main()
