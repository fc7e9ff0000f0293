"""What the platform asks of a gateway: to acknowledge an alarm, and to change a bed's leave-bed settings.

A page says "done" only when the gateway has said so; after two seconds without its answer it says "not delivered".
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import FORM_BYTES_MAX, Visitor
from cloud_sync.pages.language import Strings
from cloud_sync.receiver.commander import NOT_DELIVERED, Commander
from cloud_sync.receiver.web_kit import SEE, SETTINGS, Desk
from protocol.command import (
    ACKNOWLEDGE,
    BAD_SETTINGS,
    DONE,
    OTHER_ALARM,
    SETTINGS_PUT,
    SETTINGS_SHOW,
    TEXT_MAX,
    Answer,
)

DAYS = "1234567"
ROWS_MAX = 64
FIELDS_MAX = 400
TOLD = (DONE, NOT_DELIVERED, OTHER_ALARM, "ack_ignored", "storage", "refused")


def care_routes(desk: Desk, commander: Commander) -> list[Route]:
    """The routes of these pages."""
    pages = _CarePages(desk, commander)
    guarded = partial(Route, middleware=desk.kit.middleware, max_body_size=4 * FORM_BYTES_MAX)
    return [
        guarded("/acknowledge", pages.acknowledge, methods=["POST"]),
        guarded("/beds/{gateway}/{bed}", pages.bed, methods=["GET"]),
        guarded("/beds/{gateway}/{bed}", pages.change, methods=["POST"]),
    ]


def told_text(request: Request, t: Strings) -> tuple[str, str]:
    """(done | not_delivered | ..., its words) of a page that is shown after an alarm was acknowledged; else empty."""
    code = request.query_params.get("told", "")
    return (code, t(f"command.ack_{code}")) if code in TOLD else ("", "")


class _CarePages:
    def __init__(self, desk: Desk, commander: Commander) -> None:
        self._desk, self._commander, self._kit = desk, commander, desk.kit

    async def acknowledge(self, request: Request) -> Response:
        """An alarm by its id; back to the page it was shown on, which says what became of it."""
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=8)
        refusal = self._kit.refusal(request, visitor, SEE, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        assert visitor.account is not None
        alarm_id = str(form.get("alarm", ""))
        alarm = next((row for row in await self._desk.port.alarms(open_only=True) if row.alarm_id == alarm_id), None)
        code = OTHER_ALARM
        if alarm is not None:
            argument = {"alarm_id": alarm.alarm_id}
            answer = await self._commander.ask(
                alarm.gateway, ACKNOWLEDGE, alarm.bed, visitor.account.name, argument
            )  # fmt: skip
            code = answer.code
            await self._desk.note(visitor, "acknowledge", alarm.resident_id or "", f"{alarm.bed} {code}")
        back = self._back(str(form.get("back", "")))
        return RedirectResponse(f"{back}?told={code if code in TOLD else 'refused'}", 303)

    def _back(self, path: str) -> str:
        """One of our own pages: a form's field may name any."""
        known = path in ("/residents", "/alarms") or path.startswith("/residents/")
        return path if known and path.isascii() and path.isprintable() and "?" not in path else "/residents"

    async def bed(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SETTINGS):
            return self._desk.closed(request, visitor)
        place = await self._place(request)
        if place is None:
            return self._kit.error(request, visitor, 404, "unknown_bed")
        assert visitor.account is not None
        answer = await self._commander.ask(place[0], SETTINGS_SHOW, place[1], visitor.account.name, {})
        return self._page(request, visitor, place, answer, saved=request.query_params.get("saved") == "1")

    async def change(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=FIELDS_MAX)
        refusal = self._kit.refusal(request, visitor, SETTINGS, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        place = await self._place(request)
        if place is None:
            return self._kit.error(request, visitor, 404, "unknown_bed")
        assert visitor.account is not None
        texts = {key: value[:TEXT_MAX] for key, value in form.items() if isinstance(value, str) and key != "csrf"}
        answer = await self._commander.ask(place[0], SETTINGS_PUT, place[1], visitor.account.name, texts)
        await self._desk.note(visitor, "bed_settings", "", f"{place[0]} {place[1]} {answer.code}")
        if answer.code == DONE:
            return RedirectResponse(f"/beds/{quote(place[0], safe='')}/{quote(place[1], safe='')}?saved=1", 303)
        return self._page(request, visitor, place, answer, texts)

    async def _place(self, request: Request) -> tuple[str, str] | None:
        """The (gateway, bed) of the path, where there is such a bed."""
        assert self._desk.home is not None
        wanted = (request.path_params["gateway"], request.path_params["bed"])
        _, belts = await self._desk.home.devices()
        return wanted if any((belt.gateway, belt.bed) == wanted for belt in belts) else None

    def _page(
        self,
        request: Request,
        visitor: Visitor,
        place: tuple[str, str],
        answer: Answer,
        sent: dict[str, str] | None = None,
        saved: bool = False,
    ) -> Response:
        t = visitor.t
        shown = _Shown(answer, sent)
        failure = ""
        if answer.code not in (DONE, BAD_SETTINGS):
            failure = t.code("command", answer.code if answer.code in TOLD or answer.code == "stale" else "refused")
        status = {DONE: 200, BAD_SETTINGS: 422, NOT_DELIVERED: 504}.get(answer.code, 409)
        return self._kit.page(
            request,
            visitor,
            "bed_settings.html",
            status,
            gateway=place[0],
            bed=place[1],
            version=shown.version,
            texts=shown.texts,
            rows=shown.rows,
            profiles=[(name, t.code("profile", name)) for name in shown.profiles],
            days=DAYS,
            errors={name: t.code("bed_settings", f"error_{code}") for name, code in shown.errors.items()},
            failure=failure,
            saved=saved and answer.code == DONE,
        )


class _Shown:
    """A form as the gateway gave it, or (when it gave none) as it was sent, so that nothing typed is lost."""

    def __init__(self, answer: Answer, sent: dict[str, str] | None) -> None:
        detail: dict[str, Any] = dict(answer.detail)
        self.texts = _texts(detail.get("texts")) or sent or {}
        self.errors = _texts(detail.get("errors"))
        profiles = detail.get("profiles")
        self.profiles = [name for name in profiles if isinstance(name, str)] if isinstance(profiles, list) else []
        self.version = str(detail.get("version", self.texts.get("seen", "")))
        self.rows = [index for index in range(ROWS_MAX) if f"w{index}_start" in self.texts]
        if not self.profiles and "profile" in self.texts:
            self.profiles = [self.texts["profile"]]


def _texts(value: Any) -> dict[str, str]:
    """A map of texts, whatever a gateway answered."""
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
