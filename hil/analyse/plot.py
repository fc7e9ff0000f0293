"""Picture of an analysed recording: signal, occupancy, rates, quality and movement over time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hil.analyse.recording import Recording, RecordingError
from hil.analyse.table import Row

COLOURS = {"empty": "#d9d9d9", "unclear": "#fdd49e", "occupied": "#c7e9c0"}
POINTS = 4000
SUFFIXES = (".png", ".pdf", ".svg")
# What a rate's axis shows at least, around its values: half a beat of change is none to look at.
SPAN_BPM, SPAN_PER_MIN = 20, 8
CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "PingFang SC",
    "Microsoft YaHei",
)  # fmt: skip
WORDS = {
    "en": {
        "signal": "signal, 10-bit counts", "heart": "heart rate, bpm", "breath": "respiration, /min",
        "irregular": "irregular, no rate", "none": "no value", "heart_quality": "heart quality",
        "breath_quality": "respiration quality", "movement": "movement", "turn_over": "turn-over",
        "occupied": "occupied", "unclear": "unclear", "empty": "empty",
        "time": "time, {unit}   (reference values, no medical measurement)", "s": "s", "min": "min",
    },
    "zh": {
        "signal": "信号(10 位计数)", "heart": "心率(次/分)", "breath": "呼吸(次/分)",
        "irregular": "不规则,无心率值", "none": "无数值", "heart_quality": "心率质量",
        "breath_quality": "呼吸质量", "movement": "体动", "turn_over": "翻身",
        "occupied": "在床", "unclear": "不明", "empty": "离床",
        "time": "时间({unit})  参考值,非医学测量", "s": "秒", "min": "分钟",
    },
}  # fmt: skip


def check_plot(path: Path, language: str) -> None:
    """RecordingError unless a picture can be written there in this language, before a long analysis begins."""
    if path.suffix.lower() not in SUFFIXES:
        raise RecordingError(f"--plot {path}: the picture must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    try:
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise RecordingError(f"--plot {path}: cannot be written: {error.strerror or error}") from None
    if language == "zh" and not _chinese_fonts():
        raise RecordingError(
            "--lang zh: no font with Chinese characters was found; on Debian: apt install fonts-noto-cjk"
        )


def plot(recording: Recording, rows: Sequence[Row], path: Path, title: str, language: str = "en") -> None:
    """Write the picture that the suffix of path names; OSError if that cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context({"font.family": ["DejaVu Sans", *_chinese_fonts()]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")  # of a file's name
        _draw(recording, rows, path, title, WORDS[language])


def _chinese_fonts() -> list[str]:
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in CHINESE_FONTS if name in there]


def _draw(recording: Recording, rows: Sequence[Row], path: Path, title: str, words: dict[str, str]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, figsize=(14, 9), sharex=True, height_ratios=[2, 1.6, 1.2, 1])
    unit, unit_name = (60.0, words["min"]) if len(rows) > 900 else (1.0, words["s"])
    time = np.array([row.time_s for row in rows]) / unit
    _signal(axes[0], recording, unit, words["signal"])
    _occupancy(axes, rows, unit, words)
    hearts, breaths = [row.heart_rate_bpm for row in rows], [row.respiration_per_min for row in rows]
    _rate(axes[1], time, hearts, SPAN_BPM, "#cb181d", words["heart"], words["none"])
    _rate(axes[2], time, breaths, SPAN_PER_MIN, "#2171b5", words["breath"], words["none"])
    irregular = [row.heart_rate_reason == "irregular" for row in rows]
    if any(irregular):
        low = axes[1].get_ylim()[0]
        axes[1].plot(time[irregular], np.full(sum(irregular), low), "|", color="#ff7f00", label=words["irregular"])
        axes[1].legend(loc="upper right", fontsize=8)
    _qualities(axes[3], time, rows, unit, words)
    axes[3].set_xlabel(words["time"].format(unit=unit_name))
    axes[3].set_xlim(0, len(rows) / unit)
    axes[0].set_title(title, parse_math=False)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _signal(axis: Any, recording: Recording, unit: float, label: str) -> None:
    """Envelope (lowest and highest sample) of at most POINTS columns, so that a night draws as fast as a minute."""
    step = max(1, len(recording.samples) // POINTS)
    count = len(recording.samples) // step
    parts = recording.samples[: count * step].reshape(count, step) / 2.0 ** (recording.bits - 10)
    time = np.arange(count) * step / recording.rate_hz / unit
    axis.fill_between(time, parts.min(1), parts.max(1), step="post", color="#252525", linewidth=0.6)
    axis.set_ylabel(label)


def _occupancy(axes: Sequence[Any], rows: Sequence[Row], unit: float, words: dict[str, str]) -> None:
    """Backgrounds, named in the first axis."""
    named = {}
    for first, last, occupancy in _runs(rows):
        for axis in axes:
            span = ((first - 1) / unit, last / unit)
            named[occupancy] = axis.axvspan(*span, color=COLOURS[occupancy], alpha=0.35, linewidth=0)
    states = [state for state in ("occupied", "unclear", "empty") if state in named]
    axes[0].legend([named[state] for state in states], [words[state] for state in states], loc="upper right",
                   ncols=3, fontsize=8)  # fmt: skip


def _rate(
    axis: Any, time: Any, values: Sequence[float | None], span: float, colour: str, label: str, none: str
) -> None:
    present = [value for value in values if value is not None]
    axis.set_ylabel(label)
    if not present:
        axis.set_yticks([])
        axis.text(0.5, 0.5, none, transform=axis.transAxes, ha="center", va="center", color="#636363")
        return
    axis.plot(time, [np.nan if value is None else value for value in values], ".", markersize=3, color=colour)
    middle, half = (min(present) + max(present)) / 2, max(max(present) - min(present), span) * 0.55
    axis.set_ylim(middle - half, middle + half)


def _qualities(axis: Any, time: Any, rows: Sequence[Row], unit: float, words: dict[str, str]) -> None:
    heart, breath = [row.heart_rate_quality for row in rows], [row.respiration_quality for row in rows]
    axis.plot(time, heart, color="#cb181d", linewidth=0.8, label=words["heart_quality"])
    axis.plot(time, breath, color="#2171b5", linewidth=0.8, label=words["breath_quality"])
    axis.fill_between(time, [row.movement for row in rows], color="#525252", alpha=0.5, label=words["movement"])
    turns = [row.time_s / unit for row in rows if row.turn_over]
    if turns:
        axis.vlines(turns, 0, 105, color="#6a51a3", linewidth=1, label=words["turn_over"])
    axis.set_ylim(0, 105)
    axis.legend(loc="upper right", ncols=4, fontsize=8)


def _runs(rows: Sequence[Row]) -> list[tuple[int, int, str]]:
    runs: list[tuple[int, int, str]] = []
    for row in rows:
        if runs and runs[-1][2] == row.occupancy:
            runs[-1] = (runs[-1][0], row.time_s, row.occupancy)
        else:
            runs.append((row.time_s, row.time_s, row.occupancy))
    return runs
