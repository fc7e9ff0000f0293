"""Sleep or wake for each 30 s epoch in bed, from minute records; an estimate without EEG.

Heart rate decides: a logistic model in 21 features of the whole night's heart rate and their pairwise products, whose
coefficients `tools/fit_sleep_wake.py` fitted on recordings with polysomnography (the figures it printed stand in
`sleep_wake_table.py`). Movement and breath come on top as evidence: no recording has them together with stages, so
their weights are published shapes (Cole-Kripke) on a scale chosen for a belt, kept small where heart rate is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import exp, log, sqrt

from gateway.cores.night_facts import EPOCH_S, MINUTE_S, Epoch, Minute, Span
from gateway.cores.sleep_wake_table import CENTRES, CLIP, SLEEP_LOGIT, SLEEP_LOGIT_MIN, SPREADS, WEIGHTS

HEART_MINUTES_MIN = 30
HEART_SHARE_MIN = 0.2
MOVEMENT_SHARE_MIN = 0.5

FEATURES = (
    *("level", "above_41", "above_121", "spread_5", "spread_9", "spread_31", "max_5", "max_15", "max_31", "min_31"),
    *("spread_31_vs_night", "level_20_before", "level_10_before", "level_10_after", "level_20_after"),
    *("since_bed_10", "since_bed_60", "until_rise_5", "until_rise_45", "since_bed", "missing_15"),
)
"""Columns of `heart_features`; a number behind a name is a window or a time constant in minutes."""

_COLE_KRIPKE = (0.106, 0.054, 0.058, 0.076, 0.230, 0.074, 0.067)
"""Weights of the minutes -4 ... +2 around the one that is scored (Cole et al. 1992, one-minute counts)."""
_MOVEMENT_NEUTRAL_S = 1.5
_STILL_LOGIT = -0.5
_HEART_LOGIT_MAX = 4.0
"""However calm a heart, it never outweighs a body that goes on moving; far above the limit for sleep."""
_RESTING_LOGIT = 2.3
"""Log odds of sleep in bed at large (91 %), where only movement tells the hours apart."""


def score_epochs(minutes: Sequence[Minute], in_bed: Sequence[Span]) -> list[Epoch] | None:
    """Epochs covering `in_bed` (ordered, disjoint) from the minute records of that time.

    Epochs lie on the half minutes of the records. A minute may be missing or hold None; heart rates of a finer series
    are to be averaged to minutes first. Movement that is 0 all night is no movement channel and is not used.
    None = too little to go by: fewer than 30 minutes (or a fifth of them) with heart rate, and no movement either.
    """
    if not minutes or not in_bed:
        return None
    phase = minutes[0].at_utc_s % MINUTE_S
    start = in_bed[0].start_utc_s - (in_bed[0].start_utc_s - phase) % MINUTE_S
    count = -(-(in_bed[-1].end_utc_s - start) // MINUTE_S)
    by_index = {(minute.at_utc_s - start) // MINUTE_S: minute for minute in minutes}
    night = [by_index.get(i) for i in range(count)]
    inside = _minutes_in_bed(in_bed, start, count)
    logits = _heart_logits(night, inside)
    moving = _moving_halves(night, inside)
    if logits is None and moving is None:
        return None
    scale = 1.0 if logits is not None else 1.5
    totals = logits or [_RESTING_LOGIT] * (2 * count)
    if moving is not None:
        totals = [logit - scale * wake for logit, wake in zip(totals, _movement_evidence(moving), strict=True)]
    totals = [logit - wake for logit, wake in zip(totals, _breath_evidence(night), strict=True)]
    return [
        Epoch(start + EPOCH_S * i, totals[i] > SLEEP_LOGIT_MIN)
        for i in range(2 * count)
        if any(s.start_utc_s < start + EPOCH_S * (i + 1) and start + EPOCH_S * i < s.end_utc_s for s in in_bed)
    ]


def heart_features(heart_rate_bpm: Sequence[float | None], inside: Sequence[bool]) -> list[list[float]]:
    """Two rows of FEATURES per minute (its halves) from one heart rate per minute, None = absent; at least one is not.

    `inside` tells the minutes known to be in bed: only among them does an absent rate count as missing.
    """
    beats = _filled(heart_rate_bpm)
    count = len(beats)
    usual = _median(beats)
    levels = [mean / 10 for mean in _rolling(beats, 5, lambda w: sum(w) / len(w) - usual)]
    spread_31 = _rolling(beats, 31, _log_spread)
    usual_spread = _median(spread_31)
    missing = [float(rate is None) for rate in heart_rate_bpm]
    columns = [
        [(rate - usual) / 10 for rate in beats],
        *([(r - m) / 10 for r, m in zip(beats, _rolling(beats, w, _median), strict=True)] for w in (41, 121)),
        *(_rolling(beats, width, _log_spread) for width in (5, 9)),
        spread_31,
        *([(top - usual) / 10 for top in _rolling(beats, width, max)] for width in (5, 15, 31)),
        [(low - usual) / 10 for low in _rolling(beats, 31, min)],
        [spread - usual_spread for spread in spread_31],
        *([levels[min(max(i + shift, 0), count - 1)] for i in range(count)] for shift in (-20, -10, 10, 20)),
        *([exp(-i / tau) for i in range(count)] for tau in (10, 60)),
        *([exp(-(count - 1 - i) / tau) for i in range(count)] for tau in (5, 45)),
        [i / 480 for i in range(count)],
        [_share(missing[max(0, i - 7) : i + 8], inside[max(0, i - 7) : i + 8]) for i in range(count)],
    ]
    halves = [_halves(column) for column in columns]
    return [list(row) for row in zip(*halves, strict=True)]


def expanded(features: Sequence[float]) -> list[float]:
    """Standardised, clipped features and all their products (upper triangle, row by row), as the model takes them."""
    scaled = [
        min(max((value - centre) / spread, -CLIP), CLIP)
        for value, centre, spread in zip(features, CENTRES, SPREADS, strict=True)
    ]
    return scaled + [a * b for i, a in enumerate(scaled) for b in scaled[i:]]


def _heart_logits(night: Sequence[Minute | None], inside: Sequence[bool]) -> list[float] | None:
    """Log odds of sleep of each half minute, from heart rate; None = not enough of it."""
    rates = [None if minute is None else minute.heart_rate_bpm for minute in night]
    known = sum(1 for rate in rates if rate is not None)
    if known < HEART_MINUTES_MIN or known < HEART_SHARE_MIN * sum(inside):
        return None
    return [
        min(_HEART_LOGIT_MAX, SLEEP_LOGIT + sum(w * term for w, term in zip(WEIGHTS, expanded(row), strict=True)))
        for row in heart_features(rates, inside)
    ]


def _moving_halves(night: Sequence[Minute | None], inside: Sequence[bool]) -> list[float] | None:
    """Seconds moving in each half minute, unknown ones 0; None where no movement channel is at work."""
    known = [minute for minute in night if minute is not None and minute.movement_s is not None]
    if len(known) < MOVEMENT_SHARE_MIN * sum(inside) or not any(minute.movement_s for minute in known):
        return None
    halves: list[float] = []
    for minute in night:
        total = (minute.movement_s or 0.0) if minute is not None else 0.0
        halves += (minute.movement_halves_s if minute is not None else None) or (total / 2, total / 2)
    return halves


def _movement_evidence(moving: Sequence[float]) -> list[float]:
    """Log odds of wake that movement adds: little in stillness (people lie awake still), at most 4.

    Cole-Kripke's weights around the minute in question, normalised, give seconds moving per minute; sleepers of the
    recordings move for about 0.4 (6 bursts of 2-4 s an hour), so 1.5 is neutral and one turn-over alone wakes nobody.
    """
    total = sum(_COLE_KRIPKE)
    evidence = []
    for i in range(len(moving)):
        smoothed = 0.0
        for k, weight in zip(range(-4, 3), _COLE_KRIPKE, strict=True):
            # The minute centred on this epoch, k minutes away: half of each neighbour, all of the epoch itself.
            at = i + 2 * k
            around = (0.5, at - 1), (1.0, at), (0.5, at + 1)
            smoothed += weight * sum(part * moving[j] for part, j in around if 0 <= j < len(moving))
        evidence.append(min(max(smoothed / total - _MOVEMENT_NEUTRAL_S, _STILL_LOGIT), 4.0))
    return evidence


def _breath_evidence(night: Sequence[Minute | None]) -> list[float]:
    """Log odds of wake (0 to 1) where breath is more than twice as irregular over 5 min as this night's usual."""
    rates = [None if minute is None else minute.respiration_per_min for minute in night]
    if sum(1 for rate in rates if rate is not None) < HEART_MINUTES_MIN:
        return [0.0] * (2 * len(night))
    spreads = _rolling(_filled(rates), 5, _spread)
    usual = _median(spreads)
    return _halves([min(max(0.5 * (spread - 2 * usual), 0.0), 1.0) if usual > 0 else 0.0 for spread in spreads])


