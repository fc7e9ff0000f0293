"""Accounts of the staff: the first admin by the one-time token that `sleepbelt run` prints, later ones by an admin."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Visitor
from cloud_sync.pages.pins import PinError, check_pin, hash_pin
from cloud_sync.pages.sessions import LoginLimiter
from cloud_sync.pages.settings import ACCOUNTS_MAX, ROLES
from gateway.management import Management
from gateway.store_evidence import AccountRow
from gateway.web.manage import ADMINS, FORM_FIELDS_MAX, Guard

__all__ = ["PeoplePages"]

NAME_CHARS_MAX = 40


class PeoplePages:
    """`/setup` until there is an account, `/accounts` for admins."""

    def __init__(self, guard: Guard, management: Management) -> None:
        self._guard, self._kit, self._management = guard, guard.kit, management
        self._tries = LoginLimiter(5)

    def routes(self) -> list[Route]:
        open_to_all = self._guard.route
        return [
            open_to_all("/setup", self._setup, "GET"),
            open_to_all("/setup", self._set_up, "POST"),
            self._guard.get("/accounts", ADMINS, self._accounts),
            self._guard.post("/accounts", ADMINS, self._changed),
        ]

    # -- the first admin -----------------------------------------------------------------------------------------------

    async def _setup(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if self._management.setup is None or self._management.setup.text is None:
            return RedirectResponse("/", 303)
        return self._setup_page(request, visitor)

    def _setup_page(self, request: Request, visitor: Visitor, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"token": "", "name": "", "errors": {}, **more}
        return self._kit.page(request, visitor, "setup.html", status, **values)

    async def _set_up(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        setup = self._management.setup
        if setup is None or setup.text is None:
            return self._kit.error(request, visitor, 404, "not_found")
        form = await request.form(max_files=0, max_fields=FORM_FIELDS_MAX)
        if not self._kit.csrf_good(visitor, str(form.get("csrf", ""))):
            return self._kit.error(request, visitor, 403, "csrf")
        token, name = str(form.get("token", "")), str(form.get("name", "")).strip()
        t = visitor.t
        address = request.client.host if request.client else ""
        if self._tries.try_now(address, time.monotonic()):
            return self._setup_page(request, visitor, 429, name=name, errors={"token": t("people.wait")})
        errors, pin = self._check(form, name, t)
        if not setup.matches(token):
            self._management.note("setup_refused", "", "", f"from {address}")
            errors["token"] = t("people.wrong_token")
        else:
            self._tries.succeeded(address)
        if errors:
            return self._setup_page(request, visitor, 422, token=token, name=name, errors=errors)
        row = AccountRow(name, "admin", await asyncio.to_thread(hash_pin, pin))
        if not setup.use(token):  # somebody else was quicker
            return self._kit.error(request, visitor, 404, "not_found")
        await self._management.put_account(row, name, "set-up with the one-time token")
        return RedirectResponse("/login?back=/accounts", 303)

    # -- later ones ----------------------------------------------------------------------------------------------------

    async def _accounts(self, request: Request, visitor: Visitor) -> Response:
        return self._page(request, visitor, done=request.query_params.get("done") == "1")

    def _page(self, request: Request, visitor: Visitor, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"errors": {}, "name": "", "role": "carer", "done": False, "failure": "", **more}
        accounts = [
            {"name": account.name, "role": account.role, "of_file": self._management.of_file(account.name)}
            for account in self._management.accounts()
        ]
        return self._kit.page(request, visitor, "accounts.html", status, accounts=accounts, roles=ROLES, **values)

    async def _changed(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        assert visitor.account is not None
        t, who = visitor.t, visitor.account.name
        name, role = str(form.get("name", "")).strip(), str(form.get("role", ""))
        if self._management.of_file(name):
            return self._page(request, visitor, 409, failure=t("people.of_file", name=name))
        known = next((account for account in self._management.accounts() if account.name == name), None)
        if str(form.get("do", "")) == "remove":
            if known is None:
                return self._page(request, visitor, 404, failure=t("people.unknown", name=name))
            if self._last_admin(name):
                return self._page(request, visitor, 409, failure=t("people.last_admin"))
            await self._management.put_account(AccountRow(name, known.role, ""), who, "")
            return RedirectResponse("/accounts?done=1", 303)
        errors, pin = self._check(form, name, t)
        if role not in ROLES:
            errors["role"] = t("people.bad_role")
        if known is None and len(self._management.accounts()) >= ACCOUNTS_MAX:
            errors["name"] = t("people.too_many", most=ACCOUNTS_MAX)
        if known is not None and role != "admin" and self._last_admin(name):
            errors["role"] = t("people.last_admin")
        if errors:
            return self._page(request, visitor, 422, errors=errors, name=name, role=role)
        row = AccountRow(name, role, await asyncio.to_thread(hash_pin, pin))
        await self._management.put_account(row, who, "")
        # Who changed their own PIN has ended their own session.
        return RedirectResponse("/login?back=/accounts" if name == who else "/accounts?done=1", 303)

    def _check(self, form: FormData, name: str, t: Any) -> tuple[dict[str, str], str]:
        """(what is wrong by field, the PIN)."""
        errors = {}
        pin = str(form.get("pin", ""))
        if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
            errors["name"] = t("people.bad_name", most=NAME_CHARS_MAX)
        try:
            check_pin(pin)
        except PinError as error:
            errors["pin"] = t("people.short_pin") if "characters" in str(error) else t("people.easy_pin")
        if pin != str(form.get("again", "")):
            errors["again"] = t("people.not_again")
        return errors, pin

    def _last_admin(self, name: str) -> bool:
        admins = [account.name for account in self._management.accounts() if account.role == "admin"]
        return admins == [name]
