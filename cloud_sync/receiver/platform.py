"""ReceiverPort on a store: what pages and the API read, and who is told that something changed."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_sync.clock import Clock
from cloud_sync.pages.avatar import initials
from cloud_sync.receiver import home_reads
from cloud_sync.receiver.consent import card_shown, night_shown
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.port import (
    AlarmRow,
    BedRow,
    DeliveryRow,
    EventRow,
    GapRow,
    HookCount,
    LiveState,
    MinuteRow,
    NightCard,
    NightRow,
    PlatformStats,
    ResidentCard,
    ResidentPage,
)
from cloud_sync.receiver.stores import outbox
from cloud_sync.receiver.stores.base import Committed, Place, SealedName, StoreReads
from cloud_sync.receiver.stores.forgetting import NIGHTS, PRESENCE, VITALS
from cloud_sync.receiver.threads import StoreThread
from protocol.batch import LiveBed, LiveSnapshot

__all__ = ["Platform"]

STALE_REAL_S = 15.0  # gateways publish every few seconds
EVENTS_MAX = 500
NIGHTS_MAX = 60
GAPS_MAX = 200
SUBSCRIBERS_MAX = 1_000
CHANGE_REAL_S = 0.25  # a page is told at most this often; what happens between is merged


@dataclass(frozen=True, slots=True)
class _Heard:
    bed: LiveBed
    utc_ms: int
    arrived_s: float  # real monotonic


class Platform:
    """Answers ReceiverPort; `committed` and `heard` feed it, all on one loop."""

    def __init__(self, reads: StoreThread[StoreReads], names: NameBook, clock: Clock, timezone: str) -> None:
        self._reads, self._name_book, self._clock = reads, names, clock
        self._zone = ZoneInfo(timezone)
        self._live: dict[tuple[str, str], _Heard] = {}
        self._gateways: dict[str, int] = {}
        self._places: dict[tuple[str, str], str] = {}  # (gateway, bed) -> resident
        self._subscribers: set[_Subscriber] = set()
        self._withheld: Mapping[str, frozenset[str]] = {}
        self.is_connected: Callable[[], bool] = _never
        self.is_committing: Callable[[], bool] = lambda: True

    async def refresh_places(self, *, tell: bool = True) -> None:
        """Read who lies where and tell all pages; `tell` False: only if that is not as it was.

        To be called at start, after residents were admitted, and now and then: another worker may have admitted them.
        """
        places = await self._reads.call(lambda store: store.places())
        found = {(place.gateway, place.bed): place.resident_id for place in places}
        is_new, self._places = found != self._places, found
        if tell or is_new:
            self._tell(frozenset(found.values()))

    def withhold(self, classes: Mapping[str, frozenset[str]]) -> None:
        """Show nothing of these data classes of these residents from now on."""
        if classes != self._withheld:
            changed = frozenset({*classes, *self._withheld})
            self._withheld = classes
            self._tell(changed)

    def withheld(self, resident_id: str | None) -> frozenset[str]:
        """What must not be shown of a resident (forgetting.DATA_CLASSES)."""
        return self._withheld.get(resident_id, frozenset()) if resident_id is not None else frozenset()

    def committed(self, commit: Committed) -> None:
        """Something was stored: tell the pages of the residents it concerns."""
        now = self.now_utc_ms()
        for gateway, _ in commit.beds:
            self._gateways[gateway] = now
        if commit.beds:
            self._tell(frozenset(self._places[bed] for bed in commit.beds if bed in self._places))

    def heard(self, snapshot: LiveSnapshot) -> None:
        """A gateway described its beds."""
        arrived_s = time.monotonic()
        self._gateways[snapshot.gateway] = self.now_utc_ms()
        touched = set()
        for bed in snapshot.beds:
            key = (snapshot.gateway, bed.bed)
            self._live[key] = _Heard(bed, snapshot.utc_ms, arrived_s)
            if key in self._places:
                touched.add(self._places[key])
        if touched:
            self._tell(frozenset(touched))

    # ReceiverPort

    def now_utc_ms(self) -> int:
        return self._clock.utc_ms()

    def broker_connected(self) -> bool:
        return self.is_connected()

    def database_committing(self) -> bool:
        return self.is_committing()

    async def hook_counts(self) -> Sequence[HookCount]:
        return await self._reads.call(outbox.hook_counts)

    async def residents(self) -> Sequence[ResidentCard]:
        places, names, alarms, nights = await self._reads.call(_overview)
        opened = self._name_book.open_all(names)
        return [self._card(place, opened, alarms, nights) for place in places]

    async def resident(self, resident_id: str, night_of: str | None = None) -> ResidentPage | None:
        cards = {card.resident_id: card for card in await self.residents()}
        card = cards.get(resident_id)
        if card is None:
            return None
        found, stays = await self._reads.call(
            lambda store: (home_reads.nights(store, resident_id, NIGHTS_MAX), home_reads.stays(store, resident_id))
        )
        found = [] if NIGHTS in card.withheld else [night_shown(night, card.withheld) for night in found]
        night = next((one for one in found if night_of is None or one.card.night_of == night_of), None)
        asked = night_of or (night.card.night_of if night else self._waking_date())
        try:
            start_ms, end_ms = self._noon_to_noon(asked)
        except (ValueError, OverflowError):
            return None  # not a date, or none that a night can have
        # In whichever beds the resident had in that time: what was recorded there before or after is somebody else's.
        spans = [(stay.bed, *stay.within(start_ms, end_ms)) for stay in stays]

        def read(store: StoreReads) -> tuple[list[EventRow], list[MinuteRow]]:
            events: list[EventRow] = []
            minutes: list[MinuteRow] = []
            for bed, from_ms, to_ms in spans:
                if from_ms < to_ms:
                    events += () if PRESENCE in card.withheld else store.events(*bed, from_ms, to_ms, EVENTS_MAX)
                    minutes += () if VITALS in card.withheld else store.minutes(*bed, from_ms, to_ms)
            events.sort(key=lambda row: row.utc_ms, reverse=True)
            return events[:EVENTS_MAX], sorted(minutes, key=lambda row: row.utc_ms)

        events, minutes = await self._reads.call(read)
        return ResidentPage(
            card=card,
            night=night.card if night else None,
            report=dict(night.report) if night else None,
            nights=tuple(one.card for one in found),
            events=tuple(events),
            minutes=tuple(minutes),
        )

    async def beds(self) -> Sequence[BedRow]:
        rooms, places = await self._reads.call(lambda store: (home_reads.beds(store), store.places()))
        of = {(place.gateway, place.bed): place.resident_id for place in places}
        keys = sorted({*rooms, *self._live}, key=lambda key: (rooms.get(key, ""), key[1], key[0]))
        return [
            BedRow(*key, rooms.get(key, ""), of.get(key), self._shown_live(key, self.withheld(of.get(key))))
            for key in keys
            if key[1]  # "" is the gateway itself
        ]

    async def nights(self, night_of: str | None = None) -> Sequence[NightRow]:
        def read(store: StoreReads) -> list[NightRow]:
            found = []
            for place in store.places():
                if NIGHTS not in self.withheld(place.resident_id):
                    of_one = home_reads.nights(store, place.resident_id, NIGHTS_MAX)
                    withheld = self.withheld(place.resident_id)
                    found += [_night_row(place.resident_id, night_shown(night, withheld)) for night in of_one
                              if night_of in (None, night.card.night_of)][:1]  # fmt: skip
            return found

        return await self._reads.call(read)

    async def nights_of(self, resident_id: str, limit: int) -> Sequence[NightRow] | None:
        if not await self._is_here(resident_id):
            return None
        if NIGHTS in self.withheld(resident_id):
            return []
        found = await self._reads.call(lambda store: home_reads.nights(store, resident_id, limit))
        withheld = self.withheld(resident_id)
        return [_night_row(resident_id, night_shown(night, withheld)) for night in found]

    async def minutes_of(self, resident_id: str, from_utc_ms: int, to_utc_ms: int) -> Sequence[MinuteRow] | None:
        if not await self._is_here(resident_id):
            return None
        if VITALS in self.withheld(resident_id):
            return []

        def read(store: StoreReads) -> list[MinuteRow]:
            rows: list[MinuteRow] = []
            for stay in home_reads.stays(store, resident_id):
                start, end = stay.within(from_utc_ms, to_utc_ms)
                rows += store.minutes(*stay.bed, start, end) if start < end else ()
            return sorted(rows, key=lambda row: row.utc_ms)

        return await self._reads.call(read)

    async def _is_here(self, resident_id: str) -> bool:
        places = await self._reads.call(lambda store: store.places())
        return any(place.resident_id == resident_id for place in places)

    async def alarms(self, open_only: bool = False, limit: int = 200) -> Sequence[AlarmRow]:
        opened = [row for row in await self._reads.call(lambda store: store.open_alarms()) if self._may_tell(row)]
        if open_only:
            return opened[:limit]
        newest = await self._reads.call(lambda store: store.alarms(limit))
        return (opened + [row for row in newest if row.state == "closed" and self._may_tell(row)])[:limit]

    def _may_tell(self, row: AlarmRow) -> bool:
        return PRESENCE not in self.withheld(row.resident_id)

    async def gaps(self) -> Sequence[GapRow]:
        return await self._reads.call(lambda store: store.gaps(GAPS_MAX))

    async def deliveries(self, limit: int) -> Sequence[DeliveryRow]:
        return await self._reads.call(lambda store: outbox.deliveries(store, limit))

    async def stats(self) -> PlatformStats:
        counts = await self._reads.call(lambda store: store.counts())
        names = (
            "readings", "chunks", "alarms", "alarm_events", "nights", "items", "duplicates", "conflicts", "quarantined",
            "missing",
        )  # fmt: skip
        return PlatformStats(**{name: counts.get(name, 0) for name in names}, gateways=dict(self._gateways))

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            return
        subscriber = _Subscriber()
        self._subscribers.add(subscriber)
        try:
            while True:
                yield await subscriber.take()
                await asyncio.sleep(CHANGE_REAL_S)
        finally:
            self._subscribers.discard(subscriber)

    def _card(
        self,
        place: Place,
        names: Mapping[str, str],
        alarms: Sequence[AlarmRow],
        nights: Mapping[tuple[str, str], NightCard],
    ) -> ResidentCard:
        name = names.get(place.resident_id, "?")
        key = (place.gateway, place.bed)
        withheld = self.withheld(place.resident_id)
        return ResidentCard(
            resident_id=place.resident_id,
            display_name=name,
            initials=initials(name),
            room=place.room,
            bed=place.bed,
            gateway=place.gateway,
            live=self._shown_live(key, withheld),
            # One from before anybody was admitted there belongs to nobody, and is open for whoever lies there now.
            open_alarms=() if PRESENCE in withheld else tuple(
                row for row in alarms
                if (row.gateway, row.bed) == key and row.resident_id in (None, place.resident_id)
            ),
            night=None if NIGHTS in withheld else card_shown(nights.get(key), withheld),
            withheld=tuple(sorted(withheld)),
        )

    def _shown_live(self, key: tuple[str, str], withheld: frozenset[str]) -> LiveState:
        live = self._live_state(key)
        if VITALS in withheld:
            live = replace(live, heart_rate_bpm=None, respiration_per_min=None, movement=None)
        if PRESENCE in withheld:
            live = replace(live, state="unknown", stale=False, out_since_utc_ms=None)
        return live

    def _live_state(self, key: tuple[str, str]) -> LiveState:
        heard = self._live.get(key)
        if heard is None:
            return LiveState("unknown", True, None, None, 1, None, 1, None, "active", False, "silent", None, None)
        bed = heard.bed
        word = bed.state if bed.state in ("unknown", "present", "absent", "held") else "unknown"
        return LiveState(
            state=word,  # type: ignore[arg-type]
            stale=self._is_stale(heard),
            out_since_utc_ms=bed.out_since_utc_ms or None,
            heart_rate_bpm=bed.heart_rate_bpm,
            heart_reason=bed.heart_reason,
            respiration_per_min=bed.respiration_per_min,
            respiration_reason=bed.respiration_reason,
            movement=bed.movement,
            mode=bed.mode,
            watched=bed.watched,
            why_unwatched=bed.why_unwatched,
            last_heard_utc_ms=bed.heard_utc_ms or None,
            reported_utc_ms=heard.utc_ms,
        )

    def _is_stale(self, heard: _Heard) -> bool:
        # A retained snapshot arrives at once however old it is: its own time counts too.
        limit_ms = 1000 * STALE_REAL_S * max(1.0, self._clock.scale.speed)
        return time.monotonic() - heard.arrived_s > STALE_REAL_S or self.now_utc_ms() - heard.utc_ms > limit_ms

    def _waking_date(self) -> str:
        now = datetime.fromtimestamp(self.now_utc_ms() / 1000, self._zone)
        return str((now + timedelta(hours=12)).date())

    def _noon_to_noon(self, night_of: str) -> tuple[int, int]:
        day = date.fromisoformat(night_of)
        noons = [
            datetime(one.year, one.month, one.day, 12, tzinfo=self._zone) for one in (day - timedelta(days=1), day)
        ]
        start, end = (round(noon.astimezone(UTC).timestamp() * 1000) for noon in noons)
        return start, end

    def _tell(self, residents: frozenset[str]) -> None:
        for subscriber in self._subscribers:
            subscriber.put(residents)


class _Subscriber:
    """What one page has not been told yet: a set, so a slow page costs no more than its residents."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._fresh = asyncio.Event()

    def put(self, residents: Iterable[str]) -> None:
        self._pending.update(residents)
        self._fresh.set()

    async def take(self) -> frozenset[str]:
        await self._fresh.wait()
        self._fresh.clear()
        taken = frozenset(self._pending)
        self._pending.clear()
        return taken


def _night_row(resident_id: str, night: home_reads.Night) -> NightRow:
    fields = {field.name: getattr(night.card, field.name) for field in dataclasses.fields(night.card)}
    return NightRow(resident_id, *night.bed, **fields, report=dict(night.report))


def _never() -> bool:
    return False


def _overview(
    store: StoreReads,
) -> tuple[Sequence[Place], Sequence[SealedName], Sequence[AlarmRow], Mapping[tuple[str, str], NightCard]]:
    places, nights = store.places(), dict(store.latest_nights())
    for place in places:
        if (place.gateway, place.bed) not in nights:
            # Just moved: the last night was slept in another bed.
            before = home_reads.nights(store, place.resident_id, 1)
            nights |= {(place.gateway, place.bed): before[0].card} if before else {}
    return places, store.names(), store.open_alarms(), nights
