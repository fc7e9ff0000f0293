"""A resident's last 30 nights, the last 7 of them in front, against what is usual for themselves. Pure.

What is usual comes from the newest night report (NIGHT_REPORT.md `versus_usual`), so that page and report agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from markupsafe import Markup

from cloud_sync.pages import charts, night_view
from cloud_sync.pages.language import Strings, duration
from cloud_sync.receiver.home_rows import Trend
from cloud_sync.receiver.port import NightCard

NIGHTS, RECENT = 30, 7


@dataclass(frozen=True)
class TrendRow:
    """One figure over the nights: its texts and its chart."""

    name: str
    unit: str
    recent: str
    month: str
    usual: str
    chart: Markup


@dataclass(frozen=True)
class _Kind:
    name: str
    field: str
    of: Callable[[NightCard], float | None]
    text: Callable[[Strings, float], str]
    unit: str
    is_count: bool = False


_KINDS = (
    _Kind("residents.sleep", "total_sleep_s", lambda night: night.sleep_s, lambda t, value: duration(t, value), ""),
    _Kind("residents.times_out", "times_out_of_bed", lambda night: night.times_out, lambda t, v: f"{v:g}", "", True),
    _Kind("residents.turn_overs", "turn_overs", lambda night: night.turn_overs, lambda t, v: f"{v:g}", "", True),
    _Kind(
        "residents.heart", "heart_rate_bpm", lambda night: night.heart_rate_mean_bpm, lambda t, v: f"{v:.1f}",
        "residents.heart_unit",
    ),
)  # fmt: skip


def trend_pieces(trend: Trend, t: Strings) -> list[TrendRow]:
    """A row for each of the four figures; none without a night."""
    if not trend.nights:
        return []
    known = {night.night_of: night for night in trend.nights}
    last = date.fromisoformat(trend.nights[0].night_of)
    days = [(last - timedelta(days=back)).isoformat() for back in range(NIGHTS - 1, -1, -1)]
    return [_row(kind, [(day, known.get(day)) for day in days], trend, t) for kind in _KINDS]


def _row(kind: _Kind, nights: Sequence[tuple[str, NightCard | None]], trend: Trend, t: Strings) -> TrendRow:
    values = [(day, night, kind.of(night) if night and not night.reason else None) for day, night in nights]
    usual = trend.usual.get(kind.field)
    band = (usual["median"] - usual["spread"], usual["median"] + usual["spread"]) if usual else None
    top = max([1.0, *(value for _, _, value in values if value is not None), band[1] if band else 0.0]) * 1.08
    unit = t(kind.unit) if kind.unit else ""
    bars = [
        charts.NightBar(day, value, _told(kind, night, value, t), _is_whole(night), index >= NIGHTS - RECENT)
        for index, (day, night, value) in enumerate(values)
    ]
    recent, month = _middle(kind, values[-RECENT:], t), _middle(kind, values, t)
    told_usual = (
        t("trend.usual", value=kind.text(t, usual["median"]), spread=kind.text(t, usual["spread"]))
        if usual
        else t("trend.no_usual")
    )
    name = t(kind.name)
    title = f"{name}: {t('trend.recent')} {recent}, {t('trend.month')} {month}, {told_usual}"
    return TrendRow(name, unit, recent, month, told_usual, charts.night_bars(bars, band, top, title, kind.field))


def _is_whole(night: NightCard | None) -> bool:
    coverage = night.coverage_percent if night else None
    return coverage is not None and coverage >= night_view.COMPLETE_PERCENT and not (night and night.provisional)


def _told(kind: _Kind, night: NightCard | None, value: float | None, t: Strings) -> str:
    if value is None or night is None:
        return t("residents.no_report" if night is None else "residents.why_unknown")
    text = kind.text(t, value)
    return text if not kind.is_count or _is_whole(night) else t("residents.at_least", value=text)


def _middle(kind: _Kind, values: Sequence[tuple[str, NightCard | None, float | None]], t: Strings) -> str:
    """The median and of how many nights: counts of incomplete nights would pull it down and are left out."""
    known = [v for _, night, v in values if v is not None and (not kind.is_count or _is_whole(night))]
    if not known:
        return t("common.none")
    return t("trend.of_nights", value=kind.text(t, round(median(known), 1)), nights=len(known))
