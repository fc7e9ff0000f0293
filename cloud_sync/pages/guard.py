"""Safe headers on every answer, and a check of the Host header (plain ASGI, so that streams pass untouched)."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class PageGuard:
    """Refuses foreign Host headers and adds the headers above.

    With open access only loopback names are good: else a page elsewhere, by a name that it lets resolve to 127.0.0.1
    (DNS rebinding), could act as a carer.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], loopback_only: bool) -> None:
        self._app, self._hosts, self._loopback_only = app, hosts, loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._host_is_good(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send_guarded)
        else:
            refusal = PlainTextResponse("unknown host name; add it to allowed_hosts\n", 421)
            await refusal(scope, receive, send_guarded)

    def _host_is_good(self, header: str) -> bool:
        name = _host_name(header)
        if name in self._hosts:
            return True
        if self._loopback_only:
            return name == "localhost" or _is_loopback(name)
        return not self._hosts


def _host_name(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
