"""The pages that run a home, on a small simulated month in a real database: what they tell, and what is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta

import httpx
import pytest

from cloud_sync.pages.language import strings
from cloud_sync.pages.pdf import PdfError, new_sheet
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.handover_pdf import handover_pdf, night_lines
from cloud_sync.receiver.home_rows import ShiftLine
from cloud_sync.receiver.web import build_app
from cloud_sync.receiver.web_kit import masked
from tests.cloud_sync.pages.pdf_text import pdf_texts
from tests.cloud_sync.pages.small_platform import card, night
from tools.home_month import DAY_MS, NOW, NOW_UTC_MS, make_month
from tools.home_pages import OpenHome, open_home

PIN = "4827"
_HASH = hash_pin(PIN)
STAFF = WebSettings(
    language="en",
    accounts=tuple(Account(role, role, _HASH) for role in ("carer", "lead", "technician", "admin", "display")),
)
PAGES = {
    "/residents": {"carer", "lead", "admin"},
    "/residents/r1": {"carer", "lead", "admin"},
    "/alarms": {"carer", "lead", "admin"},
    "/handover": {"carer", "lead", "admin"},
    "/wall": {"carer", "lead", "admin", "display"},
    "/devices": {"carer", "lead", "admin", "technician"},
    "/admissions": {"lead", "admin"},
    "/admissions/r1": {"lead", "admin"},
    "/accounts": {"admin"},
    "/audit": {"lead", "admin"},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenHome]:
    with ExitStack() as owned:
        yield open_home(make_month(tmp_path_factory.mktemp("home"), residents=6, nights=30, minutes_of_nights=1), owned)


@asynccontextmanager
async def browser(opened: OpenHome, role: str = "", language: str = "en") -> AsyncIterator[httpx.AsyncClient]:
    """A browser signed in as `role`, or not at all."""
    app = build_app(opened.platform, STAFF, opened.home, opened.register)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        if role:
            assert (await sign_in(client, role)).status_code == 303
        yield client


async def sign_in(client: httpx.AsyncClient, name: str, pin: str = PIN) -> httpx.Response:
    csrf = await token(client, "/login")
    return await client.post("/login", data={"account": name, "pin": pin, "csrf": csrf})


async def token(client: httpx.AsyncClient, path: str) -> str:
    found = re.search(r'name="csrf" (?:value|content)="([0-9a-f]+)"', (await client.get(path)).text)
    assert found is not None
    return found[1]


async def text_of(opened: OpenHome, path: str, role: str = "carer", language: str = "en") -> str:
    async with browser(opened, role, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


# -- who sees what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["carer", "lead", "technician", "admin", "display"])
async def test_each_role_sees_its_pages_and_no_other(opened: OpenHome, role: str) -> None:
    async with browser(opened, role) as client:
        seen = {path for path in PAGES if (await client.get(path)).status_code == 200}
    assert seen == {path for path, roles in PAGES.items() if role in roles}


@pytest.mark.parametrize("role", ["technician", "display"])
async def test_a_role_without_resident_data_gets_no_sheet(opened: OpenHome, role: str) -> None:
    async with browser(opened, role) as client:
        assert (await client.get("/handover.pdf")).status_code == 403


async def test_nobody_sees_anything_without_signing_in(opened: OpenHome) -> None:
    async with browser(opened) as client:
        answers = {path: (await client.get(path)) for path in [*PAGES, "/handover.pdf", "/stream/wall"]}
    assert {answer.status_code for answer in answers.values()} == {303, 401}
    assert answers["/alarms"].headers["location"] == "/login?back=/alarms"


@pytest.mark.parametrize(("role", "path"), [("technician", "/devices"), ("display", "/wall")])
async def test_no_name_reaches_roles_without_resident_data(opened: OpenHome, role: str, path: str) -> None:
    text = await text_of(opened, path, role)
    assert not any(name in text for name in ("桂兰", "德明", "秀英", "建国", "O'Neill", "赵敏"))


async def test_the_first_page_of_a_technician_is_the_devices_page(opened: OpenHome) -> None:
    async with browser(opened, "technician") as client:
        assert (await client.get("/")).headers["location"] == "/devices"


# -- what the pages tell --------------------------------------------------------------------------------------------


async def test_alarms_have_their_response_and_outcome(opened: OpenHome) -> None:
    lines = await opened.home.alarm_lines(NOW_UTC_MS - 30 * 86_400_000, NOW_UTC_MS)
    text = await text_of(opened, "/alarms?days=30")
    answered = [line for line in lines if line.response_s is not None]
    assert f"Alarms {len(lines)} Answered {len(answered)} " in text
    assert all(15 <= (line.response_s or 0) < 200 for line in answered)
    assert {line.outcome for line in answered} == {"real", "assisted", "false"}
    assert all(line.outcome == "" for line in lines if line.response_s is None)


@pytest.mark.parametrize("back", [0, 28])
async def test_alarms_of_a_night_stand_on_its_page_however_long_ago_it_was(opened: OpenHome, back: int) -> None:
    later = await opened.home.alarm_lines(NOW_UTC_MS - (back + 1) * DAY_MS, NOW_UTC_MS)
    assert len(later) > 200 or back == 0  # more than the platform looks back for anything else
    noon_ms = NOW_UTC_MS + 3_600_000 - (back + 1) * DAY_MS
    of_night = await opened.home.alarm_lines(noon_ms, noon_ms + DAY_MS)
    night_of = f"{NOW.date() - timedelta(days=back)}"
    for n in range(6):
        lines = [line for line in of_night if line.alarm.resident_id == f"r{n + 1}"]
        async with browser(opened, "carer") as client:
            page = (await client.get(f"/residents/r{n + 1}?night={night_of}")).text
        row = r"<tr><td>\d\d:\d\d · (.*?)</td><td>(.*?)</td><td>.*?<small>Outcome: (.*?)</small></td></tr>"
        rows = re.findall(row, page)
        assert len(rows) == len(lines)
        for (what, answer, outcome), line in zip(rows, lines, strict=True):
            assert (what == "absence went unreported") == line.missed
            assert ("(" in answer) == (line.response_s is not None)
            assert outcome == strings("en")(f"outcome.{line.outcome or 'untold'}")


async def test_an_outcome_belongs_to_the_same_alarm_whichever_period_is_asked_for(opened: OpenHome) -> None:
    month = await opened.home.alarm_lines(NOW_UTC_MS - 31 * DAY_MS, NOW_UTC_MS)
    for back in range(1, 30):
        to_ms = NOW_UTC_MS + 3_600_000 - back * DAY_MS
        lines = await opened.home.alarm_lines(to_ms - DAY_MS, to_ms)
        assert lines == [line for line in month if to_ms - DAY_MS <= line.alarm.raised_utc_ms < to_ms]


async def test_a_missed_absence_stands_in_the_list_of_alarms(opened: OpenHome) -> None:
    text = await text_of(opened, "/alarms")
    # Nobody could have acknowledged what nobody was told.
    assert re.search(r"absence went unreported +– ", text)


async def test_a_resident_is_compared_with_their_own_usual_as_the_report_says(opened: OpenHome) -> None:
    text = await text_of(opened, "/residents/r1")
    trend = await opened.home.trend("r1")
    assert 25 <= len(trend.nights) <= 30
    assert f"{trend.usual['times_out_of_bed']['median']:g} ± {trend.usual['times_out_of_bed']['spread']:g}" in text
    assert "Last 7 nights" in text


async def test_a_night_that_is_not_known_is_said_and_never_a_bar_of_zero(opened: OpenHome) -> None:
    async with browser(opened, "carer") as client:
        page = (await client.get("/residents/r1")).text
    unknown = re.findall(r'<rect [^>]*fill="url\(#hatch\)"/><title>[^<]*(?:not known|No night report yet)', page)
    nights = (await opened.home.trend("r1")).nights
    assert len(unknown) >= 4 * (30 - len(nights))


async def test_the_devices_page_tells_battery_firmware_and_why_a_bed_is_not_watched(opened: OpenHome) -> None:
    text = await text_of(opened, "/devices", "technician")
    assert all(word in text for word in ("00000000b0a00000", "1.0.0", "Mains", "12 % low", "Not watched · maintenance"))


async def test_minutes_without_a_record_are_counted_as_not_watched(opened: OpenHome) -> None:
    found = await opened.home.unwatched(NOW_UTC_MS - 86_400_000, NOW_UTC_MS)
    missing = {each.bed: each.by_reason.get("no_record", 0) // 60 for each in found.values()}
    # Two holes of the uplink, of 11 and 40 min, and the night's silence of 84 min at most.
    assert all(11 <= minutes <= 135 for minutes in missing.values())
    assert 19 <= found["gw-01", "202-2"].by_reason["maintenance"] <= 60


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_hand_over_page_has_every_resident(opened: OpenHome, language: str) -> None:
    text = await text_of(opened, "/handover", "carer", language)
    assert all(name in text for name in ("张桂兰", "王德明", "赵敏"))
    assert strings(language)("handover.given_by") in text


@pytest.mark.parametrize(
    ("now", "is_old"),
    [("2026-11-23T05:59", False), ("2026-11-23T06:00", True), ("2026-11-22T23:00", False), ("2026-11-24T01:00", True)],
)
def test_figures_of_an_earlier_night_are_not_taken_for_last_nights(now: str, is_old: bool) -> None:
    late = ShiftLine(card("r1", "张", "1", night=night(night_of="2026-11-22")), (), 0, (), None)
    told = night_lines(late, strings("en"), datetime.fromisoformat(now))
    assert ("No report of last night yet; figures of an earlier night" in told) is is_old


def test_the_sheet_says_how_much_of_a_night_was_recorded() -> None:
    poor = ShiftLine(card("r1", "张", "1", night=night(coverage_percent=71.0, sleep_s=None)), (), 0, (), None)
    told = night_lines(poor, strings("en"), datetime.fromisoformat("2026-11-23T08:00"))
    assert "71 % of the night recorded" in told


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_hand_over_sheet_is_a_pdf(opened: OpenHome, language: str) -> None:
    async with browser(opened, "carer", language) as client:
        answer = await client.get("/handover.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    printed = " ".join(pdf_texts(answer.content))
    assert all(name in printed for name in ("张桂兰", "王德明", "赵敏"))
    assert strings(language)("handover.given_by") in printed


def test_without_a_chinese_font_the_sheet_says_what_to_install() -> None:
    with pytest.raises(PdfError, match="apt install fonts-noto-cjk"):
        new_sheet("zh", (), fonts=())
    with pytest.raises(PdfError, match="apt install fonts-noto-cjk"):
        new_sheet("en", ["张桂兰"], fonts=())
    assert new_sheet("en", ["Margaret"], fonts=()) is not None


def test_names_that_no_font_has_leave_no_trace_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    line = ShiftLine(card("r1", "王😀" + "名" * 200, "1"), (), 0, (), None, 100.0)
    assert handover_pdf([line] * 3, (0, 1), "Asia/Shanghai", strings("en")).startswith(b"%PDF-")
    assert "王" not in caplog.text


async def test_the_wall_board_masks_names_and_keeps_to_its_floor(opened: OpenHome) -> None:
    text = await text_of(opened, "/wall?rooms=201", "display")
    assert "张＊＊" in text
    assert "202-1" not in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("张桂兰", "张＊＊"),
        ("赵敏", "赵＊"),
        ("王", "王＊"),
        ("欧阳" + "明" * 200, "欧＊＊"),
        ("Margaret O'Neill", "M. O."),
        ("Madonna", "M."),
        ("<script>", "S."),
        ("😀", "＊"),
        ("", "＊"),
    ],
)
def test_a_masked_name_says_no_more_than_its_first_letters(name: str, shown: str) -> None:
    assert masked(name) == shown


@pytest.mark.parametrize(
    "path", ["/alarms?days=x", "/devices?days=-1", "/handover?hours=99999999999", "/wall?rooms=<b>"]
)
async def test_a_hand_made_address_gets_the_usual_page(opened: OpenHome, path: str) -> None:
    async with browser(opened, "admin") as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert "<b>&" not in answer.text


# -- what is kept ---------------------------------------------------------------------------------------------------


async def test_every_view_of_a_resident_is_kept_with_who_looked(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        await client.get("/residents/r4")
        page = (await client.get("/audit?resident=r4")).text
    rows = await opened.home.people(lambda people: people.audit("r4", 2))
    assert [(row.kind, row.account, row.role) for row in rows] == [("audit", "lead", "lead"), ("view", "lead", "lead")]
    assert "Looked at a resident" in page
    assert "陈建国" in page


async def kinds_of(opened: OpenHome, resident_id: str | None, limit: int) -> list[tuple[str, str]]:
    return [(row.account, row.kind) for row in await opened.home.who_looked(resident_id, limit)]


async def test_views_of_all_residents_stand_in_the_record_of_each(opened: OpenHome) -> None:
    pages = ("/residents", "/alarms", "/handover", "/handover.pdf", "/wall?rooms=2")
    async with browser(opened, "carer") as client:
        for path in pages:
            await client.get(path)
        await client.get("/residents/r2")
    async with browser(opened, "display") as client:
        await client.get("/wall")
    kinds = ["wall", "handover_pdf", "handover", "alarms", "overview"]
    assert await kinds_of(opened, "r5", 6) == [("display", "wall"), *(("carer", kind) for kind in kinds)]
    async with browser(opened, "lead") as client:
        page = (await client.get("/audit?resident=r5")).text
    assert page.count("<td>All residents</td>") >= 6
    assert "r2" not in page


async def test_who_was_not_here_yet_was_not_seen(opened: OpenHome) -> None:
    later = (NOW_UTC_MS + DAY_MS, NOW_UTC_MS + 2 * DAY_MS)
    rows = await opened.home.people(lambda people: people.audit("r1", 500, later))
    assert {row.resident_id for row in rows} == {"r1"}
    assert await opened.home.who_looked("nobody", 9) == []


async def test_a_stream_opened_without_its_page_is_a_look_and_one_of_a_page_is_none(opened: OpenHome) -> None:
    async def look(client: httpx.AsyncClient, path: str) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                return (await client.get(path)).status_code
        return 0

    paths = ("/stream/residents/r6", "/stream/residents", "/stream/wall")
    async with browser(opened, "carer") as client:
        for path in (*paths, *paths, f"/stream/residents/{'x' * 65}"):
            await look(client, path)
    # A sign-in is written down beside what follows it, in no order.
    kinds = {("carer", "wall"), ("carer", "overview"), ("carer", "view"), ("carer", "sign_in")}
    assert set(await kinds_of(opened, None, 4)) == kinds
    async with browser(opened, "lead") as client:
        await client.get("/residents/r6")
        await look(client, "/stream/residents/r6")
    assert set(await kinds_of(opened, None, 2)) == {("lead", "view"), ("lead", "sign_in")}


async def test_sign_ins_and_failed_ones_are_kept(opened: OpenHome) -> None:
    async with browser(opened, "carer") as client:
        await client.get("/residents")
        assert (await sign_in(client, "admin", "0000x")).status_code == 401
        await client.get("/residents")
    kinds = [(row.kind, row.account) for row in await opened.home.people(lambda people: people.audit(None, 6))]
    assert ("sign_in", "carer") in kinds
    assert ("sign_in_failed", "admin") in kinds


# -- accounts -------------------------------------------------------------------------------------------------------


async def post(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/accounts", data={"csrf": await token(client, "/accounts"), **form})


async def test_an_account_is_added_signs_in_changes_role_and_goes(opened: OpenHome) -> None:
    night = {"name": "夜班", "role": "carer", "pin": "9173", "again": "9173", "do": "put"}
    async with browser(opened, "admin") as admin:
        assert (await post(admin, **night)).headers["location"] == "/accounts?done=1"
        transport = admin._transport
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as carer:
            assert (await sign_in(carer, "夜班", "9173")).status_code == 303
            assert (await carer.get("/residents")).status_code == 200
            await post(admin, **{**night, "role": "technician"})
            assert (await carer.get("/residents")).status_code == 303  # the session of the old role has ended
        assert (await post(admin, name="夜班", do="remove")).status_code == 303
        assert (await sign_in(admin, "夜班", "9173")).status_code == 401


async def test_kept_accounts_sign_in_after_a_restart(opened: OpenHome) -> None:
    async with browser(opened, "admin") as client:
        await post(client, name="day", role="carer", pin="9173", again="9173", do="put")
    async with browser(opened) as client:
        assert (await sign_in(client, "day", "9173")).status_code == 303
    async with browser(opened, "admin") as client:
        await post(client, name="day", do="remove")


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"name": "x", "role": "carer", "pin": "1234", "again": "1234"}, 422, "guessed first"),
        ({"name": "x", "role": "carer", "pin": "9173", "again": "9174"}, 422, "differ"),
        ({"name": "x", "role": "king", "pin": "9173", "again": "9173"}, 422, "Choose a role"),
        ({"name": "", "role": "carer", "pin": "9173", "again": "9173"}, 422, "1 to 40"),
        ({"name": "admin", "role": "carer", "pin": "9173", "again": "9173"}, 409, "configuration file"),
        ({"name": "nobody", "do": "remove"}, 404, "no account"),
    ],
)
async def test_a_bad_account_is_refused_with_the_reason(
    opened: OpenHome, form: dict[str, str], status: int, said: str
) -> None:
    async with browser(opened, "admin") as client:
        answer = await post(client, **{"do": "put", **form})
    assert answer.status_code == status
    assert said in answer.text


async def test_accounts_cannot_be_changed_without_the_pages_own_token_or_the_role(opened: OpenHome) -> None:
    form = {"name": "x", "role": "admin", "pin": "9173", "again": "9173", "do": "put"}
    async with browser(opened, "admin") as client:
        assert (await client.post("/accounts", data=form)).status_code == 403
    async with browser(opened, "lead") as client:
        csrf = await token(client, "/residents")
        assert (await client.post("/accounts", data={**form, "csrf": csrf})).status_code == 403
    assert await opened.home.people(lambda people: people.accounts()) == ()
