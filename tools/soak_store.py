"""Power cuts in the gateway's store: the real StoreFiles on a simulated disk, thousands of times, under a seed.

    python -m tools.soak_store --cuts 10000 [--seed 1]

Each life of a disk begins empty and goes through many cuts; after each the store is opened again (a cut may fall into
that too) and must hold all it had answered for. Prints the rows name, value, unit, limit, ratio as a JSON list.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS, LANES
from gateway.store_files import Chunk, EventRow, RecordRow, StoreFiles, Writes
from gateway.store_repair import Opener
from tools.power_cut import PowerCut, SimulatedDisk

DAY_MS = 86_400_000
START_UTC_MS = 1_795_000_020_000
CUTS_PER_LIFE = 40
OPERATIONS_MAX = 300
ENOUGH = 1 << 60


@dataclass
class Findings:
    """What the cuts showed; every list must stay empty but `cuts`."""

    cuts: int = 0
    commits: int = 0
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.corrupt or self.doubled)


@dataclass
class Promises:
    """What the store has answered for so far in this life, and what was under way when the power went."""

    epoch: str = ""
    items: dict[str, dict[int, bytes]] = field(default_factory=lambda: {lane: {} for lane in LANES})
    freed: dict[str, set[int]] = field(default_factory=lambda: {lane: set() for lane in LANES})
    freeing: dict[str, set[int]] = field(default_factory=lambda: {lane: set() for lane in LANES})
    state: int = 0
    state_under_way: int = 0
    events: int = 0
    events_under_way: int = 0
    record_seqs: set[int] = field(default_factory=set)
    bodies_under_way: dict[str, list[bytes]] = field(default_factory=lambda: {lane: [] for lane in LANES})


class Life:
    """One disk from new to its last cut."""

    def __init__(self, seed: int, hostile: bool, findings: Findings, opener: Callable[[SimulatedDisk], Opener]) -> None:
        self.draw = random.Random(seed)
        self.findings = findings
        self.promises = Promises()
        self.number = 0
        self.tag = f"seed {seed}{' hostile' if hostile else ''}"
        self._seed, self._hostile, self._opener = seed, hostile, opener

    def run(self, cuts: int) -> None:
        with tempfile.TemporaryDirectory(prefix="sleepbelt-cuts-") as name:
            disk = SimulatedDisk(Path(name), self._seed, self._hostile)
            for _ in range(cuts):
                if not self.findings.clean:
                    return
                disk.cut_in(self.draw.randint(1, OPERATIONS_MAX))
                try:
                    self._work(self._open(disk))
                except (PowerCut, sqlite3.Error):
                    if not disk.is_off:
                        raise
                disk.restart()
                self.findings.cuts += 1
            files = self._open(disk)
            files.close()

    def _open(self, disk: SimulatedDisk) -> StoreFiles:
        files = StoreFiles(disk.folder, self._opener(disk))
        self._check(files)
        return files

    def _work(self, files: StoreFiles) -> None:
        while True:
            choice = self.draw.random()
            if choice < 0.7:
                self._commit(files)
            elif choice < 0.97:
                self._free(files, self.draw.choice(LANES))
            else:
                files.drop_before(0, 0, "1970-01-01")

    def _commit(self, files: StoreFiles) -> None:
        promises, draw = self.promises, self.draw
        self.number += 1
        number = self.number
        alarms = [self._body() for _ in range(draw.choice((0, 0, 1, 3)))]
        chunks = [
            Chunk("A", START_UTC_MS + draw.choice((0, 0, 0, DAY_MS)), self._body())
            for _ in range(draw.choice((0, 1, 8)))
        ]
        record_seq = number if draw.random() < 0.5 else max(1, number - 1)
        vitals = [self._body()] if draw.random() < 0.3 else []
        record = RecordRow("belt", record_seq, "A", 1, number, START_UTC_MS, "occupancy", {}, self._body())
        promises.bodies_under_way = {
            LANE_ALARM: alarms, LANE_VITALS: [c.body for c in chunks] + vitals + [record.item or b""]
        }  # fmt: skip
        promises.state_under_way, promises.events_under_way = number, promises.events + 1
        files.commit(Writes(
            state={"n": number, "filler": "x" * draw.randrange(9_000)},
            belts={"belt": {"n": number}},
            events=[EventRow(number, START_UTC_MS, True, "A", "exit", "", "1")],
            alarm_items=alarms, vitals_items=vitals, records=[record], chunks=chunks,
        ))  # fmt: skip
        promises.state, promises.events = number, promises.events_under_way
        promises.record_seqs.add(record_seq)
        self._remember(files)
        self.findings.commits += 1

    def _body(self) -> bytes:
        return self.draw.randbytes(self.draw.choice((30, 150, 400, 3_000)))

    def _remember(self, files: StoreFiles) -> None:
        """Every item that the outbox shows now is promised: it is what the uplink may already have sent."""
        for lane in LANES:
            for item in files.pending(lane, max(self.promises.items[lane], default=0), ENOUGH):
                self.promises.items[lane][item.seq] = item.body
            self.promises.bodies_under_way[lane] = []

    def _free(self, files: StoreFiles, lane: str) -> None:
        left = sorted(set(self.promises.items[lane]) - self.promises.freed[lane])
        if not left:
            return
        seqs = left[: self.draw.randint(1, 6)] if self.draw.random() < 0.7 else self.draw.sample(left, 1)
        self.promises.freeing[lane] = set(seqs)
        files.acked(lane, seqs)
        self.promises.freed[lane] |= set(seqs)
        self.promises.freeing[lane] = set()

    def _check(self, files: StoreFiles) -> None:
        promises, findings = self.promises, self.findings
        if files.repairs or files.bad_chunks:
            findings.corrupt.append(f"{self.tag}, cut {findings.cuts}: {files.repairs} {files.bad_chunks}")
        if promises.epoch and files.epoch != promises.epoch:
            findings.lost.append(f"{self.tag}, cut {findings.cuts}: the epoch")
        promises.epoch = files.epoch if promises.state else ""
        state = files.state()
        n = 0 if state is None else int(state["n"])
        if n not in (promises.state, promises.state_under_way):
            findings.lost.append(f"{self.tag}, cut {findings.cuts}: state {n}, committed {promises.state}")
        events = len(files.events("A", 0, ENOUGH))
        if events not in (promises.events, promises.events_under_way):
            findings.lost.append(f"{self.tag}, cut {findings.cuts}: {events} events of {promises.events}")
        promises.state, promises.events = n, events
        records = {row.seq for row in files.records("A", 0, ENOUGH)}
        if missing := promises.record_seqs - records:
            findings.lost.append(f"{self.tag}, cut {findings.cuts}: records {sorted(missing)}")
        promises.record_seqs = records
        for lane in LANES:
            self._check_lane(files, lane)
        self._remember(files)

    def _check_lane(self, files: StoreFiles, lane: str) -> None:
        promises, findings = self.promises, self.findings
        where = f"{self.tag}, cut {findings.cuts}, {lane}"
        found = {item.seq: item.body for item in files.pending(lane, 0, ENOUGH)}
        known, freed, freeing = promises.items[lane], promises.freed[lane], promises.freeing[lane]
        due = set(known) - freed - freeing
        if missing := due - set(found):
            findings.lost.append(f"{where}: seqs {sorted(missing)}")
        if changed := [seq for seq in found if seq in known and found[seq] != known[seq]]:
            findings.lost.append(f"{where}: other bodies under seqs {changed}")
        if again := freed & set(found):
            findings.doubled.append(f"{where}: freed seqs {sorted(again)} are back")
        for seq in set(found) - set(known):
            if seq <= max(known, default=0) or found[seq] not in promises.bodies_under_way[lane]:
                findings.doubled.append(f"{where}: seq {seq} was never given")
        freed |= freeing - set(found)
        promises.freeing[lane] = set()


def soak(cuts: int, seed: int, progress: Callable[[Findings], None], opener: Callable[[SimulatedDisk], Opener]) \
        -> Findings:
    """Lives of disks, every second one hostile, until `cuts` cuts were made or something was found."""
    findings = Findings()
    life = 0
    while findings.cuts < cuts and findings.clean:
        Life(seed * 1_000_003 + life, life % 2 == 1, findings, opener).run(min(CUTS_PER_LIFE, cuts - findings.cuts))
        progress(findings)
        life += 1
    return findings


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak_store", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    begun = time.monotonic()

    def progress(findings: Findings) -> None:
        rate = findings.cuts / (time.monotonic() - begun)
        print(f"\r{findings.cuts} cuts, {findings.commits} commits, {rate:.0f} cuts/s ", end="", file=sys.stderr)

    findings = soak(arguments.cuts, arguments.seed, progress, lambda disk: disk.open)
    print(file=sys.stderr)
    for line in (*findings.lost, *findings.corrupt, *findings.doubled):
        print(line, file=sys.stderr)
    rows = [
        ("power cuts in the store", findings.cuts, "cuts", arguments.cuts),
        ("acknowledged commits lost to power cuts", len(findings.lost), "commits", 0),
        ("stores corrupt after power cuts", len(findings.corrupt), "stores", 0),
        ("freed items back after power cuts", len(findings.doubled), "items", 0),
    ]
    print(json.dumps([
        {"name": name, "value": value, "unit": unit, "limit": limit,
         "ratio": value / limit if limit else float(value > 0)}
        for name, value, unit, limit in rows
    ], indent=1))  # fmt: skip
    return 0 if findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
