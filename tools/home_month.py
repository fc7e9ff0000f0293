"""A simulated month of a home in the receiver's own database, for benchmarks, screenshots and tests of the pages.

Everything goes the way it goes in a home: minutes as vitals chunks, nights as reports of the night core made from those
very minutes, alarms and devices as a gateway's items, all through `examine` and the store's `commit`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.ingest import examine
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.stores.base import Admission
from cloud_sync.receiver.stores.opening import open_writes
from cloud_sync.receiver.stores.writes import DatabaseWrites
from gateway.cores.night import build_report, past_night
from gateway.cores.night_facts import Alarm, Epoch, NightFacts, Presence, Span
from gateway.cores.night_gather import minutes_of
from protocol.batch import (
    AlarmEvent,
    DeviceState,
    Envelope,
    Item,
    NightReportItem,
    Stamp,
    VitalsChunk,
    encode_envelope,
    encode_item,
)
from protocol.vitals import Minute

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 23, 11, tzinfo=ZONE)
NOW_UTC_MS = round(NOW.timestamp() * 1000)
GATEWAY_BEDS = 10
DAY_MS = 86_400_000
NAMES = (
    "张桂兰", "王德明", "李秀英", "陈建国", "Margaret O'Neill", "赵敏", "刘玉珍", "杨志强", "黄淑芬", "周文斌",
    "吴凤英", "徐国栋", "孙丽华", "Thomas Becker", "马秀芝", "朱永福", "胡桂芳", "郭振华", "何美玲", "林宝山",
)  # fmt: skip
_ENTER_S, _RISE_S = 21 * 3600 + 1800, 30 * 3600 + 600  # seconds after the midnight before the night
_FALL_ASLEEP_S, _BACK_TO_SLEEP_S = 960, 600
_BODIES, _ARRIVALS = 500, 8  # in an envelope, in a commit


@dataclass(frozen=True)
class Home:
    """Where the month lies."""

    folder: Path
    residents: int
    nights: int
    url: str = ""  # of PostgreSQL; without one an SQLite file

    @property
    def database(self) -> Path | str:
        return self.url or self.folder / "receiver.db"

    @property
    def name_key(self) -> Path:
        return self.folder / "names.key"


def make_month(
    folder: Path, residents: int = 20, nights: int = 30, minutes_of_nights: int = 30, seed: int = 7, url: str = ""
) -> Home:
    """A database of `residents` over `nights`, with every minute of the last `minutes_of_nights` days."""
    home = Home(folder, residents, nights, url)
    names = NameBook(home.name_key)
    store = open_writes(home.database)
    began_ms = NOW_UTC_MS - (nights + 1) * DAY_MS
    store.admit(
        [
            Admission(names.seal(f"r{n + 1}", NAMES[n % len(NAMES)]), gateway_of(n), bed_of(n), bed_of(n)[:3])
            for n in range(residents)
        ],
        began_ms,
    )
    draw = random.Random(seed)
    for n in range(residents):
        lives = [_night(n, back, draw) for back in range(nights - 1, -1, -1)]
        _deliver(store, "alarm", gateway_of(n), f"e{n}", _items_of(n, lives, draw))
        _deliver(store, "vitals", gateway_of(n), f"e{n}", _chunks(n, lives, minutes_of_nights, draw))
    store.close()
    return home


def gateway_of(n: int) -> str:
    """The gateway of a resident's bed."""
    return f"gw-{n // GATEWAY_BEDS + 1:02d}"


def bed_of(n: int) -> str:
    """The bed of a resident: two beds a room, five rooms a floor."""
    return f"{2 + n // 10}{1 + n % 10 // 2:02d}-{n % 2 + 1}"


def stamp(at: datetime) -> Stamp:
    """An instant on all axes of a gateway that has run all along."""
    utc_ms = round(at.timestamp() * 1000)
    return Stamp(1, max(0, utc_ms - NOW_UTC_MS + 40 * 86_400_000), utc_ms, True)


def deliver(database: Path | str, lane: str, gateway: str, epoch: str, items: Iterable[Item]) -> None:
    """Items of a gateway's stream that is new to this database."""
    store = open_writes(database)
    _deliver(store, lane, gateway, epoch, items)
    store.close()


