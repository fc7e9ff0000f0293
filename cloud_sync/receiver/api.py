"""The HTTP API: residents, beds, live states, nights, minutes, alarms, devices and gaps, as JSON, CSV and events.

Everything but /healthz needs a token (api_access.py). Names are told to admins alone; a technician is told nothing of
residents. What is asked for wrongly is answered with what belongs there, never with a server error.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.pages.guard import PageGuard
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import Streams
from cloud_sync.receiver.api_access import Access, Asker
from cloud_sync.receiver.api_spec import (
    ApiError,
    Choice,
    Day,
    Endpoint,
    ParameterError,
    Whole,
    openapi_document,
)
from cloud_sync.receiver.csv_export import csv_text
from cloud_sync.receiver.home_rows import Belt, Gateway
from cloud_sync.receiver.metrics import METRICS_TYPE, metrics_text
from cloud_sync.receiver.people import AuditRow
from cloud_sync.receiver.port import (
    AlarmRow,
    ApiPort,
    BedRow,
    DeliveryRow,
    GapRow,
    LiveState,
    MinuteRow,
    NightRow,
    PlatformStats,
    ResidentCard,
    ResidentPage,
)
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.tokens import ADMIN, INTEGRATOR, TECHNICIAN

__all__ = ["ENDPOINTS", "Api", "build_api"]

ROWS_MAX = 1_000
NIGHTS_MAX = 1_000
MINUTES_HOURS_MAX = 31 * 24
HOUR_MS = 3_600_000
LIVE_S = 2.0  # a bed that fell silent is told so within this
LIVE_PAUSE_S = 0.25
FOLD_MS = 600_000
NOTED_MAX = 10_000

R = TypeVar("R")
Note = Callable[[AuditRow], Awaitable[None]]
ReadDevices = Callable[[], Awaitable[tuple[Sequence[Gateway], Sequence[Belt]]]]


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    broker: str


@dataclass(frozen=True, slots=True)
class Residents:
    now_utc_ms: int
    residents: tuple[ResidentCard, ...]


@dataclass(frozen=True, slots=True)
class LinkedBed:
    """One bed; to a technician without who lies there and how."""

    gateway: str
    bed: str
    room: str
    watched: bool
    why_unwatched: str
    stale: bool
    belt_heard_utc_ms: int | None
    reported_utc_ms: int | None
    resident_id: str | None
    live: LiveState | None


@dataclass(frozen=True, slots=True)
class Beds:
    now_utc_ms: int
    beds: tuple[LinkedBed, ...]


@dataclass(frozen=True, slots=True)
class Nights:
    nights: tuple[NightRow, ...]


@dataclass(frozen=True, slots=True)
class Minutes:
    minutes: tuple[MinuteRow, ...]


@dataclass(frozen=True, slots=True)
class Alarms:
    alarms: tuple[AlarmRow, ...]


@dataclass(frozen=True, slots=True)
class Devices:
    gateways: tuple[Gateway, ...]
    belts: tuple[Belt, ...]


@dataclass(frozen=True, slots=True)
class Gaps:
    gaps: tuple[GapRow, ...]


@dataclass(frozen=True, slots=True)
class Deliveries:
    deliveries: tuple[DeliveryRow, ...]


@dataclass(frozen=True, slots=True)
class Stats(PlatformStats):
    broker_connected: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, for what."""

    asker: Asker
    path: Mapping[str, Any]
    query: Mapping[str, Any]

    @property
    def role(self) -> str:
        return self.asker.role


