"""What technicians do at a gateway from the platform: answer a walk test's alarm, and start new firmware for its belts.

As everything that goes down: signed, and told as done only once the gateway has said so. No resident stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import FORM_BYTES_MAX, Visitor
from cloud_sync.pages.language import Strings
from cloud_sync.receiver.commander import NOT_DELIVERED, Commander
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.web_care import TOLD
from cloud_sync.receiver.web_kit import DEVICES, UPDATE, Desk
from protocol.command import ACKNOWLEDGE, BELT_UPDATE, DONE, OTHER_ALARM, TEXT_MAX, Answer

ORDERS = ("start", "stop")
FAILURES = (NOT_DELIVERED, "storage", "unknown_kind", "late")


def belt_routes(desk: Desk, home: Home, commander: Commander) -> list[Route]:
    """The routes of these pages."""
    pages = _BeltPages(desk, home, commander)
    guarded = partial(Route, middleware=desk.kit.middleware, max_body_size=FORM_BYTES_MAX)
    return [
        guarded("/acknowledge-test", pages.acknowledge_test, methods=["POST"]),
        guarded("/gateways/{gateway}/belts", pages.firmware, methods=["GET"]),
        guarded("/gateways/{gateway}/belts", pages.order, methods=["POST"]),
    ]


class _BeltPages:
    def __init__(self, desk: Desk, home: Home, commander: Commander) -> None:
        self._desk, self._home, self._commander, self._kit = desk, home, commander, desk.kit

    async def acknowledge_test(self, request: Request) -> Response:
        """The alarm of a walk test, by its bed and id; back to the devices, which say what became of it."""
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=8)
        refusal = self._kit.refusal(request, visitor, DEVICES, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        assert visitor.account is not None
        wanted = str(form.get("test", ""))[:TEXT_MAX]
        test = next((each for each in self._home.test_alarms() if each.alarm_id == wanted), None)
        code = OTHER_ALARM
        if test is not None:
            argument = {"alarm_id": test.alarm_id}
            code = (await self._commander.ask(
                test.gateway, ACKNOWLEDGE, test.bed, visitor.account.name, argument)).code  # fmt: skip
            await self._desk.note(visitor, "acknowledge_test", "", f"{test.gateway} {test.bed} {code}")
        return RedirectResponse(f"/devices?told={code if code in TOLD else 'refused'}", 303)

    async def firmware(self, request: Request) -> Response:
        """How the update of a gateway's belts stands, as the gateway says now."""
        visitor = self._kit.visitor(request)
        if not visitor.may(UPDATE):
            return self._desk.closed(request, visitor)
        gateway = await self._gateway(request)
        if gateway is None:
            return self._kit.error(request, visitor, 404, "unknown_gateway")
        assert visitor.account is not None
        answer = await self._commander.ask(gateway, BELT_UPDATE, "", visitor.account.name, {"do": "status"})
        return self._page(request, visitor, gateway, answer, request.query_params.get("told", ""))

    async def order(self, request: Request) -> Response:
        """Start or stop the update of a gateway's belts."""
        visitor = self._kit.visitor(request)
        form = await request.form(max_files=0, max_fields=8)
        refusal = self._kit.refusal(request, visitor, UPDATE, str(form.get("csrf", "")))
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        gateway, order = await self._gateway(request), str(form.get("do", ""))
        if gateway is None:
            return self._kit.error(request, visitor, 404, "unknown_gateway")
        if order not in ORDERS:
            return self._kit.error(request, visitor, 400, "unknown_action")
        assert visitor.account is not None
        answer = await self._commander.ask(gateway, BELT_UPDATE, "", visitor.account.name, {"do": order})
        await self._desk.note(visitor, "belt_update", "", f"{gateway} {order} {answer.code}")
        if answer.code == DONE:
            return RedirectResponse(f"/gateways/{quote(gateway, safe='')}/belts?told={order}", 303)
        return self._page(request, visitor, gateway, answer, "")

    async def _gateway(self, request: Request) -> str | None:
        """The gateway of the path, where it has told of itself."""
        wanted = str(request.path_params["gateway"])
        gateways, _ = await self._home.devices()
        return wanted if any(each.gateway == wanted for each in gateways) else None

    def _page(self, request: Request, visitor: Visitor, gateway: str, answer: Answer, told: str) -> Response:
        t = visitor.t
        is_done = answer.code == DONE
        status = {DONE: 200, NOT_DELIVERED: 504}.get(answer.code, 409)
        return self._kit.page(
            request,
            visitor,
            "belt_firmware.html",
            status,
            gateway=gateway,
            told_done=t(f"belt_update.told_{told}") if told in ORDERS and is_done else "",
            failure="" if is_done else _failure(t, answer),
            update=_Status(t, answer.detail) if is_done else None,
        )


class _Status:
    """What a gateway said of the update of its belts, whatever that was."""

    def __init__(self, t: Strings, detail: Mapping[str, Any]) -> None:
        self.target, self.problem = _text(detail.get("target")), _text(detail.get("problem"))
        self.staged = detail.get("staged") is True
        why, belt = _text(detail.get("stopped_why")), _text(detail.get("stopped_by"))
        known = f"belt_update.stopped_{why}" in t.texts
        self.stopped = t(f"belt_update.stopped_{why}", belt=belt.upper(), version=self.target) if known else why
        beds = detail.get("beds")
        self.beds = [
            {
                "bed": _text(bed.get("bed")),
                "version": _text(bed.get("version")),
                "state": t.code("belt_update_state", _text(bed.get("state")) or "next"),
                "percent": _percent(bed.get("sent_bytes"), bed.get("image_bytes")),
            }
            for bed in (beds if isinstance(beds, list) else [])
            if isinstance(bed, dict)
        ]


def _failure(t: Strings, answer: Answer) -> str:
    if answer.code == BELT_UPDATE:
        return t("provision_error.belt_update", why=_text(answer.detail.get("why")))
    return t(f"belt_update.failed_{answer.code if answer.code in FAILURES else 'refused'}")


def _percent(sent: Any, whole: Any) -> int | None:
    is_known = isinstance(sent, int) and isinstance(whole, int) and whole > 0
    return min(100, 100 * sent // whole) if is_known else None


def _text(value: Any) -> str:
    return value[:TEXT_MAX] if isinstance(value, str) else ""
