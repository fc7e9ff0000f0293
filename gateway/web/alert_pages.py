"""What leads and admins see of local alerting: channels, self-tests and the record of deliveries; page and JSON."""

from __future__ import annotations

from typing import Any, Protocol

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Kit, Visitor, wall_time
from gateway.web.manage import LEADS, Guard

__all__ = ["AlertingPort", "alert_routes"]

ROWS_SHOWN = 100


class AlertingPort(Protocol):
    """Local alerting as these pages see it (gateway/alerting.py)."""

    timezone: str

    def deliveries(self) -> dict[str, Any]: ...

    async def test_now(self) -> dict[str, str] | str: ...


def alert_routes(kit: Kit, alerting: AlertingPort) -> list[Route]:
    """`/alerting` with its test button, GET /api/deliveries and POST /api/self-test."""

    def at(utc_ms: int) -> str:
        return wall_time(utc_ms, alerting.timezone, "%Y-%m-%d %H:%M:%S")

    async def page(request: Request, visitor: Visitor) -> Response:
        refused = request.query_params.get("refused", "")
        record = alerting.deliveries()
        return kit.page(
            request, visitor, "alerting.html", record=record, rows=record["deliveries"][:ROWS_SHOWN], at=at,
            refused=refused if refused in ("night", "alarming") else "", tested="tested" in request.query_params,
        )  # fmt: skip

    async def test(_: Request, __: Visitor, ___: FormData) -> Response:
        result = await alerting.test_now()
        return RedirectResponse(f"/alerting?refused={result}" if isinstance(result, str) else "/alerting?tested", 303)

    async def deliveries(_: Request, __: Visitor) -> Response:
        return JSONResponse(alerting.deliveries(), headers={"Cache-Control": "no-store"})

    async def self_test(request: Request) -> Response:
        visitor = kit.visitor(request)
        # The token is checked against a permission that leads and admins have; who they are, right after.
        denied = kit.refusal(request, visitor, "acknowledge")
        if denied is None and (visitor.account is None or visitor.account.role not in LEADS):
            denied = 403, "role"
        if denied is not None:
            return kit.error(request, visitor, *denied)
        result = await alerting.test_now()
        if isinstance(result, str):
            return JSONResponse({"ok": False, "reason": result}, 409)
        return JSONResponse({"ok": not any(result.values()), "channels": result})

    guard = Guard(kit)
    return [
        guard.get("/alerting", LEADS, page),
        guard.post("/alerting/test", LEADS, test),
        guard.get("/api/deliveries", LEADS, deliveries),
        guard.route("/api/self-test", self_test, "POST"),
    ]