class _Refused(Exception):
    """Answered with this status and error."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error = status, ApiError(error, message)


class Api:
    """The handlers; each gives its endpoint's answer, a response of its own, or raises _Refused."""

    def __init__(self, port: ApiPort, devices: ReadDevices, streams: Streams) -> None:
        self._port, self._devices, self.streams = port, devices, streams

    async def health(self, call: Call) -> Health | Response:
        connected = self._port.broker_connected()
        health = Health(connected, "connected" if connected else "down")
        return health if connected else JSONResponse(_plain(health), 503)

    async def residents(self, call: Call) -> Residents:
        cards = await self._port.residents()
        return Residents(self._port.now_utc_ms(), tuple(_card_for(call.role, card) for card in cards))

    async def resident(self, call: Call) -> ResidentPage:
        page = _found(await self._port.resident(call.path["resident_id"], call.query["night_of"]))
        return dataclasses.replace(page, card=_card_for(call.role, page.card))

    async def nights_of(self, call: Call) -> Nights:
        return Nights(tuple(_found(await self._port.nights_of(call.path["resident_id"], call.query["limit"]))))

    async def minutes_of(self, call: Call) -> Minutes:
        to_ms = call.query["to_utc_ms"]
        end_ms = self._port.now_utc_ms() if to_ms is None else to_ms
        start_ms = max(0, end_ms - call.query["hours"] * HOUR_MS)
        return Minutes(tuple(_found(await self._port.minutes_of(call.path["resident_id"], start_ms, end_ms))))

    async def nights(self, call: Call) -> Nights:
        return Nights(tuple(await self._port.nights(call.query["night_of"])))

    async def beds(self, call: Call) -> Beds:
        rows = await self._port.beds()
        return Beds(self._port.now_utc_ms(), tuple(_bed_for(call.role, row) for row in rows))

    async def alarms(self, call: Call) -> Alarms:
        return Alarms(tuple(await self._port.alarms(call.query["open"] in ("1", "true"), call.query["limit"])))

    async def devices(self, call: Call) -> Devices:
        gateways, belts = await self._devices()
        return Devices(tuple(gateways), tuple(belts))

    async def gaps(self, call: Call) -> Gaps:
        return Gaps(tuple(await self._port.gaps()))

    async def deliveries(self, call: Call) -> Deliveries:
        return Deliveries(tuple(await self._port.deliveries(call.query["limit"])))

    async def stats(self, call: Call) -> Stats:
        return Stats(**_plain(await self._port.stats()), broker_connected=self._port.broker_connected())

    async def metrics(self, call: Call) -> Response:
        port = self._port
        text = metrics_text(
            await port.stats(), port.broker_connected(), port.database_committing(), await port.hook_counts()
        )
        return Response(text, headers={"Content-Type": METRICS_TYPE})

    async def openapi(self, call: Call) -> Response:
        return JSONResponse(openapi_document(ENDPOINTS))

    async def live(self, call: Call) -> Response:
        """All beds at first, then those that changed."""
        sent: dict[tuple[str, str], LinkedBed] = {}

        def render(rows: Sequence[BedRow] | None) -> list[tuple[str, Mapping[str, Any]]]:
            now = {"now_utc_ms": self._port.now_utc_ms()}
            if rows is None:
                return [("beat", now)]
            shown = {(row.gateway, row.bed): _bed_for(call.role, row) for row in rows}
            fresh = [_plain(bed) for key, bed in shown.items() if sent.get(key) != bed]
            sent.update(shown)
            return [("live", {**now, "beds": fresh})] if fresh else []

        return self.streams.response(self._bed_states, render)

    async def _bed_states(self) -> AsyncIterator[Sequence[BedRow]]:
        """The beds now, after each change, and now and then: that a bed fell silent is no change anybody tells of."""
        changes = self._port.changes()
        coming = asyncio.ensure_future(anext(changes))
        try:
            while True:
                yield await self._port.beds()
                await asyncio.wait([coming], timeout=LIVE_S)
                if coming.done():
                    try:
                        coming.result()
                    except StopAsyncIteration:
                        return
                    coming = asyncio.ensure_future(anext(changes))
                    await asyncio.sleep(LIVE_PAUSE_S)
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming

    async def events(self, call: Call) -> Response:
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


class Views:
    """Writes down who read what of residents by the API; the same again within FOLD_MS is one view."""

    def __init__(self, note: Note, now_utc_ms: Callable[[], int]) -> None:
        self._note, self._now_utc_ms = note, now_utc_ms
        self._noted: dict[tuple[Asker, str, str], int] = {}

    async def note(self, endpoint: Endpoint[Handler], call: Call) -> None:
        """StoreError if it cannot be kept: then nothing may be answered."""
        if endpoint.path not in _TELLS_OF_RESIDENTS or call.role == TECHNICIAN:
            return
        now_ms, key = self._now_utc_ms(), (call.asker, endpoint.path, str(call.path.get("resident_id", "")))
        if 0 <= now_ms - self._noted.get(key, -FOLD_MS) < FOLD_MS:
            return
        await self._note(AuditRow(now_ms, "api", call.asker.name, call.role, key[2], endpoint.path))
        if len(self._noted) >= NOTED_MAX:
            self._noted.clear()
        self._noted[key] = now_ms


Handler = Callable[[Api, Call], Awaitable[Any]]
_SEE = (ADMIN, INTEGRATOR)
_ALL = (ADMIN, INTEGRATOR, TECHNICIAN)
_NIGHT_OF = Day("night_of", "the waking date of the night; without it the latest")
_NOT_FOUND = {404: "no such resident"}
_LIMIT = Whole("limit", "how many at most", 200, 1, ROWS_MAX)
_EVENTS = "text/event-stream"

