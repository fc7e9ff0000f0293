"""The platform's parts on a simulated home, without broker or network: for benchmarks and tests of the pages."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.clock import Clock
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.people import People, open_people
from cloud_sync.receiver.platform import Platform
from cloud_sync.receiver.register import Register
from cloud_sync.receiver.stores.base import StoreReads, StoreWrites
from cloud_sync.receiver.stores.opening import open_reads, open_writes
from cloud_sync.receiver.threads import StoreThread
from protocol.batch import LiveBed, LiveSnapshot
from protocol.clock_scale import ClockScale
from tools import home_month


@dataclass(frozen=True)
class OpenHome:
    """What the pages are built from."""

    platform: Platform
    home: Home
    people: StoreThread[People]
    register: Register
    reads: StoreThread[StoreReads]
    database: Path | str

    def hear(self, residents: int) -> None:
        """Every gateway describes its beds now, so that no live state is old."""
        for snapshot in snapshots(residents, self.platform.now_utc_ms()):
            self.platform.heard(snapshot)
            self.home.heard(snapshot)


def open_home(month: home_month.Home, owned: ExitStack) -> OpenHome:
    """The platform on a month, at its own now, with every bed heard a moment ago; closed with `owned`."""
    writes: StoreThread[StoreWrites] = StoreThread("writes", lambda: open_writes(month.database))
    reads: StoreThread[StoreReads] = StoreThread("reads", lambda: open_reads(month.database))
    people = StoreThread("people", lambda: open_people(month.database, month.folder))
    for thread in (reads, writes, people):
        owned.callback(_close, thread)
    real_ms = Clock(ClockScale()).utc_ms()
    clock = Clock(ClockScale(real_ms, home_month.NOW_UTC_MS, 1.0))
    names = NameBook(month.name_key)
    platform = Platform(reads, names, clock, "Asia/Shanghai")
    platform.is_connected = lambda: True
    home = Home(platform, reads, people)
    register = Register(platform, home, reads, writes, names)
    opened = OpenHome(platform, home, people, register, reads, month.database)
    for snapshot in snapshots(month.residents, home_month.NOW_UTC_MS - 20_000):
        home.heard(snapshot)
    opened.hear(month.residents)
    return opened


def snapshots(residents: int, *at: int) -> list[LiveSnapshot]:
    """What the gateways say at some instants: most in bed, one out, one in maintenance, one not heard."""
    found = []
    for at_ms in at:
        for gateway in sorted({home_month.gateway_of(n) for n in range(residents)}):
            beds = [_bed(n, at_ms) for n in range(residents) if home_month.gateway_of(n) == gateway]
            found.append(LiveSnapshot(gateway, at_ms, True, tuple(beds)))
    return found


def _bed(n: int, at_ms: int) -> LiveBed:
    common: dict[str, Any] = {"belt": f"{0xB0A0_0000 + n:016x}", "heard_utc_ms": at_ms}
    bed = home_month.bed_of(n)
    if n == 1:
        return LiveBed(bed, "absent", out_since_utc_ms=at_ms - 400_000, watched=True, **common)
    if n == 3:
        return LiveBed(bed, "present", mode="maintenance", watched=False, why_unwatched="maintenance", **common)
    if n == 5:
        silent = {**common, "heard_utc_ms": at_ms - 900_000}
        return LiveBed(bed, "unknown", watched=False, why_unwatched="silent", **silent)
    return LiveBed(bed, "present", heart_rate_bpm=58 + n, heart_reason=0, respiration_per_min=14, respiration_reason=0,
                   movement=0, **common)  # fmt: skip


def _close(thread: StoreThread[Any]) -> None:
    thread.call_now(lambda store: store.close())
    thread.shutdown()
