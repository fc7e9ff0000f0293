"""The technician's page: scan, bind, calibrate, walk-test, survey, from a phone, without the internet.

It shows beds by label and belts by serial; what a resident's body does is not on it. Everything is done by the
operations of gateway/provision_ops, which `sleepbelt provision` calls too.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Kit, Visitor, error_json, script_texts
from gateway.cores.walk_test import STEPS
from gateway.provision_error import ProvisionError
from gateway.provision_ops import BATCH_CHARS_MAX
from gateway.provision_papers import PAPERS, paper
from gateway.provision_words import change_text, explain, points_text, survey_text
from gateway.qr import PICTURE_BYTES_MAX, read_codes
from gateway.site_upload import SITE_BYTES_MAX
from gateway.web.manage import Guard

if TYPE_CHECKING:
    from gateway.provision_ops import Operations

__all__ = ["PROVISION", "TECHNICIANS", "provision_routes"]

PROVISION = "provision"
"""What a role must be permitted to use this page."""
TECHNICIANS = ("technician", "admin")
BODY_BYTES_MAX = 8192
_SCRIPT_TEXTS = (
    "provision.working", "provision.done", "provision.confirm_again", "board_script.failed",
    "provision.calibrated_empty", "provision.calibrated_middle", "provision.calibrated_edge",
    "provision.calibrated_outside", "provision.calibrating", "provision.site_same", "provision.site_changes",
    "provision.site_applied", "provision.site_apply", "provision.take_title",
    "provision.wipe_released", "provision.wipe_missing", "provision.wipe_ordered",
)  # fmt: skip


def provision_routes(kit: Kit, operations: Operations) -> list[Route]:
    """`/provision` and what its script asks for."""
    pages = _Pages(kit, operations)
    guard = Guard(kit)
    guarded = partial(Route, middleware=kit.middleware)
    return [
        guard.get("/provision", TECHNICIANS, pages.page),
        guard.get("/api/provision/parts", TECHNICIANS, pages.parts),
        guard.get("/provision/{name}", TECHNICIANS, pages.paper),
        guarded("/api/provision/picture", pages.picture, methods=["POST"], max_body_size=PICTURE_BYTES_MAX + 1),
        guarded("/api/provision/site", pages.site, methods=["POST"], max_body_size=SITE_BYTES_MAX + 1),
        guarded("/api/provision/backup", pages.backup, methods=["POST"], max_body_size=BODY_BYTES_MAX),
        guarded("/api/provision/batch", pages.batch, methods=["POST"], max_body_size=BATCH_CHARS_MAX),
        guarded("/api/provision/{operation}", pages.operate, methods=["POST"], max_body_size=BODY_BYTES_MAX),
    ]


class _Pages:
    def __init__(self, kit: Kit, operations: Operations) -> None:
        self._kit, self._operations = kit, operations

    async def page(self, request: Request, visitor: Visitor) -> Response:
        state = await self._operations.call("state", {}, "")
        admin = visitor.account is not None and visitor.account.role == "admin"
        return self._kit.page(
            request, visitor, "provision.html", wiped=state["wiped"], admin=admin,
            parts=await self._rendered(visitor, "", ""), script_texts=script_texts(visitor.t, *_SCRIPT_TEXTS),
        )  # fmt: skip

    async def parts(self, request: Request, visitor: Visitor) -> Response:
        """The pieces of the page that change, as HTML by name; `bed` and `belt`: where the technician is with it."""
        bed, belt = request.query_params.get("bed", "")[:64], request.query_params.get("belt", "")[:32]
        return JSONResponse(await self._rendered(visitor, bed, belt), headers={"Cache-Control": "no-store"})

    async def operate(self, request: Request) -> Response:
        """POST /api/provision/OPERATION with a JSON object; the operation's result, or 409 with words."""
        visitor = self._kit.visitor(request)
        denied = self._kit.refusal(request, visitor, PROVISION)
        if denied is not None:
            return self._kit.error(request, visitor, *denied)
        try:
            arguments = json.loads(await request.body() or b"{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            return error_json(400, "bad_argument", explain(visitor.t, ProvisionError(
                "bad_argument", name="body", allowed="JSON object")))
        return await self._answer(visitor, request.path_params["operation"], arguments)

    async def picture(self, request: Request) -> Response:
        """POST /api/provision/picture?bed=...: the picture's bytes; its label is read and scanned."""
        visitor = self._kit.visitor(request)
        denied = self._kit.refusal(request, visitor, PROVISION)
        if denied is not None:
            return self._kit.error(request, visitor, *denied)
        try:
            texts = await read_codes(await request.body())
        except ProvisionError as error:
            return error_json(409, error.code, explain(visitor.t, error))
        # Other codes may be in the picture (a device's box, an inventory sticker): ours is the one that counts.
        text = next((text for text in texts if text.upper().startswith(("BB1", "BED1"))), texts[0])
        return await self._answer(visitor, "scan", {"text": text, "bed": request.query_params.get("bed", "")[:64]})

    async def site(self, request: Request) -> Response:
        """POST /api/provision/site[?apply=1[&remove_beds=1]]: a site file's text; what it changes, or is changed."""
        visitor = self._kit.visitor(request)
        denied = self._kit.refusal(request, visitor, PROVISION)
        if denied is not None:
            return self._kit.error(request, visitor, *denied)
        text = (await request.body()).decode(errors="replace")
        wanted = {name: request.query_params.get(name) == "1" for name in ("apply", "remove_beds")}
        return await self._answer(visitor, "site", {"text": text, **wanted})

    async def batch(self, request: Request) -> Response:
        """POST /api/provision/batch: a batch's CSV; what is planned, and what is wrong with the other rows."""
        visitor = self._kit.visitor(request)
        denied = self._kit.refusal(request, visitor, PROVISION)
        if denied is not None:
            return self._kit.error(request, visitor, *denied)
        return await self._answer(visitor, "batch", {"text": (await request.body()).decode(errors="replace")})

    async def backup(self, request: Request) -> Response:
        """POST /api/provision/backup with the passphrase as body: the sealed file, for an admin."""
        visitor = self._kit.visitor(request)
        denied = self._kit.refusal(request, visitor, PROVISION)
        if denied is not None:
            return self._kit.error(request, visitor, *denied)
        assert visitor.account is not None
        try:
            if visitor.account.role != "admin":
                raise ProvisionError("needs_admin")
            passphrase = (await request.body()).decode(errors="replace")
            made = await self._operations.backup(passphrase, visitor.t.language, visitor.account.name)
        except ProvisionError as error:
            return error_json(409, error.code, explain(visitor.t, error))
        return Response(made, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    async def paper(self, request: Request, visitor: Visitor) -> Response:
        """Bed labels and the acceptance certificate."""
        name = request.path_params["name"]
        if name not in PAPERS:
            return self._kit.error(request, visitor, 404, "not_found")
        assert visitor.account is not None
        try:
            body, media = await paper(self._operations, name, visitor.t.language, visitor.account.name)
        except ProvisionError as error:
            return self._kit.page(
                request, visitor, "error.html", 409, message=explain(visitor.t, error))
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(body, media_type=media, headers=headers)

    async def _answer(self, visitor: Visitor, operation: str, arguments: dict[str, Any]) -> Response:
        assert visitor.account is not None
        try:
            result = await self._operations.call(
                operation, arguments, visitor.account.name, admin=visitor.account.role == "admin")
        except ProvisionError as error:
            return error_json(409, error.code, explain(visitor.t, error))
        if operation == "survey":
            for row in result["beds"]:
                row["text"] = survey_text(visitor.t, row)
        elif operation == "batch":
            result["texts"] = [visitor.t("provision.batch_planned", count=len(result["planned"])), *(
                f"{row['bed']}: {explain(visitor.t, ProvisionError(row['code'], **row['values']))}"
                for row in result["failed"])]  # fmt: skip
        elif operation == "site":
            result["texts"] = [change_text(visitor.t, change) for change in result["changes"]]
        return JSONResponse({"ok": True, "result": result})

    async def _rendered(self, visitor: Visitor, bed: str, belt: str) -> dict[str, str]:
        state = await self._operations.call("state", {}, "")
        chosen = next((each for each in state["beds"] if each["bed"] == bed), None)
        reacted = state["reacted"][0] if len(state["reacted"]) == 1 else ""
        values = {"state": state, "chosen": chosen, "belt": belt, "reacted": reacted, "steps": STEPS,
                  "points_text": points_text}
        return {
            name: self._kit.fragment(f"provision_{name}.html", visitor.t, **values)
            for name in ("current", "beds", "belts", "walk", "updates")
        }
