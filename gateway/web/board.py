"""The wall board of a gateway: a tile per bed, alarms first, live; and the staff's actions by HTTP.

It works without the platform and without the internet. Who is not signed in sees the board (bed labels, no names) and
can do nothing; `view_requires_sign_in` closes even that.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Kit, Visitor, error_json, script_texts, wall_time
from cloud_sync.pages.language import Strings
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import read_on_change
from gateway.web.port import ACTIONS, Bed, Snapshot, WardPort

ACT_WAIT_S = 5.0
REFRESH_S = 0.2  # a first change is shown at once, more of them five times a second
FRAGMENTS_MAX = 512
_VIEW, _PROVISION = "view", "provision"
_CARE = frozenset({_VIEW, "acknowledge", "assist", "away_on", "away_off", *ACTIONS[-3:]})
_MAINTAIN = frozenset({"maintenance_on", "maintenance_off"})
_URGENCY = {"unacknowledged": 0, "acknowledged": 1, "latched": 2, "none": 3}
_SCRIPT_TEXTS = (
    *("common.hours_minutes", "common.minutes", "common.seconds", "board.sound_on", "board.sound_enable"),
    *("board_script.confirm", "board_script.failed", "board_script.done"),
)
_PRIORITY = {"high": 0, "medium": 1, "low": 2}


def permissions(settings: WebSettings) -> dict[str, frozenset[str]]:
    """What each role may do on the board; `""` is a visitor who is not signed in."""
    return {
        "": frozenset() if settings.view_requires_sign_in else frozenset({_VIEW}),
        "carer": _CARE,
        "lead": _CARE | _MAINTAIN,
        # Not the board: how somebody is in a bed is nothing a technician sees. Maintenance is on the technician's page.
        "technician": _MAINTAIN | {_PROVISION},
        "admin": _CARE | _MAINTAIN | {_PROVISION},
    }


def build_app(port: WardPort, settings: WebSettings) -> Starlette:
    """The board as an ASGI application. `app.state.streams.close()` ends its open streams before a stop."""
    kit = Kit("board", settings, Path(__file__).parent, permissions(settings))
    board = _Board(port, kit)
    guarded = partial(Route, middleware=kit.middleware, max_body_size=4096)
    app = Starlette(
        routes=[
            guarded("/", board.page, methods=["GET"]),
            guarded("/stream", board.stream, methods=["GET"]),
            guarded("/healthz", board.health, methods=["GET"]),
            guarded("/api/board", board.snapshot, methods=["GET"]),
            guarded("/api/beds/{bed:path}/{action}", board.act, methods=["POST"]),
            *kit.routes(),
            guarded("/{path:path}", board.not_found),
        ]
    )
    app.state.streams = kit.streams
    app.state.kit = kit
    return app


def urgency(bed: Bed) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
    """Sort key of tiles: unanswered alarms by priority, level and age, then answered ones, then beds by label."""
    alarm = bed["alarm"]
    rank = _URGENCY[alarm["state"]]
    if rank == _URGENCY["none"]:
        return rank, 0, 0, 0, natural(bed["bed"])
    return rank, _PRIORITY[alarm["priority"]], -alarm["level"], alarm["raised_ms"] or 0, natural(bed["bed"])


def natural(label: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key in which bed 2 comes before bed 10."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", label)
    return tuple((0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts)


class _Board:
    """The handlers; pieces of tiles are rendered once for all pages that show them in the same way."""

    def __init__(self, port: WardPort, kit: Kit) -> None:
        self._port, self._kit = port, kit
        self._fragments: OrderedDict[str, str] = OrderedDict()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(_VIEW):
            return RedirectResponse("/provision" if visitor.may(_PROVISION) else "/login?back=/", 303)
        snapshot = self._port.snapshot()
        pieces = self._pieces(snapshot, visitor)
        tiles = [
            {"bed": bed, "live": Markup(pieces[f"live:{bed}"]), "actions": Markup(pieces[f"actions:{bed}"])}
            for bed in _order(snapshot)
        ]
        return self._kit.page(
            request,
            visitor,
            "board.html",
            gateway=snapshot["gateway"],
            tiles=tiles,
            counts=Markup(pieces["counts"]),
            access=Markup(pieces["access"]),
            gateway_notices=Markup(pieces["gateway"]),
            script_texts=script_texts(visitor.t, *_SCRIPT_TEXTS),
        )

    async def stream(self, request: Request) -> Response:
        visitor = self._kit.visitor(request, touch=False)
        if not visitor.may(_VIEW):
            return self._kit.error(request, visitor, 401, "sign_in")
        sent: dict[str, str] = {}

        async def now() -> Snapshot:
            return self._port.snapshot()

        def changes() -> AsyncIterator[Snapshot]:
            return read_on_change(self._port.changes(), now, pause_s=REFRESH_S)

        def render(state: Snapshot | None) -> list[tuple[str, Mapping[str, Any]]]:
            # Rights are looked up anew: a session that ended takes the buttons away.
            viewer = self._kit.visitor(request, touch=False)
            snapshot = state or self._port.snapshot()
            clock = {"elapsed_ms": snapshot["elapsed_ms"], "speed": snapshot["speed"]}
            if not viewer.may(_VIEW):
                return [("reload", clock)]
            csrf = self._kit.csrf(viewer)
            # The sign-in corner changes with the session, and no reload may silence the tone (a browser wants a touch).
            pieces = {**self._pieces(snapshot, viewer), "account": self._kit.account_html(viewer, "/", csrf)}
            fresh = {name: html for name, html in pieces.items() if sent.get(name) != html}
            sent.clear()
            sent.update(pieces)
            if state is None and not fresh:
                return [("beat", clock)]
            message = {
                **clock,
                "fragments": fresh,
                "order": _order(snapshot),
                "alarms": _alarms(snapshot, viewer.t),
                "csrf": csrf,
            }
            return [("state", message)]

        return self._kit.streams.response(changes, render)

    async def snapshot(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(_VIEW):
            return self._kit.error(request, visitor, 401, "sign_in")
        return JSONResponse(self._port.snapshot(), headers={"Cache-Control": "no-store"})

    async def act(self, request: Request) -> Response:
        """POST /api/beds/{bed}/{action}: {"ok": true}, or an error with 401, 403, 404, 409 or 504."""
        visitor = self._kit.visitor(request)
        bed, action = request.path_params["bed"], request.path_params["action"]
        if action not in ACTIONS:
            return self._kit.error(request, visitor, 404, "unknown_action")
        refusal = self._kit.refusal(request, visitor, action)
        if refusal is not None:
            return self._kit.error(request, visitor, *refusal)
        if all(bed != known["bed"] for known in self._port.snapshot()["beds"]):
            return self._kit.error(request, visitor, 404, "unknown_bed")
        assert visitor.account is not None
        try:
            async with asyncio.timeout(ACT_WAIT_S):
                result = await self._port.act(bed, action, visitor.account.name)
        except TimeoutError:
            return error_json(504, "no_answer", visitor.t("board_script.failed"))
        if result["ok"]:
            return JSONResponse({"ok": True})
        reason = result["reason"] or "refused"
        known_reason = f"error.{reason}" in visitor.t.texts
        message = visitor.t(f"error.{reason}") if known_reason else f"{visitor.t('error.refused')} ({reason})"
        return error_json(409, reason, message)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"ok": True, "streams": self._kit.streams.open})

    async def not_found(self, request: Request) -> Response:
        return self._kit.error(request, self._kit.visitor(request), 404, "not_found")

    # -- pieces -----------------------------------------------------------------------------------------------------

    def _pieces(self, snapshot: Snapshot, visitor: Visitor) -> dict[str, str]:
        """Every replaceable piece of the page by name, as HTML without running times (the page counts those)."""
        t = visitor.t
        allowed = visitor.permissions - {_VIEW, _PROVISION}
        zone = snapshot["timezone"] if snapshot["time_trusted"] else ""
        # Rounded, so that two readings of the same two clocks give the same wall time.
        utc_minus_elapsed_ms = round((snapshot["utc_ms"] - snapshot["elapsed_ms"]) / 1000) * 1000

        def clock(at_ms: int) -> str:
            return wall_time(at_ms + utc_minus_elapsed_ms, zone) if zone else ""

        pieces = {
            "counts": self._kit.fragment(
                "counts.html", t, counts=_counts(snapshot), gateway=snapshot["gateway"], uplink=snapshot["uplink"]
            ),
            "gateway": self._kit.fragment(
                "gateway_notices.html", t, notices=snapshot["notices"], time_trusted=snapshot["time_trusted"]
            ),
        }
        pieces["access"] = self._kit.fragment(
            "access.html", t, account=visitor.account, can_sign_in=bool(self._kit.settings.accounts)
        )
        for bed in snapshot["beds"]:
            seen = json.dumps(bed, sort_keys=True)
            key = f"{t.language} {zone} {utc_minus_elapsed_ms} {seen}"
            pieces[f"live:{bed['bed']}"] = self._cached("live " + key, "tile_live.html", t, bed=bed, clock=clock)
            rights = " ".join(sorted(allowed))
            pieces[f"actions:{bed['bed']}"] = self._cached(
                f"actions {t.language} {rights} {_buttons(bed)}",
                "tile_actions.html",
                t,
                bed=bed,
                permissions=allowed,
                can_sign_in=bool(self._kit.settings.accounts),
            )
        return pieces

    def _cached(self, key: str, template: str, t: Strings, **values: Any) -> str:
        html = self._fragments.get(key)
        if html is None:
            html = self._fragments[key] = self._kit.fragment(template, t, **values)
            while len(self._fragments) > FRAGMENTS_MAX:
                self._fragments.popitem(last=False)
        return html


def _order(snapshot: Snapshot) -> list[str]:
    return [bed["bed"] for bed in sorted(snapshot["beds"], key=urgency)]


def _alarms(snapshot: Snapshot, t: Strings) -> list[dict[str, Any]]:
    """Unanswered alarms, most urgent first, with the words that are read out."""
    alarms = []
    for bed in sorted(snapshot["beds"], key=urgency):
        alarm = bed["alarm"]
        if alarm["state"] != "unacknowledged" or bed["state"] == "held":
            continue  # rule 2: at a return the sound stops
        priority, level = alarm["priority"], alarm["level"]
        what = t("state.absent")
        alarms.append(
            {
                "bed": bed["bed"],
                "priority": priority,
                "level": level,
                "text": t("board.announce", bed=bed["bed"], what=what, priority=t(f"priority.{priority}"), level=level),
                "text_answered": t("board.announce_clear", bed=bed["bed"]),
            }
        )
    return alarms


def _buttons(bed: Bed) -> str:
    """All of a bed that decides which buttons it has (tile_actions.html)."""
    return json.dumps([bed["bed"], bed["alarm"]["state"], bed["mode"], bed["outcome_due"]])


def _counts(snapshot: Snapshot) -> dict[str, int]:
    beds = snapshot["beds"]
    return {
        "alarms": sum(bed["alarm"]["state"] == "unacknowledged" for bed in beds),
        "out": sum(bed["state"] == "absent" for bed in beds),
        "unwatched": sum(not bed["watched"] for bed in beds),
    }
