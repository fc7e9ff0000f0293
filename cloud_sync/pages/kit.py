"""The frame around every page: who is looking, in which language, with which rights; sign-in; safe headers.

One `Kit` serves one page server. A visitor who may not do something is told so by status: 401 not signed in, 403 wrong
role or wrong CSRF token, 429 too many tries.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages import avatar, pins
from cloud_sync.pages.assets import Assets
from cloud_sync.pages.guard import PageGuard
from cloud_sync.pages.language import Strings, choose_language, duration, exact_duration, strings
from cloud_sync.pages.sessions import LoginLimiter, SessionStore, anonymous_token
from cloud_sync.pages.settings import THEMES, Account, WebSettings
from cloud_sync.pages.streams import Streams

_HERE = Path(__file__).parent
_LANGUAGE_COOKIE, _THEME_COOKIE = "sb_language", "sb_theme"
_YEAR_S = 365 * 86_400
FORM_BYTES_MAX = 4096
OPEN_ACCESS = Account("open-access", "carer", "")


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page, and how."""

    token: str | None  # the cookie the browser brought
    account: Account | None
    permissions: frozenset[str]
    t: Strings
    theme: str

    def may(self, permission: str) -> bool:
        """True if this visitor's role allows it."""
        return permission in self.permissions


class Kit:
    """Templates, words, sessions and files of one page server.

    `permissions`: role -> what it may do; the role `""` is a visitor who is not signed in.
    `name`: distinguishes the cookies of two servers on one host (cookies do not know ports).
    """

    def __init__(
        self, name: str, settings: WebSettings, folder: Path, permissions: Mapping[str, frozenset[str]]
    ) -> None:
        self.settings = settings
        # Told of (sign_in | sign_in_failed | sign_out, account, address), for whoever keeps an audit.
        self.on_sign_in: Callable[[str, str, str], None] = lambda kind, account, address: None
        # Told of (account or "", path) of every page shown.
        self.on_page: Callable[[str, str], None] = lambda account, path: None
        self.streams = Streams(settings.streams_max)
        self.assets = Assets([_HERE / "static", folder / "static"])
        self.middleware = [Middleware(PageGuard, hosts=settings.allowed_hosts, loopback_only=settings.open_access)]
        self._cookie = f"sb_{name}"
        self._permissions = permissions
        self._sessions = SessionStore(settings.session_idle_s, settings.session_max_s)
        self._by_address, self._by_account = LoginLimiter(5), LoginLimiter(20)
        self._checking = asyncio.Lock()
        self._environment = Environment(
            loader=FileSystemLoader([folder / "templates", _HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(
            asset=self.assets.address, hue=avatar.hue, initials=avatar.initials, themes=THEMES
        )

    # -- who looks ------------------------------------------------------------------------------------------------

    def visitor(self, request: HTTPConnection, *, touch: bool = True) -> Visitor:
        """Who is looking; `touch` False where looking on shall not keep a session alive."""
        cookies = request.cookies
        token = cookies.get(self._cookie)
        account = self._sessions.account(token, time.monotonic(), touch=touch)
        if account is None and self.settings.open_access and _from_loopback(request):
            account = OPEN_ACCESS
        permissions = self._permissions.get(account.role if account else "", frozenset())
        accepted = request.headers.get("accept-language", "")
        language = choose_language(cookies.get(_LANGUAGE_COOKIE), accepted, self.settings.language)
        theme = cookies.get(_THEME_COOKIE, "")
        theme = theme if theme in THEMES else self.settings.theme
        return Visitor(token, account, permissions, strings(language), theme)

    def watcher(self, request: HTTPConnection, permission: str) -> Callable[[], bool]:
        """Whether who asked for a stream may still look on: cheap, as it is asked with each event of each stream."""
        token = request.cookies.get(self._cookie)
        is_open = self.settings.open_access and _from_loopback(request)

        def may_look() -> bool:
            account = self._sessions.account(token, time.monotonic(), touch=False) or (OPEN_ACCESS if is_open else None)
            return permission in self._permissions.get(account.role if account else "", frozenset())

        return may_look

    def csrf(self, visitor: Visitor) -> str:
        """The CSRF token for this visitor's cookie; empty before the first page has set one."""
        return self._sessions.csrf(visitor.token) if visitor.token else ""

    def use_accounts(self, accounts: tuple[Account, ...]) -> None:
        """Who may sign in from now on; sessions of accounts that are gone or have changed end."""
        self.settings = replace(self.settings, accounts=accounts)
        self._sessions.keep(accounts)

    def refusal(
        self, request: Request, visitor: Visitor, permission: str, form_token: str | None = None
    ) -> tuple[int, str] | None:
        """Why a POST is refused: (401, `sign_in`), (403, `csrf`), (403, `role`); None if it may go on.

        The token comes in the header `X-CSRF-Token`, which no other site can set, or as the field `csrf` of a form.
        """
        if visitor.account is None:
            return 401, "sign_in"
        if not self.csrf_good(visitor, form_token or request.headers.get("x-csrf-token")):
            return 403, "csrf"
        return None if visitor.may(permission) else (403, "role")

    def csrf_good(self, visitor: Visitor, offered: str | None) -> bool:
        """True if the token belongs to this visitor's cookie."""
        return self._sessions.csrf_matches(visitor.token, offered)

    # -- pages ----------------------------------------------------------------------------------------------------

    def share(self, **values: Any) -> None:
        """Values that every template of this server sees."""
        self._environment.globals.update(values)

    def fragment(self, template: str, t: Strings, **values: Any) -> str:
        """A piece of a page: `t` its words, `duration`, `exact_duration` and the values given."""
        values.update(t=t, duration=partial(duration, t), exact_duration=partial(exact_duration, t))
        return self._environment.get_template(template).render(values)

    def page(self, request: Request, visitor: Visitor, template: str, status: int = 200, **values: Any) -> Response:
        """A whole page; a browser without a cookie gets one, so that its next POST can prove where it comes from."""
        token = visitor.token or anonymous_token()
        self.on_page(visitor.account.name if visitor.account else "", request.url.path)
        values.setdefault("status", status)
        body = self.fragment(
            template,
            visitor.t,
            visitor=visitor,
            csrf=self._sessions.csrf(token),
            here=quote(request.url.path),
            account_html=Markup(self.account_html(visitor, request.url.path, self._sessions.csrf(token))),
            can_sign_in=bool(self.settings.accounts),
            open_access=self.settings.open_access,
            **values,
        )
        response = HTMLResponse(body, status, headers={"Cache-Control": "no-store"})
        if not visitor.token:
            self._set_cookie(response, token)
        return response

    def account_html(self, visitor: Visitor, path: str, csrf: str) -> str:
        """The corner of a page that says who is signed in, or lets somebody sign in and come back to `path`."""
        can_sign_in = bool(self.settings.accounts)
        values = {"account": visitor.account, "csrf": csrf, "here": quote(path), "can_sign_in": can_sign_in}
        return self.fragment("account.html", visitor.t, **values)

    def error(self, request: Request, visitor: Visitor, status: int, code: str) -> Response:
        """A page (or JSON under /api/) that says what is wrong and what to do; `code` names a text `error.CODE`."""
        message = visitor.t.code("error", code)
        if request.url.path.startswith("/api/"):
            return error_json(status, code, message)
        return self.page(request, visitor, "error.html", status, message=message)

    # -- sign-in, language, theme, files ----------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """What every page server has."""
        guarded = partial(Route, middleware=self.middleware, max_body_size=FORM_BYTES_MAX)
        return [
            guarded("/login", self._login_page, methods=["GET"]),
            guarded("/login", self._login, methods=["POST"]),
            guarded("/logout", self._logout, methods=["POST"]),
            guarded("/preference", self._preference, methods=["GET"]),
            guarded("/static/{version}/{name}", self.assets.endpoint, methods=["GET"]),
        ]

    async def _login_page(self, request: Request) -> Response:
        return self._login_form(request, self.visitor(request), _own_path(request.query_params.get("back")))

    def _login_form(
        self, request: Request, visitor: Visitor, back: str, status: int = 200, code: str = "", wait_s: int = 0
    ) -> Response:
        message = visitor.t(f"login.{code}", wait_s=wait_s) if code else ""
        names = [account.name for account in self.settings.accounts]
        return self.page(request, visitor, "login.html", status, back=back, message=message, names=names)

    async def _login(self, request: Request) -> Response:
        visitor = self.visitor(request, touch=False)
        form = await request.form(max_files=0, max_fields=8)
        name, pin, back = (str(form.get(key, "")) for key in ("account", "pin", "back"))
        back = _own_path(back)
        if not self._sessions.csrf_matches(visitor.token, str(form.get("csrf", ""))):
            return self._login_form(request, visitor, back, 403, "stale")
        address, now_s = request.client.host if request.client else "", time.monotonic()
        known = next((account for account in self.settings.accounts if account.name == name), None)
        # Unknown names share one key: inventing names fills no memory and wins no tries.
        keys = ((self._by_address, address), (self._by_account, known.name if known else ""))
        wait_s = max(limiter.try_now(key, now_s) for limiter, key in keys)
        if wait_s:
            response = self._login_form(request, visitor, back, 429, "wait", int(wait_s) + 1)
            response.headers["Retry-After"] = str(int(wait_s) + 1)
            return response
        if not await self._proved(known, pin):
            self.on_sign_in("sign_in_failed", known.name if known else "", address)
            return self._login_form(request, visitor, back, 401, "wrong")
        assert known is not None
        for limiter, key in keys:
            limiter.succeeded(key)
        self._sessions.end(visitor.token)
        self.on_sign_in("sign_in", known.name, address)
        response = RedirectResponse(back, 303)
        self._set_cookie(response, self._sessions.begin(known, now_s))
        return response

    async def _proved(self, account: Account | None, pin: str) -> bool:
        """True if the PIN is the account's. One check at a time, off the event loop: each takes memory and 50 ms."""
        async with self._checking:
            if account is None:
                await asyncio.to_thread(pins.spend_same_time, pin)
                return False
            return await asyncio.to_thread(pins.pin_matches, pin, account.pin)

    async def _logout(self, request: Request) -> Response:
        visitor = self.visitor(request)
        form = await request.form(max_files=0, max_fields=8)
        if not self._sessions.csrf_matches(visitor.token, str(form.get("csrf", ""))):
            return self.error(request, visitor, 403, "csrf")
        self._sessions.end(visitor.token)
        if visitor.account is not None:
            self.on_sign_in("sign_out", visitor.account.name, request.client.host if request.client else "")
        response = RedirectResponse("/", 303)
        response.delete_cookie(self._cookie, path="/")
        return response

    async def _preference(self, request: Request) -> Response:
        """GET /preference?language=zh|en&theme=auto|light|dark&back=/path: harmless, so a plain link is enough."""
        query = request.query_params
        response = RedirectResponse(_own_path(query.get("back")), 303)
        for key, cookie, choices in (
            ("language", _LANGUAGE_COOKIE, ("zh", "en")),
            ("theme", _THEME_COOKIE, THEMES),
        ):
            if query.get(key) in choices:
                response.set_cookie(cookie, query[key], max_age=_YEAR_S, samesite="strict", path="/", httponly=True)
        return response

    def _set_cookie(self, response: Response, token: str) -> None:
        response.set_cookie(
            self._cookie, token, httponly=True, samesite="strict", secure=self.settings.https, path="/"
        )


def error_json(status: int, code: str, message: str) -> Response:
    """The one shape of an error of the HTTP API."""
    return JSONResponse({"ok": False, "error": {"code": code, "message": message}}, status)


def wall_time(utc_ms: int | None, timezone: str, form: str = "%H:%M") -> str:
    """Local wall time of an instant for people; a dash for None."""
    if utc_ms is None:
        return "–"
    return datetime.fromtimestamp(utc_ms / 1000, ZoneInfo(timezone)).strftime(form)


def _from_loopback(request: HTTPConnection) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _own_path(back: str | None) -> str:
    """A path on this server, whatever was asked for: an open redirect would send a carer to a look-alike."""
    if not back or not back.startswith("/") or back.startswith(("//", "/\\")) or not back.isascii():
        return "/"
    return back if back.isprintable() and "\\" not in back else "/"


def script_texts(t: Strings, *keys: str) -> Markup:
    """The texts of `keys` as JSON for a <script type="application/json"> block, by the last part of each key."""
    encoded = json.dumps({key.rpartition(".")[2]: t(key) for key in keys}, ensure_ascii=False)
    for character in "<>&":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return Markup(encoded)
