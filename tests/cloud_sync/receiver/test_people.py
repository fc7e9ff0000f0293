"""Accounts, audit, consents, minutes not watched: a file beside SQLite, on PostgreSQL tables that all workers share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.people import PEOPLE, AuditRow, Consent, People, WatchSpan, open_people
from cloud_sync.receiver.register import SWEEP_S
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.forgetting import VITALS
from cloud_sync.receiver.stores.opening import open_writes
from cloud_sync.receiver.web import build_app
from tests.cloud_sync.pages.test_home_pages import browser
from tests.cloud_sync.postgres_server import emptied, postgres_server
from tools.bench_pages import sign_in
from tools.home_month import NOW_UTC_MS, bed_of, gateway_of
from tools.home_month import Home as Month
from tools.home_pages import OpenHome, open_home

LIN = Account("lin", "carer", hash_pin("4827"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server("people") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A receiver's database, opened once."""
    database: Path | str = tmp_path / "receiver.db"
    if request.param == "postgresql":
        database = emptied(request.getfixturevalue("server"))
    open_writes(database).close()
    return database


@pytest.fixture
def people(where: Path | str, tmp_path: Path) -> Iterator[People]:
    opened = open_people(where, tmp_path)
    yield opened
    opened.close()


def test_a_stretch_that_goes_on_stays_one_row(people: People) -> None:
    people.add_unwatched([WatchSpan("gw", "1", "away", 0, 20_000)])
    people.add_unwatched([WatchSpan("gw", "1", "away", 20_000, 40_000), WatchSpan("gw", "2", "away", 20_000, 40_000)])
    people.add_unwatched([WatchSpan("gw", "1", "away", 10_000, 30_000)])
    assert people.unwatched(0, 50_000) == [
        WatchSpan("gw", "1", "away", 0, 40_000), WatchSpan("gw", "2", "away", 20_000, 40_000),
    ]  # fmt: skip


def test_the_record_of_views_outlives_a_restart_newest_first(where: Path | str, tmp_path: Path) -> None:
    with closing(open_people(where, tmp_path)) as people:
        people.note(AuditRow(1, "view", "night", "carer", "r1"), AuditRow(2, "view", "night", "carer", "r2"))
    with closing(open_people(where, tmp_path)) as people:
        assert [row.utc_ms for row in people.audit(None, 10)] == [2, 1]
        assert [row.resident_id for row in people.audit("r1", 10)] == ["r1"]


def test_an_account_and_a_retention_that_are_set_again_are_replaced(people: People) -> None:
    for role in ("carer", "lead"):
        people.put_account(Account("lin", role, LIN.pin))
    people.put_retention({"vitals": 30})
    people.put_retention({"vitals": 60})
    assert [(account.name, account.role) for account in people.accounts()] == [("lin", "lead")]
    assert people.retention()["vitals"] == 60
    assert (people.remove_account("lin"), people.remove_account("lin")) == (True, False)


def test_a_consent_said_again_keeps_its_time(people: People) -> None:
    people.put_consents([Consent("r1", VITALS, False, 5, "lin")])
    people.put_consents([Consent("r1", VITALS, False, 9, "wu")])
    assert people.consents() == [Consent("r1", VITALS, False, 5, "lin")]
    people.put_consents([Consent("r1", VITALS, True, 11, "wu")])
    assert people.consents() == [Consent("r1", VITALS, True, 11, "wu")]


def test_a_file_of_an_older_version_is_carried_on(tmp_path: Path) -> None:
    open_people(tmp_path / "receiver.db", tmp_path).close()
    with closing(sqlite3.connect(tmp_path / PEOPLE)) as file, file:
        file.executescript("DROP TABLE consents; DROP TABLE retention; PRAGMA user_version=1;")
        file.execute("INSERT INTO accounts VALUES ('lin', 'carer', 'x')")
    with closing(open_people(tmp_path / "receiver.db", tmp_path)) as people:
        assert [account.name for account in people.accounts()] == ["lin"]
        assert people.consents() == []


def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_people(tmp_path / "receiver.db", tmp_path).close()
    with closing(sqlite3.connect(tmp_path / PEOPLE)) as file:
        file.execute("PRAGMA journal_mode=DELETE")
        file.execute("PRAGMA user_version=99")
    before = (tmp_path / PEOPLE).read_bytes()
    with pytest.raises(StoreError, match="version 99"):
        open_people(tmp_path / "receiver.db", tmp_path)
    assert (tmp_path / PEOPLE).read_bytes() == before


