"""The platform under attack: a fixed session, forged posts, guessed PINs, paths out of the folder, tampered cookies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.cloud_sync.pages.test_home_pages import browser, sign_in, token
from tools.home_month import make_month
from tools.home_pages import OpenHome, open_home

COOKIE = "sb_platform"
POSTS = ("/admissions", "/admissions/r1", "/accounts", "/logout")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenHome]:
    with ExitStack() as owned:
        yield open_home(make_month(tmp_path_factory.mktemp("home"), residents=3, nights=3, minutes_of_nights=1), owned)


async def test_a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it(opened: OpenHome) -> None:
    async with browser(opened) as client:
        await client.get("/login")
        planted = client.cookies[COOKIE]
        assert (await sign_in(client, "lead")).status_code == 303
        assert client.cookies[COOKIE] != planted
        thief = httpx.Cookies({COOKIE: planted})
        client.cookies = thief
        assert (await client.get("/residents")).headers["location"].startswith("/login")


async def test_a_cookie_signed_out_or_tampered_with_is_no_session(opened: OpenHome) -> None:
    async with browser(opened, "lead") as client:
        session = client.cookies[COOKIE]
        last = "0" if session[-1] != "0" else "1"
        for wrong in (session[:-1] + last, session.upper() + "x", "", "../../etc/passwd", "x" * 4000):
            client.cookies = httpx.Cookies({COOKIE: wrong})
            assert (await client.get("/residents")).status_code == 303
        client.cookies = httpx.Cookies({COOKIE: session})
        assert (await client.post("/logout", data={"csrf": await token(client, "/residents")})).status_code == 303
        client.cookies = httpx.Cookies({COOKIE: session})
        assert (await client.get("/residents")).status_code == 303


@pytest.mark.parametrize("path", POSTS)
async def test_a_post_from_another_site_changes_nothing(opened: OpenHome, path: str) -> None:
    async with browser(opened, "admin") as client:
        for csrf in ("", "0" * 64, client.cookies[COOKIE]):
            answer = await client.post(path, data={"do": "erase", "again": "r1", "csrf": csrf})
            assert answer.status_code == 403
    async with browser(opened, "admin") as other:
        foreign = await token(other, "/residents")
    async with browser(opened, "admin") as client:
        assert (await client.post(path, data={"do": "erase", "again": "r1", "csrf": foreign})).status_code == 403
    assert await opened.register.resident("r1") is not None


async def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(opened: OpenHome) -> None:
    async with browser(opened) as client:
        answer = await sign_in(client, "lead")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


async def test_guessing_a_pin_is_slowed_down(opened: OpenHome) -> None:
    async with browser(opened) as client:
        answers = [await sign_in(client, "carer", f"90{n:02d}") for n in range(7)]
    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path",
    [
        "/static/x/../../../../etc/passwd",
        "/static/x/..%2f..%2f..%2fetc%2fpasswd",
        "/static/%2e%2e/%2e%2e/names.key",
        "/residents/..%2f..%2fnames.key",
        "/admissions/..%2f..%2fnames.key/export",
        "/handover.pdf/../../names.key",
    ],
)
async def test_no_path_leads_out_of_the_platforms_own_files(opened: OpenHome, path: str) -> None:
    async with browser(opened, "admin") as client:
        answer = await client.get(path)
    assert answer.status_code in (303, 404)
    assert "root:" not in answer.text


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "/\\evil.example", "\r\nX: y"])
async def test_a_sign_in_leads_back_to_this_server_only(opened: OpenHome, back: str) -> None:
    async with browser(opened) as client:
        csrf = await token(client, "/login")
        answer = await client.post("/login", data={"account": "lead", "pin": "4827", "csrf": csrf, "back": back})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(("night", "status"), [("2099-01-01", 200), ("0001-01-01", 400), ("9999-12-31", 400)])
async def test_a_night_far_away_is_a_page_that_says_so(opened: OpenHome, night: str, status: int) -> None:
    async with browser(opened, "lead") as client:
        answer = await client.get(f"/residents/r1?night={night}")
    assert answer.status_code == status
    assert await opened.platform.resident("r1", "0001-01-01") is None


@pytest.mark.parametrize("path", ["/residents", "/admissions", "/login"])
async def test_pages_allow_no_foreign_script_and_no_frame(opened: OpenHome, path: str) -> None:
    async with browser(opened, "lead") as client:
        policy = (await client.get(path)).headers["content-security-policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy
