"""alert pages: the record of deliveries and a test now, for leads and admins only."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.web.alert_pages import alert_routes
from gateway.web.board import build_app
from tests.gateway.web.small_ward import SmallWard, bed
from tests.gateway.web.test_board import STAFF, csrf_of, sign_in

NOON_UTC_MS = 1_795_406_400_000  # in Shanghai, 2026-11-23
RECORD: dict[str, Any] = {
    "channels": [
        {"channel": "page", "place": "staff", "reaches_staff_offline": False, "failing": "", "last_test": None},
        {"channel": "relay", "place": "staff", "reaches_staff_offline": True, "failing": "no such pin",
         "last_test": {"at_utc_ms": NOON_UTC_MS, "passed": False, "error": "no such pin"}},
    ],
    "in_room_sound": True,
    "untested": True,
    "deliveries": [
        {"channel": "relay", "beds": ["101-1"], "alarms": ["a"], "handed_utc_ms": NOON_UTC_MS, "attempts": 2,
         "delivered_after_ms": 12, "failed_after_ms": None, "error": ""},
    ],
}  # fmt: skip


class Alerting:
    timezone = "Asia/Shanghai"

    def __init__(self, result: dict[str, str] | str) -> None:
        self.tests = 0
        self._result = result

    def deliveries(self) -> dict[str, Any]:
        return RECORD

    async def test_now(self) -> dict[str, str] | str:
        self.tests += 1
        return self._result


def browser(alerting: Alerting) -> httpx.AsyncClient:
    app = build_app(SmallWard(bed("1")), STAFF)
    app.router.routes[:0] = alert_routes(app.state.kit, alerting)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize(("role", "status"), [("lead", 200), ("admin", 200), ("carer", 403), ("technician", 403)])
async def test_leads_and_admins_see_the_record(role: str, status: int) -> None:
    async with browser(Alerting({})) as client:
        await sign_in(client, role)
        answer = await client.get("/api/deliveries")
    assert answer.status_code == status
    assert (answer.json() == RECORD) is (status == 200)


async def test_who_is_not_signed_in_sees_nothing() -> None:
    alerting = Alerting({})
    async with browser(alerting) as client:
        csrf = csrf_of((await client.get("/")).text)
        assert (await client.get("/api/deliveries")).status_code == 401
        assert (await client.post("/api/self-test", headers={"X-CSRF-Token": csrf})).status_code == 401
    assert alerting.tests == 0


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        ({"relay": "", "light": ""}, 200, {"ok": True, "channels": {"relay": "", "light": ""}}),
        ({"relay": "gone"}, 200, {"ok": False, "channels": {"relay": "gone"}}),
        ("night", 409, {"ok": False, "reason": "night"}),
    ],
)
async def test_a_lead_tests_the_channels_now(result: dict[str, str] | str, status: int, body: dict[str, Any]) -> None:
    async with browser(Alerting(result)) as client:
        await sign_in(client, "lead")
        csrf = csrf_of((await client.get("/")).text)
        answer = await client.post("/api/self-test", headers={"X-CSRF-Token": csrf})
    assert (answer.status_code, answer.json()) == (status, body)


async def test_another_site_and_a_carer_cannot_start_a_test() -> None:
    alerting = Alerting({})
    async with browser(alerting) as client:
        await sign_in(client, "lead")
        assert (await client.post("/api/self-test")).status_code == 403
    async with browser(alerting) as client:
        await sign_in(client, "carer")
        csrf = csrf_of((await client.get("/")).text)
        assert (await client.post("/api/self-test", headers={"X-CSRF-Token": csrf})).status_code == 403
    assert alerting.tests == 0


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "words"), [("en", ["Nurse-call relay", "no such pin", "Test now"]),
                                                 ("zh", ["呼叫继电器", "no such pin", "立即测试"])])  # fmt: skip
async def test_the_page_shows_channels_tests_and_deliveries_in_both_languages(language: str, words: list[str]) -> None:
    async with browser(Alerting({})) as client:
        await sign_in(client, "lead")
        page = (await client.get("/alerting", headers={"Accept-Language": language})).text
    assert [word for word in words if word not in page] == []
    assert "2026-11-23 12:00:00" in page


@pytest.mark.parametrize(
    ("result", "location", "says"),
    [("night", "/alerting?refused=night", "No test between 21:00"), ({"relay": ""}, "/alerting?tested", "have run")],
)
async def test_its_button_tests_now_and_says_what_became_of_it(
    result: dict[str, str] | str, location: str, says: str
) -> None:
    async with browser(Alerting(result)) as client:
        await sign_in(client, "admin")
        csrf = csrf_of((await client.get("/alerting")).text)
        answer = await client.post("/alerting/test", data={"csrf": csrf})
        assert (answer.status_code, answer.headers["location"]) == (303, location)
        assert says in (await client.get(location, headers={"Accept-Language": "en"})).text
        assert (await client.post("/alerting/test", data={"csrf": "0"})).status_code == 403
