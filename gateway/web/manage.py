"""The pages for leads and admins beside the board: who may open them, and how a form proves where it comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Kit, Visitor

if TYPE_CHECKING:
    from gateway.management import Management

__all__ = ["ADMINS", "LEADS", "FormHandler", "Guard", "Handler", "management_routes"]

LEADS = ("lead", "admin")
ADMINS = ("admin",)
FORM_BYTES_MAX = 16_384
_NO_DATA = ("/login", "/setup", "/accounts", "/provision")
"""Pages that show nothing of any resident, also none by a bed's label."""
FORM_FIELDS_MAX = 200

Handler = Callable[[Request, Visitor], Awaitable[Response]]
FormHandler = Callable[[Request, Visitor, FormData], Awaitable[Response]]


class Guard:
    """Wraps handlers of pages that only some roles may open."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def get(self, path: str, roles: tuple[str, ...], handler: Handler) -> Route:
        """A page or an API answer; a visitor who is not signed in is asked to, and comes back."""

        async def endpoint(request: Request) -> Response:
            visitor = self.kit.visitor(request)
            if visitor.account is None and not request.url.path.startswith("/api/"):
                return RedirectResponse(f"/login?back={quote(request.url.path)}", 303)
            refusal = self._refusal(visitor, roles)
            return await handler(request, visitor) if refusal is None else self.kit.error(request, visitor, *refusal)

        return self.route(path, endpoint, "GET")

    def post(self, path: str, roles: tuple[str, ...], handler: FormHandler) -> Route:
        """A form whose hidden field `csrf` proves that this server's page sent it."""

        async def endpoint(request: Request) -> Response:
            visitor = self.kit.visitor(request)
            form = await request.form(max_files=0, max_fields=FORM_FIELDS_MAX)
            refusal = self._refusal(visitor, roles)
            if refusal is None and not self.kit.csrf_good(visitor, str(form.get("csrf", ""))):
                refusal = 403, "csrf"
            if refusal is not None:
                return self.kit.error(request, visitor, *refusal)
            return await handler(request, visitor, form)

        return self.route(path, endpoint, "POST")

    def _refusal(self, visitor: Visitor, roles: tuple[str, ...]) -> tuple[int, str] | None:
        if visitor.account is None:
            return 401, "sign_in"
        # Open access is a carer without a PIN: nothing is managed by somebody nobody can name.
        if visitor.account.role not in roles or not visitor.account.pin:
            return 403, "role"
        return None

    def route(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Route:
        """A route that checks nothing but the host: for what everybody may open."""
        return partial(Route, middleware=self.kit.middleware, max_body_size=FORM_BYTES_MAX)(
            path, endpoint, methods=[method]
        )


def management_routes(kit: Kit, management: Management) -> list[Route]:
    """Settings, accounts, set-up, statistics and audit; also makes the kit follow accounts and tell of sign-ins."""
    from gateway.web.evidence_page import EvidencePages
    from gateway.web.people_page import PeoplePages
    from gateway.web.settings_page import SettingsPages

    kit.use_accounts(management.accounts())
    management.on_accounts = kit.use_accounts
    kit.on_sign_in = lambda kind, account, address: management.note(kind, account, "", f"from {address}")
    kit.on_page = lambda account, path: None if path in _NO_DATA else management.viewed(account, path)
    guard = Guard(kit)
    return [
        *SettingsPages(guard, management).routes(),
        *PeoplePages(guard, management).routes(),
        *EvidencePages(guard, management).routes(),
    ]
