"""A lead sets each bed's watched hours, allowance and profile; sees before saving what the last nights would have been;
and goes back to any earlier version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cloud_sync.pages.kit import Visitor, wall_time
from cloud_sync.pages.language import Strings
from gateway.cores.bed_settings import (
    DAYS,
    WHY_CHARS_MAX,
    BedSettings,
    FieldError,
    Form,
    blank_form,
    effective,
    read_form,
)
from gateway.cores.profile import SHIPPED, Profile, ProfileError, clock_text
from gateway.management import BedPlan, Management
from gateway.web.manage import LEADS, Guard

if TYPE_CHECKING:
    from gateway.past_nights import PreviewNight

__all__ = ["SettingsPages"]

PREVIEW_WAIT_S = 60.0
HISTORY_SHOWN = 50


class SettingsPages:
    """`/settings`, `/settings/{bed}` and `/api/settings/{bed}`."""

    def __init__(self, guard: Guard, management: Management) -> None:
        self._guard, self._kit, self._management = guard, guard.kit, management

    def routes(self) -> list[Route]:
        return [
            self._guard.get("/settings", LEADS, self._list),
            self._guard.get("/settings/{bed}", LEADS, self._bed),
            self._guard.post("/settings/{bed}", LEADS, self._sent),
            self._guard.get("/api/settings/{bed}", LEADS, self._json),
        ]

    async def _list(self, request: Request, visitor: Visitor) -> Response:
        plans = [self._shown(plan, visitor.t) for plan in self._management.plans()]
        return self._kit.page(request, visitor, "settings.html", plans=plans)

    async def _bed(self, request: Request, visitor: Visitor) -> Response:
        plan = self._management.plan(request.path_params["bed"])
        if plan is None:
            return self._kit.error(request, visitor, 404, "unknown_bed")
        saved = request.query_params.get("saved") == "1"
        return self._page(request, visitor, plan, blank_form(_current(plan)), saved=saved)

    async def _json(self, request: Request, visitor: Visitor) -> Response:
        plan = self._management.plan(request.path_params["bed"])
        if plan is None:
            return self._kit.error(request, visitor, 404, "unknown_bed")
        return JSONResponse({
            "bed": plan.label,
            "source": "file" if plan.saved is None else "saved",
            "in_force": plan.profile.as_mapping(),
            "file": effective(plan.base, None, self._management.timezone).as_mapping(),
            "versions": [
                {"version": row.version, "utc_ms": row.utc_ms, "who": row.who, "why": row.why, "settings": row.body}
                for row in self._management.history(plan.label)
            ],
        }, headers={"Cache-Control": "no-store"})  # fmt: skip

    async def _sent(self, request: Request, visitor: Visitor, form: FormData) -> Response:
        plan = self._management.plan(request.path_params["bed"])
        if plan is None:
            return self._kit.error(request, visitor, 404, "unknown_bed")
        texts = {key: value for key, value in form.items() if isinstance(value, str) and key not in ("csrf", "do")}
        action = str(form.get("do", ""))
        if action != "preview" and texts.get("seen", "") not in ("", _version(plan)):
            # Somebody else has saved since this form was shown: theirs is not overwritten unseen.
            return self._page(request, visitor, plan, blank_form(_current(plan)), status=409, failure="stale")
        if action in ("base", "undo"):
            return await self._back(request, visitor, plan, action, texts)
        sent = read_form(texts, plan.base, self._management.timezone)
        if action == "preview":
            # A preview needs no reason yet.
            errors = tuple(error for error in sent.errors if error.field != "why")
            if not errors and sent.settings is None:
                sent = read_form({**texts, "why": "preview"}, plan.base, self._management.timezone)
                errors = sent.errors
            return await self._preview(request, visitor, plan, texts, replace(sent, errors=errors))
        if sent.settings is None:
            return self._page(request, visitor, plan, texts, errors=sent.errors, status=422)
        return await self._save(request, visitor, plan, sent.settings, sent.why, texts)

    async def _preview(
        self, request: Request, visitor: Visitor, plan: BedPlan, texts: Mapping[str, str], sent: Form
    ) -> Response:
        if sent.settings is None:
            return self._page(request, visitor, plan, texts, errors=sent.errors, status=422)
        assert visitor.account is not None
        self._management.viewed(visitor.account.name, "preview", plan.label)
        try:
            async with asyncio.timeout(PREVIEW_WAIT_S):
                nights = await self._management.preview(plan.label, sent.settings)
        except TimeoutError:
            return self._page(request, visitor, plan, texts, status=504, failure="preview_late")
        if request.headers.get("accept", "").startswith("application/json"):
            from gateway.past_nights import preview_json

            return JSONResponse({"bed": plan.label, "nights": [preview_json(night) for night in nights]})
        return self._page(request, visitor, plan, texts, preview=self._nights(nights, visitor.t))

    async def _save(
        self, request: Request, visitor: Visitor, plan: BedPlan, settings: BedSettings | None, why: str,
        texts: Mapping[str, str],
    ) -> Response:  # fmt: skip
        assert visitor.account is not None
        try:
            refused = await self._management.save(plan.label, settings, visitor.account.name, why)
        except ProfileError:
            # An old version that no longer goes with the configuration file.
            refused = "settings_refused"
        if refused is not None:
            return self._page(request, visitor, plan, texts, status=409, failure=refused)
        return RedirectResponse(f"/settings/{quote(plan.label)}?saved=1", 303)

    async def _back(
        self, request: Request, visitor: Visitor, plan: BedPlan, action: str, texts: Mapping[str, str]
    ) -> Response:
        """To the configuration file's settings, or to those of an earlier version."""
        form = blank_form(_current(plan))
        if action == "base":
            why = texts.get("why", "").strip()[:WHY_CHARS_MAX] or visitor.t("bed_settings.why_base")
            return await self._save(request, visitor, plan, None, why, form)
        number = texts.get("version", "")
        row = next((row for row in self._management.history(plan.label) if str(row.version) == number), None)
        if row is None:
            return self._page(request, visitor, plan, form, status=404, failure="no_version")
        settings = None if row.body is None else BedSettings.from_body(row.body)
        why = visitor.t("bed_settings.why_undo", version=row.version)
        return await self._save(request, visitor, plan, settings, why, form)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _page(
        self,
        request: Request,
        visitor: Visitor,
        plan: BedPlan,
        texts: Mapping[str, str],
        *,
        errors: Sequence[FieldError] = (),
        preview: Sequence[Mapping[str, Any]] | None = None,
        saved: bool = False,
        failure: str = "",
        status: int = 200,
    ) -> Response:
        t = visitor.t
        rows = [index for index in range(64) if f"w{index}_start" in texts]
        history = [
            {
                "version": row.version,
                "at": wall_time(row.utc_ms, self._management.timezone, "%Y-%m-%d %H:%M") if row.trusted else "–",
                "who": row.who,
                "why": row.why,
                "hours": self._version_hours(plan, row.body, t),
            }
            for row in self._management.history(plan.label)[:HISTORY_SHOWN]
        ]
        return self._kit.page(
            request, visitor, "settings_bed.html", status,
            plan=self._shown(plan, t), texts=texts, rows=rows, days=DAYS,
            profiles=[(name, f"{t.code('profile', name)} ({hours_text(SHIPPED[name], t)})") for name in SHIPPED],
            errors={error.field: t.code("bed_settings", f"error_{error.code}") for error in errors},
            preview=preview, saved=saved, history=history, seen=texts.get("seen") or _version(plan),
            failure=t.code("bed_settings", f"failure_{failure}") if failure else "",
        )  # fmt: skip

    def _shown(self, plan: BedPlan, t: Strings) -> Mapping[str, Any]:
        row = plan.row
        return {
            "bed": plan.label,
            "room": plan.room,
            "profile": plan.base.profile if plan.saved is None else plan.saved.profile,
            "hours": hours_text(plan.profile, t),
            "from_file": plan.saved is None,
            "file_hours": hours_text(effective(plan.base, None, self._management.timezone), t),
            "file_profile": plan.base.profile,
            "version": None if row is None else row.version,
            "who": None if row is None else row.who,
            "at": None if row is None else wall_time(row.utc_ms, self._management.timezone, "%Y-%m-%d %H:%M"),
        }

    def _version_hours(self, plan: BedPlan, body: Mapping[str, Any] | None, t: Strings) -> str:
        if body is None:
            return t("bed_settings.source_file")
        settings = BedSettings.from_body(body)
        try:
            hours = hours_text(effective(plan.base, settings, self._management.timezone), t)
            return f"{t.code('profile', settings.profile)} · {hours}"
        except ProfileError:
            return t.code("profile", settings.profile)

    def _nights(self, nights: Sequence[PreviewNight], t: Strings) -> list[Mapping[str, Any]]:
        def lines(entries: Sequence[tuple[int, str, str]]) -> list[str]:
            return [
                f"{wall_time(at_ms, self._management.timezone, '%H:%M:%S')} {t.code('event', event)} "
                f"{t.detail(detail.partition(' ')[0])}".rstrip()
                for at_ms, event, detail in entries
            ]

        return [
            {
                "night": night.night_of,
                "heard": round(night.heard_share * 100),
                "happened": lines(night.happened),
                "now": lines(night.would_now),
                "then": lines(night.would_then),
                "fewer": _alarms(night.would_then) < _alarms(night.would_now),
                "more": _alarms(night.would_then) > _alarms(night.would_now),
            }
            for night in nights
        ]


