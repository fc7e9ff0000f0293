"""The platform's pages: residents at a glance, one resident in full, and who may see them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cloud_sync.pages.charts import Piece
from cloud_sync.pages.language import strings
from cloud_sync.pages.night_view import absence_text, absences, spell_text, spells
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.port import EventRow
from cloud_sync.receiver.web import build_app
from tests.cloud_sync.pages.small_platform import (
    NOW_UTC_MS,
    SmallPlatform,
    alarm,
    card,
    live,
    minutes,
    night,
    piece,
    report,
)

PIN = "4827"
OPEN = WebSettings(language="en", open_access=True)
STAFF = WebSettings(
    language="en", accounts=tuple(Account(role, role, hash_pin(PIN)) for role in ("carer", "technician"))
)


def browser(platform: SmallPlatform, settings: WebSettings = OPEN) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=build_app(platform, settings), client=("127.0.0.1", 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090")


async def page_of(platform: SmallPlatform, path: str = "/residents", **headers: str) -> str:
    async with browser(platform) as client:
        answer = await client.get(path, headers=headers)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.text)


def glance(page: str) -> dict[str, str]:
    """Name -> everything said about the four figures of the first card."""
    rows = re.findall(r'<div class="figure"><dt>(.*?)</dt><dd>(.*?)</dd>', page)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", said).split()) for name, said in rows}


# -- at a glance ----------------------------------------------------------------------------------------------------


async def test_a_card_tells_the_four_figures_of_last_night() -> None:
    page = await page_of(SmallPlatform(card("r1", "张桂兰", "201-1")))
    assert glance(page) == {
        "Sleep": "7 h 12 min",
        "Times out of bed": "2",
        "Turn-overs": "17",
        "Heart, average": "61.4 /min",
    }


async def test_a_card_tells_who_where_and_how_now() -> None:
    page = await page_of(SmallPlatform(card("r1", "张桂兰", "201-1")))
    assert all(said in page for said in ("张桂兰", "桂兰", "Bed 201-1", "In bed", "heard 10:59"))


async def test_out_of_bed_counts_on_from_the_exit() -> None:
    out = live("absent", out_since_utc_ms=NOW_UTC_MS - 90_000, heart_rate_bpm=None, heart_reason=0)
    page = await page_of(SmallPlatform(card("r1", "张", "201-1", live=out)))
    assert f'data-from="{NOW_UTC_MS - 90_000}"' in page
    assert "bed empty" in page


async def test_an_open_alarm_stands_on_the_card_with_its_age_and_level() -> None:
    page = await page_of(SmallPlatform(card("r1", "张", "201-1", open_alarms=(alarm("201-1", level=2),))))
    assert "Please look" in page
    assert "since 10:50 · Level 2" in page


async def test_who_has_an_unanswered_alarm_stands_first() -> None:
    answered = alarm("102-1", "acknowledged")
    platform = SmallPlatform(
        card("r1", "张桂兰", "101-1"), card("r2", "王德明", "102-1", open_alarms=(answered,)),
        card("r3", "李秀英", "103-1", open_alarms=(alarm("103-1"),)),
    )  # fmt: skip
    assert re.findall(r'<article class="card" data-name="(r\d)"', await page_of(platform)) == ["r3", "r1", "r2"]


async def test_below_99_percent_counts_are_at_least() -> None:
    page = await page_of(SmallPlatform(card("r1", "张", "1", night=night(coverage_percent=98.9))))
    told = glance(page)
    assert (told["Times out of bed"], told["Turn-overs"]) == ("at least 2", "at least 17")
    assert "98.9 % of the night recorded" in page


async def test_what_is_not_known_is_a_dash_with_the_reason_and_never_zero() -> None:
    poor = night(coverage_percent=71.0, sleep_s=None, turn_overs=None, heart_rate_mean_bpm=None)
    told = glance(await page_of(SmallPlatform(card("r1", "张", "1", night=poor))))
    assert told["Sleep"] == "– not known: less than 90 % of the night was recorded"
    assert told["Turn-overs"] == "– not known"
    assert told["Heart, average"] == "– not known: fewer than 30 valid minutes"


async def test_zero_exits_of_a_complete_night_are_zero() -> None:
    told = glance(await page_of(SmallPlatform(card("r1", "张", "1", night=night(times_out=0)))))
    assert told["Times out of bed"] == "0"


async def test_a_running_night_is_marked_provisional() -> None:
    page = await page_of(SmallPlatform(card("r1", "张", "1", night=night(provisional=True))))
    assert "Still running: provisional" in page


async def test_no_night_shows_no_figures_at_all() -> None:
    nothing = night(reason="no_night_recorded", sleep_s=None, times_out=None, turn_overs=None, heart_rate_mean_bpm=None)
    page = await page_of(SmallPlatform(card("r1", "张", "1", night=nothing), card("r2", "李", "2", night=None)))
    assert glance(page) == {}
    assert "No night recorded" in page
    assert "No night report yet" in page


async def test_a_stale_state_is_unknown_and_its_rates_are_gone() -> None:
    page = await page_of(SmallPlatform(card("r1", "张", "1", live=live(stale=True))))
    assert "Unknown" in page
    assert "belt not heard" in page
    assert "<b>62</b>" not in page


async def test_the_page_says_that_sleep_is_an_estimate_in_both_languages() -> None:
    platform = SmallPlatform(card("r1", "张", "1"))
    assert "Sleep is an estimate from movement, heart and breath, without EEG." in await page_of(platform)
    assert "未使用脑电" in await page_of(platform, "/residents", **{"Accept-Language": "zh"})


async def test_a_home_without_residents_says_so() -> None:
    assert "No resident has been admitted yet" in await page_of(SmallPlatform())


async def test_a_lost_broker_is_told() -> None:
    platform = SmallPlatform(card("r1", "张", "1"))
    platform.connected = False
    assert "live states are old" in await page_of(platform)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "王😀🎉", "名" * 200, "{{ 7*7 }}", "O'Neill & Co"],
)
async def test_a_name_is_shown_as_text_whatever_it_holds(name: str) -> None:
    platform = SmallPlatform(card("r1", name, "1", initials=name[:2]))
    platform.reports["r1"] = report()
    for path in ("/residents", "/residents/r1"):
        page = await page_of(platform, path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "49" not in re.findall(r"<title>(.*?)</title>", page)[0]


# -- one resident ---------------------------------------------------------------------------------------------------


def in_full(**changes: Any) -> SmallPlatform:
    platform = SmallPlatform(card("r1", "张桂兰", "201-1"))
    platform.reports["r1"] = report(**changes)
    platform.minute_rows = minutes()
    return platform


def spells_of(page: str) -> list[tuple[str, str, str, str]]:
    """(where, from, until, duration) of each row of the table."""
    rows = re.findall(r'<tr class="is-(\w+)"><th .*?</th><td>(.*?)</td> ?<td>(.*?)</td> ?<td>(.*?)</td></tr>', page)
    return [(where, start, end, told) for where, start, end, told in rows]


async def test_every_in_and_out_of_bed_is_listed_with_its_time_and_duration() -> None:
    assert spells_of(await page_of(in_full(), "/residents/r1")) == [
        ("in_bed", "21:34", "01:14", "3 h 39 min"),
        ("out", "01:14", "01:23", "9 min 5 s"),
        ("in_bed", "01:23", "04:41", "at least 3 h 17 min"),
        ("out", "04:41", "04:47", "5 min 53 s"),
        ("in_bed", "04:47", "06:12", "1 h 25 min"),
    ]


async def test_a_bed_entry_and_a_rise_that_are_not_known_are_not_given() -> None:
    page = await page_of(in_full(in_bed_at=None, rise_at=None, provisional=True), "/residents/r1")
    rows = spells_of(page)
    assert rows[0] == ("in_bed", "–", "01:14", "at least 3 h 39 min")
    assert rows[-1] == ("in_bed", "04:47", "still in bed", "at least 1 h 25 min")


def test_between_two_absences_without_any_data_nobody_is_said_to_have_been_in_bed() -> None:
    pieces = [Piece("in_bed", 0, 100), Piece("out", 100, 400), Piece("no_data", 400, 500), Piece("out", 500, 700)]
    pieces.append(Piece("in_bed", 700, 900))
    night = {"times_out_of_bed": 2, "in_bed_at": "x", "rise_at": "x"}
    told = [(each.state, spell_text(strings("en"), each)) for each in spells(pieces, night)]
    assert told[1:4] == [("out", "5 min 0 s"), ("no_data", "–"), ("out", "3 min 20 s")]
    assert spells([], night) == []


async def test_the_figures_are_those_of_the_report() -> None:
    told = glance(await page_of(in_full(), "/residents/r1"))
    expected = {
        "In bed": "21:34 11-22",
        "Up": "06:12 11-23",
        "Time in bed": "8 h 22 min",
        "Sleep": "7 h 12 min",
        "Time to fall asleep": "18 min",
        "Awake after falling asleep": "53 min",
        "Sleep efficiency": "83.5 %",
        "Times out of bed": "2",
        "Turn-overs": "17",
        "Heart rate": "61.4 /min 54 to 88",
        "Breathing rate": "14.1 /min 11 to 19",
        "Alarms": "1 median answer 1 min 14 s",
    }
    assert {name: told[name] for name in expected} == expected


async def test_figures_of_a_poor_night_say_why_they_are_missing() -> None:
    poor = in_full(
        coverage_percent=71.0, total_sleep_s=None, wake_after_sleep_onset_s=None, heart_rate_bpm=None, alarms=None,
        rise_at=None, provisional=True, in_bed_at=None,
    )  # fmt: skip
    told = glance(await page_of(poor, "/residents/r1"))
    assert told["Sleep"].startswith("– not known: less than 90 %")
    assert told["Heart rate"] == "– not known: fewer than 30 valid minutes"
    assert told["Up"] == "– still in bed"
    assert told["In bed"] == "– outside the day counted"
    assert told["Alarms"] == "– not known"


async def test_the_usual_stands_beside_the_figure() -> None:
    usual = {"turn_overs": {"median": 15, "spread": 2, "nights": 9, "difference": 2}, "awakenings": None}
    assert glance(await page_of(in_full(versus_usual=usual), "/residents/r1"))["Turn-overs"] == "17 usual 15"


async def test_the_timeline_is_a_picture_with_words() -> None:
    page = await page_of(in_full(), "/residents/r1")
    assert re.search(r'role="img" aria-label="Timeline of the night from 21:34 to 06:12: Left 01:14, 9 min 5 s;', page)
    assert page.count('class="t-out"') == 2
    assert page.count('class="t-no_data"') == 1
    assert page.count('class="c-line"') == 3


async def test_a_night_still_out_of_bed_is_not_given_an_end() -> None:
    timeline = [*report()["timeline"][:5], piece("out", "01:14:05", "01:20:00")]
    page = await page_of(in_full(timeline=timeline, provisional=True, rise_at=None), "/residents/r1")
    assert spells_of(page)[-1] == ("out", "01:14", "not back", "at least 5 min 55 s")


def test_an_absence_with_a_hole_in_its_data_is_one_of_at_least_the_known_time() -> None:
    pieces = [Piece("in_bed", 0, 100), Piece("out", 100, 400), Piece("no_data", 400, 500), Piece("out", 500, 700)]
    pieces.append(Piece("in_bed", 700, 900))
    found = absences(pieces, times_out=1)
    assert [absence_text(strings("en"), each) for each in found] == ["at least 8 min 20 s"]
    assert len(absences(pieces, times_out=2)) == 2


async def test_alarms_of_that_night_show_their_response() -> None:
    platform = in_full()
    raised = NOW_UTC_MS - 8 * 3_600_000
    mine = alarm("201-1", "closed", raised_utc_ms=raised)
    mine = replace(mine, acknowledged_utc_ms=raised + 74_000, ended_utc_ms=raised + 400_000)
    platform.alarm_rows = [
        replace(mine, detail="returned"),
        replace(mine, resident_id="r2", detail="superseded"),
        replace(mine, raised_utc_ms=raised - 86_400_000, detail="away"),
    ]
    platform.events = (EventRow(raised, True, "notice", "check_bed", "alarm"),)
    page = await page_of(platform, "/residents/r1")
    assert "03:01 (1 min 14 s)" in page
    assert "back in bed</small>" in page
    assert "replaced by a newer one" not in page
    assert "away</small>" not in page
    assert "Please check the bed" in page


async def test_a_clock_change_keeps_the_night_in_order() -> None:
    autumn = [
        {"state": "in_bed_asleep", "start": "2026-10-25T01:00:00", "end": "2026-10-25T02:30:00+02:00"},
        {"state": "out", "start": "2026-10-25T02:30:00+02:00", "end": "2026-10-25T02:30:00+01:00"},
    ]
    page = await page_of(in_full(timeline=autumn, timezone="Europe/Berlin"), "/residents/r1")
    assert "from 01:00 to 02:30" in page


async def test_a_night_that_is_not_there_says_so_and_shows_no_figures() -> None:
    page = await page_of(in_full(), "/residents/r1?night=2030-01-01")
    assert "No night report yet" in page
    assert glance(page) == {}


async def test_a_night_without_a_report_shows_its_readings_and_no_figures() -> None:
    platform = SmallPlatform(card("r1", "张", "1", night=None))
    platform.minute_rows = minutes()
    page = await page_of(platform, "/residents/r1")
    assert "figures come with the report" in page
    assert page.count('class="c-line"') == 3
    assert glance(page) == {}


@pytest.mark.parametrize("wrong", ["tonight", "2026-13-01", "20261123", "2026-11-23T00", "../etc", "'--"])
async def test_a_date_that_is_none_is_a_clear_error(wrong: str) -> None:
    async with browser(in_full()) as client:
        answer = await client.get("/residents/r1", params={"night": wrong})
    assert (answer.status_code, "This is not a date" in answer.text) == (400, True)


async def test_an_unknown_resident_is_404() -> None:
    async with browser(in_full()) as client:
        answer = await client.get("/residents/r9")
    assert (answer.status_code, "There is no such resident" in answer.text) == (404, True)


# -- who may see ----------------------------------------------------------------------------------------------------


async def test_nobody_sees_residents_without_signing_in() -> None:
    async with browser(in_full(), STAFF) as client:
        for path in ("/residents", "/residents/r1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?back={path}")
            assert (await client.get(f"/stream{path}")).status_code == 401


@pytest.mark.parametrize(("role", "status"), [("carer", 200), ("technician", 403)])
async def test_a_technician_sees_no_resident(role: str, status: int) -> None:
    async with browser(in_full(), STAFF) as client:
        form = (await client.get("/login?back=/residents")).text
        csrf = re.findall(r'name="csrf" value="([0-9a-f]+)"', form)[0]
        data = {"csrf": csrf, "account": role, "pin": PIN, "back": "/residents"}
        assert (await client.post("/login", data=data)).headers["location"] == "/residents"
        answer = await client.get("/residents")
    assert answer.status_code == status
    assert ("张桂兰" in answer.text) == (status == 200)


async def test_pages_of_residents_are_kept_in_no_cache() -> None:
    async with browser(in_full()) as client:
        assert (await client.get("/residents")).headers["cache-control"] == "no-store"
