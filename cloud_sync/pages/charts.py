"""Charts as SVG made on the server. Widths are percentages and heights pixels, so text keeps its size on any screen.

Colours come from classes of the style sheet; a state also has its own lane or pattern, never a colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

LANE_PX = 34
AXIS_PX = 26
HOUR_S = 3600
# State -> first lane and how many: time in bed of which nobody knows whether it was sleep fills both lanes of the bed.
_LANES = {"out": (0, 1), "in_bed_awake": (1, 1), "in_bed_asleep": (2, 1), "in_bed": (1, 2)}
_CURVE_WIDTH = 1000
_HATCHED = ' fill="url(#hatch)"'

_HATCH = (
    '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="t-hatch-ground" width="7" height="7"/><rect class="t-hatch-line" width="2.5" height="7"/>'
    "</pattern></defs>"
)


@dataclass(frozen=True)
class Piece:
    """A stretch of the night in one state, UTC seconds."""

    state: str
    start_s: int
    end_s: int


@dataclass(frozen=True)
class Tick:
    """A mark on the time axis."""

    at_s: int
    text: str


def night_timeline(pieces: Sequence[Piece], span: tuple[int, int], ticks: Sequence[Tick], title: str) -> Markup:
    """The night in three lanes (out above, awake, asleep below); time without data crosses all of them, hatched."""
    height = 3 * LANE_PX
    body = [_HATCH, _grid(ticks, span, height)]
    for piece in pieces:
        x = _place(piece.start_s, span)
        width = _place(piece.end_s, span) - x
        if width <= 0:
            continue
        lane = _LANES.get(piece.state)
        y, tall = (0, height) if lane is None else (lane[0] * LANE_PX + 3, lane[1] * LANE_PX - 6)
        # Nothing shorter than two pixels or so: a short exit must still be seen.
        body.append(
            f'<rect class="t-{escape(piece.state)}" x="{x:.3f}%" y="{y}" width="{max(width, 0.25):.3f}%" '
            f'height="{tall}" rx="{0 if lane is None else 3}"{_HATCHED if lane is None else ""}/>'
        )
    return _figure("timeline", height, [*body, _axis(ticks, span, height)], title)


def curve(
    points: Sequence[tuple[int, float | None]], span: tuple[int, int], low: float, high: float, ticks: Sequence[Tick],
    title: str, kind: str, height: int = 110, join_s: int = 150,
) -> Markup:  # fmt: skip
    """One rate over the night; points more than `join_s` apart, or without a value, are not joined."""
    commands: list[str] = []
    last_s: int | None = None
    for at_s, value in points:
        if value is None or not span[0] <= at_s <= span[1]:
            last_s = None
            continue
        x = _CURVE_WIDTH * (at_s - span[0]) / max(1, span[1] - span[0])
        y = height * (1 - (min(high, max(low, value)) - low) / (high - low))
        commands.append(f"{'L' if last_s is not None and at_s - last_s <= join_s else 'M'}{x:.1f} {y:.1f}")
        last_s = at_s
    # A lone minute is a line of no length: round caps show it as a dot.
    lone = [f"{command}h.1" if command[0] == "M" else command for command in commands]
    inner = (
        f'<svg width="100%" height="{height}" viewBox="0 0 {_CURVE_WIDTH} {height}" preserveAspectRatio="none">'
        f'<path class="c-line" d="{"".join(lone)}" vector-effect="non-scaling-stroke"/></svg>'
    )
    marks = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text class="scale" x="-6" y="{y + dy}">{value:g}</text>'
        for value, y, dy in ((high, 0, 10), ((low + high) / 2, height // 2, 4), (low, height, 0))
    )
    body = [_grid(ticks, span, height), inner, marks, _axis(ticks, span, height)]
    return _figure(f"curve c-{kind}", height, body, title)


def hour_ticks(span: tuple[int, int], offset_s: int) -> list[int]:
    """UTC seconds of the full local hours in `span`; every second one if there are more than ten.

    `offset_s`: local time minus UTC, so that half-hour zones have their marks on the hour.
    """
    first = -(-(span[0] + offset_s) // HOUR_S) * HOUR_S - offset_s
    hours = list(range(first, span[1] + 1, HOUR_S))
    if len(hours) > 10:
        hours = [at_s for at_s in hours if (at_s + offset_s) // HOUR_S % 2 == 0]
    return hours


def _place(at_s: int, span: tuple[int, int]) -> float:
    """Where an instant lies in the chart's width, in percent."""
    share = (at_s - span[0]) / max(1, span[1] - span[0])
    return 100 * min(1.0, max(0.0, share))


def _grid(ticks: Sequence[Tick], span: tuple[int, int], height: int) -> str:
    places = [f"{_place(tick.at_s, span):.3f}%" for tick in ticks]
    return "".join(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>' for x in places)


def _axis(ticks: Sequence[Tick], span: tuple[int, int], height: int) -> str:
    parts = []
    for index, tick in enumerate(ticks):
        x = _place(tick.at_s, span)
        if not 2 < x < 98:
            continue  # its text would be cut off
        odd = " odd" if index % 2 else ""
        parts.append(f'<text class="tick{odd}" x="{x:.3f}%" y="{height + 18}">{escape(tick.text)}</text>')
    return "".join(parts)


def _figure(kind: str, height: int, body: Sequence[str], title: str) -> Markup:
    return Markup(
        f'<svg class="chart {kind}" width="100%" height="{height + AXIS_PX}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg>"
    )


@dataclass(frozen=True)
class NightBar:
    """One night of a bar chart; `value` None: not known, `whole` False: at least that much, `recent`: last 7."""

    label: str
    value: float | None
    told: str  # for people, with unit or reason
    whole: bool = True
    recent: bool = False


def night_bars(
    bars: Sequence[NightBar], usual: tuple[float, float] | None, top: float, title: str, kind: str, height: int = 96
) -> Markup:
    """Nights side by side from 0 to `top`, the usual range (low, high) as a band behind; unknown nights are hatched."""
    step = 100 / max(1, len(bars))
    body = [_HATCH]
    if usual is not None:
        low, high = (height * (1 - min(top, max(0.0, value)) / top) for value in usual)
        body.append(f'<rect class="b-usual" x="0" width="100%" y="{high:.1f}" height="{max(2.0, low - high):.1f}"/>')
    body.append(f'<line class="grid" x1="0" x2="100%" y1="{height}" y2="{height}"/>')
    for index, bar in enumerate(bars):
        x, width = step * index + step * 0.14, step * 0.72
        place = f'x="{x:.2f}%" width="{width:.2f}%"'
        if bar.value is None:
            shape = f'<rect {place} y="0" height="{height}" fill="url(#hatch)"/>'
        else:
            tall = max(1.5, height * min(top, bar.value) / top)
            classes = f"b-{kind}{' b-recent' if bar.recent else ''}{'' if bar.whole else ' b-part'}"
            shape = f'<rect class="{classes}" {place} y="{height - tall:.1f}" height="{tall:.1f}" rx="2"/>'
        body.append(f"<g>{shape}<title>{escape(bar.label)}: {escape(bar.told)}</title></g>")
    for index in range(len(bars) - 1, -1, -7):
        x = step * (index + 0.5)
        body.append(f'<text class="tick" x="{x:.2f}%" y="{height + 18}">{escape(bars[index].label[5:])}</text>')
    return _figure("bars", height, body, title)
