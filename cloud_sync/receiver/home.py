"""What the pages that run a home read, joined from the residents' database, what gateways say now, and People."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from cloud_sync.pages.settings import Account
from cloud_sync.receiver import home_reads
from cloud_sync.receiver.commander import Commander
from cloud_sync.receiver.consent import night_shown
from cloud_sync.receiver.home_reads import BedKey
from cloud_sync.receiver.home_rows import AlarmLine, Belt, Gateway, ShiftLine, TestAlarm, Trend, Unwatched
from cloud_sync.receiver.people import AuditRow, People, WatchSpan
from cloud_sync.receiver.port import GapRow, ReceiverPort
from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.forgetting import NIGHTS, PRESENCE
from cloud_sync.receiver.threads import StoreThread
from cloud_sync.receiver.watch import WatchLog, seconds_by_reason
from protocol.batch import LiveBed, LiveSnapshot

__all__ = ["Home"]

NIGHTS_MAX = 30
FLUSH_S = 20.0
STALE_MS = 60_000
MAINS_PERCENT = 101
T = TypeVar("T")


class Home:
    """`port` knows residents and now; `heard` is fed every live snapshot; `run` keeps what they say of watching."""

    def __init__(
        self,
        port: ReceiverPort,
        reads: StoreThread[StoreReads],
        people: StoreThread[People],
        commander: Commander | None = None,
    ) -> None:
        """`commander`: the way down to the gateways, where there is one."""
        self.commander = commander
        # Told of the accounts kept here, by whoever lets them sign in.
        self.use_accounts: Callable[[tuple[Account, ...]], None] = lambda accounts: None
        self.port, self._reads, self._people = port, reads, people
        self._watch = WatchLog()
        self._live: dict[BedKey, tuple[LiveBed, int]] = {}

    def heard(self, snapshot: LiveSnapshot) -> None:
        """A gateway described its beds."""
        self._watch.hear(snapshot)
        for bed in snapshot.beds:
            self._live[snapshot.gateway, bed.bed] = (bed, snapshot.utc_ms)

    async def run(self) -> None:
        """Write what gateways say of watching, now and then, until cancelled; the rest is written then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                await self.flush()
        finally:
            with suppress(OSError):
                await self.flush()

    async def flush(self) -> None:
        """Write what has been heard of watching since the last time."""
        spans = self._watch.take()
        if spans:
            await self._people.call(lambda people: people.add_unwatched(spans))

    async def people(self, function: Callable[[People], T]) -> T:
        """Call something on accounts or audit, in their thread."""
        return await self._people.call(function)

    def people_now(self, function: Callable[[People], T]) -> T:
        """The same before there is a loop that serves."""
        return self._people.call_now(function)

    async def note(self, *rows: AuditRow) -> None:
        """Keep who saw or did what, durable on return."""
        await self._people.call(lambda people: people.note(*rows))

    async def who_looked(self, resident_id: str | None, limit: int) -> Sequence[AuditRow]:
        """The record of views and changes, newest first: all of it, or what concerns one resident, where views of all
        residents count from the day they were admitted until they left."""
        here = None
        if resident_id is not None:
            here = await self._reads.call(lambda store: home_reads.time_here(store, resident_id))
        return await self._people.call(lambda people: people.audit(resident_id, limit, here))

    async def alarm_lines(self, from_utc_ms: int, to_utc_ms: int) -> Sequence[AlarmLine]:
        """Alarms and missed absences raised in [from, to), newest first, at most 2000."""
        lines = await self._reads.call(lambda store: home_reads.alarm_lines(store, from_utc_ms, to_utc_ms))
        return [line for line in lines if PRESENCE not in self.port.withheld(line.alarm.resident_id)]

    async def trend(self, resident_id: str) -> Trend:
        """The last 30 nights of a resident, in whichever bed, and what is usual for them."""
        withheld = self.port.withheld(resident_id)
        if NIGHTS in withheld:
            return Trend([], {})
        found = await self._reads.call(lambda store: home_reads.nights(store, resident_id, NIGHTS_MAX))
        return home_reads.trend([night_shown(night, withheld) for night in found])

    async def devices(self) -> tuple[list[Gateway], list[Belt]]:
        """Gateways, and belts by room and bed."""
        told, rooms = await self._reads.call(lambda store: (home_reads.devices(store), home_reads.beds(store)))
        heard = dict((await self.port.stats()).gateways)
        gaps = await self.port.gaps()
        belts = [self._belt(gateway, item.bed, rooms.get((gateway, item.bed), ""), item.device, item.fields,
                            item.at.utc_ms) for gateway, item in told if item.role == "belt"]  # fmt: skip
        known = {(belt.gateway, belt.bed) for belt in belts}
        belts += [self._belt(gateway, bed, room, self._live_belt((gateway, bed)), {}, None)
                  for (gateway, bed), room in rooms.items() if (gateway, bed) not in known and bed]  # fmt: skip
        belts.sort(key=lambda belt: (belt.room, belt.bed, belt.gateway))
        names = sorted({gateway for gateway, _ in rooms} | set(heard))
        gateways = [
            Gateway(name, heard.get(name), sum(1 for gateway, bed in rooms if gateway == name and bed), _of(name, gaps))
            for name in names
        ]
        return gateways, belts

    def test_alarms(self) -> list[TestAlarm]:
        """Alarms of walk tests that their gateways have told of lately."""
        since_ms = self.port.now_utc_ms() - STALE_MS
        return [TestAlarm(*key, live.test_alarm_id) for key, (live, said_ms) in sorted(self._live.items())
                if live.test_alarm_id and said_ms >= since_ms]  # fmt: skip

    async def unwatched(self, from_utc_ms: int, to_utc_ms: int) -> dict[BedKey, Unwatched]:
        """Each bed's seconds of [from, to) in which nobody would have been called, by reason."""
        await self.flush()
        rooms, silent = await self._reads.call(
            lambda store: (home_reads.beds(store), home_reads.silences(store, from_utc_ms, to_utc_ms))
        )
        spans = await self._people.call(lambda people: people.unwatched(from_utc_ms, to_utc_ms))
        told: dict[BedKey, list[WatchSpan]] = {}
        for span in spans:
            told.setdefault((span.gateway, span.bed), []).append(span)
        period = (from_utc_ms, to_utc_ms)
        return {
            key: Unwatched(
                *key,
                room,
                (to_utc_ms - from_utc_ms) // 1000,
                seconds_by_reason(
                    [(span.reason, (span.from_utc_ms, span.to_utc_ms)) for span in told.get(key, ())],
                    silent.get(key, ()),
                    period,
                ),
            )
            for key, room in rooms.items()
            if key[1]
        }

    async def shift(self, from_utc_ms: int, to_utc_ms: int) -> list[ShiftLine]:
        """What the next shift should know of every resident, by room and bed."""
        cards = await self.port.residents()
        lines, exits, notices, recorded = await self._reads.call(
            lambda store: (
                home_reads.alarm_lines(store, from_utc_ms, to_utc_ms),
                home_reads.exits(store, from_utc_ms, to_utc_ms),
                home_reads.notices(store, from_utc_ms, to_utc_ms),
                home_reads.recorded_minutes(store, from_utc_ms, to_utc_ms),
            )
        )
        unwatched = await self.unwatched(from_utc_ms, to_utc_ms)
        minutes = max(1, (to_utc_ms - from_utc_ms) // 60_000)
        return [
            ShiftLine(
                card=card,
                alarms=tuple(line for line in lines if line.alarm.resident_id == card.resident_id),
                exits=exits.get(card.resident_id, 0),
                notices=() if PRESENCE in card.withheld else tuple(notices.get(card.resident_id, ())),
                unwatched=unwatched.get((card.gateway, card.bed)),
                recorded_percent=min(100.0, 100 * recorded.get((card.gateway, card.bed), 0) / minutes),
            )
            for card in cards
        ]

    def _live_belt(self, key: BedKey) -> str:
        live = self._live.get(key)
        return live[0].belt if live else ""

    def _belt(
        self, gateway: str, bed: str, room: str, device: str, fields: Mapping[str, object], told_ms: int | None
    ) -> Belt:
        live, said_ms = self._live.get((gateway, bed), (None, 0))
        is_fresh = live is not None and self.port.now_utc_ms() - said_ms <= STALE_MS
        said = live.battery_percent if live is not None else -1  # -1: this version of the gateway does not tell
        kept = fields.get("battery_percent")
        percent = said if said >= 0 else kept if isinstance(kept, int) and kept >= 0 else None
        mains = percent == MAINS_PERCENT or (said < 0 and fields.get("mains") is True)
        return Belt(
            gateway=gateway,
            bed=bed,
            room=room,
            device=device,
            firmware=str(fields.get("firmware") or ""),
            battery_percent=None if mains else percent,
            mains=mains,
            told_utc_ms=told_ms,
            heard_utc_ms=(live.heard_utc_ms or None) if live is not None else None,
            watched=live.watched if live is not None and is_fresh else None,
            why_unwatched=live.why_unwatched if live is not None and is_fresh else "",
        )


def _of(gateway: str, gaps: Sequence[GapRow]) -> tuple[GapRow, ...]:
    return tuple(gap for gap in gaps if gap.gateway == gateway)
