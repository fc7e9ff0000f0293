"""Bytes that the gateway writes to its disk, counted by the block device under an ext4 of its own (loop device, root).

What is written comes from a real gateway without a radio: eight belts of simulated nights, minute records, an exit and
an alarm now and then. Its clock runs SPEED times as fast, so what it hands to its store is recorded, and committed to
the small disk afterwards with the store's own rule of what waits for what, the cloud's ack every five minutes. SQLite
at FULL.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from cloud_sync.outbox import LANES
from gateway.app import Gateway
from gateway.config import Config
from gateway.radio import Heard, Opened
from gateway.store import GATHER_ROWS_MAX, GATHER_S, Store
from gateway.store_files import StoreFiles
from gateway.store_rows import Writes
from protocol.clock_scale import ENVIRONMENT
from protocol.messages import LiveReport, report_from
from protocol.wire import frames
from tests.gateway.cores.belt_talk import hello, minute, occupancy_record
from tests.gateway.small_gateway import SpokenRadio, configuration
from tools.bench_bytes import NIGHTS, Second, night
from tools.bench_growth import ward
from tools.bench_rows import Row, print_rows, row

BELTS = 8
SPEED = 60
HOURS = 1
UP_S = 1_000
IN_BED_S = 7_200  # into the simulated night
ABSENCE_EVERY_S, ABSENCE_S = 7_200, 480  # longer than `allowed_s`: an alarm each
ACK_EVERY_S = 300
DISK_MIB = 256
SECTOR = 512  # of /sys/block/*/stat, whatever the device has
MIB, MB = 1 << 20, 1_000_000


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(where an ext4 is mounted, its device's statistics); OSError where loop devices are not permitted."""
    image, mounted = folder / "disk.img", folder / "disk"
    with image.open("wb") as file:
        file.truncate(DISK_MIB * MIB)
    mounted.mkdir()
    device = _said("losetup", "--find", "--show", str(image))
    try:
        _said("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
        _said("mount", "-o", "noatime", device, str(mounted))
        try:
            yield mounted, Path("/sys/block") / Path(device).name / "stat"
        finally:
            _said("umount", str(mounted))
    finally:
        _said("losetup", "-d", device)


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except subprocess.CalledProcessError as error:
        raise OSError(f"{command[0]}: {error.stderr.strip()}") from None


def written_bytes(disk: Path, stat: Path) -> int:
    """What the device has been given to write since it was set up, its caches written out first."""
    _said("sync", "--file-system", str(disk))
    return SECTOR * int(stat.read_text().split()[6])


class Belts:
    """What eight belts say, second by second."""

    def __init__(self, gateway: Gateway, radio: SpokenRadio, serials: list[bytes]) -> None:
        self._gateway, self._radio, self._serials = gateway, radio, serials
        self._begun_ms = gateway.clock.elapsed_ms()
        self._nights = [night(name) for name in NIGHTS]
        self._records = [0] * len(serials)
        for serial in serials:
            radio.events.put_nowait(Opened(serial, self._begun_ms, hello(uptime_s=UP_S)))

    def say(self, second: int) -> None:
        for belt in range(len(self._serials)):
            since = (second + belt * 613) % ABSENCE_EVERY_S
            is_out = since < ABSENCE_S
            self._hear(belt, second, self._report(belt, second, is_out, since if is_out else since - ABSENCE_S))
            if since in (0, ABSENCE_S) and second:
                old, new = ("occupied", "empty") if is_out else ("empty", "occupied")
                self._hear(belt, second, occupancy_record(self._record(belt), UP_S + second, old, new, 6))
            if (second + 7 * belt) % 60 == 59:
                self._hear(belt, second, minute(self._record(belt), UP_S + second))

    def _record(self, belt: int) -> int:
        self._records[belt] += 1
        return self._records[belt]

    def _hear(self, belt: int, second: int, message: object) -> None:
        at_ms = self._begun_ms + second * 1000
        self._radio.events.put_nowait(Heard(self._serials[belt], at_ms, message))  # type: ignore[arg-type]

    def _report(self, belt: int, second: int, is_out: bool, age_s: int) -> LiveReport:
        seconds = self._nights[belt % len(NIGHTS)]
        values: Second = seconds[(IN_BED_S + 900 * belt + second) % len(seconds)]
        _, why, heart, heart_quality, heart_why, breath, breath_quality, breath_why, movement, *_, flags = values
        return report_from((
            0 if is_out else 2, why, age_s, 0, self._records[belt], 1, 1000 * (UP_S + second),
            heart if heart >= 0 else frames.ABSENT_16, heart_quality, heart_why,
            breath if breath >= 0 else frames.ABSENT_16, breath_quality, breath_why, movement, 0, 254, flags,
        ))  # fmt: skip


async def _handed_over(config: Config) -> list[tuple[int, Writes | None]]:
    """(second, what the gateway gives its store) over HOURS, in order; None where the uplink has the cloud's ack."""
    recorded: list[tuple[int, Writes | None]] = []
    spoken, acked = 0, 0
    put = Store.put

    def record(store: Store, writes: Writes) -> None:
        kept = Writes()
        kept.merge(writes)
        recorded.append((spoken, kept))
        put(store, writes)

    radio = SpokenRadio()
    with patch.object(Store, "put", record):
        gateway = await Gateway.start(config, lambda *_: radio)
    task = asyncio.create_task(gateway.run())
    belts = Belts(gateway, radio, [bed.serial for bed in config.beds if bed.serial is not None])
    begun_ms = gateway.clock.elapsed_ms()
    while spoken < HOURS * 3_600:
        spoken += 1
        belts.say(spoken)
        if spoken - acked >= ACK_EVERY_S:
            acked = spoken
            recorded.append((spoken, None))
        while not radio.events.empty() or (gateway.clock.elapsed_ms() - begun_ms) // 1000 < spoken:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    gateway.stop()
    await task
    return recorded


def _commits(recorded: list[tuple[int, Writes | None]]) -> list[Writes | None]:
    """What is committed together."""
    commits: list[Writes | None] = []
    waiting, since_s = Writes(), 0
    for at_s, writes in recorded:
        if not waiting.empty() and at_s >= since_s + GATHER_S:
            commits.append(waiting)
            waiting = Writes()
        if writes is None:
            commits.append(None)
            continue
        since_s = at_s if waiting.empty() else since_s
        waiting.merge(writes)
        if not waiting.can_wait() or waiting.rows() >= GATHER_ROWS_MAX:
            commits.append(waiting)
            waiting = Writes()
    return commits


def _written(recorded: list[Writes | None], disk: Path, stat: Path) -> tuple[int, int]:
    """Bytes that the device was given: once a day for a new vitals file, and for all that follows."""
    files = StoreFiles(disk / "gateway")
    files.commit(Writes())
    begun = written_bytes(disk, stat)
    is_new, after_new = True, begun
    for number, writes in enumerate(recorded):
        if writes is not None:
            makes_file = is_new and bool(writes.chunks)
            files.commit(writes)
            if makes_file:
                is_new, after_new = False, written_bytes(disk, stat)
        else:
            for lane in LANES:
                files.acked(lane, [item.seq for item in files.pending(lane, 0, MIB)])
        if number % 50 == 0:
            print(f"\rbench: writes: {number} of {len(recorded)} commits ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    written = written_bytes(disk, stat)
    files.close()
    return after_new - begun, written - after_new


def rows() -> list[Row]:
    now_s = time.time()
    os.environ[ENVIRONMENT] = f"{now_s:.3f},{now_s:.3f},{SPEED}"
    with tempfile.TemporaryDirectory(prefix="sleepbelt-writes-") as name:
        folder = Path(name)
        (folder / "gateway").mkdir()
        config = ward(configuration(folder / "gateway", "allowed_s = 300\nsettle_s = 60\n"))
        recorded = _commits(asyncio.run(_handed_over(config)))
        commits = [writes for writes in recorded if writes is not None]
        chunks = sum(len(writes.chunks) for writes in commits)
        alarms = sum(event.event == "alarm_raise" for writes in commits for event in writes.events)
        with small_disk(folder) as (disk, stat):
            once, always = _written(recorded, disk, stat)
    belt_days = BELTS * HOURS / 24
    return [
        row("gateway_device_writes", (once / BELTS + always / belt_days) / MB, "MB/belt-day", limit=12,
            source="facts/SYNC.md: a chunk a minute, wal_autocheckpoint=100: 6.5"),
        row("gateway_commits", len(commits) / belt_days, "/belt-day"),
        row("gateway_chunks", chunks / belt_days, "/belt-day", peer=1_440, source="minutes of a day"),
        row("gateway_alarms", alarms / belt_days, "/belt-day"),
    ]  # fmt: skip


def main() -> int:
    if os.geteuid() != 0:
        print("bench: writes: not measured: needs root for a loop device (sudo make bench)", file=sys.stderr)
        print_rows([])
        return 0
    try:
        measured = rows()
    except OSError as error:
        print(f"bench: writes: not measured: {error}", file=sys.stderr)
        measured = []
    print_rows(measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