def hours_text(profile: Profile, t: Strings) -> str:
    """The watched hours and allowances of a profile in a line."""
    if not profile.windows:
        return t("bed_settings.off")
    texts = []
    for window in profile.windows:
        days = t("bed_settings.daily") if len(window.days) == 7 else " ".join(
            t(f"bed_settings.day{day}") for day in sorted(window.days))  # fmt: skip
        hours = t("bed_settings.all_day") if window.all_day else \
            f"{clock_text(window.start_min)}–{clock_text(window.end_min)}"
        texts.append(t("bed_settings.window", days=days, hours=hours, minutes=f"{window.allowed_s / 60:g}"))
    return "; ".join(texts)


def _version(plan: BedPlan) -> str:
    return "0" if plan.row is None else str(plan.row.version)


def _hours(profile: Profile) -> list[tuple[str, int, int]]:
    return [("".join(sorted(window.days)), *window.span()) for window in profile.windows]


def _alarms(entries: Sequence[tuple[int, str, str]]) -> int:
    return sum(event == "alarm_raise" for _, event, _ in entries)


def _current(plan: BedPlan) -> BedSettings:
    """What the form shows at first: the saved settings, or the file's as far as this page can say them."""
    if plan.saved is not None:
        return plan.saved
    shipped = SHIPPED[plan.base.profile]
    if _hours(plan.profile) == _hours(shipped):
        allowances = {window.allowed_s for window in plan.profile.windows}
        same = [w.allowed_s for w in plan.profile.windows] == [w.allowed_s for w in shipped.windows]
        if same or len(allowances) == 1:
            return BedSettings(plan.base.profile, None, None if same else round(allowances.pop()))
    return BedSettings(plan.base.profile, tuple(window.as_mapping() for window in plan.profile.windows), None)
