"""alert pages: the record of deliveries and a test now, for leads and admins only."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.web.alert_pages import alert_routes
from gateway.web.board import build_app
from tests.gateway.web.small_ward import SmallWard, bed
from tests.gateway.web.test_board import STAFF, csrf_of, sign_in

RECORD: dict[str, Any] = {"channels": [], "deliveries": [{"channel": "relay"}]}


class Alerting:
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
