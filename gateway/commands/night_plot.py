"""A night as one picture: the timeline in lanes, below it heart, breath and movement where minutes are given. SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import escape

from cloud_sync.pages import charts, night_view
from gateway.commands.night_text import TEXTS, remarks
from gateway.cores.night_facts import Minute
from protocol.phrase import Phrase

__all__ = ["PlotError", "night_svg", "write_plot"]

WIDTH_PX, LEFT_PX, TOP_PX, GAP_PX = 960, 110, 48, 24
_CURVE_PX = 110
_STYLE = """
svg { font: 13px "Noto Sans CJK SC", "Noto Sans SC", sans-serif; background: #fff; color: #1c2430; }
text { fill: #1c2430; } .grid { stroke: #d5dae1; stroke-width: 1; } .tick { text-anchor: middle; fill: #55606e; }
.scale { text-anchor: end; fill: #55606e; font-size: 12px; } .head { font-size: 18px; font-weight: 600; }
.note { fill: #55606e; } .lane { text-anchor: end; }
.t-out { fill: #c83c3c; } .t-in_bed_awake { fill: #f0b43c; } .t-in_bed_asleep { fill: #3a5ba0; }
.t-in_bed { fill: #8caad7; }
.t-hatch-ground { fill: #eceff3; } .t-hatch-line { fill: #b9c0ca; }
.c-line { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke: #55606e; }
.c-heart .c-line { stroke: #d0455f; } .c-breath .c-line { stroke: #2c7a4b; }
"""


class PlotError(Exception):
    """The picture cannot be made or written; the text says why."""


def write_plot(answer: Mapping[str, Any], minutes: Sequence[Minute], lang: str, file: Path) -> None:
    """The answer of `sleepbelt night --json` as an SVG file; PlotError."""
    if file.suffix.lower() != ".svg":
        raise PlotError(Phrase("{file}: a picture is written as SVG; give a name that ends in .svg", file=file))
    try:
        file.write_text(night_svg(answer, minutes, lang), encoding="utf-8")
    except OSError as error:
        raise PlotError(Phrase("{file}: cannot be written ({why})", file=file, why=error.strerror)) from None


def night_svg(answer: Mapping[str, Any], minutes: Sequence[Minute], lang: str) -> str:
    """The picture; a night that was not recorded is said so, in words."""
    text = TEXTS[lang]
    night = answer["night"]
    if night is None:
        return _sheet(TOP_PX + 30, [f'<text class="head" x="20" y="32">{escape(text["no_night"])}</text>'])
    zone = ZoneInfo(night["timezone"])
    pieces = night_view.timeline_pieces(night, zone.key)
    span = night_view.night_span(pieces)
    title, *notes = remarks(night, lang)
    body = [f'<text class="head" x="20" y="28">{escape(title)}</text>']
    body += [f'<text class="note" x="20" y="{TOP_PX + 18 * i}">{escape(note)}</text>' for i, note in enumerate(notes)]
    y = TOP_PX + 18 * len(notes)
    if span is None:
        return _sheet(y + 20, body)
    ticks = _ticks(span, zone)
    lanes = ("out", "in_bed_awake", "in_bed_asleep")
    body += [
        f'<text class="lane" x="{LEFT_PX - 10}" y="{y + charts.LANE_PX * i + 22}">{escape(text[lane])}</text>'
        for i, lane in enumerate(lanes)
    ]
    body.append(_at(y, charts.night_timeline(pieces, span, ticks, title)))
    y += 3 * charts.LANE_PX + charts.AXIS_PX + GAP_PX
    for kind, values in _curves(minutes):
        known = [value for at_s, value in values if value is not None and span[0] <= at_s <= span[1]]
        if not known:
            continue
        low, high = (0.0, 60.0) if kind == "movement" else (min(known) // 10 * 10, max(known) // 10 * 10 + 10)
        name = text[f"curve_{kind}"]
        body.append(f'<text x="20" y="{y + 12}">{escape(name)}</text>')
        body.append(_at(y + 20, charts.curve(values, span, low, high, ticks, name, kind, _CURVE_PX)))
        y += 20 + _CURVE_PX + charts.AXIS_PX + GAP_PX
    body.append(f'<text class="note" x="20" y="{y}">{escape(text["note"])}</text>')
    return _sheet(y + 20, body)


def _curves(minutes: Sequence[Minute]) -> list[tuple[str, list[tuple[int, float | None]]]]:
    return [
        ("heart", [(one.at_utc_s, one.heart_rate_bpm) for one in minutes]),
        ("breath", [(one.at_utc_s, one.respiration_per_min) for one in minutes]),
        ("movement", [(one.at_utc_s, one.movement_s) for one in minutes]),
    ]


def _ticks(span: tuple[int, int], zone: ZoneInfo) -> list[charts.Tick]:
    offset = datetime.fromtimestamp(span[0], zone).utcoffset()
    hours = charts.hour_ticks(span, int(offset.total_seconds()) if offset else 0)
    return [charts.Tick(at_s, datetime.fromtimestamp(at_s, zone).strftime("%H:%M")) for at_s in hours]


def _at(y: int, chart: str) -> str:
    """A chart in its place: charts take the width of what they stand in."""
    place = f'<svg x="{LEFT_PX}" y="{y}" width="{WIDTH_PX - LEFT_PX - 20}" overflow="visible">'
    # str(): beside Markup the place itself would be escaped.
    return place + str(chart).replace("<svg class=", '<svg overflow="visible" class=', 1) + "</svg>"


def _sheet(height_px: int, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{height_px}" '
        f'viewBox="0 0 {WIDTH_PX} {height_px}"><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(body)}</svg>\n"
    )
