"""What leads and admins ask of local alerting by HTTP: the record of deliveries, and a self-test now."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Kit, Visitor

__all__ = ["AlertingPort", "alert_routes"]

_ROLES = ("lead", "admin")


class AlertingPort(Protocol):
    """Local alerting as these pages see it (gateway/alerting.py)."""

    def deliveries(self) -> dict[str, Any]: ...

    async def test_now(self) -> dict[str, str] | str: ...


def alert_routes(kit: Kit, alerting: AlertingPort) -> list[Route]:
    """GET /api/deliveries and POST /api/self-test."""

    def refused(request: Request, visitor: Visitor) -> Response | None:
        if visitor.account is None:
            return kit.error(request, visitor, 401, "sign_in")
        return None if visitor.account.role in _ROLES else kit.error(request, visitor, 403, "role")

    async def deliveries(request: Request) -> Response:
        refusal = refused(request, kit.visitor(request))
        return refusal or JSONResponse(alerting.deliveries(), headers={"Cache-Control": "no-store"})

    async def self_test(request: Request) -> Response:
        visitor = kit.visitor(request)
        # Any permission that both roles have: it is the CSRF token that is checked here.
        denied = kit.refusal(request, visitor, "view")
        if denied is not None:
            return kit.error(request, visitor, *denied)
        refusal = refused(request, visitor)
        if refusal is not None:
            return refusal
        result = await alerting.test_now()
        if isinstance(result, str):
            return JSONResponse({"ok": False, "reason": result}, 409)
        return JSONResponse({"ok": not any(result.values()), "channels": result})

    guarded = partial(Route, middleware=kit.middleware, max_body_size=4096)
    return [
        guarded("/api/deliveries", deliveries, methods=["GET"]),
        guarded("/api/self-test", self_test, methods=["POST"]),
    ]