def _minutes_in_bed(in_bed: Iterable[Span], start: int, count: int) -> list[bool]:
    inside = [False] * count
    for span in in_bed:
        for i in range((span.start_utc_s - start) // MINUTE_S, -(-(span.end_utc_s - start) // MINUTE_S)):
            inside[i] = True
    return inside


def _filled(values: Sequence[float | None]) -> list[float]:
    """Absent values on the line between their neighbours; before the first and after the last, those."""
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    filled = [known[0][1]] * len(values)
    for (i, left), (j, right) in zip(known, [*known[1:], (len(values), known[-1][1])], strict=True):
        for k in range(i, j):
            filled[k] = left + (right - left) * (k - i) / (j - i)
    return filled


def _rolling(values: Sequence[float], width: int, figure: Callable[[Sequence[float]], float]) -> list[float]:
    """`figure` of the centred window of `width` (odd) values, shorter at the ends."""
    half = width // 2
    return [figure(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _spread(values: Sequence[float]) -> float:
    middle = sum(values) / len(values)
    return sqrt(sum((value - middle) ** 2 for value in values) / len(values))


def _log_spread(values: Sequence[float]) -> float:
    return log(_spread(values) + 0.5)


def _share(missing: Sequence[float], inside: Sequence[bool]) -> float:
    counted = [value for value, within in zip(missing, inside, strict=True) if within]
    return sum(counted) / len(counted) if counted else 0.0


def _halves(column: Sequence[float]) -> list[float]:
    """A minute series at the middles of its half minutes, on the line between the minutes' middles."""
    halves = []
    for i, value in enumerate(column):
        before, after = column[max(0, i - 1)], column[min(len(column) - 1, i + 1)]
        halves += [value + 0.25 * (before - value), value + 0.25 * (after - value)]
    return halves
