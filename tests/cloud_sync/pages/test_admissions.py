"""Who lives here: admitted, moved, discharged; consent, retention, export, erase. On a month in a real database."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import httpx
import pytest

from cloud_sync.receiver.port import ResidentCard
from cloud_sync.receiver.register import ResidentRow
from cloud_sync.receiver.residents import Resident
from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.minute_sums import FIELDS
from cloud_sync.receiver.stores.pack_rows import minutes_alone
from protocol.batch import NightReportItem
from tests.cloud_sync.pages.test_home_pages import browser, token
from tools.home_month import NOW, Home, deliver, make_month, stamp
from tools.home_pages import OpenHome, open_home


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_month(tmp_path_factory.mktemp("month"), residents=4, nights=8, minutes_of_nights=1)


@pytest.fixture
def opened(month: Home, tmp_path: Path) -> Iterator[OpenHome]:
    """A copy of the month, to be changed at will."""
    shutil.copytree(month.folder, tmp_path / "home")
    with ExitStack() as owned:
        yield open_home(replace(month, folder=tmp_path / "home"), owned)


async def post(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={**form, "csrf": await token(client, path)})


async def card_of(opened: OpenHome, resident_id: str) -> ResidentCard | None:
    return next((card for card in await opened.platform.residents() if card.resident_id == resident_id), None)


async def count(opened: OpenHome, table: str) -> int:
    rows = await opened.reads.call(lambda store: store.select(f"SELECT count(*) FROM {table}"))
    return int(rows[0][0])


async def test_a_discharged_residents_bed_takes_another_who_sees_nothing_of_theirs(opened: OpenHome) -> None:
    before = await card_of(opened, "r1")
    assert before is not None
    assert before.night is not None
    async with browser(opened, "lead") as client:
        gone = await post(client, "/admissions/r1", do="discharge")
        assert gone.headers["location"] == "/admissions/r1?done=discharge"
        assert await card_of(opened, "r1") is None
        place = f"{before.gateway}\t{before.bed}"
        came = await post(client, "/admissions", do="admit", name="Ines Vidal", place=place, room=before.room)
        assert came.status_code == 303
    new = next(card for card in await opened.platform.residents() if card.bed == before.bed)
    assert (new.display_name, new.night, new.open_alarms) == ("Ines Vidal", None, ())
    page = await opened.platform.resident(new.resident_id)
    assert page is not None
    assert (page.nights, page.minutes, page.events) == ((), (), ())


async def test_history_goes_along_to_another_bed(opened: OpenHome) -> None:
    before = await card_of(opened, "r1")
    assert before is not None
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        free = next(iter(await opened.register.free_beds()))
        moved = await post(client, "/admissions/r1", do="move", place="\t".join(free))
        assert moved.headers["location"] == "/admissions/r1?done=move"
    page = await opened.platform.resident("r1")
    assert page is not None
    assert (page.card.bed, page.card.display_name) == (free[1], before.display_name)
    assert page.night is not None
    on_board = await card_of(opened, "r1")
    assert on_board is not None
    assert on_board.night == before.night


async def test_readings_of_a_day_without_a_report_go_along_to_another_bed(opened: OpenHome) -> None:
    tonight = f"{NOW.date() + timedelta(days=1)}"  # runs since noon: no report yet
    bed = await card_of(opened, "r1")
    assert bed is not None
    add_minute(opened, opened.platform.now_utc_ms() // 60_000 * 60_000 + 3_600_000)
    before = await opened.platform.resident("r1", tonight)
    assert before is not None
    assert (before.report, len(before.minutes)) == (None, 1)
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        free = next(iter(await opened.register.free_beds()))
        await opened.register.move(await row_of(opened, "r1"), free)
        with sqlite3.connect(opened.database) as file:  # as if two hours later
            file.execute("UPDATE assignments SET to_utc_ms = to_utc_ms + 7200000 WHERE resident_id = 'r1'")
        file.close()
    after = await opened.platform.resident("r1", tonight)
    assert after is not None
    assert (after.card.bed, after.minutes) == (free[1], before.minutes)


async def row_of(opened: OpenHome, resident_id: str) -> ResidentRow:
    row = await opened.register.resident(resident_id)
    assert row is not None
    return row


async def test_the_hand_over_counts_what_a_resident_did_and_not_who_had_the_bed_before(opened: OpenHome) -> None:
    shift = (opened.platform.now_utc_ms() - 16 * 3_600_000, opened.platform.now_utc_ms())
    before = {line.card.resident_id: line.exits for line in await opened.home.shift(*shift)}
    assert before["r1"] > 0
    bed = await card_of(opened, "r1")
    assert bed is not None
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        free = next(iter(await opened.register.free_beds()))
        await post(client, "/admissions/r1", do="move", place="\t".join(free))
        place = f"{bed.gateway}\t{bed.bed}"
        await post(client, "/admissions", do="admit", name="Ines Vidal", place=place, room="")
    after = {line.card.resident_id: line.exits for line in await opened.home.shift(*shift)}
    (new,) = set(after) - set(before)
    assert (after["r1"], after["r2"], after[new]) == (before["r1"], before["r2"], 0)


async def test_a_version_that_comes_after_a_move_is_still_of_who_slept_there(opened: OpenHome) -> None:
    before = await card_of(opened, "r1")
    assert before is not None
    assert before.night is not None
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        free = next(iter(await opened.register.free_beds()))
        await post(client, "/admissions/r1", do="move", place="\t".join(free))
        place = f"{before.gateway}\t{before.bed}"
        await post(client, "/admissions", do="admit", name="Ines Vidal", place=place, room=before.room)
    night_of = before.night.night_of
    report = await opened.reads.call(lambda store: store.report(before.gateway, before.bed, night_of))
    assert report is not None
    late = NightReportItem(before.bed, stamp(NOW + timedelta(days=1)), night_of, 2, {**report, "turn_overs": 77})
    deliver(opened.database, "alarm", before.gateway, "late", [late])
    page = await opened.platform.resident("r1")
    assert page is not None
    assert page.night is not None
    assert (page.night.version, page.night.turn_overs) == (2, 77)
    new = next(card for card in await opened.platform.residents() if card.bed == before.bed)
    assert (new.display_name, new.night) == ("Ines Vidal", None)
    async with browser(opened, "admin") as client:
        await post(client, "/admissions/r1", do="erase", again="r1")
    assert await count(opened, f"nights JOIN beds USING (bed_id) WHERE bed = '{before.bed}'") == 0


async def test_nobody_is_compared_with_the_nights_of_who_had_their_bed_before(opened: OpenHome) -> None:
    before = await card_of(opened, "r1")
    assert before is not None
    assert before.night is not None
    report = await opened.reads.call(
        lambda store: store.report(before.gateway, before.bed, before.night.night_of)  # type: ignore[union-attr]
    )
    assert report is not None
    assert report["versus_usual"] is not None  # the gateway's word, on the bed
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r1", do="discharge")
        place = f"{before.gateway}\t{before.bed}"
        await post(client, "/admissions", do="admit", name="Ines Vidal", place=place, room=before.room)
    first = {**report, "night_of": "2026-11-24", "timeline": []}
    at = stamp(NOW + timedelta(days=1))
    deliver(opened.database, "alarm", before.gateway, "next", [NightReportItem(before.bed, at, "2026-11-24", 1, first)])
    new = next(card for card in await opened.platform.residents() if card.bed == before.bed)
    page = await opened.platform.resident(new.resident_id)
    assert page is not None
    assert page.report is not None
    assert (page.report["turn_overs"], page.report["versus_usual"]) == (report["turn_overs"], None)
    assert (await opened.home.trend(new.resident_id)).usual == {}


async def test_whoever_moved_is_still_compared_with_their_own_nights(opened: OpenHome) -> None:
    before = await card_of(opened, "r1")
    assert before is not None
    usual = (await opened.home.trend("r1")).usual
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        gateway, bed = next(iter(await opened.register.free_beds()))
        await post(client, "/admissions/r1", do="move", place=f"{gateway}\t{bed}")
    moved = (await opened.home.trend("r1")).usual
    assert moved["turn_overs"] == usual["turn_overs"]
    page = await opened.platform.resident("r1")
    assert page is not None
    assert page.report is not None
    # The first night in the other bed: its gateway knows no night there that was theirs.
    first = {
        **page.report,
        "night_of": "2026-11-24",
        "timeline": [],
        "versus_usual": None,
        "turn_overs": 99,
    }
    at = stamp(NOW + timedelta(days=1))
    deliver(opened.database, "alarm", gateway, "next", [NightReportItem(bed, at, "2026-11-24", 1, first)])
    page = await opened.platform.resident("r1")
    assert page is not None
    assert page.report is not None
    own = [night.turn_overs for night in page.nights[1:] if night.coverage_percent and night.coverage_percent >= 99]
    assert page.report["versus_usual"]["turn_overs"]["nights"] == len(own) >= 5
    assert page.report["versus_usual"]["turn_overs"]["difference"] == 99 - median(n for n in own if n is not None)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "👵🏽 Mei", "x" * 200, 'O\'Neill "Bea" & Co', "‏מרים"], ids=range(5)
)
async def test_any_name_that_people_have_is_taken_and_shown_as_text(opened: OpenHome, name: str) -> None:
    async with browser(opened, "lead") as client:
        assert (await post(client, "/admissions/r1", do="rename", name=name)).status_code == 303
        page = (await client.get("/residents")).text
    card = await card_of(opened, "r1")
    assert card is not None
    assert card.display_name == name
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines", "bell\a", "turned \u202e"], ids=range(5))
async def test_a_name_that_is_none_is_refused_with_the_reason(opened: OpenHome, name: str) -> None:
    async with browser(opened, "lead") as client:
        answer = await post(client, "/admissions/r1", do="rename", name=name)
    assert answer.status_code == 422
    assert "A name of 1 to 200 characters" in answer.text


async def test_the_name_of_who_was_discharged_is_not_said_to_have_changed(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r1", do="discharge")
        answer = await post(client, "/admissions/r1", do="rename", name="Other")
    assert (answer.status_code, "discharged already" in answer.text) == (422, True)
    rows = await opened.home.people(lambda people: people.audit("r1", 9))
    assert "resident_rename" not in {row.kind for row in rows}


async def test_a_bed_that_is_taken_or_unknown_is_refused(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r3", do="discharge")
        taken = await card_of(opened, "r2")
        assert taken is not None
        for place in (f"{taken.gateway}\t{taken.bed}", "gw-99\t1", "nonsense"):
            answer = await post(client, "/admissions", do="admit", name="Ines", place=place, room="")
            assert answer.status_code == 422
            assert "Choose a bed that is free." in answer.text


async def test_a_withdrawn_consent_hides_its_class_at_once_and_deletes_what_still_comes(opened: OpenHome) -> None:
    page = await opened.platform.resident("r1")
    assert page is not None
    assert page.minutes
    assert page.card.live.heart_rate_bpm is not None
    packs = await count(opened, "packs")
    async with browser(opened, "lead") as client:
        assert (await post(client, "/admissions/r1", do="consent", presence="on")).status_code == 303
        shown = (await client.get("/residents/r1")).text
    assert "no consent" in shown
    page = await opened.platform.resident("r1")
    assert page is not None
    assert (page.minutes, page.nights, page.report, page.card.night) == ((), (), None, None)
    assert page.card.live.heart_rate_bpm is None
    assert page.card.live.state == "present"
    # What was recorded with consent stays until it is too old or erased; what comes after it is deleted by the sweep.
    assert await count(opened, "packs") == packs
    now_ms = opened.platform.now_utc_ms() + 60_000
    add_minute(opened, now_ms)
    assert await count(opened, "packs") == packs + 1
    await opened.register.sweep()
    assert await count(opened, "packs") == packs
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r1", do="consent", presence="on", vitals="on", nights="on")
    again = await opened.platform.resident("r1")
    assert again is not None
    assert again.night is not None


def add_minute(opened: OpenHome, utc_ms: int) -> None:
    """As if a gateway had sent one more minute of r1."""
    with sqlite3.connect(opened.database) as file:
        bed_id = file.execute("SELECT bed_id FROM assignments WHERE resident_id = 'r1'").fetchone()[0]
        row = minutes_alone(bed_id, [(utc_ms, (1,) * len(FIELDS))])
        file.execute(f"INSERT INTO packs VALUES (?{', ?' * (len(row) - 1)})", row)
    file.close()


async def test_presence_withdrawn_shows_neither_state_nor_alarms(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        await post(client, "/admissions/r2", do="consent", vitals="on", nights="on")
        for path in ("/residents", "/wall", "/handover", "/alarms?days=30"):
            assert (await client.get(path)).status_code == 200
    card = await card_of(opened, "r2")
    assert card is not None
    assert (card.live.state, card.live.out_since_utc_ms, card.open_alarms) == ("unknown", None, ())
    assert not any(row.resident_id == "r2" for row in await opened.platform.alarms())
    lines = await opened.home.alarm_lines(0, 2**53)
    assert not any(line.alarm.resident_id == "r2" for line in lines)


async def test_presence_withdrawn_takes_in_and_out_of_bed_from_the_night_report_too(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        before = (await client.get("/residents/r1")).text
        await post(client, "/admissions/r1", do="consent", vitals="on", nights="on")
        page = (await client.get("/residents/r1")).text
        board = (await client.get("/residents")).text
    assert 'class="t-out"' in before
    assert "In and out of bed" in before
    words = ('class="t-out', 'class="t-in_bed', "In and out of bed", "21:30", "Left the bed", "Level 1")
    assert [word for word in words if word in page] == []
    assert page.count('class="c-line"') == 3  # heart, breath and movement are another class
    assert re.search(r"<dt>Times out of bed</dt><dd><b[^>]*>–</b>.*?Not shown: consent was withdrawn", board)
    shown = await opened.platform.resident("r1")
    assert shown is not None
    assert shown.report is not None
    assert [shown.report[name] for name in ("in_bed_at", "times_out_of_bed", "alarms", "timeline")] == [None] * 3 + [[]]
    assert shown.report["total_sleep_s"] or shown.report["coverage_percent"] < 90
    assert all(night.times_out is None for night in shown.nights)
    nights = await opened.platform.nights_of("r1", 9)
    assert nights is not None
    assert all(row.report["out_of_bed_total_s"] is None for row in nights)
    trend = await opened.home.trend("r1")
    assert "times_out_of_bed" not in trend.usual
    assert "turn_overs" in trend.usual


async def test_retention_deletes_what_is_older_by_class(opened: OpenHome) -> None:
    nights, alarms = await count(opened, "nights"), await count(opened, "alarm_events")
    async with browser(opened, "admin") as client:
        done = await post(client, "/admissions", do="retention", presence="1000", vitals="100", nights="3")
        assert done.headers["location"] == "/admissions?done=retention"
        bad = await post(client, "/admissions", do="retention", presence="0", vitals="x", nights="999999")
        assert bad.status_code == 422
        assert bad.text.count("A whole number of days") == 3
    assert 0 < await count(opened, "nights") < nights
    assert await count(opened, "alarm_events") == alarms
    async with browser(opened, "lead") as client:
        assert (await post(client, "/admissions", do="retention", nights="1")).status_code == 403


async def test_an_export_has_everything_of_one_resident_and_nothing_of_another(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        answer = await client.get("/admissions/r1/export")
    document = json.loads(answer.text)
    card, other = await card_of(opened, "r1"), await card_of(opened, "r2")
    assert card is not None
    assert other is not None
    assert document["resident"]["name"] == card.display_name
    assert document["nights"]
    assert document["minutes"]
    assert document["events"]
    assert {row["bed"] for row in document["minutes"]} == {card.bed}
    assert other.display_name not in answer.text
    assert document["who_looked"][0]["kind"] == "export"


async def test_erasing_leaves_nothing_but_the_record_of_who_looked(opened: OpenHome, tmp_path: Path) -> None:
    card = await card_of(opened, "r1")
    assert card is not None
    async with browser(opened, "admin") as client:
        wrong = await post(client, "/admissions/r1", do="erase", again="r2")
        assert wrong.status_code == 422
        assert (await post(client, "/admissions/r1", do="erase", again="r1")).headers["location"].endswith("done=erase")
        assert (await client.get("/residents/r1")).status_code == 404
        assert (await client.get("/admissions/r1")).status_code == 404
        assert card.display_name not in (await client.get("/admissions")).text
        assert "r1" in (await client.get("/audit")).text
    for table in ("residents", "resident_names", "assignments"):
        assert await count(opened, f"{table} WHERE resident_id = 'r1'") == 0
    for table in ("nights", "alarms", "alarm_events", "packs", "belt_events"):
        assert await count(opened, f"{table} JOIN beds USING (bed_id) WHERE bed = '{card.bed}'") == 0
    async with browser(opened, "lead") as client:
        assert (await post(client, "/admissions/r2", do="erase", again="r2")).status_code == 403


async def test_erasing_leaves_no_byte_of_a_name_or_a_night_in_the_files(opened: OpenHome) -> None:
    def told(store: StoreReads) -> list[bytes]:
        """Pieces of what is stored of r1 and of nobody else."""
        names = [(one.resident_id == "r1", one.sealed) for one in store.names()]
        reports = store.select("SELECT bed = '201-1', report FROM nights JOIN beds USING (bed_id)")
        packs = store.select("SELECT bed = '201-1', body, minutes FROM packs JOIN beds USING (bed_id)")
        rows = [(bool(row[0]), bytes(part)) for row in (*names, *reports, *packs) for part in row[1:] if len(part) > 16]
        others = b"".join(row for is_own, row in rows if not is_own)
        pieces = [row[at : at + 48] for is_own, row in rows if is_own for at in (0, len(row) // 2, len(row) - 48)]
        return [piece for piece in pieces if len(piece) > 16 and piece not in others]

    def left(needles: list[bytes]) -> int:
        assert isinstance(opened.database, Path)
        files = [path.read_bytes() for path in opened.database.parent.glob(f"{opened.database.name}*")]
        return sum(any(needle in content for content in files) for needle in needles)

    async with browser(opened, "admin") as client:
        needles = await opened.reads.call(told)
        await post(client, "/admissions/r1", do="rename", name="Another Name")
        needles += await opened.reads.call(told)
        assert len(needles) > 8
        assert left(needles) > 8
        await post(client, "/admissions/r1", do="erase", again="r1")
    assert left(needles) == 0


async def test_a_list_of_residents_undoes_nothing_that_was_done_here(opened: OpenHome) -> None:
    before = [row for row in await opened.register.residents() if row.bed is not None and row.gateway is not None]
    listed = [Resident(row.resident_id, f"{row.name} listed", row.gateway or "", row.bed or "", "") for row in before]
    async with browser(opened, "admin") as client:
        await post(client, "/admissions/r1", do="discharge")
        gone = f"{before[0].gateway}\t{before[0].bed}"
        await post(client, "/admissions", do="admit", name="Ines Vidal", place=gone, room="")
        await post(client, "/admissions/r2", do="rename", name="Renamed Here")
        await post(client, "/admissions/r3", do="erase", again="r3")
    here = [(row.resident_id, row.name, row.bed) for row in await opened.register.residents()]
    # One comes into the bed of who was erased, the other would push somebody out of theirs.
    beds = {"r-new": before[2].bed or "", "r-x": "201-1"}
    newcomers = [Resident(name, "Bea", "gw-01", bed, "") for name, bed in beds.items()]
    assert await opened.register.admit_listed([*listed, *newcomers]) == 1
    after = [(row.resident_id, row.name, row.bed) for row in await opened.register.residents()]
    assert sorted(after, key=str) == sorted([*here, ("r-new", "Bea", before[2].bed)], key=str)
