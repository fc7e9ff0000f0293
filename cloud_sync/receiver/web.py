"""The care platform's pages of residents: who is where now, and last night at a glance; one resident in full.

Names appear only here, only to roles that may see residents, and in no log. A technician sees none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages import charts, night_view
from cloud_sync.pages.kit import script_texts, wall_time
from cloud_sync.pages.language import Strings, duration
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import Streams
from cloud_sync.receiver.consent import hidden_fields
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.home_rows import AlarmLine
from cloud_sync.receiver.port import AlarmRow, MinuteRow, NightCard, ReceiverPort, ResidentCard, ResidentPage
from cloud_sync.receiver.register import Register
from cloud_sync.receiver.stores.forgetting import PRESENCE
from cloud_sync.receiver.web_belts import belt_routes
from cloud_sync.receiver.web_care import care_routes, told_text
from cloud_sync.receiver.web_home import home_routes
from cloud_sync.receiver.web_kit import ID_CHARS_MAX, SCRIPT_TEXTS, SEE, Desk
from cloud_sync.receiver.web_people import people_routes
from cloud_sync.receiver.web_staff import staff_routes
from cloud_sync.receiver.web_trend import trend_pieces

_YEARS = range(1970, 2200)  # beyond them no clock of ours can count
_UNSEEN = ("audio_on", "audio_off")  # the sound of the room: in the log, no news for people
# What protocol/wire/frames.py REASON_* say, as the words both page servers share.
_REASONS = ("", "no_signal", "irregular", "moving", "weak", "sensor_fault")


@dataclass(frozen=True)
class PlatformPages:
    """The routes to mount, and the streams to close before a stop."""

    routes: list[Route]
    streams: Streams


def build_pages(
    port: ReceiverPort, settings: WebSettings, home: Home | None = None, register: Register | None = None
) -> PlatformPages:
    """The pages as routes for the receiver's application, with their open streams, to be closed before a stop.

    Without `home` there are the residents' pages alone; without `register` nobody can be admitted.
    """
    desk = Desk(port, settings, home, register is not None)
    pages = _Pages(desk)
    guarded = partial(Route, middleware=desk.kit.middleware, max_body_size=4096)
    routes = [
        guarded("/", pages.front, methods=["GET"]),
        guarded("/residents", pages.residents, methods=["GET"]),
        guarded("/residents/{resident}", pages.resident, methods=["GET"]),
        guarded("/stream/residents", pages.residents_stream, methods=["GET"]),
        guarded("/stream/residents/{resident}", pages.resident_stream, methods=["GET"]),
        *desk.kit.routes(),
    ]
    if home is not None:
        routes += [*home_routes(desk, home), *staff_routes(desk, home)]
        if home.commander is not None:
            routes += [*care_routes(desk, home.commander), *belt_routes(desk, home, home.commander)]
        if register is not None:
            routes += people_routes(desk, home, register)
    return PlatformPages(routes, desk.kit.streams)


def build_app(
    port: ReceiverPort, settings: WebSettings, home: Home | None = None, register: Register | None = None
) -> Starlette:
    """The pages alone as an application."""
    pages = build_pages(port, settings, home, register)
    app = Starlette(routes=list(pages.routes))
    app.state.streams = pages.streams
    return app


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._port, self._kit = desk, desk.port, desk.kit
        self._zone = desk.kit.settings.timezone

    # -- requests ---------------------------------------------------------------------------------------------------

    async def front(self, request: Request) -> Response:
        return RedirectResponse(self._desk.front(self._kit.visitor(request)), 303)

    async def residents(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SEE):
            return self._desk.closed(request, visitor)
        cards = _alarms_first(await self._port.residents())
        await self._desk.note(visitor, "overview")
        pieces = self._board(cards, visitor.t)
        return self._kit.page(
            request,
            visitor,
            "residents.html",
            told=told_text(request, visitor.t),
            cards=[{"id": card.resident_id, "html": Markup(pieces[f"card:{card.resident_id}"])} for card in cards],
            counts=Markup(pieces["counts"]),
            stream="/stream/residents",
            script_texts=script_texts(visitor.t, *SCRIPT_TEXTS),
        )

    async def resident(self, request: Request) -> Response:
        visitor = self._kit.visitor(request)
        if not visitor.may(SEE):
            return self._desk.closed(request, visitor)
        resident_id, night_of = request.path_params["resident"], request.query_params.get("night")
        if night_of is not None and not _is_date(night_of):
            return self._kit.error(request, visitor, 400, "bad_date")
        page = await self._port.resident(resident_id, night_of)
        if page is None:
            return self._kit.error(request, visitor, 404, "unknown_resident")
        await self._desk.note(visitor, "view", resident_id, page.night.night_of if page.night else "")
        trend = trend_pieces(await self._desk.home.trend(resident_id), visitor.t) if self._desk.home else None
        pieces = self._one(page, night_of, await self._alarms_of(page, night_of), visitor.t)
        query = f"?night={night_of}" if night_of else ""
        return self._kit.page(
            request,
            visitor,
            "resident.html",
            told=told_text(request, visitor.t),
            card=page.card,
            pieces={name: Markup(html) for name, html in pieces.items()},
            trend=trend,
            stream=f"/stream/residents/{quote(resident_id, safe='')}{query}",
            script_texts=script_texts(visitor.t, *SCRIPT_TEXTS),
        )

    async def residents_stream(self, request: Request) -> Response:
        def pieces(cards: Sequence[ResidentCard], t: Strings) -> tuple[dict[str, str], dict[str, Any]]:
            alarms = [alarm for card in cards for alarm in card.open_alarms if alarm.state == "unacknowledged"]
            texts = [{"id": alarm.alarm_id, "text": _announcement(alarm, t)} for alarm in alarms]
            order = [card.resident_id for card in _alarms_first(cards)]
            return self._board(cards, t), {"order": order, "alarms": texts}

        await self._note_stream(request, "overview")
        return self._desk.stream(request, SEE, self._desk.fresh_cards, pieces)

    async def _note_stream(self, request: Request, kind: str, resident_id: str = "") -> None:
        visitor = self._kit.visitor(request, touch=False)
        if visitor.may(SEE) and resident_id.isprintable() and len(resident_id) <= ID_CHARS_MAX:
            await self._desk.note_stream(visitor, kind, resident_id)

    async def resident_stream(self, request: Request) -> Response:
        resident_id, night_of = request.path_params["resident"], request.query_params.get("night")
        if night_of is not None and not _is_date(night_of):
            return self._kit.error(request, self._kit.visitor(request, touch=False), 400, "bad_date")

        async def read() -> tuple[ResidentPage | None, list[AlarmLine]]:
            page = await self._port.resident(resident_id, night_of)
            return page, await self._alarms_of(page, night_of) if page else []

        def concerns(touched: frozenset[str]) -> bool:
            return not touched or resident_id in touched

        def pieces(
            state: tuple[ResidentPage | None, list[AlarmLine]], t: Strings
        ) -> tuple[dict[str, str], dict[str, Any]]:
            page, alarms = state
            if page is None:  # discharged or erased while the page was open
                return {"now": self._kit.fragment("resident_gone.html", t), "night": "", "trend": ""}, {}
            return self._one(page, night_of, alarms, t), {}

        await self._note_stream(request, "view", resident_id)
        return self._desk.stream(request, SEE, read, pieces, concerns)

    async def _alarms_of(self, page: ResidentPage, night_of: str | None) -> list[AlarmLine]:
        """The resident's alarms between noon and noon of the night shown (NIGHT_REPORT.md), however long ago."""
        shown = page.night.night_of if page.night else night_of or self._waking_date()
        start_ms, end_ms = (
            round(datetime.combine(day, time(12), ZoneInfo(self._zone)).timestamp() * 1000)
            for day in (date.fromisoformat(shown) - timedelta(days=1), date.fromisoformat(shown))
        )
        if self._desk.home is not None:
            lines = await self._desk.home.alarm_lines(start_ms, end_ms)
        else:
            alarms = await self._port.alarms()
            lines = [AlarmLine(alarm) for alarm in alarms if start_ms <= alarm.raised_utc_ms < end_ms]
        return [line for line in lines if line.alarm.resident_id == page.card.resident_id]

    def _waking_date(self) -> str:
        """Of the night that runs now or comes next: before noon today."""
        return (self._now() + timedelta(hours=12)).date().isoformat()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._port.now_utc_ms() / 1000, ZoneInfo(self._zone))

    def _is_old(self, night: NightCard | None) -> bool:
        return night is not None and night_view.is_old(night.night_of, self._now())

    # -- pieces -----------------------------------------------------------------------------------------------------

    def _clock(self, utc_ms: int | None, form: str = "%H:%M") -> str:
        return wall_time(utc_ms, self._zone, form)

    def _board(self, cards: Sequence[ResidentCard], t: Strings) -> dict[str, str]:
        online = self._port.broker_connected()
        states = ["unknown" if card.live.stale else card.live.state for card in cards]
        counts = {
            "in_bed": states.count("present") + states.count("held"),
            "out": states.count("absent"),
            "unknown": states.count("unknown"),
            "alarms": sum(len(card.open_alarms) for card in cards),
        }
        pieces = {"counts": self._kit.fragment("residents_counts.html", t, counts=counts, online=online)}
        for card in cards:
            pieces[f"card:{card.resident_id}"] = self._kit.fragment(
                "resident_card.html",
                t,
                card=card,
                is_old=self._is_old(card.night),
                clock=self._clock,
                at_a_glance=at_a_glance(card.night, t, card.withheld) if card.night else [],
                rates=_rates(card, t),
            )
        return pieces

    def _one(self, page: ResidentPage, night_of: str | None, lines: Sequence[AlarmLine], t: Strings) -> dict[str, str]:
        card = page.card
        now = self._kit.fragment("resident_now.html", t, card=card, clock=self._clock, rates=_rates(card, t))
        night, report = page.night, night_view.report_fields(page.report)
        shown = night.night_of if night else night_of
        values: dict[str, Any] = {
            "card": card,
            "night": night,
            "shown": shown,
            "nights": page.nights,
            "is_old": night_of is None and self._is_old(night),
            "clock": self._clock,
            "events": [row for row in page.events if row.source == "alarm" and row.event not in _UNSEEN][:100],
            "lines": lines,
            "report": report,
            "curves": [],
        }
        if report is not None:
            values |= self._night(report, page.minutes, t, hidden_fields(card.withheld))
        if not values["curves"] and page.minutes and (report is None or PRESENCE in card.withheld):
            span = (page.minutes[0].utc_ms // 1000, page.minutes[-1].utc_ms // 1000 + 60)
            values["curves"] = _curves(page.minutes, span, _ticks(span, self._zone), t)
        return {"now": now, "night": self._kit.fragment("resident_night.html", t, **values)}

    def _night(
        self, report: Mapping[str, Any], minutes: Sequence[MinuteRow], t: Strings, hidden: frozenset[str]
    ) -> dict[str, Any]:
        zone = ZoneInfo(report.get("timezone") or self._zone)
        pieces = night_view.timeline_pieces(report, self._zone)
        span = night_view.night_span(pieces)
        values: dict[str, Any] = {
            "figures": night_view.figures(report, t, hidden),
            "chart": "",
            "curves": [],
            "absences": [],
            "spells": [],
            "spell_text": partial(night_view.spell_text, t),
            "local": lambda at_s: wall_time(at_s * 1000, zone.key),
        }
        if span is None:
            return values
        ticks = _ticks(span, zone.key)
        absences = night_view.absences(pieces, report.get("times_out_of_bed"))
        start, end = (wall_time(at_s * 1000, zone.key) for at_s in span)
        title = t("resident.timeline_alt", start=start, end=end, summary=_summary(absences, zone.key, t))
        values["absences"] = absences
        values["spells"] = night_view.spells(pieces, report)
        values["states"] = sorted({piece.state for piece in pieces})
        values["chart"] = charts.night_timeline(pieces, span, ticks, title)
        values["curves"] = _curves(minutes, span, ticks, t)
        return values


def _alarms_first(cards: Sequence[ResidentCard]) -> list[ResidentCard]:
    """Who has an alarm that nobody has answered stands first, where a small screen begins; else by rooms and beds."""
    return sorted(cards, key=lambda card: all(alarm.state != "unacknowledged" for alarm in card.open_alarms))


def at_a_glance(night: NightCard, t: Strings, withheld: Collection[str] = ()) -> list[night_view.Figure]:
    """The four figures of the overview: sleep, times out of bed, turn-overs, average heart rate."""
    why_times_out = t("residents.no_consent" if PRESENCE in withheld else "residents.why_unknown")
    coverage = night.coverage_percent
    dash = t("common.none")
    why_sleep = night_view.sleep_reason(t, coverage) if night.sleep_s is None else ""
    heart = night.heart_rate_mean_bpm
    return [
        night_view.Figure(t("residents.sleep"), duration(t, night.sleep_s), remark=why_sleep),
        night_view.Figure(
            t("residents.times_out"),
            night_view.count_text(t, night.times_out, coverage),
            remark=why_times_out if night.times_out is None else "",
        ),
        night_view.Figure(
            t("residents.turn_overs"),
            night_view.count_text(t, night.turn_overs, coverage),
            remark=t("residents.why_unknown") if night.turn_overs is None else "",
        ),
        night_view.Figure(
            t("residents.heart"),
            dash if heart is None else f"{heart:.1f}",
            t("residents.heart_unit") if heart is not None else "",
            t("residents.why_minutes") if heart is None else "",
        ),
    ]


def _rates(card: ResidentCard, t: Strings) -> list[tuple[str, str, str, str]]:
    """(icon, name, value, why) of heart and breath now."""
    live = card.live
    rows = []
    for icon, name, value, reason in (
        ("heart", t("board.heart"), live.heart_rate_bpm, live.heart_reason),
        ("breath", t("board.respiration"), live.respiration_per_min, live.respiration_reason),
    ):
        known = value is not None and not live.stale
        is_withheld = "vitals" in card.withheld
        known = known and not is_withheld
        word = "silent" if live.stale else _REASONS[reason] if 0 <= reason < len(_REASONS) else ""
        if is_withheld:
            word = "no_consent"
        if live.state == "absent" and not known and not is_withheld:
            word = "empty"
        why = "" if known else t.code("rate_reason", word)
        rows.append((icon, name, str(value) if known else t("common.none"), why))
    return rows


def _ticks(span: tuple[int, int], zone: str) -> list[charts.Tick]:
    offset = datetime.fromtimestamp(span[0], ZoneInfo(zone)).utcoffset()
    hours = charts.hour_ticks(span, int(offset.total_seconds()) if offset else 0)
    return [charts.Tick(at_s, wall_time(at_s * 1000, zone)) for at_s in hours]


def _curves(
    minutes: Sequence[MinuteRow], span: tuple[int, int], ticks: Sequence[charts.Tick], t: Strings
) -> list[dict[str, Any]]:
    """Heart and breath over the night, with scales that fit what was measured; nothing without a single value."""
    curves = []
    for kind, name, values in (
        ("heart", t("resident.heart"), [(row.utc_ms // 1000, row.heart_rate_bpm) for row in minutes]),
        ("breath", t("resident.respiration"), [(row.utc_ms // 1000, row.respiration_per_min) for row in minutes]),
        ("movement", t("resident.movement"), [(row.utc_ms // 1000, row.movement) for row in minutes]),
    ):
        known = [value for at_s, value in values if value is not None and span[0] <= at_s <= span[1]]
        if not known:
            continue
        low, high = (0, 60) if kind == "movement" else (min(known) // 10 * 10, max(known) // 10 * 10 + 10)
        unit = t("resident.movement_unit" if kind == "movement" else "residents.heart_unit")
        chart = charts.curve(values, span, low, high, ticks, f"{name} ({unit})", kind)
        curves.append({"name": name, "unit": unit, "chart": chart})
    return curves


def _summary(absences: Sequence[night_view.Absence], zone: str, t: Strings) -> str:
    if not absences:
        return t("resident.exits_none")
    return "; ".join(
        f"{t('resident.exit_at')} {wall_time(each.start_s * 1000, zone)}, {night_view.absence_text(t, each)}"
        for each in absences
    )


def _announcement(alarm: AlarmRow, t: Strings) -> str:
    return t(
        "board.announce",
        bed=alarm.bed,
        what=t("state.absent"),
        priority=t.code("priority", alarm.priority),
        level=alarm.level,
    )


def _is_date(text: str) -> bool:
    try:
        day = date.fromisoformat(text)
        return day.isoformat() == text and day.year in _YEARS
    except ValueError:
        return False
