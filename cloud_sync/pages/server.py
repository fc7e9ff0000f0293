"""Runs an ASGI application under uvicorn inside somebody else's event loop, and stops when told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator

from starlette.applications import Starlette

from cloud_sync.clock import until_tick_s
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.uvicorn_alone import Config, Server

TICK_S = 1.0


class ListenError(OSError):
    """The server cannot listen or cannot use its certificate; the message says where, why and what to do."""


class PageServer(Server):
    """A uvicorn server that leaves signals to its host and ends open event streams when it is told to stop."""

    def __init__(self, app: Starlette, settings: WebSettings) -> None:
        config = Config(
            app,
            http="h11",
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=256,
            timeout_graceful_shutdown=2,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        super().__init__(config)
        self._app, self._settings = app, settings
        self._stopping = asyncio.Event()
        try:
            config.load()
        except (ssl.SSLError, OSError) as error:
            raise ListenError(f"cannot use the certificate {settings.tls_certificate}: {error}") from error
        self._socket = _listen(settings.host, settings.port)

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        host, port = self._socket.getsockname()[:2]
        name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"{'https' if self._settings.https else 'http'}://{f'[{name}]' if ':' in name else name}:{port}/"

    async def serve_pages(self) -> None:
        """Serves until `stop` is called."""
        await self.serve([self._socket])

    async def stop(self) -> None:
        """Ends streams at once and lets `serve_pages` return within two seconds."""
        self.should_exit = True
        self._stopping.set()
        await self._app.state.streams.close()

    async def main_loop(self) -> None:
        """A tick a second, for the date header, where uvicorn takes ten (canary: uvicorn 0.54 has this method)."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_tick_s(TICK_S)):
                    await self._stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the process that embeds the server (canary: uvicorn 0.54 has this hook)."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port or host") from error
    return listener
