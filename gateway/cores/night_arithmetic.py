"""The arithmetic of a night on intervals of whole seconds: in, out, unknown, asleep, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.cores.night_facts import EPOCH_S, Epoch, Span
from gateway.cores.night_rest import Rest

ONSET_EPOCHS = 10
AWAKENING_S_MIN = 5 * 60

ASLEEP, AWAKE, IN_BED, OUT, NO_DATA = "in_bed_asleep", "in_bed_awake", "in_bed", "out", "no_data"
"""States of the timeline; IN_BED stands where nothing says whether the resident slept."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One piece of the timeline; `sleep_epochs` how many epochs scored asleep it holds, whole or in part."""

    state: str
    span: Span
    sleep_epochs: int = 0


@dataclass(frozen=True, slots=True)
class Presences:
    """The night without sleep: spans known in bed and without data, and the known seconds out of bed of each exit."""

    in_bed: tuple[Span, ...]
    no_data: tuple[Span, ...]
    out: tuple[Span, ...]
    exits: tuple[Exit, ...]

    @property
    def in_bed_s(self) -> int:
        return sum(span.seconds for span in self.in_bed)

    @property
    def no_data_s(self) -> int:
        return sum(span.seconds for span in self.no_data)


@dataclass(frozen=True, slots=True)
class Exit:
    """One time out of bed: when it began and how many of its seconds are known to have been out."""

    at_utc_s: int
    out_s: int


@dataclass(frozen=True, slots=True)
class SleepFigures:
    """TST, SOL, WASO in seconds and awakenings; SOL, WASO and awakenings None without a sleep onset."""

    total_sleep_s: int
    sleep_onset_latency_s: int | None
    wake_after_sleep_onset_s: int | None
    awakenings: int | None


def divide(rest: Rest, silences: Sequence[Span]) -> Presences:
    """Every second of the rest as in bed, out, or without data; silence beats both ("never counted as in or out")."""
    silent = _within(silences, rest.span)
    out_by_gap = [(gap, _without(gap, silent)) for gap in rest.gaps]
    return Presences(
        in_bed=tuple(piece for span in rest.presences for piece in _without(span, silent)),
        no_data=tuple(silent),
        out=tuple(piece for _, pieces in out_by_gap for piece in pieces),
        # A gap that is silent from end to end is no known exit at all.
        exits=tuple(Exit(gap.start_utc_s, sum(p.seconds for p in pieces)) for gap, pieces in out_by_gap if pieces),
    )


def timeline(presences: Presences, epochs: Sequence[Epoch] | None) -> tuple[Interval, ...]:
    """The night in order; epochs (sorted, disjoint) split the time in bed, None leaves it `in_bed`.

    In bed and not scored asleep is awake, so an epoch cut by an exit or a silence counts with what is left of it.
    """
    pieces = [Interval(OUT, span) for span in presences.out] + [Interval(NO_DATA, span) for span in presences.no_data]
    for span in presences.in_bed:
        pieces += [Interval(IN_BED, span)] if epochs is None else _scored(span, epochs)
    return _joined(sorted(pieces, key=lambda piece: piece.span.start_utc_s))


def sleep_figures(intervals: Sequence[Interval], in_bed_utc_s: int | None) -> SleepFigures:
    """TST, SOL, WASO and awakenings of a scored timeline; `in_bed_utc_s` None (cut at noon) leaves SOL unknown.

    Onset = the first 10 sleep epochs in a row. WASO and awakenings lie between it and the end of the last sleep:
    lying awake before the final rise is neither. Time out of bed is wake; time without data ends a wake, uncounted.
    """
    sleeps = [piece for piece in intervals if piece.state == ASLEEP]
    total_s = sum(piece.span.seconds for piece in sleeps)
    onset = next((piece.span.start_utc_s for piece in sleeps if piece.sleep_epochs >= ONSET_EPOCHS), None)
    if onset is None:
        return SleepFigures(total_s, None, None, None)
    last = sleeps[-1].span.end_utc_s
    wakes = [
        sum(span.seconds for span in bout)
        for bout in _wake_bouts([p for p in intervals if onset <= p.span.start_utc_s < last])
    ]
    return SleepFigures(
        total_sleep_s=total_s,
        sleep_onset_latency_s=None if in_bed_utc_s is None else onset - in_bed_utc_s,
        wake_after_sleep_onset_s=sum(wakes),
        awakenings=sum(1 for wake_s in wakes if wake_s >= AWAKENING_S_MIN),
    )


def _wake_bouts(intervals: Iterable[Interval]) -> list[list[Span]]:
    bouts: list[list[Span]] = []
    waking = False
    for piece in intervals:
        wake = piece.state in (AWAKE, OUT)
        if wake and waking:
            bouts[-1].append(piece.span)
        elif wake:
            bouts.append([piece.span])
        waking = wake
    return bouts


def _scored(span: Span, epochs: Sequence[Epoch]) -> list[Interval]:
    pieces: list[Interval] = []
    at = span.start_utc_s
    for epoch in epochs:
        start, end = max(epoch.start_utc_s, at), min(epoch.start_utc_s + EPOCH_S, span.end_utc_s)
        if not epoch.asleep or end <= start:
            continue
        if start > at:
            pieces.append(Interval(AWAKE, Span(at, start)))
        pieces.append(Interval(ASLEEP, Span(start, end), sleep_epochs=1))
        at = end
    if at < span.end_utc_s:
        pieces.append(Interval(AWAKE, Span(at, span.end_utc_s)))
    return pieces


def _joined(pieces: Iterable[Interval]) -> tuple[Interval, ...]:
    """Neighbours of one state made one interval."""
    joined: list[Interval] = []
    for piece in pieces:
        if joined and joined[-1].state == piece.state and joined[-1].span.end_utc_s == piece.span.start_utc_s:
            before = joined[-1]
            joined[-1] = Interval(
                piece.state,
                Span(before.span.start_utc_s, piece.span.end_utc_s),
                before.sleep_epochs + piece.sleep_epochs,
            )
        else:
            joined.append(piece)
    return tuple(joined)


def _within(spans: Iterable[Span], limits: Span) -> list[Span]:
    """The parts of `spans` inside `limits`, in order, overlapping or touching ones merged."""
    parts: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_utc_s):
        start, end = max(span.start_utc_s, limits.start_utc_s), min(span.end_utc_s, limits.end_utc_s)
        if end <= start:
            continue
        if parts and start <= parts[-1].end_utc_s:
            parts[-1] = Span(parts[-1].start_utc_s, max(end, parts[-1].end_utc_s))
        else:
            parts.append(Span(start, end))
    return parts


def _without(span: Span, holes: Iterable[Span]) -> list[Span]:
    """What is left of `span` outside `holes` (ordered, disjoint)."""
    left: list[Span] = []
    at = span.start_utc_s
    for hole in holes:
        if hole.end_utc_s <= at or hole.start_utc_s >= span.end_utc_s:
            continue
        if hole.start_utc_s > at:
            left.append(Span(at, hole.start_utc_s))
        at = hole.end_utc_s
    if at < span.end_utc_s:
        left.append(Span(at, span.end_utc_s))
    return left