def _deliver(store: DatabaseWrites, lane: str, gateway: str, epoch: str, items: Iterable[Item]) -> None:
    """As the consumer does: envelopes examined, several in one commit."""
    bodies, seq = map(encode_item, items), 1
    arrivals = []
    while part := tuple(enumerate(itertools.islice(bodies, _BODIES))):
        arrival = examine(f"sb/v1/{gateway}/{lane}", encode_envelope(Envelope(gateway, epoch, seq, 1, part)))
        assert arrival is not None
        arrivals.append(arrival)
        seq += len(part)
        if len(arrivals) == _ARRIVALS:
            store.commit(arrivals, NOW_UTC_MS)
            arrivals = []
    store.commit(arrivals, NOW_UTC_MS)


@dataclass(frozen=True)
class _Night:
    """What a resident did in one night; seconds after the midnight before it."""

    midnight: datetime
    back: int
    absences: list[tuple[int, int]]  # (start, length), ascending and apart
    silence: tuple[int, int] | None  # the belt was not heard (start, length)
    awake_s: int  # lying awake before the rise
    is_reported: bool

    def utc_s(self, at_s: int) -> int:
        return round(self.midnight.timestamp()) + at_s

    def in_bed(self) -> list[tuple[int, int]]:
        edges = [_ENTER_S, *(edge for start, length in self.absences for edge in (start, start + length)), _RISE_S]
        return list(zip(edges[::2], edges[1::2], strict=True))


def _night(n: int, back: int, draw: random.Random) -> _Night:
    habits = random.Random(f"habits {n}")
    usual_awake_s, usual_out = habits.randrange(0, 5_400), habits.randrange(1, 4)
    midnight = datetime.combine(NOW.date() - timedelta(days=back + 1), datetime.min.time(), ZONE)
    silent_s = draw.choice((0, 60, 30, 0, 120, 90, 1_100)) if draw.random() > 0.03 else 5_000
    silence = (draw.randrange(_ENTER_S + 3_600, _RISE_S - 9_000), silent_s) if silent_s else None
    awake_s = max(0, usual_awake_s + draw.randrange(-1_800, 1_800))
    absences = _absences(draw, usual_out + (draw.random() < 0.2))
    return _Night(midnight, back, absences, silence, awake_s, draw.random() > 0.04)


def _items_of(n: int, nights: Sequence[_Night], draw: random.Random) -> Iterator[Item]:
    bed, belt = bed_of(n), f"{0xB0A0_0000 + n:016x}"
    before: list[dict[str, Any]] = []
    for night in nights:
        alarms = list(_alarms(bed, belt, night, n, draw))
        yield from alarms
        if night.is_reported:
            fields = _report(n, night, alarms, before)
            before.append(fields)
            at = stamp(night.midnight + timedelta(hours=35))
            yield NightReportItem(bed, at, fields["night_of"], fields["report_version"], fields)
    fields = {"firmware": "1.0.0", "battery_percent": 12 if n == 2 else draw.randrange(40, 100), "mains": n % 5 == 0}
    yield DeviceState(belt, "belt", stamp(NOW - timedelta(hours=2)), bed, fields)


def _absences(draw: random.Random, count: int) -> list[tuple[int, int]]:
    """(start, length) in seconds after the midnight before the night, ascending and apart."""
    starts = sorted(draw.sample(range(_ENTER_S + 5_400, _RISE_S - 5_400, 3_000), count))
    return [(start + draw.randrange(900), draw.randrange(180, 1_500)) for start in starts]


