"""The HTTP API: what the port knows as JSON, changes as server-sent events, and whether the receiver is well.

Everything but /healthz needs `Authorization: Bearer <receiver.api_token>`, except where the pages are open to anyone on
loopback (demonstrations): names are among the answers.
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.pages.guard import PageGuard
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import Streams
from cloud_sync.receiver.csv_export import csv_text
from cloud_sync.receiver.metrics import METRICS_TYPE, metrics_text
from cloud_sync.receiver.openapi import openapi_document
from cloud_sync.receiver.port import AlarmRow, GapRow, ReceiverPort

__all__ = ["build_api"]

LIMIT_MAX = 1_000
Handler = Callable[[Request], Awaitable[Response]]


def build_api(port: ReceiverPort, settings: WebSettings, token: str | None) -> tuple[list[Route], Streams]:
    """The API's routes, and its open streams, which must be closed before the server stops."""
    api = _Api(port, Streams(settings.streams_max))
    guard = [Middleware(PageGuard, hosts=settings.allowed_hosts, loopback_only=settings.open_access)]

    def route(path: str, handler: Handler, is_public: bool = False) -> Route:
        allowed = handler if is_public else _with_token(handler, token, settings.open_access)
        return Route(path, allowed, methods=["GET"], middleware=guard)

    routes = [
        route("/healthz", api.health, is_public=True),
        route("/metrics", api.metrics),
        route("/api/openapi.json", api.openapi),
        route("/api/residents", api.residents),
        route("/api/residents/{resident_id}", api.resident),
        route("/api/nights", api.nights),
        route("/api/alarms", api.alarms),
        route("/api/gaps", api.gaps),
        route("/api/stats", api.stats),
        route("/api/events", api.events),
    ]
    return routes, api.streams


def _with_token(handler: Handler, token: str | None, is_open: bool) -> Handler:
    async def checked(request: Request) -> Response:
        if token is not None:
            offered = request.headers.get("authorization", "").removeprefix("Bearer ")
            allowed = hmac.compare_digest(offered.encode(), token.encode())
        else:
            allowed = is_open
        if not allowed:
            hint = (
                "send Authorization: Bearer with receiver.api_token"
                if token
                else "set receiver.api_token to use the API"
            )
            return JSONResponse({"error": "not_allowed", "message": hint}, 401, {"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return checked


class _Api:
    def __init__(self, port: ReceiverPort, streams: Streams) -> None:
        self._port, self.streams = port, streams

    async def health(self, request: Request) -> Response:
        """200 while batches can arrive, 503 while the broker is out of reach."""
        connected = self._port.broker_connected()
        return JSONResponse(
            {"ok": connected, "broker": "connected" if connected else "down"}, 200 if connected else 503
        )

    async def residents(self, request: Request) -> Response:
        cards = await self._port.residents()
        return JSONResponse({"now_utc_ms": self._port.now_utc_ms(), "residents": [_plain(card) for card in cards]})

    async def resident(self, request: Request) -> Response:
        page = await self._port.resident(request.path_params["resident_id"], request.query_params.get("night_of"))
        if page is None:
            return JSONResponse({"error": "not_found", "message": "no such resident or night"}, 404)
        return JSONResponse(_plain(page))

    async def nights(self, request: Request) -> Response:
        """The night of each resident: the latest, or the one of ?night_of=YYYY-MM-DD, with the whole report."""
        night_of = request.query_params.get("night_of")
        found = []
        for card in await self._port.residents():
            page = await self._port.resident(card.resident_id, night_of)
            if page is not None and page.report is not None and page.night is not None:
                found.append(
                    {
                        "resident_id": card.resident_id,
                        "gateway": card.gateway,
                        "bed": card.bed,
                        **_plain(page.night),
                        "report": dict(page.report),
                    }
                )
        return JSONResponse({"nights": found})

    async def alarms(self, request: Request) -> Response:
        """?open=1 for those that still need somebody, ?limit=N, ?format=csv."""
        text = request.query_params.get("limit", "200")
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LIMIT_MAX):
            return JSONResponse({"error": "bad_limit", "message": f"limit: a number from 1 to {LIMIT_MAX}"}, 400)
        rows = await self._port.alarms(request.query_params.get("open") in ("1", "true"), int(text))
        return _table(request, "alarms", AlarmRow, rows)

    async def gaps(self, request: Request) -> Response:
        """?format=csv."""
        return _table(request, "gaps", GapRow, await self._port.gaps())

    async def metrics(self, request: Request) -> Response:
        text = metrics_text(await self._port.stats(), self._port.broker_connected())
        return Response(text, headers={"Content-Type": METRICS_TYPE})

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(openapi_document())

    async def stats(self, request: Request) -> Response:
        return JSONResponse({**_plain(await self._port.stats()), "broker_connected": self._port.broker_connected()})

    async def events(self, request: Request) -> Response:
        """`change` events with the ids of the residents that changed; a `beat` while nothing does."""

        untold: set[str] = set()

        async def changes() -> AsyncIterator[bool]:
            async for residents in self._port.changes():
                # Streams keep only the newest state for a slow reader: who changed is collected here.
                untold.update(residents)
                yield True

        def render(state: bool | None) -> list[tuple[str, Mapping[str, Any]]]:
            if state is None:
                return [("beat", {"now_utc_ms": self._port.now_utc_ms()})]
            residents = sorted(untold)
            untold.clear()
            return [("change", {"residents": residents, "now_utc_ms": self._port.now_utc_ms()})]

        return self.streams.response(changes, render)


def _table(request: Request, name: str, row_type: type[Any], rows: Sequence[Any]) -> Response:
    wanted = request.query_params.get("format", "json")
    if wanted == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return Response(csv_text(row_type, rows), media_type="text/csv", headers=headers)
    if wanted != "json":
        return JSONResponse({"error": "bad_format", "message": "format: json or csv"}, 400)
    return JSONResponse({name: [_plain(row) for row in rows]})


def _plain(row: Any) -> dict[str, Any]:
    return dataclasses.asdict(row)
