"""A simulated month of a home in the receiver's own database, for benchmarks, screenshots and tests of the pages.

Nights, alarms and devices go through the store as a gateway's items would; minutes are written as the store would have
left them, because a month of them through chunks takes a quarter of an hour.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.ingest import examine
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.stores.base import Admission
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites
from protocol.batch import AlarmEvent, DeviceState, Envelope, Item, NightReportItem, Stamp, encode_envelope, encode_item

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 23, 11, tzinfo=ZONE)
NOW_UTC_MS = round(NOW.timestamp() * 1000)
GATEWAY_BEDS = 10
NAMES = (
    "张桂兰", "王德明", "李秀英", "陈建国", "Margaret O'Neill", "赵敏", "刘玉珍", "杨志强", "黄淑芬", "周文斌",
    "吴凤英", "徐国栋", "孙丽华", "Thomas Becker", "马秀芝", "朱永福", "胡桂芳", "郭振华", "何美玲", "林宝山",
)  # fmt: skip
_ENTER_S, _RISE_S = 21 * 3600 + 1800, 30 * 3600 + 600  # seconds after the midnight before the night


@dataclass(frozen=True)
class Home:
    """Where the month lies."""

    folder: Path
    residents: int
    nights: int

    @property
    def database(self) -> Path:
        return self.folder / "receiver.db"

    @property
    def name_key(self) -> Path:
        return self.folder / "names.key"


def make_month(folder: Path, residents: int = 20, nights: int = 30, minutes_of_nights: int = 30, seed: int = 7) -> Home:
    """A database of `residents` over `nights`, with every minute of the last `minutes_of_nights` days."""
    home = Home(folder, residents, nights)
    names = NameBook(home.name_key)
    store = SqliteWrites(home.database)
    began_ms = NOW_UTC_MS - (nights + 1) * 86_400_000
    store.admit(
        [
            Admission(names.seal(f"r{n + 1}", NAMES[n % len(NAMES)]), gateway_of(n), bed_of(n), bed_of(n)[:3])
            for n in range(residents)
        ],
        began_ms,
    )
    draw = random.Random(seed)
    for n in range(residents):
        _deliver(store, gateway_of(n), f"e{n}", list(_items_of(n, nights, draw)))
    store.close()
    with sqlite3.connect(home.database) as file:
        beds = dict(file.execute("SELECT gateway || ' ' || bed, bed_id FROM beds").fetchall())
        for n in range(residents):
            bed_id = beds[f"{gateway_of(n)} {bed_of(n)}"]
            file.executemany(
                f"INSERT INTO minutes VALUES ({', '.join('?' * 11)})", _minutes(bed_id, n, minutes_of_nights, draw)
            )
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


def _deliver(store: SqliteWrites, gateway: str, epoch: str, items: list[Item]) -> None:
    for start in range(0, len(items), 500):
        bodies = tuple(enumerate(encode_item(item) for item in items[start : start + 500]))
        arrival = examine(f"sb/v1/{gateway}/alarm", encode_envelope(Envelope(gateway, epoch, start + 1, 1, bodies)))
        assert arrival is not None
        store.commit([arrival], NOW_UTC_MS)


def _items_of(n: int, nights: int, draw: random.Random) -> Iterator[Item]:
    bed, belt = bed_of(n), f"{0xB0A0_0000 + n:016x}"
    usual_sleep_s, usual_out = draw.randrange(21_000, 28_500), draw.randrange(1, 4)
    before: list[dict[str, Any]] = []
    for back in range(nights - 1, -1, -1):
        midnight = datetime.combine(NOW.date() - timedelta(days=back + 1), datetime.min.time(), ZONE)
        if draw.random() < 0.04:
            continue  # no report of that night
        absences = _absences(draw, usual_out + (draw.random() < 0.2))
        fields = _report(midnight, absences, usual_sleep_s, before, draw)
        before.append(fields)
        yield NightReportItem(bed, stamp(midnight + timedelta(hours=35)), fields["night_of"], 1, {"night": fields})
        yield from _alarms(bed, belt, midnight, absences, back, n, draw)
    fields = {"firmware": "1.0.0", "battery_percent": 12 if n == 2 else draw.randrange(40, 100), "mains": n % 5 == 0}
    yield DeviceState(belt, "belt", stamp(NOW - timedelta(hours=2)), bed, fields)


def _absences(draw: random.Random, count: int) -> list[tuple[int, int]]:
    """(start, length) in seconds after the midnight before the night, ascending and apart."""
    starts = sorted(draw.sample(range(_ENTER_S + 5_400, _RISE_S - 5_400, 3_000), count))
    return [(start + draw.randrange(900), draw.randrange(180, 1_500)) for start in starts]


def _report(
    midnight: datetime, absences: list[tuple[int, int]], usual_sleep_s: int, before: list[dict[str, Any]],
    draw: random.Random,
) -> dict[str, Any]:  # fmt: skip
    coverage = draw.choice((100.0, 99.8, 99.9, 100.0, 99.6, 99.7, 96.4)) if draw.random() > 0.03 else 84.0
    out_s, span_s = sum(length for _, length in absences), _RISE_S - _ENTER_S
    sleep_s = min(span_s - out_s - 600, usual_sleep_s + draw.randrange(-2_700, 2_700)) if coverage >= 90 else None
    heart = round(58 + usual_sleep_s % 9 + draw.random() * 4, 1)
    fields: dict[str, Any] = {
        "night_of": (midnight + timedelta(days=1)).date().isoformat(),
        "timezone": "Asia/Shanghai",
        "report_version": 1,
        "provisional": False,
        "in_bed_at": _local(midnight, _ENTER_S),
        "rise_at": _local(midnight, _RISE_S),
        "night_span_s": span_s,
        "time_in_bed_s": span_s - out_s,
        "times_out_of_bed": len(absences),
        "out_of_bed_total_s": out_s,
        "out_of_bed_longest_s": max((length for _, length in absences), default=0),
        "assisted_exits": 0,
        "no_data_s": round(span_s * (100 - coverage) / 100),
        "coverage_percent": coverage,
        "complete": coverage >= 99,
        "turn_overs": draw.randrange(9, 26),
        "heart_rate_bpm": {"mean": heart, "min": round(heart) - 8, "max": round(heart) + 22},
        "respiration_per_min": {"mean": 14.2, "min": 11, "max": 19},
        "total_sleep_s": sleep_s,
        "sleep_onset_latency_s": None if sleep_s is None else 960,
        "wake_after_sleep_onset_s": None if sleep_s is None else max(0, span_s - sleep_s - 960),
        "sleep_efficiency_percent": None if sleep_s is None else round(100 * sleep_s / span_s, 1),
        "awakenings": None if sleep_s is None else len(absences),
        "restlessness": 4.2,
        "irregular_minutes": draw.randrange(8),
        "weak_breath_minutes": 0,
        "alarms": {"count": sum(length > 600 for _, length in absences), "response_time_median_s": None},
        "timeline": _timeline(midnight, absences),
        "versus_usual": _usual(before),
        "sleep_note": "Sleep is an estimate from movement, heart and breath, without EEG.",
    }
    return fields


def _timeline(midnight: datetime, absences: list[tuple[int, int]]) -> list[dict[str, str]]:
    pieces, at = [], _ENTER_S
    for start, length in [*absences, (_RISE_S, 0)]:
        for state, end in (("in_bed_awake", min(start, at + 900)), ("in_bed_asleep", start), ("out", start + length)):
            if end > at:
                pieces.append({"state": state, "start": _local(midnight, at), "end": _local(midnight, end)})
                at = end
    return pieces


def _usual(before: list[dict[str, Any]]) -> dict[str, Any] | None:
    whole = [fields for fields in before if fields["complete"]][-14:]
    if len(whole) < 5:
        return None
    found = {}
    for name in ("total_sleep_s", "times_out_of_bed", "turn_overs", "heart_rate_bpm"):
        values = [f[name]["mean"] if name == "heart_rate_bpm" else f[name] for f in whole]
        middle = median(values)
        spread = median(abs(value - middle) for value in values)
        found[name] = {"median": round(middle, 1), "spread": round(spread, 1), "nights": len(values), "difference": 0}
    return found


def _local(midnight: datetime, at_s: int) -> str:
    return (midnight + timedelta(seconds=at_s)).replace(tzinfo=None).isoformat()


def _alarms(
    bed: str, belt: str, midnight: datetime, absences: list[tuple[int, int]], back: int, n: int, draw: random.Random
) -> Iterator[Item]:
    def event(at_s: float, name: str, detail: str = "", alarm_id: str = "", level: int = 0) -> AlarmEvent:
        at = stamp(midnight + timedelta(seconds=at_s))
        return AlarmEvent(bed, at, name, detail, alarm_id, belt, "high" if alarm_id else "", level)

    for index, (start, length) in enumerate(absences):
        yield event(start, "exit")
        if length > 600:
            alarm_id, raised = f"a{n}-{back}-{index}", start + 600
            yield event(raised, "alarm_raise", "high", alarm_id, 1)
            if draw.random() < 0.85:
                yield event(raised + draw.randrange(15, 200), "ack", "", alarm_id, 1)
                yield event(start + length + 220, "outcome", draw.choice(("real", "assisted", "assisted", "false")))
            yield event(start + length + 210, "alarm_clear", "returned", alarm_id, 1)
        yield event(start + length, "return")
    if draw.random() < 0.15:
        yield event(_ENTER_S + 7_200, "notice", "reposition")
    if n == 3 and back == 0:
        yield event(_RISE_S - 3_000, "missed_alarm", "", f"m{n}", 0)


def _minutes(bed_id: int, n: int, nights: int, draw: random.Random) -> Iterator[tuple[int, ...]]:
    base = 55 + n % 12
    start_ms = NOW_UTC_MS - nights * 86_400_000
    hole_at = draw.randrange(nights * 1440 - 200) if nights else 0
    last_hole = nights * 1440 - draw.randrange(300, 900)
    for number in range(nights * 1440):
        if hole_at <= number < hole_at + 40 or last_hole <= number < last_hole + 11:
            continue
        in_bed = (number // 60 + 11) % 24 >= 20 or (number // 60 + 11) % 24 < 7
        heart = (base + number * 37 % 11 // 3) * 60 if in_bed else 0
        breath = (13 + number * 17 % 7 // 3) * 60 if in_bed else 0
        valid = 60 if in_bed else 0
        moving = 9 if in_bed and number % 13 == 12 else 0
        yield (
            bed_id, start_ms + number * 60_000, 60, valid, 60 - valid, heart, valid, breath, valid, moving,
            int(number % 31 == 0),
        )  # fmt: skip
