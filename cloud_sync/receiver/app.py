"""The receiver as one process: broker (if embedded), store, consumer, API and pages. The only place that joins them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cloud_sync.authority import load_authority
from cloud_sync.broker import embedded_broker
from cloud_sync.clock import Clock
from cloud_sync.pages.server import PageServer
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import Streams
from cloud_sync.receiver.api import build_api
from cloud_sync.receiver.api_access import Access
from cloud_sync.receiver.commander import Commander, open_command_key
from cloud_sync.receiver.consumer import Consumer
from cloud_sync.receiver.enrol_routes import build_enrol_routes
from cloud_sync.receiver.enrolment import ENROLMENT, Enrolment
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.hooks import Hooks
from cloud_sync.receiver.http_uplink import build_http_uplink
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.people import open_people
from cloud_sync.receiver.platform import Platform
from cloud_sync.receiver.port import PlatformStats
from cloud_sync.receiver.register import Register
from cloud_sync.receiver.renewals import Renewals
from cloud_sync.receiver.residents import read_residents
from cloud_sync.receiver.settings import COMMAND_KEY, ReceiverSettings
from cloud_sync.receiver.stores.base import Committed, StoreError, StoreReads, StoreWrites
from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.opening import open_existing, open_reads, open_writes
from cloud_sync.receiver.threads import StoreThread
from cloud_sync.receiver.web import build_pages
from cloud_sync.uplink import enrolled_address
from protocol.batch import LiveSnapshot

__all__ = ["Ready", "serve"]

log = logging.getLogger(__name__)
C = TypeVar("C", bound="_Closable")


@dataclass(frozen=True, slots=True)
class Ready:
    """What the process says once it serves."""

    http: str
    broker: str
    database: str
    residents: int
    remark: str  # what had to be done to the database, or empty
    platform_key: str  # what uplink.platform_key of a gateway has to be, so that it takes our commands


async def serve(settings: ReceiverSettings, on_ready: Callable[[Ready], None], stop: asyncio.Event) -> PlatformStats:
    """Run until `stop` is set; what the database then holds.

    Raises StoreError, KeyFileError, ListenError, BrokerStartError, AuthorityError or ResidentsError if it cannot start.
    """
    clock = Clock()
    residents = read_residents(settings.residents) if settings.residents is not None else []
    with ExitStack() as owned:
        writes, reads, remark = _open_store(settings, owned)
        names = NameBook(settings.name_key)
        platform = Platform(reads, names, clock, settings.web.timezone)
        await platform.refresh_places()
        people = StoreThread("people", lambda: open_people(settings.database, settings.data))
        owned.callback(_close, people)
        address = enrolled_address(settings.broker, settings.broker_tls)
        commander = Commander(address, open_command_key(settings.data / COMMAND_KEY), clock)
        home = Home(platform, reads, people, commander)
        register = Register(platform, home, reads, writes, names)
        if residents:
            await register.admit_listed(residents)
        await register.reload()

        hooks = _open_hooks(settings, platform, clock, owned) if settings.webhooks else None

        def heard(snapshot: LiveSnapshot) -> None:
            platform.heard(snapshot)
            home.heard(snapshot)
            if hooks:
                hooks.heard(snapshot)

        def committed(commit: Committed) -> None:
            platform.committed(commit)
            if hooks:
                hooks.committed()

        consumer = Consumer(address, writes, clock, committed, heard)
        platform.is_connected = lambda: consumer.is_connected
        platform.is_committing = lambda: consumer.is_committing
        access = Access(reads, settings.api_token, settings.web.open_access)
        app = _build_app(platform, home, register, access, settings.web)
        enrolment = renewals = None
        if settings.authority is not None:
            enrolment = _open_enrolment(settings.authority, settings.data / ENROLMENT, owned)
            app.router.routes[:0] = build_enrol_routes(enrolment)
            renewals = Renewals(address, enrolment)
        if settings.gateway_token is not None:

            async def is_revoked(gateway: str) -> bool:
                return enrolment is not None and await enrolment.call(lambda one: one.is_revoked(gateway))

            app.router.routes[:0] = build_http_uplink(consumer.take, settings.gateway_token, is_revoked)
        server = PageServer(app, settings.web)
        if settings.embedded_broker is not None:
            owned.enter_context(embedded_broker(*settings.embedded_broker))
        on_ready(Ready(server.address, str(address), settings.database_shown, len(residents), remark,
                       commander.public_key))
        parts = [consumer.run(), commander.run(), home.run(), register.run()]
        parts += [part.run() for part in (renewals, hooks) if part]
        await _until_stopped(parts, server, stop)
        return await platform.stats()


def _open_store(
    settings: ReceiverSettings, owned: ExitStack
) -> tuple[StoreThread[StoreWrites], StoreThread[StoreReads], str]:
    remarks: list[str] = []

    def make_writes() -> StoreWrites:
        store = open_writes(settings.database)
        remarks.append(store.remark)
        return store

    def make_reads() -> StoreReads:
        return open_reads(settings.database)

    writes = StoreThread("store-writes", make_writes)
    owned.callback(_close, writes)
    reads = StoreThread("store-reads", make_reads)
    owned.callback(_close, reads)
    if remarks[0]:
        log.error("%s", remarks[0])
    return writes, reads, remarks[0]


def _open_enrolment(folder: Path, file: Path, owned: ExitStack) -> StoreThread[Enrolment]:
    authority = load_authority(folder)
    thread = StoreThread("enrolment", lambda: Enrolment(file, authority, folder))
    owned.callback(_close, thread)
    return thread


def _open_hooks(settings: ReceiverSettings, platform: Platform, clock: Clock, owned: ExitStack) -> Hooks:
    thread: StoreThread[Database] = StoreThread("webhooks", lambda: open_existing(settings.database))
    owned.callback(_close, thread)
    return Hooks(settings.webhooks, thread, clock, platform.withheld, platform.broker_connected)


class _Closable(Protocol):
    def close(self) -> None: ...


def _close(thread: StoreThread[C]) -> None:
    thread.call_now(lambda store: store.close())
    thread.shutdown()


async def _until_stopped(
    parts: Sequence[Coroutine[None, None, None]], server: PageServer, stop: asyncio.Event
) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    serving = asyncio.create_task(server.serve_pages())
    stopping = asyncio.create_task(stop.wait())
    everything: set[asyncio.Task[None] | asyncio.Task[bool]] = {*tasks, serving, stopping}
    try:
        done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a consumer or server that ended by itself has a reason to tell
    finally:
        stopping.cancel()
        for part in tasks:
            part.cancel()
            with suppress(asyncio.CancelledError):
                await part
        await server.stop()
        await serving


async def _store_fails(request: Request, error: Exception) -> Response:
    log.error("%s", error)
    return JSONResponse({"error": "store", "message": "the database cannot be read at the moment"}, 503)


class _AllStreams:
    """The open streams of API and pages together, as PageServer closes them."""

    def __init__(self, streams: Sequence[Streams]) -> None:
        self._streams = streams

    async def close(self) -> None:
        for streams in self._streams:
            await streams.close()


def _build_app(
    platform: Platform, home: Home, register: Register, access: Access, settings: WebSettings
) -> Starlette:
    routes, api_streams = build_api(platform, home.devices, settings, access, home.note)
    pages = build_pages(platform, settings, home, register)
    app = Starlette(routes=[*routes, *pages.routes], exception_handlers={StoreError: _store_fails})
    app.state.streams = _AllStreams([api_streams, pages.streams])
    return app