ENDPOINTS: tuple[Endpoint[Handler], ...] = (
    Endpoint("/healthz", "whether batches can arrive (503: the broker is out of reach)", Api.health, Health),
    Endpoint("/metrics", "counts for Prometheus", Api.metrics, "text/plain", _ALL),
    Endpoint("/api/openapi.json", "this document", Api.openapi, "application/json", _ALL),
    Endpoint("/api/residents", "every resident's card", Api.residents, Residents, _SEE),
    Endpoint("/api/residents/{resident_id}", "one resident with a night in full", Api.resident, ResidentPage, _SEE,
             (_NIGHT_OF,), errors=_NOT_FOUND),
    Endpoint("/api/residents/{resident_id}/nights", "a resident's nights, newest first", Api.nights_of, Nights, _SEE,
             (Whole("limit", "how many at most", 60, 1, NIGHTS_MAX),), "nights", _NOT_FOUND),
    Endpoint("/api/residents/{resident_id}/minutes", "a resident's minutes", Api.minutes_of, Minutes, _SEE,
             (Whole("to_utc_ms", "the instant after the last minute; without it now"),
              Whole("hours", "how long before that", 24, 1, MINUTES_HOURS_MAX)),
             "minutes", _NOT_FOUND),
    Endpoint("/api/nights", "every resident's night, with the report", Api.nights, Nights, _SEE, (_NIGHT_OF,),
             "nights"),
    Endpoint("/api/beds", "every bed and its live state", Api.beds, Beds, _ALL),
    Endpoint("/api/live", "live states as events: `live` with all beds, then with those that changed", Api.live,
             _EVENTS, _ALL),
    Endpoint("/api/alarms", "alarms, open ones first", Api.alarms, Alarms, _SEE,
             (Choice("open", "1: only those that still need somebody", "0", ("0", "1", "true", "false")),
              _LIMIT), "alarms"),
    Endpoint("/api/devices", "gateways and belts; as CSV the belts", Api.devices, Devices, _ALL, table="belts"),
    Endpoint("/api/gaps", "what is proven missing, newest first", Api.gaps, Gaps, _ALL, table="gaps"),
    Endpoint("/api/webhooks", "what became of events at webhooks: those that wait first, then the latest tries",
             Api.deliveries, Deliveries, (ADMIN, TECHNICIAN), (_LIMIT,), "deliveries"),
    Endpoint("/api/stats", "counts since the database began", Api.stats, Stats, _ALL),
    Endpoint("/api/events", "which residents changed, as events", Api.events, _EVENTS, _SEE),
)  # fmt: skip


# A technician's token is told nothing of residents by those of these that it may read.
_TELLS_OF_RESIDENTS = frozenset(one.path for one in ENDPOINTS if one.roles == _SEE) | {"/api/beds", "/api/live"}


def build_api(
    port: ApiPort, devices: ReadDevices, settings: WebSettings, access: Access, note: Note
) -> tuple[list[Route], Streams]:
    """The API's routes, and its open streams, which must be closed before the server stops. `note` keeps a view."""
    api = Api(port, devices, Streams(settings.streams_max))
    views = Views(note, port.now_utc_ms)
    guard = [Middleware(PageGuard, hosts=settings.allowed_hosts, loopback_only=settings.open_access)]
    routes = [
        Route(one.path, _answering(api, one, access, views), methods=["GET"], middleware=guard) for one in ENDPOINTS
    ]
    return routes, api.streams


def _answering(
    api: Api, endpoint: Endpoint[Handler], access: Access, views: Views
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            asker = await _admitted(endpoint, access, request.headers.get("authorization"))
            query = endpoint.read(request.query_params.multi_items())
            call = Call(asker, request.path_params, query)
            found = await endpoint.handler(api, call)
            # Before anything is answered: what cannot be written down is not shown.
            await views.note(endpoint, call)
        except _Refused as refused:
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else None
            return JSONResponse(_plain(refused.error), refused.status, headers)
        except ParameterError as error:
            return JSONResponse(_plain(ApiError("bad_parameter", str(error))), 400)
        except StoreError:
            return JSONResponse(_plain(ApiError("store", "the database cannot be read at the moment")), 503)
        if isinstance(found, Response):
            return found
        if query.get("format") == "csv":
            return _csv(endpoint, found)
        return JSONResponse(_plain(found))

    return answer


async def _admitted(endpoint: Endpoint[Handler], access: Access, authorization: str | None) -> Asker:
    if not endpoint.roles:
        return Asker("", "")
    asker = await access.asker(authorization)
    if asker is None:
        raise _Refused(401, "no_token", "send Authorization: Bearer with a token of `sleepbelt platform token add`, "
                       "or with receiver.api_token")  # fmt: skip
    if asker.role not in endpoint.roles:
        raise _Refused(403, "not_allowed", f"a token of the role {asker.role} may not read this; it is for: "
                       f"{', '.join(endpoint.roles)}")  # fmt: skip
    return asker


def _csv(endpoint: Endpoint[Handler], found: Any) -> Response:
    row_type = get_args(get_type_hints(type(found))[endpoint.table])[0]
    headers = {"Content-Disposition": f'attachment; filename="{endpoint.table}.csv"'}
    return Response(csv_text(row_type, getattr(found, endpoint.table)), media_type="text/csv", headers=headers)


def _card_for(role: str, card: ResidentCard) -> ResidentCard:
    return card if role == ADMIN else dataclasses.replace(card, display_name="", initials="")


def _bed_for(role: str, row: BedRow) -> LinkedBed:
    live, may_see = row.live, role != TECHNICIAN
    return LinkedBed(
        row.gateway, row.bed, row.room, live.watched, live.why_unwatched, live.stale, live.last_heard_utc_ms,
        live.reported_utc_ms, row.resident_id if may_see else None, live if may_see else None,
    )  # fmt: skip


def _found(row: R | None) -> R:
    if row is None:
        raise _Refused(404, "not_found", "no such resident")
    return row


def _plain(row: Any) -> dict[str, Any]:
    return dataclasses.asdict(row)
