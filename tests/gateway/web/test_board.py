"""The wall board over HTTP: what it shows, who may act, and what happens to those who may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from gateway.web.board import build_app, natural, urgency
from tests.gateway.web.small_ward import NOW_MS, SmallWard, absent, alarming, bed

PIN = "4827"
HASH = hash_pin(PIN)
STAFF = WebSettings(
    language="en", accounts=tuple(Account(role, role, HASH) for role in ("carer", "lead", "technician", "admin"))
)
VIEW_ONLY = WebSettings(language="en")
OPEN = WebSettings(language="en", open_access=True)


def browser(ward: SmallWard, settings: WebSettings, address: str = "127.0.0.1", host: str = "127.0.0.1") -> Any:
    transport = httpx.ASGITransport(app=build_app(ward, settings), client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8080")


def csrf_of(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', page)
    assert found
    return found[1]


async def sign_in(client: httpx.AsyncClient, account: str, pin: str = PIN) -> httpx.Response:
    form = await client.get("/login?back=/")
    return await client.post("/login", data={"csrf": csrf_of(form.text), "account": account, "pin": pin, "back": "/"})


async def act(client: httpx.AsyncClient, path: str, csrf: str | None = None) -> httpx.Response:
    if csrf is None:
        csrf = csrf_of((await client.get("/")).text)
    return await client.post(f"/api/beds/{path}", headers={"X-CSRF-Token": csrf})


@pytest.fixture
def ward() -> SmallWard:
    return SmallWard(bed("201-1"), alarming("201-2"), absent("202-1", 300))


@pytest.fixture
async def carer(ward: SmallWard) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(ward, STAFF) as client:
        assert (await sign_in(client, "carer")).status_code == 303
        yield client


# -- what is shown ------------------------------------------------------------------------------------------------


async def test_each_bed_has_a_tile_with_its_state_as_a_word(ward: SmallWard) -> None:
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert [word for word in ("201-1", "In bed", "Out of bed", "Please look", "Alarm in") if word not in page] == []


async def test_the_board_speaks_the_browsers_language(ward: SmallWard) -> None:
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/", headers={"Accept-Language": "zh-CN"})).text
    assert '<html lang="zh-CN"' in page
    assert "离床" in page
    assert "Out of bed" not in page


async def test_running_times_are_left_to_the_page_as_elapsed_instants(ward: SmallWard) -> None:
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert f'data-from="{NOW_MS - 300_000}"' in page
    assert f'data-to="{NOW_MS + 900_000}"' in page


async def test_wall_times_are_hidden_while_the_clock_is_not_trusted(ward: SmallWard) -> None:
    ward.time_trusted = False
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert "The clock is not set yet" in page
    assert "out since" not in page


@pytest.mark.parametrize("label", ["<script>alert(1)</script>", "床😀", "x" * 200, '"><img src=x>', "A/B 1"])
async def test_a_label_is_shown_as_text_whatever_it_holds(label: str) -> None:
    ward = SmallWard(bed(label, room="<i>"), alarming("2"))
    async with browser(ward, OPEN) as client:
        page = (await client.get("/")).text
        answer = await act(client, f"{httpx.URL(path='/' + label).raw_path.decode()[1:]}/assist")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert answer.json() == {"ok": True}
    assert ward.acts == [(label, "assist", "open-access")]


async def test_not_watched_is_said_with_its_reason() -> None:
    until_ms = NOW_MS + 60_000
    ward = SmallWard(bed("1", watched=False, unwatched_reason="maintenance", mode="maintenance", until_ms=until_ms))
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert re.search(r"Not watched<small>maintenance</small>", page)
    assert f'ends in <b role="timer" aria-live="off" data-to="{until_ms}"' in page


async def test_an_answered_alarm_counts_down_to_its_next_call() -> None:
    again_ms = NOW_MS + 540_000
    answered = {"state": "acknowledged", "level": 1, "priority": "medium", "raised_ms": 1, "realarm_ms": again_ms}
    async with browser(SmallWard(absent("1", 1300, alarm=answered), alarming("2")), VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert f'calls again in <b role="timer" aria-live="off" data-to="{again_ms}"' in page
    assert page.count("calls again in") == 1


async def test_a_settling_bed_counts_down_to_being_watched() -> None:
    armed_ms = NOW_MS + 40_000
    settling = bed("1", watched=False, unwatched_reason="settling", armed=False, armed_ms=armed_ms)
    async with browser(SmallWard(settling), VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert f'settling in · watched in <b class="num" role="timer" aria-live="off" data-to="{armed_ms}"' in page


async def test_a_bed_with_a_carer_can_be_set_to_away_as_well() -> None:
    ward = SmallWard(bed("1", mode="assist", until_ms=NOW_MS + 60_000, watched=False, unwatched_reason="assist"))
    async with browser(ward, OPEN) as client:
        page = (await client.get("/")).text
    assert 'data-action="away_on"' in page


async def test_an_absent_rate_is_a_dash_with_its_reason_and_never_zero() -> None:
    ward = SmallWard(bed("1", heart={"value": None, "quality": 0, "reason": "weak"}))
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
    assert re.search(r'<dd><b>–</b> <small class="why">weak signal</small></dd>', page)


async def test_a_board_without_beds_says_so() -> None:
    async with browser(SmallWard(), VIEW_ONLY) as client:
        assert "No bed is configured" in (await client.get("/")).text


def test_alarms_come_first_by_priority_level_and_age_then_beds_by_number() -> None:
    answered = {"state": "acknowledged", "level": 3, "priority": "high", "raised_ms": 1, "realarm_ms": None}
    beds = [
        bed("10"),
        bed("2"),
        alarming("3", level=1),
        alarming("4", level=2),
        alarming("5", priority="high"),
        alarming("6", for_s=2000, level=1),
        absent("7", 1300, alarm=answered),
    ]
    assert [each["bed"] for each in sorted(beds, key=urgency)] == ["5", "4", "6", "3", "7", "2", "10"]


def test_labels_sort_as_people_count() -> None:
    assert sorted(["B10", "B2", "A", "10", "2", "²", ""], key=natural) == ["", "2", "10", "A", "B2", "B10", "²"]


# -- who may act ----------------------------------------------------------------------------------------------------


async def test_without_a_pin_configured_the_board_is_view_only_and_says_so(ward: SmallWard) -> None:
    async with browser(ward, VIEW_ONLY) as client:
        page = (await client.get("/")).text
        answer = await act(client, "201-2/acknowledge")
    assert "View only: no PIN has been set up" in page
    assert "data-action" not in page
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "sign_in")
    assert ward.acts == []


async def test_a_carer_acknowledges_under_the_accounts_name(ward: SmallWard, carer: httpx.AsyncClient) -> None:
    answer = await act(carer, "201-2/acknowledge")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert ward.acts == [("201-2", "acknowledge", "carer")]


async def test_an_unknown_bed_or_action_is_404(carer: httpx.AsyncClient) -> None:
    answers = [await act(carer, "999/acknowledge"), await act(carer, "201-2/explode")]
    assert [(each.status_code, each.json()["error"]["code"]) for each in answers] == [
        (404, "unknown_bed"),
        (404, "unknown_action"),
    ]


async def test_a_refused_action_is_409_with_words_for_its_reason(ward: SmallWard, carer: httpx.AsyncClient) -> None:
    answer = await act(carer, "201-1/acknowledge")
    assert (answer.status_code, answer.json()) == (
        409,
        {"ok": False, "error": {"code": "ack_ignored", "message": "There was nothing to acknowledge."}},
    )
    ward.refuse = "something_new"
    assert (await act(carer, "201-1/assist")).json()["error"]["message"] == "The gateway refused this. (something_new)"


@pytest.mark.parametrize("token", ["", "0" * 64, "\u00e9"])
async def test_a_wrong_csrf_token_is_403(ward: SmallWard, carer: httpx.AsyncClient, token: str) -> None:
    answer = await carer.post("/api/beds/201-2/acknowledge", headers=[(b"X-CSRF-Token", token.encode())])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
    assert ward.acts == []


@pytest.mark.parametrize(
    ("role", "action", "status"),
    [
        ("carer", "maintenance_on", 403),
        ("lead", "maintenance_on", 200),
        ("admin", "acknowledge", 200),
    ],
)
async def test_each_role_may_do_its_own_work_only(ward: SmallWard, role: str, action: str, status: int) -> None:
    async with browser(ward, STAFF) as client:
        await sign_in(client, role)
        page = (await client.get("/")).text
        assert (await act(client, f"201-2/{action}")).status_code == status
    assert (f'data-action="{action}"' in page) == (status == 200)


async def test_open_access_lets_only_this_computer_act(ward: SmallWard) -> None:
    async with browser(ward, OPEN) as here:
        assert (await act(here, "201-2/acknowledge")).status_code == 200
    async with browser(ward, OPEN, address="10.0.0.9") as elsewhere:
        assert (await act(elsewhere, "201-1/assist")).status_code == 401


async def test_open_access_answers_no_foreign_name_for_this_computer(ward: SmallWard) -> None:
    async with browser(ward, OPEN, host="rebound.example") as client:
        assert (await client.get("/")).status_code == 421


async def test_a_board_may_be_closed_to_everyone_not_signed_in(ward: SmallWard) -> None:
    settings = WebSettings(language="en", accounts=STAFF.accounts, view_requires_sign_in=True)
    async with browser(ward, settings) as client:
        assert (await client.get("/")).headers["location"] == "/login?back=/"
        assert [(await client.get(path)).status_code for path in ("/stream", "/api/board")] == [401, 401]
        await sign_in(client, "carer")
        assert (await client.get("/api/board")).json()["gateway"] == "gw-01"


@pytest.mark.parametrize("closed", [True, False])
async def test_a_technician_sees_nothing_of_residents_also_where_the_board_is_open(
    ward: SmallWard, closed: bool
) -> None:
    settings = WebSettings(language="en", accounts=STAFF.accounts, view_requires_sign_in=closed)
    async with browser(ward, settings) as client:
        await sign_in(client, "technician")
        assert (await client.get("/")).headers["location"] == "/provision"
        assert [(await client.get(path)).status_code for path in ("/stream", "/api/board")] == [401, 401]


# -- signing in -----------------------------------------------------------------------------------------------------


async def test_signing_in_changes_the_cookie_so_that_none_can_be_planted(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        client.cookies.set("sb_board", "planted", domain="127.0.0.1")
        answer = await sign_in(client, "carer")
    cookie = answer.headers["set-cookie"]
    assert "planted" not in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))


async def test_a_cookie_is_bound_to_https_where_the_server_speaks_it(ward: SmallWard) -> None:
    settings = WebSettings(accounts=STAFF.accounts, tls_certificate="cert.pem", tls_key="key.pem")
    async with browser(ward, settings) as client:
        assert "Secure" in (await client.get("/login")).headers["set-cookie"]


async def test_a_wrong_pin_and_an_unknown_account_get_the_same_answer(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        answers = [await sign_in(client, "carer", "0000"), await sign_in(client, "nobody", PIN)]
    assert [each.status_code for each in answers] == [401, 401]
    assert all("Account or PIN is not right" in each.text for each in answers)


async def test_the_sixth_guess_has_to_wait_even_with_the_right_pin(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        guesses = [(await sign_in(client, "carer", f"00{n}9")).status_code for n in range(5)]
        right = await sign_in(client, "carer")
    assert guesses == [401] * 5
    assert right.status_code == 429
    assert 0 < int(right.headers["retry-after"]) <= 16


async def test_a_login_form_from_elsewhere_is_refused(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        answer = await client.post("/login", data={"account": "carer", "pin": PIN, "csrf": "", "back": "/"})
    assert (answer.status_code, "too old" in answer.text) == (403, True)


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/\tx", "", "/床"])
async def test_nobody_is_sent_to_another_site(ward: SmallWard, back: str) -> None:
    async with browser(ward, STAFF) as client:
        answer = await client.get("/preference", params={"language": "zh", "back": back})
    assert answer.headers["location"] == "/"


async def test_signing_out_takes_the_rights_away(ward: SmallWard, carer: httpx.AsyncClient) -> None:
    old = dict(carer.cookies)
    csrf = csrf_of((await carer.get("/")).text)
    assert (await carer.post("/logout", data={"csrf": csrf})).status_code == 303
    carer.cookies.update(old)
    assert (await act(carer, "201-2/acknowledge", csrf)).status_code == 401


async def test_an_oversized_form_is_refused(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        assert (await client.post("/login", content=b"x" * 10_000)).status_code == 413


# -- headers and files ----------------------------------------------------------------------------------------------


async def test_every_answer_forbids_scripts_and_frames_from_elsewhere(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        for path in ("/", "/login", "/nothing", "/static/0/board.js"):
            headers = (await client.get(path)).headers
            assert "script-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["../board.py", "..%2fboard.py", "%2e%2e/settings.py", "board.py", "tile_live.html"])
async def test_only_the_listed_files_are_served(ward: SmallWard, name: str) -> None:
    async with browser(ward, STAFF) as client:
        assert (await client.get(f"/static/0/{name}")).status_code == 404


async def test_the_first_view_is_small_and_takes_nothing_from_elsewhere(ward: SmallWard) -> None:
    eight = SmallWard(*(alarming(f"20{n}-1") for n in range(8)))
    async with browser(eight, OPEN) as client:
        page = await client.get("/")
        links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
        size = len(page.content) + sum([len((await client.get(link)).content) for link in links])
    assert len(links) == 5
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert size <= 150_000


async def test_what_does_not_exist_is_a_page_that_says_so(ward: SmallWard) -> None:
    async with browser(ward, STAFF) as client:
        answer = await client.get("/nothing/here")
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)


async def test_who_is_signed_in_can_sign_out_on_every_page(ward: SmallWard, carer: httpx.AsyncClient) -> None:
    page = (await carer.get("/")).text
    assert "carer (Carer)" in page
    assert 'action="/logout"' in page
    assert "Sign in with your PIN" not in page
