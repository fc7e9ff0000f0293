"""What pages and the API read, on a real store: residents, nights, alarms, changes, and who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cloud_sync.clock import Clock
from cloud_sync.ingest import examine
from cloud_sync.pages.settings import WebSettings
from cloud_sync.receiver.api import build_api
from cloud_sync.receiver.api_access import Access
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.people import open_people
from cloud_sync.receiver.platform import Platform
from cloud_sync.receiver.residents import ResidentsError, admissions, read_residents
from cloud_sync.receiver.stores.base import Admission, Committed, StoreReads, StoreWrites
from cloud_sync.receiver.stores.opening import open_existing, open_reads, open_writes
from cloud_sync.receiver.stores.tokens import add_token
from cloud_sync.receiver.threads import StoreThread
from protocol.batch import DeviceState, Envelope, Item, LiveBed, LiveSnapshot, encode_envelope, encode_item
from protocol.clock_scale import ClockScale
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute, night, stamp

RESIDENTS = """\
[[resident]]
name = "王秀兰"
gateway = "gw-01"
bed = "101-A"
room = "101"
id = "r-wang"

[[resident]]
name = "Ann Smith"
gateway = "gw-01"
bed = "101-B"
room = "101"
"""
TOKEN = "0123456789abcdef"


@dataclass
class Bench:
    """A platform on a store, without broker or network; its clock runs an hour after the samples begin."""

    platform: Platform
    home: Home
    reads: StoreThread[StoreReads]
    writes: StoreThread[StoreWrites]
    folder: Path

    def take(self, *items: Item, seq: int = 1) -> Committed:
        bodies = tuple(enumerate(encode_item(item) for item in items))
        arrival = examine("sb/v1/gw-01/vitals", encode_envelope(Envelope("gw-01", "e", seq, 1, bodies)))
        assert arrival is not None
        committed = self.writes.call_now(lambda store: store.commit([arrival], START_UTC_MS))
        self.platform.committed(committed)
        return committed

    def hear(self, *beds: LiveBed, gateway: str = "gw-01") -> None:
        snapshot = LiveSnapshot(gateway, self.platform.now_utc_ms(), True, beds)
        self.platform.heard(snapshot)
        self.home.heard(snapshot)

    def app(self, token: str | None = None, is_open: bool = True) -> Starlette:
        access = Access(self.reads, token, is_open)
        routes, _ = build_api(
            self.platform, self.home.devices, WebSettings(open_access=is_open), access, self.home.note
        )
        return Starlette(routes=routes)

    def client(self, token: str | None = None, is_open: bool = True) -> TestClient:
        return TestClient(self.app(token, is_open), base_url="http://127.0.0.1", raise_server_exceptions=False)

    def token(self, role: str) -> dict[str, str]:
        """The header of a new token of that role."""
        with closing(open_existing(self.folder / "r.db")) as database:
            return {"Authorization": "Bearer " + add_token(database, f"of-{role}", role, None, START_UTC_MS)}


@contextmanager
def bench_on(where: Path | str, folder: Path) -> Iterator[Bench]:
    """A bench on the database of a file or URL."""
    file = folder / "residents.toml"
    file.write_text(RESIDENTS, encoding="utf-8")
    names = NameBook(folder / "names.key")
    writes: StoreThread[StoreWrites] = StoreThread("writes", lambda: open_writes(where))
    writes.call_now(lambda store: store.admit(admissions(read_residents(file), names), START_UTC_MS - 1000))
    reads: StoreThread[StoreReads] = StoreThread("reads", lambda: open_reads(where))
    real_ms = Clock(ClockScale()).utc_ms()
    platform = Platform(reads, names, Clock(ClockScale(real_ms, START_UTC_MS + 3_600_000, 1.0)), "Asia/Shanghai")
    asyncio.run(platform.refresh_places())
    people = StoreThread("people", lambda: open_people(where, folder))
    yield Bench(platform, Home(platform, reads, people), reads, writes, folder)
    for thread in (reads, writes, people):
        thread.call_now(lambda store: store.close())
        thread.shutdown()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_on(tmp_path / "r.db", tmp_path) as made:
        yield made


def test_residents_stand_in_the_order_of_rooms_and_beds_with_their_names(bench: Bench) -> None:
    cards = bench.client().get("/api/residents").json()["residents"]
    assert [(card["display_name"], card["initials"], card["bed"]) for card in cards] == [
        ("王秀兰", "秀兰", "101-A"),
        ("Ann Smith", "AS", "101-B"),
    ]


def test_a_bed_nobody_spoke_of_is_unknown_and_stale(bench: Bench) -> None:
    live = bench.client().get("/api/residents").json()["residents"][0]["live"]
    assert (live["state"], live["stale"], live["heart_rate_bpm"]) == ("unknown", True, None)


def test_a_live_snapshot_shows_on_its_card(bench: Bench) -> None:
    now = bench.platform.now_utc_ms()
    bed = LiveBed("101-A", "absent", out_since_utc_ms=now - 5000, heart_rate_bpm=58, heart_reason=0)
    bench.platform.heard(LiveSnapshot("gw-01", now, True, (bed,)))
    live = bench.client().get("/api/residents").json()["residents"][0]["live"]
    assert (live["state"], live["stale"], live["out_since_utc_ms"]) == ("absent", False, now - 5000)
    assert live["heart_rate_bpm"] == 58


def test_a_retained_snapshot_of_an_hour_ago_is_stale(bench: Bench) -> None:
    bench.platform.heard(LiveSnapshot("gw-01", START_UTC_MS, True, (LiveBed("101-A", "present"),)))
    assert bench.client().get("/api/residents").json()["residents"][0]["live"]["stale"] is True


def test_last_night_shows_on_its_card_and_in_full_on_the_resident(bench: Bench) -> None:
    bench.take(night(), minute())
    client = bench.client()
    card = client.get("/api/residents").json()["residents"][0]
    page = client.get("/api/residents/r-wang").json()
    assert (card["night"]["sleep_s"], card["night"]["times_out"], card["night"]["turn_overs"]) == (25_200, 2, 12)
    assert page["report"]["night"]["heart_rate_bpm"] == {"mean": 61.4, "min": 52, "max": 80}
    assert client.get("/api/nights").json()["nights"][0]["resident_id"] == "r-wang"
    (row,) = client.get("/api/residents/r-wang/nights").json()["nights"]
    assert (row["bed"], row["sleep_s"], row["report"]) == ("101-A", 25_200, page["report"])


def test_minutes_of_the_night_lie_between_noon_and_noon(bench: Bench) -> None:
    # The samples begin at 2026-11-18 20:27 in Shanghai: the night of the 19th.
    bench.take(minute(number=0), minute(number=1))
    page = bench.client().get("/api/residents/r-wang", params={"night_of": "2026-11-19"}).json()
    assert [row["utc_ms"] for row in page["minutes"]] == [START_UTC_MS, START_UTC_MS + 60_000]
    other = bench.client().get("/api/residents/r-wang", params={"night_of": "2026-11-20"}).json()
    assert other["minutes"] == []


def test_an_open_alarm_shows_with_its_resident(bench: Bench) -> None:
    bench.take(alarm(), alarm("ack", alarm_id="a-0"))
    client = bench.client()
    (row,) = client.get("/api/alarms", params={"open": "1"}).json()["alarms"]
    assert (row["resident_id"], row["state"], row["room"]) == ("r-wang", "unacknowledged", "101")
    assert client.get("/api/residents").json()["residents"][0]["open_alarms"] == [row]


def test_counts_are_told(bench: Bench) -> None:
    bench.take(minute())
    bench.take(minute())
    stats = bench.client().get("/api/stats").json()
    assert (stats["readings"], stats["duplicates"], stats["missing"]) == (60, 1, 0)


def test_a_resident_or_date_that_is_none_is_not_found(bench: Bench) -> None:
    client = bench.client()
    assert client.get("/api/residents/nobody").status_code == 404
    assert client.get("/api/residents/r-wang", params={"night_of": "yesterday"}).status_code == 400
    assert client.get("/api/residents/nobody/nights").status_code == 404
    assert client.get("/api/residents/nobody/minutes").status_code == 404


def test_a_limit_that_is_none_is_a_bad_request(bench: Bench) -> None:
    assert bench.client().get("/api/alarms", params={"limit": "-1"}).status_code == 400


def test_health_says_whether_batches_can_arrive(bench: Bench) -> None:
    assert bench.client().get("/healthz").status_code == 503
    bench.platform.is_connected = lambda: True
    assert bench.client().get("/healthz").json() == {"ok": True, "broker": "connected"}


def test_without_token_and_open_access_nothing_but_health_is_told(bench: Bench) -> None:
    client = bench.client(is_open=False)
    assert client.get("/api/residents").status_code == 401
    assert client.get("/healthz").status_code == 503


def test_a_token_opens_the_api_and_another_does_not(bench: Bench) -> None:
    client = bench.client(TOKEN, is_open=False)
    assert client.get("/api/residents", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/residents", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/api/residents").status_code == 401


def test_a_foreign_host_name_is_refused_where_anybody_may_look(bench: Bench) -> None:
    assert bench.client().get("/api/residents", headers={"Host": "evil.example"}).status_code == 421


async def test_changes_name_the_residents_they_touch_and_merge_while_nobody_looks(bench: Bench) -> None:
    changes = bench.platform.changes()
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    bench.take(minute())
    assert await waiting == frozenset({"r-wang"})
    bench.take(minute("101-B"), seq=2)
    bench.take(minute(number=1), seq=3)
    assert len(await anext(changes)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "belong there"),
        ("x = [", "not TOML"),
        ('[[resident]]\nname = "N"\ngateway = "g"', "resident 1: bed"),
        ('[[resident]]\nname = "N"\ngateway = "g"\nbed = "b"\nage = 80', "no such key: age"),
        (RESIDENTS + RESIDENTS.replace("r-wang", "r-2"), "same gateway and bed"),
    ],
)
def test_a_residents_file_that_is_wrong_is_refused_by_entry_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "residents.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ResidentsError, match=message):
        read_residents(file)


def test_an_error_in_a_residents_file_repeats_no_name(tmp_path: Path) -> None:
    file = tmp_path / "residents.toml"
    file.write_text('[[resident]]\nname = "Wang Xiulan"\ngateway = 3\nbed = "b"\n', encoding="utf-8")
    with pytest.raises(ResidentsError) as caught:
        read_residents(file)
    assert "Wang" not in str(caught.value)


def test_minutes_are_told_of_a_span_and_of_no_longer_one_than_a_month(bench: Bench) -> None:
    bench.take(minute(number=0), minute(number=1))
    client = bench.client()

    def asked(**query: int) -> Any:
        return client.get("/api/residents/r-wang/minutes", params=query)

    start = START_UTC_MS
    assert [row["utc_ms"] for row in asked().json()["minutes"]] == [start, start + 60_000]
    assert [row["utc_ms"] for row in asked(to_utc_ms=start + 60_000).json()["minutes"]] == [start]
    assert [row["utc_ms"] for row in asked(to_utc_ms=start + 3_660_000, hours=1).json()["minutes"]] == [start + 60_000]
    assert asked(to_utc_ms=0).json()["minutes"] == []
    assert asked(hours=745).status_code == 400
    assert asked(to_utc_ms=-1).status_code == 400


def test_minutes_of_a_bed_belong_to_who_lay_there(bench: Bench) -> None:
    names = NameBook(bench.folder / "names.key")
    bench.take(minute(number=0))
    moves = [
        Admission(names.seal("r-wang", "王秀兰"), "gw-01", "102-A", "102"),
        Admission(names.seal("r-new", "李"), "gw-01", "101-A", "101"),
    ]
    bench.writes.call_now(lambda store: store.admit(moves, START_UTC_MS + 60_000))
    bench.take(minute(number=1), minute("102-A", number=2), seq=2)
    client = bench.client()

    def times(who: str) -> list[int]:
        rows = client.get(f"/api/residents/{who}/minutes").json()["minutes"]
        return [row["utc_ms"] - START_UTC_MS for row in rows]

    assert (times("r-wang"), times("r-new")) == ([0, 120_000], [60_000])


def test_beds_are_told_with_who_lies_there_and_how(bench: Bench) -> None:
    bench.take(minute("103-A"))
    bench.hear(LiveBed("101-A", "present", heart_rate_bpm=61, heart_reason=0, watched=True))
    beds = {bed["bed"]: bed for bed in bench.client().get("/api/beds").json()["beds"]}
    assert list(beds) == ["103-A", "101-A", "101-B"]  # by room, and 103-A has none yet
    assert (beds["101-A"]["resident_id"], beds["101-A"]["live"]["heart_rate_bpm"]) == ("r-wang", 61)
    assert (beds["103-A"]["resident_id"], beds["103-A"]["stale"]) == (None, True)


def test_devices_are_told_with_what_they_said_of_themselves(bench: Bench) -> None:
    bench.take(DeviceState("belt-1", "belt", stamp(), "101-A", {"firmware": "1.2", "battery_percent": 71}))
    told = bench.client().get("/api/devices").json()
    (belt,) = [belt for belt in told["belts"] if belt["bed"] == "101-A"]
    assert (belt["device"], belt["firmware"], belt["battery_percent"]) == ("belt-1", "1.2", 71)
    assert told["gateways"][0]["gateway"] == "gw-01"


async def test_history_follows_the_person_and_not_the_bed(bench: Bench) -> None:
    bench.take(night("101-A", night_of="2026-11-18", turn_overs=3), seq=1)
    names = NameBook(bench.folder / "names.key")
    moves = [
        Admission(names.seal("r-wang", "王秀兰"), "gw-01", "102-A", "102"),
        Admission(names.seal("r-new", "李"), "gw-01", "101-A", "101"),
    ]
    bench.writes.call_now(lambda store: store.admit(moves, START_UTC_MS + 1000))
    moved, new = await bench.platform.resident("r-wang"), await bench.platform.resident("r-new", "2026-11-18")
    assert moved is not None
    assert new is not None
    assert [(one.night_of, one.turn_overs) for one in moved.nights] == [("2026-11-18", 3)]
    assert moved.report is not None
    assert (new.nights, new.report, new.events, new.minutes) == ((), None, (), ())
