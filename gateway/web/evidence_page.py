"""How alarms were answered, and the audit: pages and JSON for leads and admins."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Visitor, error_json, wall_time
from gateway.management import Management, statistics_json
from gateway.web.manage import LEADS, Guard

__all__ = ["EvidencePages"]

DAYS_DEFAULT, DAYS_MAX = 30, 3650
RECORDS_SHOWN, RECORDS_MAX = 200, 5000


class EvidencePages:
    """`/statistics`, `/audit` and their JSON under /api/."""

    def __init__(self, guard: Guard, management: Management) -> None:
        self._guard, self._kit, self._management = guard, guard.kit, management

    def routes(self) -> list[Route]:
        return [
            self._guard.get("/statistics", LEADS, self._statistics),
            self._guard.get("/api/statistics", LEADS, self._statistics_json),
            self._guard.get("/audit", LEADS, self._audit),
            self._guard.get("/api/audit", LEADS, self._audit_json),
        ]

    async def _statistics(self, request: Request, visitor: Visitor) -> Response:
        days = _number(request, "days", DAYS_DEFAULT, DAYS_MAX) or DAYS_DEFAULT
        rows = await self._management.statistics(days)
        return self._kit.page(request, visitor, "statistics.html", rows=rows, days=days)

    async def _statistics_json(self, request: Request, visitor: Visitor) -> Response:
        days = _number(request, "days", DAYS_DEFAULT, DAYS_MAX)
        if days is None:
            return error_json(400, "bad_days", f"days: a whole number from 1 to {DAYS_MAX}")
        self._seen(request, visitor)
        rows = await self._management.statistics(days)
        return JSONResponse(statistics_json(rows, days, self._management.timezone))

    async def _audit(self, request: Request, visitor: Visitor) -> Response:
        records = [
            {
                "position": position,
                "at": wall_time(entry.utc_ms, self._management.timezone, "%Y-%m-%d %H:%M:%S") if entry.trusted else "–",
                **asdict(entry),
            }
            for position, entry in reversed(await self._management.audit(RECORDS_SHOWN))
        ]
        return self._kit.page(request, visitor, "audit.html", records=records)

    async def _audit_json(self, request: Request, visitor: Visitor) -> Response:
        last = _number(request, "last", RECORDS_SHOWN, RECORDS_MAX)
        if last is None:
            return error_json(400, "bad_last", f"last: a whole number from 1 to {RECORDS_MAX}")
        self._seen(request, visitor)
        records = await self._management.audit(last)
        return JSONResponse({"records": [{"position": position, **asdict(entry)} for position, entry in records]})

    def _seen(self, request: Request, visitor: Visitor) -> None:
        """For answers that are no pages (the kit tells of those)."""
        assert visitor.account is not None
        self._management.viewed(visitor.account.name, request.url.path)


def _number(request: Request, name: str, default: int, most: int) -> int | None:
    """A whole number of the query from 1 to `most`; None for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 and 1 <= int(text) <= most else None
