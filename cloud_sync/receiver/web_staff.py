"""Accounts of the platform and the record of who saw what. Accounts of the configuration stay as they are there."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import FORM_BYTES_MAX, Visitor, wall_time
from cloud_sync.pages.language import Strings
from cloud_sync.pages.pins import PIN_LENGTH_MAX, PIN_LENGTH_MIN, PinError, check_pin, hash_pin
from cloud_sync.pages.settings import ACCOUNTS_MAX, ROLES, Account
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.people import VIEWS_OF_ALL, AuditRow
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.web_kit import AUDIT, ID_CHARS_MAX, STAFF, Desk

log = logging.getLogger(__name__)

NAME_CHARS_MAX = 40
AUDIT_SHOWN = 200
SIGN_INS_WAITING_MAX = 1_000


def staff_routes(desk: Desk, home: Home) -> list[Route]:
    """The routes of accounts and audit; kept accounts can sign in and sign-ins are kept in the audit from now on."""
    pages = _StaffPages(desk, home)
    pages.use_kept(home.people_now(lambda people: people.accounts()))
    home.use_accounts = pages.use_kept
    desk.kit.on_sign_in = pages.signed_in
    guarded = partial(Route, middleware=desk.kit.middleware, max_body_size=FORM_BYTES_MAX)
    return [
        guarded("/accounts", pages.accounts, methods=["GET"]),
        guarded("/accounts", pages.change, methods=["POST"]),
        guarded("/audit", pages.audit, methods=["GET"]),
    ]


class _StaffPages:
    def __init__(self, desk: Desk, home: Home) -> None:
        self._desk, self._home, self._kit = desk, home, desk.kit
        self._fixed = {account.name for account in desk.kit.settings.accounts}
        self._of_file = desk.kit.settings.accounts
        self._changing = asyncio.Lock()
        self._waiting: set[asyncio.Task[None]] = set()

    def use_kept(self, kept: tuple[Account, ...]) -> None:
        """Let the accounts kept by People sign in; where one has the name of a configured one, that one counts."""
        more = tuple(account for account in kept if account.name not in self._fixed)
        self._kit.use_accounts((*self._of_file, *more))

    def signed_in(self, kind: str, account: str, address: str) -> None:
        """Keep a sign-in, a failed one or a sign-out; the answer to the browser does not wait for it."""
        if len(self._waiting) >= SIGN_INS_WAITING_MAX:
            return
        role = next((each.role for each in self._kit.settings.accounts if each.name == account), "")
        row = AuditRow(self._desk.port.now_utc_ms(), kind, account, role, "", address)
        task = asyncio.get_running_loop().create_task(self._keep(row))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _keep(self, row: AuditRow) -> None:
        try:
            await self._home.note(row)
        except StoreError as error:
            log.error("%s", error)

    async def audit(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(AUDIT):
            return self._desk.closed(request, visitor)
        resident_id = request.query_params.get("resident") or None
        if resident_id is not None and not (resident_id.isprintable() and len(resident_id) <= ID_CHARS_MAX):
            return self._kit.error(request, visitor, 404, "unknown_resident")
        await self._desk.note(visitor, "audit", resident_id or "")
        rows = await self._home.who_looked(resident_id, AUDIT_SHOWN)
        names = {card.resident_id: card.display_name for card in await self._desk.port.residents()}
        clock = partial(wall_time, timezone=self._kit.settings.timezone, form="%Y-%m-%d %H:%M:%S")
        return self._kit.page(
            request,
            visitor,
            "audit.html",
            rows=rows,
            names=names,
            resident_id=resident_id,
            of_all=VIEWS_OF_ALL,
            most=AUDIT_SHOWN,
            clock=clock,
        )

    async def accounts(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(STAFF):
            return self._desk.closed(request, visitor)
        return self._page(request, visitor, done=request.query_params.get("done") == "1")

    def _page(self, request: Request, visitor: Visitor, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"errors": {}, "name": "", "role": "carer", "done": False, "failure": "", **more}
        accounts = [
            {"name": account.name, "role": account.role, "of_file": account.name in self._fixed}
            for account in self._kit.settings.accounts
        ]
        return self._kit.page(request, visitor, "accounts.html", status, accounts=accounts, roles=ROLES, **values)

    async def change(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=8)
        refusal = self._kit.refusal(request, visitor, STAFF, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        async with self._changing:
            return await self._change(request, visitor, form)

    async def _change(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        assert visitor.account is not None
        t, name, role = visitor.t, str(form.get("name", "")).strip(), str(form.get("role", ""))
        if name in self._fixed:
            return self._page(request, visitor, 409, failure=t("people.of_file", name=name))
        known = next((account for account in self._kit.settings.accounts if account.name == name), None)
        if str(form.get("do", "")) == "remove":
            if known is None:
                return self._page(request, visitor, 404, failure=t("people.unknown", name=name))
            if self._last_admin(name):
                return self._page(request, visitor, 409, failure=t("people.last_admin"))
            await self._home.people(lambda people: people.remove_account(name))
            await self._desk.note(visitor, "account_removed", "", name)
        else:
            errors, pin = self._check(form, name, role, t)
            if known is None and len(self._kit.settings.accounts) >= ACCOUNTS_MAX:
                errors["name"] = t("people.too_many", most=ACCOUNTS_MAX)
            if known is not None and role != "admin" and self._last_admin(name):
                errors["role"] = t("people.last_admin")
            if errors:
                return self._page(request, visitor, 422, errors=errors, name=name, role=role)
            account = Account(name, role, await asyncio.to_thread(hash_pin, pin))
            await self._home.people(lambda people: people.put_account(account))
            await self._desk.note(visitor, "account_changed" if known else "account_added", "", f"{name} {role}")
        self.use_kept(await self._home.people(lambda people: people.accounts()))
        # Who changed their own PIN has ended their own session.
        return RedirectResponse("/login?back=/accounts" if name == visitor.account.name else "/accounts?done=1", 303)

    def _check(self, form: FormData, name: str, role: str, t: Strings) -> tuple[dict[str, str], str]:
        """(what is wrong by field, the PIN)."""
        errors, pin = {}, str(form.get("pin", ""))
        if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
            errors["name"] = t("people.bad_name", most=NAME_CHARS_MAX)
        if role not in ROLES:
            errors["role"] = t("people.bad_role")
        if pin != str(form.get("again", "")):
            errors["again"] = t("people.not_again")
        if not PIN_LENGTH_MIN <= len(pin) <= PIN_LENGTH_MAX:
            errors["pin"] = t("people.short_pin")
        elif not errors:
            try:
                check_pin(pin)
            except PinError:
                errors["pin"] = t("people.easy_pin")
        return errors, pin

    def _last_admin(self, name: str) -> bool:
        return [account.name for account in self._kit.settings.accounts if account.role == "admin"] == [name]
