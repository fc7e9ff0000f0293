"""The pages that run a home: alarms with response and outcome, devices, minutes not watched, hand-over, wall board."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cloud_sync.pages.kit import script_texts, wall_time
from cloud_sync.pages.language import Strings, exact_duration
from cloud_sync.pages.pdf import PdfError
from cloud_sync.receiver.handover_pdf import handover_pdf, night_lines, shift_lines
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.home_rows import AlarmLine, median_response_s
from cloud_sync.receiver.port import ResidentCard
from cloud_sync.receiver.web_care import told_text
from cloud_sync.receiver.web_kit import DEVICES, SCRIPT_TEXTS, SEE, WALL, Desk, masked

HOUR_MS = 3_600_000
ALARM_DAYS, UNWATCHED_DAYS, SHIFT_HOURS = (1, 7, 30), (1, 7), (8, 12, 24)
ALARMS_SHOWN_MAX = 200
ROOMS_LENGTH_MAX = 20


def home_routes(desk: Desk, home: Home) -> list[Route]:
    """The routes of these pages."""
    pages = _HomePages(desk, home)
    guarded = partial(Route, middleware=desk.kit.middleware, methods=["GET"])
    return [
        guarded("/alarms", pages.alarms),
        guarded("/devices", pages.devices),
        guarded("/handover", pages.handover),
        guarded("/handover.pdf", pages.handover_sheet),
        guarded("/wall", pages.wall),
        guarded("/stream/wall", pages.wall_stream),
    ]


class _HomePages:
    def __init__(self, desk: Desk, home: Home) -> None:
        self._desk, self._home, self._kit = desk, home, desk.kit
        self._zone = desk.kit.settings.timezone
        self._drawing = asyncio.Lock()  # one PDF at a time: each takes a processor for a while

    async def alarms(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SEE):
            return self._desk.closed(request, visitor)
        days = _choice(request, "days", ALARM_DAYS)
        now_ms = self._desk.port.now_utc_ms()
        lines = await self._home.alarm_lines(now_ms - days * 24 * HOUR_MS, now_ms + 1)
        names = {card.resident_id: card.display_name for card in await self._desk.port.residents()}
        await self._desk.note(visitor, "alarms", "", f"{days} d")
        return self._kit.page(
            request,
            visitor,
            "alarms.html",
            told=told_text(request, visitor.t),
            days=days,
            choices=ALARM_DAYS,
            lines=lines[:ALARMS_SHOWN_MAX],
            count=len(lines),
            names=names,
            summary=_summary(lines, visitor.t),
            clock=partial(self._clock, form="%m-%d %H:%M"),
            short=self._clock,
        )

    async def devices(self, request: Request) -> Response:
        """Belts, gateways and watching, without a word on residents: technicians see it too."""
        visitor = self._kit.visitor(request)
        if not visitor.may(DEVICES):
            return self._desk.closed(request, visitor)
        days = _choice(request, "days", UNWATCHED_DAYS)
        now_ms = self._desk.port.now_utc_ms()
        gateways, belts = await self._home.devices()
        unwatched = await self._home.unwatched(now_ms - days * 24 * HOUR_MS, now_ms)
        return self._kit.page(
            request,
            visitor,
            "devices.html",
            told=told_text(request, visitor.t),
            tests=self._home.test_alarms(),
            gateways=gateways,
            belts=belts,
            unwatched=list(unwatched.values()),
            days=days,
            choices=UNWATCHED_DAYS,
            online=self._desk.port.broker_connected(),
            clock=partial(self._clock, form="%m-%d %H:%M"),
        )

    async def handover(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SEE):
            return self._desk.closed(request, visitor)
        hours = _choice(request, "hours", SHIFT_HOURS, 12)
        now_ms = self._desk.port.now_utc_ms()
        lines = await self._home.shift(now_ms - hours * HOUR_MS, now_ms)
        await self._desk.note(visitor, "handover", "", f"{hours} h")
        now = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self._zone))
        return self._kit.page(
            request,
            visitor,
            "handover.html",
            lines=[
                {
                    "card": line.card,
                    "night_lines": night_lines(line, visitor.t, now),
                    "shift_lines": shift_lines(line, self._zone, visitor.t),
                }
                for line in lines
            ],
            hours=hours,
            choices=SHIFT_HOURS,
            start=self._clock(now_ms - hours * HOUR_MS, "%Y-%m-%d %H:%M"),
            end=self._clock(now_ms, "%Y-%m-%d %H:%M"),
            clock=self._clock,
            summary=_summary([line for each in lines for line in each.alarms], visitor.t),
        )

    async def handover_sheet(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SEE):
            return self._desk.closed(request, visitor)
        hours = _choice(request, "hours", SHIFT_HOURS, 12)
        now_ms = self._desk.port.now_utc_ms()
        lines = await self._home.shift(now_ms - hours * HOUR_MS, now_ms)
        await self._desk.note(visitor, "handover_pdf", "", f"{hours} h")
        span = (now_ms - hours * HOUR_MS, now_ms)
        try:
            async with self._drawing:
                body = await asyncio.to_thread(handover_pdf, lines, span, self._zone, visitor.t)
        except PdfError as error:
            return self._kit.page(request, visitor, "error.html", 503, message=visitor.t("handover.no_font", why=error))
        name = f"handover-{self._clock(now_ms, '%Y%m%d-%H%M')}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"}
        return Response(body, media_type="application/pdf", headers=headers)

    async def wall(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(WALL):
            return self._desk.closed(request, visitor)
        rooms = _rooms(request)
        cards = _of_rooms(await self._desk.port.residents(), rooms)
        await self._desk.note(visitor, "wall", "", rooms)
        pieces = self._tiles(cards, visitor.t)
        return self._kit.page(
            request,
            visitor,
            "wall.html",
            tiles=[{"id": card.resident_id, "html": Markup(pieces[f"tile:{card.resident_id}"])} for card in cards],
            counts=Markup(pieces["counts"]),
            stream=f"/stream/wall?rooms={rooms}" if rooms else "/stream/wall",
            script_texts=script_texts(visitor.t, *SCRIPT_TEXTS),
        )

    async def wall_stream(self, request: Request) -> Response:
        rooms = _rooms(request)

        def pieces(cards: Sequence[ResidentCard], t: Strings) -> tuple[dict[str, str], dict[str, Any]]:
            shown = _of_rooms(cards, rooms)
            return self._tiles(shown, t), {"order": [card.resident_id for card in shown]}

        visitor = self._kit.visitor(request, touch=False)
        if visitor.may(WALL):
            await self._desk.note_stream(visitor, "wall")
        return self._desk.stream(request, WALL, self._desk.fresh_cards, pieces)

    def _tiles(self, cards: Sequence[ResidentCard], t: Strings) -> dict[str, str]:
        counts = Counter("unknown" if card.live.stale else card.live.state for card in cards)
        alarms = sum(1 for card in cards for alarm in card.open_alarms if alarm.state == "unacknowledged")
        pieces = {
            "counts": self._kit.fragment(
                "residents_counts.html",
                t,
                counts={
                    "in_bed": counts["present"] + counts["held"],
                    "out": counts["absent"],
                    "unknown": counts["unknown"],
                    "alarms": alarms,
                },
                online=self._desk.port.broker_connected(),
            )
        }
        for card in cards:
            pieces[f"tile:{card.resident_id}"] = self._kit.fragment(
                "wall_tile.html", t, card=card, masked=masked(card.display_name), clock=self._clock
            )
        return pieces

    def _clock(self, utc_ms: int | None, form: str = "%H:%M") -> str:
        return wall_time(utc_ms, self._zone, form)


def _summary(lines: Sequence[AlarmLine], t: Strings) -> list[tuple[str, str]]:
    """(name, value) of the figures above a list of alarms."""
    median_s = median_response_s(lines)
    told = Counter(line.outcome for line in lines)
    return [
        (t("alarms.count"), str(len(lines))),
        (t("alarms.answered"), str(sum(1 for line in lines if line.response_s is not None))),
        (t("alarms.median"), t("common.none") if median_s is None else exact_duration(t, median_s)),
        (t("alarms.missed_count"), str(sum(1 for line in lines if line.missed))),
        *((t(f"outcome.{word}"), str(told[word])) for word in ("real", "assisted", "false")),
        (t("outcome.untold"), str(told[""])),
    ]


def _choice(request: Request, key: str, choices: Sequence[int], default: int | None = None) -> int:
    """The number a link asked for; anything else is the default: a hand-made address harms nobody."""
    text = request.query_params.get(key, "")
    known = {str(choice): choice for choice in choices}
    return known.get(text, choices[0] if default is None else default)


def _rooms(request: Request) -> str:
    text = request.query_params.get("rooms", "")[:ROOMS_LENGTH_MAX]
    return text if text.isascii() and text.replace("-", "").isalnum() else ""


def _of_rooms(cards: Sequence[ResidentCard], rooms: str) -> list[ResidentCard]:
    """The residents of a floor: rooms whose number begins so."""
    return [card for card in cards if card.room.startswith(rooms)]
