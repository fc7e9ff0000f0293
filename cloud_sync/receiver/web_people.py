"""Who lives here: admit, rename, move, discharge; consent by data class, export, erase; how long data are kept."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import FORM_BYTES_MAX, Visitor, wall_time
from cloud_sync.pages.language import Strings
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.people import RETENTION_DAYS_MAX, Consent
from cloud_sync.receiver.register import Register, ResidentRow
from cloud_sync.receiver.stores.forgetting import DATA_CLASSES
from cloud_sync.receiver.web_kit import MANAGE, STAFF, Desk

NAME_CHARS_MAX = 200
ROOM_CHARS_MAX = 64
_OF_STAFF = ("retention", "erase")  # forms that a lead may not send


def people_routes(desk: Desk, home: Home, register: Register) -> list[Route]:
    """The routes of these pages."""
    pages = _PeoplePages(desk, home, register)
    guarded = partial(Route, middleware=desk.kit.middleware, max_body_size=FORM_BYTES_MAX)
    return [
        guarded("/admissions", pages.all, methods=["GET"]),
        guarded("/admissions", pages.change, methods=["POST"]),
        guarded("/admissions/{resident}", pages.one, methods=["GET"]),
        guarded("/admissions/{resident}", pages.change_one, methods=["POST"]),
        guarded("/admissions/{resident}/export", pages.export, methods=["GET"]),
    ]


class _PeoplePages:
    def __init__(self, desk: Desk, home: Home, register: Register) -> None:
        self._desk, self._home, self._register, self._kit = desk, home, register, desk.kit
        self._changing = asyncio.Lock()

    # -- all of them ------------------------------------------------------------------------------------------------

    async def all(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(MANAGE):
            return self._desk.closed(request, visitor)
        await self._desk.note(visitor, "admissions")
        return await self._all(request, visitor, done=_done(request))

    async def _all(self, request: Request, visitor: Visitor, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"errors": {}, "texts": {}, "done": "", **more}
        return self._kit.page(
            request,
            visitor,
            "admissions.html",
            status,
            rows=await self._register.residents(),
            free=await self._register.free_beds(),
            retention=await self._register.retention(),
            classes=DATA_CLASSES,
            clock=partial(wall_time, timezone=self._kit.settings.timezone, form="%Y-%m-%d %H:%M"),
            **values,
        )

    async def change(self, request: Request) -> Response:
        return await self._sent(request, self._change)

    async def _sent(
        self, request: Request, act: Callable[[Request, Visitor, FormData], Awaitable[Response]]
    ) -> Response:
        """What `act` makes of a form that its sender may send, one form after the other."""
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=16)
        permission = STAFF if form.get("do") in _OF_STAFF else MANAGE
        refusal = self._kit.refusal(request, visitor, permission, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        async with self._changing:
            return await act(request, visitor, form)

    async def _change(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        if form.get("do") == "retention":
            return await self._retention(request, visitor, form)
        return await self._admit(request, visitor, form)

    async def _admit(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        texts = {key: str(form.get(key, "")).strip() for key in ("name", "place", "room")}
        errors = _name_errors(texts["name"], visitor.t)
        place = _place(texts["place"])
        if place is None or place not in await self._register.free_beds():
            errors["place"] = visitor.t("admissions.bad_place")
        if len(texts["room"]) > ROOM_CHARS_MAX or not _is_plain(texts["room"]):
            errors["room"] = visitor.t("admissions.bad_room", most=ROOM_CHARS_MAX)
        if errors:
            return await self._all(request, visitor, 422, errors=errors, texts=texts)
        assert place is not None
        resident_id = await self._register.admit(texts["name"], place, texts["room"])
        await self._desk.note(visitor, "admitted", resident_id, f"{place[0]} {place[1]}")
        return RedirectResponse("/admissions?done=admitted", 303)

    async def _retention(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        days: dict[str, int] = {}
        errors: dict[str, str] = {}
        texts = {name: str(form.get(name, "")).strip() for name in DATA_CLASSES}
        for name, text in texts.items():
            if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= RETENTION_DAYS_MAX:
                days[name] = int(text)
            else:
                errors[name] = visitor.t("admissions.bad_days", most=RETENTION_DAYS_MAX)
        if errors:
            return await self._all(request, visitor, 422, errors=errors, texts=texts)
        await self._register.keep(days)
        await self._desk.note(visitor, "retention", "", " ".join(f"{name}={n}" for name, n in days.items()))
        return RedirectResponse("/admissions?done=retention", 303)

    # -- one --------------------------------------------------------------------------------------------------------

    async def one(self, request: Request) -> Response:
        return await self._seen(request, "view_admission", partial(self._one, done=_done(request)))

    async def _seen(
        self, request: Request, kind: str, show: Callable[[Request, Visitor, ResidentRow], Awaitable[Response]]
    ) -> Response:
        """What `show` makes of the resident of the path, once it is noted who sees them."""
        visitor = self._kit.visitor(request)
        if not visitor.may(MANAGE):
            return self._desk.closed(request, visitor)
        row = await self._register.resident(request.path_params["resident"])
        if row is None:
            return self._kit.error(request, visitor, 404, "unknown_resident")
        await self._desk.note(visitor, kind, row.resident_id)
        return await show(request, visitor, row)

    async def _one(
        self, request: Request, visitor: Visitor, row: ResidentRow, status: int = 200, **more: Any
    ) -> Response:
        values: dict[str, Any] = {"errors": {}, "done": "", "texts": {"name": row.name}, **more}
        withheld = await self._register.withheld(row.resident_id)
        return self._kit.page(
            request,
            visitor,
            "admission.html",
            status,
            row=row,
            free=await self._register.free_beds(),
            consents=[(name, name not in withheld) for name in DATA_CLASSES],
            may_erase=visitor.may(STAFF),
            clock=partial(wall_time, timezone=self._kit.settings.timezone, form="%Y-%m-%d %H:%M"),
            **values,
        )

    async def change_one(self, request: Request) -> Response:
        return await self._sent(request, self._change_one)

    async def _change_one(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        row = await self._register.resident(request.path_params["resident"])
        if row is None:
            return self._kit.error(request, visitor, 404, "unknown_resident")
        do = str(form.get("do", ""))
        errors = await self._do(visitor, row, do, form)
        if errors:
            texts = {"name": str(form.get("name", row.name))}
            return await self._one(request, visitor, row, 422, errors=errors, texts=texts)
        if do == "erase":
            return RedirectResponse("/admissions?done=erase", 303)
        return RedirectResponse(f"/admissions/{quote(row.resident_id, safe='')}?done={do}", 303)

    async def _do(self, visitor: Visitor, row: ResidentRow, do: str, form: FormData) -> dict[str, str]:
        """Do what a form asks; what is wrong by field."""
        t, detail = visitor.t, ""
        if do == "rename":
            name = str(form.get("name", "")).strip()
            if errors := _name_errors(name, t):
                return errors
            if row.bed is None:
                return {"do": t("admissions.not_here")}
            await self._register.rename(row, name)
        elif do == "move":
            place = _place(str(form.get("place", "")))
            if place is None or place not in await self._register.free_beds():
                return {"place": t("admissions.bad_place")}
            await self._register.move(row, place)
            detail = f"{place[0]} {place[1]}"
        elif do == "discharge":
            if not await self._register.discharge(row.resident_id):
                return {"discharge": t("admissions.not_here")}
        elif do == "consent":
            given = {name for name in DATA_CLASSES if form.get(name) == "on"}
            assert visitor.account is not None
            await self._register.consent(
                [Consent(row.resident_id, name, name in given, self._desk.port.now_utc_ms(), visitor.account.name)
                 for name in DATA_CLASSES]
            )  # fmt: skip
            detail = " ".join(f"{name}={'yes' if name in given else 'no'}" for name in DATA_CLASSES)
        elif do == "erase":
            if str(form.get("again", "")).strip() != row.resident_id:
                return {"again": t("admissions.bad_again", id=row.resident_id)}
            await self._register.erase(row.resident_id)
        else:
            return {"do": t("error.unknown_action")}
        await self._desk.note(visitor, f"resident_{do}", row.resident_id, detail)
        return {}

    async def export(self, request: Request) -> Response:
        return await self._seen(request, "export", self._export)

    async def _export(self, request: Request, visitor: Visitor, row: ResidentRow) -> Response:
        document = await self._register.export(row)
        body = await asyncio.to_thread(json.dumps, document, ensure_ascii=False, indent=1)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row.resident_id, safe='')}.json",
            "Cache-Control": "no-store",
        }
        return Response(body, media_type="application/json", headers=headers)


def _done(request: Request) -> str:
    code = request.query_params.get("done", "")
    known = ("admitted", "retention", "rename", "move", "discharge", "consent", "erase")
    return code if code in known else ""


def _place(text: str) -> tuple[str, str] | None:
    """(gateway, bed) of a choice of the form."""
    gateway, tab, bed = text.partition("\t")
    return (gateway, bed) if tab and gateway and bed else None


def _name_errors(name: str, t: Strings) -> dict[str, str]:
    good = 0 < len(name) <= NAME_CHARS_MAX and _is_plain(name)
    return {} if good else {"name": t("admissions.bad_name", most=NAME_CHARS_MAX)}


def _is_plain(text: str) -> bool:
    """No control characters, and nothing that turns the writing direction; emoji and markup are text."""
    return not any(unicodedata.category(one) in ("Cc", "Cs") or one in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
                   for one in text)  # fmt: skip