def _report(n: int, night: _Night, alarms: Sequence[AlarmEvent], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The night core's report of the night, sleep given as it was slept."""
    answered = {event.alarm_id: event.at.utc_ms // 1000 for event in alarms if event.event == "ack"}
    start_s = night.utc_s(_ENTER_S)
    report = build_report(
        NightFacts(
            timezone=ZONE.key,
            night_of=(night.midnight + timedelta(days=1)).date(),
            occupancy=tuple(Presence(night.utc_s(start), night.utc_s(end)) for start, end in night.in_bed()),
            silences=(Span(night.utc_s(night.silence[0]), night.utc_s(sum(night.silence))),) if night.silence else (),
            minutes=minutes_of(_chunk(n, night, at_s) for at_s in range(start_s, night.utc_s(_RISE_S), 60)),
            epochs=tuple(Epoch(night.utc_s(at_s), _asleep(night, at_s)) for at_s in range(_ENTER_S, _RISE_S, 30)),
            alarms=tuple(
                Alarm(event.at.utc_ms // 1000, answered.get(event.alarm_id))
                for event in alarms if event.event == "alarm_raise"
            ),
            history=tuple(past_night(fields) for fields in before),
        )
    )  # fmt: skip
    assert report is not None
    return report.to_json()


def _asleep(night: _Night, at_s: int) -> bool:
    start, end = next(((start, end) for start, end in night.in_bed() if at_s < end), (_RISE_S, _RISE_S))
    settled = start + (_FALL_ASLEEP_S if start == _ENTER_S else _BACK_TO_SLEEP_S)
    return settled <= at_s < end and at_s < _RISE_S - night.awake_s


def _alarms(bed: str, belt: str, night: _Night, n: int, draw: random.Random) -> Iterator[AlarmEvent]:
    def event(at_s: float, name: str, detail: str = "", alarm_id: str = "", level: int = 0) -> AlarmEvent:
        at = stamp(night.midnight + timedelta(seconds=at_s))
        return AlarmEvent(bed, at, name, detail, alarm_id, belt, "high" if alarm_id else "", level)

    for index, (start, length) in enumerate(night.absences):
        yield event(start, "exit")
        if length > 600:
            alarm_id, raised = f"a{n}-{night.back}-{index}", start + 600
            yield event(raised, "alarm_raise", "high", alarm_id, 1)
            if draw.random() < 0.85:
                yield event(raised + draw.randrange(15, 200), "ack", "", alarm_id, 1)
                yield event(start + length + 220, "outcome", draw.choice(("real", "assisted", "assisted", "false")))
            yield event(start + length + 210, "alarm_clear", "returned", alarm_id, 1)
        yield event(start + length, "return")
    if draw.random() < 0.15:
        yield event(_ENTER_S + 7_200, "notice", "reposition")
    if n == 3 and night.back == 0:
        yield event(_RISE_S - 3_000, "missed_alarm", "", f"m{n}", 0)


def _chunks(n: int, nights: Sequence[_Night], days: int, draw: random.Random) -> Iterator[VitalsChunk]:
    """Every minute of the last days as its belt recorded it, but for two holes of the uplink and the silences."""
    of_day = {night.midnight.date(): night for night in nights}
    hole_at = draw.randrange(days * 1440 - 200) if days else 0
    last_hole = days * 1440 - draw.randrange(300, 900)
    for number in range(days * 1440):
        if hole_at <= number < hole_at + 40 or last_hole <= number < last_hole + 11:
            continue
        at_s = NOW_UTC_MS // 1000 - days * 86_400 + number * 60
        night = of_day.get(_evening(at_s))
        if night is None or not _is_silent(night, at_s):
            yield _chunk(n, night, at_s)


def _evening(at_s: int) -> date:
    """The day in whose evening the night of an instant begins."""
    return (datetime.fromtimestamp(at_s, ZONE) - timedelta(hours=12)).date()


def _is_silent(night: _Night, at_s: int) -> bool:
    if night.silence is None:
        return False
    start, length = night.silence
    return night.utc_s(start) <= at_s and at_s + 60 <= night.utc_s(start + length)


def _chunk(n: int, night: _Night | None, at_s: int) -> VitalsChunk:
    """The minute from `at_s` on: rates and movement only of somebody in bed."""
    zero_s = 0 if night is None else night.utc_s(0)
    spans = [] if night is None else night.in_bed()
    occupied_s = sum(max(0, min(end, at_s + 60 - zero_s) - max(start, at_s - zero_s)) for start, end in spans)
    number, present = at_s // 60, occupied_s >= 30
    moving_s = 9 if present and number % 13 == 12 else 0
    minute = Minute(
        occupied_s=occupied_s,
        empty_s=60 - occupied_s,
        unclear_s=0,
        heart_rate_bpm=55 + n % 12 + number * 37 % 11 // 3 if present else None,
        heart_valid_s=occupied_s if present else 0,
        respiration_per_min=13 + number * 17 % 7 // 3 if present else None,
        respiration_valid_s=occupied_s if present else 0,
        moving_first_half_s=moving_s,
        turn_overs=int(present and number % 31 == 0),
    )
    start_second = at_s - NOW_UTC_MS // 1000 + 40 * 86_400
    return VitalsChunk(bed_of(n), f"{0xB0A0_0000 + n:016x}", 1, start_second, at_s * 1000, True, 60, (), minute)