def filled(folder: Path) -> None:
    """A people.db as a receiver on SQLite leaves it."""
    with closing(open_people(folder / "receiver.db", folder)) as people:
        people.put_account(LIN)
        people.note(AuditRow(1, "view", "lin", "carer", "r1"), AuditRow(2, "view", "lin", "carer", "r2"))
        people.put_consents([Consent("r1", VITALS, False, 7, "lin"), Consent("r2", VITALS, False, 7, "lin")])
        people.add_unwatched([WatchSpan("gw", "1", "away", 0, 20_000)])
        people.put_retention({"vitals": 30})


def test_what_a_file_held_goes_into_postgresql_once(server: str, tmp_path: Path) -> None:
    url = emptied(server)
    open_writes(url).close()
    with closing(open_people(url, tmp_path / "other")) as people:
        people.put_consents([Consent("r1", VITALS, True, 6, "wu"), Consent("r2", VITALS, True, 8, "wu")])
    filled(tmp_path)
    kept = (tmp_path / PEOPLE).stat().st_ino
    for _ in range(2):  # the second time as if the power had failed before the file was renamed
        with closing(open_people(url, tmp_path)) as people:
            assert people.accounts() == (LIN,)
            assert [row.utc_ms for row in people.audit(None, 9)] == [2, 1]
            # The later word counts.
            assert {one.resident_id: one.given for one in people.consents()} == {"r1": False, "r2": True}
            assert people.unwatched(0, 50_000) == [WatchSpan("gw", "1", "away", 0, 20_000)]
            assert people.retention()["vitals"] == 30
        moved = tmp_path / f"{PEOPLE}.moved"
        assert (moved.stat().st_ino, (tmp_path / PEOPLE).exists()) == (kept, False)
        moved.rename(tmp_path / PEOPLE)


@pytest.fixture
def workers(server: str, tmp_path: Path) -> Iterator[tuple[OpenHome, OpenHome]]:
    """Two workers with folders of their own on one PostgreSQL database, one resident in it."""
    url = emptied(server)
    with ExitStack() as owned:
        opened = []
        for name in ("one", "two"):
            month = Month(tmp_path / name, 1, 0, url)
            month.folder.mkdir()
            month.name_key.write_bytes(b"k" * 32)
            opened.append(open_home(month, owned))
        yield opened[0], opened[1]


async def test_a_consent_withdrawn_at_one_worker_counts_at_all_of_them(workers: tuple[OpenHome, OpenHome]) -> None:
    one, two = workers
    resident = await one.register.admit("张桂兰", (gateway_of(0), bed_of(0)), "201")
    for each in workers:
        await each.register.reload()
        each.hear(1)
    (card,) = await two.platform.residents()
    assert (card.display_name, card.live.heart_rate_bpm) == ("张桂兰", 58)
    await one.register.consent([Consent(resident, VITALS, False, NOW_UTC_MS, "lead")])
    assert [each.withheld for each in await one.platform.residents()] == [(VITALS,)]
    assert SWEEP_S < 60
    await two.register.reload()  # what `run` does every SWEEP_S
    (card,) = await two.platform.residents()
    assert (card.withheld, card.live.heart_rate_bpm) == ((VITALS,), None)


async def test_an_account_removed_at_one_worker_ends_its_sessions_at_the_others(
    workers: tuple[OpenHome, OpenHome],
) -> None:
    one, two = workers
    app = build_app(two.platform, WebSettings(), two.home, two.register)
    await one.home.people(lambda people: people.put_account(LIN))
    await two.register.reload()
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await sign_in(client, LIN.name, "4827")
        assert (await client.get("/residents")).status_code == 200
        await one.home.people(lambda people: people.remove_account(LIN.name))
        await two.register.reload()
        assert (await client.get("/residents")).status_code == 303


async def test_who_was_moved_at_one_worker_is_told_of_at_the_other(workers: tuple[OpenHome, OpenHome]) -> None:
    one, two = workers
    resident = await one.register.admit("张桂兰", (gateway_of(0), bed_of(0)), "201")
    await two.register.reload()
    told = asyncio.ensure_future(anext(two.platform.changes()))
    await asyncio.sleep(0)
    await two.register.reload()
    assert not told.done()  # nothing has changed
    row = await one.register.resident(resident)
    assert row is not None
    await one.register.move(row, (gateway_of(0), bed_of(1)))
    await two.register.reload()
    assert resident in await asyncio.wait_for(told, 5)


@pytest.mark.parametrize("resident", ["%00", "a%00b", "%FF", "x" * 65, "%E2%80%AE"])
async def test_an_id_that_no_database_takes_is_nobodys(workers: tuple[OpenHome, OpenHome], resident: str) -> None:
    async with browser(workers[0], "lead") as client:
        for path in (f"/audit?resident={resident}", f"/residents/{resident}", f"/admissions/{resident}"):
            assert (await client.get(path)).status_code in (200, 404)
