"""Picture of an analysed recording: signal, occupancy, rates, quality and movement over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hil.analyse.reader import Recording
from hil.analyse.table import Row

COLOURS = {"empty": "#d9d9d9", "unclear": "#fdd49e", "occupied": "#c7e9c0"}
POINTS = 4000


def plot(recording: Recording, rows: list[Row], path: Path, title: str) -> None:
    """Write a PNG (or what the suffix of path says); OSError or ValueError if that cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, figsize=(14, 9), sharex=True, height_ratios=[2, 1.6, 1.2, 1])
    unit, unit_name = (60.0, "min") if len(rows) > 900 else (1.0, "s")
    time = np.array([row.time_s for row in rows]) / unit
    _signal(axes[0], recording, unit)
    for first, last, occupancy in _runs(rows):
        for axis in axes:
            axis.axvspan((first - 1) / unit, last / unit, color=COLOURS[occupancy], alpha=0.35, linewidth=0)
    axes[1].plot(time, [_or_nan(row.heart_rate_bpm) for row in rows], ".", markersize=3, color="#cb181d")
    axes[1].set_ylabel("heart rate, bpm")
    axes[2].plot(time, [_or_nan(row.respiration_per_min) for row in rows], ".", markersize=3, color="#2171b5")
    axes[2].set_ylabel("respiration, /min")
    heart_quality = [row.heart_rate_quality for row in rows]
    breath_quality = [row.respiration_quality for row in rows]
    axes[3].plot(time, heart_quality, color="#cb181d", linewidth=0.8, label="heart quality")
    axes[3].plot(time, breath_quality, color="#2171b5", linewidth=0.8, label="breath quality")
    axes[3].fill_between(time, [row.movement for row in rows], color="#525252", alpha=0.5, label="movement")
    for row in rows:
        if row.turn_over:
            axes[3].axvline(row.time_s / unit, color="#6a51a3", linewidth=1)
    axes[3].set_ylim(0, 105)
    axes[3].legend(loc="upper right", ncols=3, fontsize=8)
    colours = "green occupied, orange unclear, grey empty; violet: turn-over"
    axes[3].set_xlabel(f"time, {unit_name}   (background: {colours})")
    axes[0].set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _signal(axis: object, recording: Recording, unit: float) -> None:
    """Envelope (lowest and highest sample) of at most POINTS columns, so that a night draws as fast as a minute."""
    step = max(1, len(recording.samples) // POINTS)
    count = len(recording.samples) // step
    parts = recording.samples[: count * step].reshape(count, step) / 16.0
    time = np.arange(count) * step / recording.rate_hz / unit
    axis.fill_between(time, parts.min(1), parts.max(1), step="post", color="#252525", linewidth=0.6)  # type: ignore[attr-defined]
    axis.set_ylabel("signal, 10-bit counts")  # type: ignore[attr-defined]


def _runs(rows: list[Row]) -> list[tuple[int, int, str]]:
    runs: list[tuple[int, int, str]] = []
    for row in rows:
        if runs and runs[-1][2] == row.occupancy:
            runs[-1] = (runs[-1][0], row.time_s, row.occupancy)
        else:
            runs.append((row.time_s, row.time_s, row.occupancy))
    return runs


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
