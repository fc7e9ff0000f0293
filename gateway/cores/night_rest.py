"""Which rest is the night: noon to noon, gaps, the night window (NIGHT_REPORT.md, "Which time is the night")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.cores.night_facts import NightFacts, Span

GAP_JOINED_S_MAX = 2 * 3600
PRESENCE_IN_WINDOW_S_MIN = 60 * 60
NOON = time(12, 0)


@dataclass(frozen=True, slots=True)
class Rest:
    """The night's presences in order, touching ones merged; which of its ends are not a real bed entry or rise."""

    presences: tuple[Span, ...]
    in_bed_known: bool
    rise_known: bool
    still_running: bool

    @property
    def span(self) -> Span:
        return Span(self.presences[0].start_utc_s, self.presences[-1].end_utc_s)

    @property
    def gaps(self) -> tuple[Span, ...]:
        return tuple(
            Span(before.end_utc_s, after.start_utc_s)
            for before, after in zip(self.presences, self.presences[1:], strict=False)
        )


def local_to_utc_s(day: date, at: time, zone: ZoneInfo) -> int:
    """UTC second of a local day and time; an ambiguous one is its first, a skipped one moves on by the jump."""
    return int(datetime.combine(day, at, zone).astimezone(UTC).timestamp())


def considered_span(facts: NightFacts) -> Span:
    """D-1 12:00 to D 12:00 local."""
    zone = ZoneInfo(facts.timezone)
    return Span(
        local_to_utc_s(facts.night_of - timedelta(days=1), NOON, zone), local_to_utc_s(facts.night_of, NOON, zone)
    )


def window_span(facts: NightFacts) -> Span:
    """The resident's night window of this night: a time from noon on belongs to D-1, an earlier one to D.

    An end of 12:00 is noon of D: the window lies between the two noons, whatever its edges.
    """
    zone = ZoneInfo(facts.timezone)
    evening = facts.night_of - timedelta(days=1)
    start, end = facts.night_window
    return Span(
        local_to_utc_s(evening if start >= NOON else facts.night_of, start, zone),
        local_to_utc_s(evening if end > NOON else facts.night_of, end, zone),
    )


def overlap_s(span: Span, spans: Iterable[Span]) -> int:
    """Seconds of `span` covered by `spans` (disjoint among themselves)."""
    return sum(
        max(0, min(span.end_utc_s, other.end_utc_s) - max(span.start_utc_s, other.start_utc_s)) for other in spans
    )


@dataclass(frozen=True, slots=True)
class _Bout:
    span: Span
    cut_start: bool
    cut_end: bool
    running: bool


def find_night(facts: NightFacts) -> Rest | None:
    """The rest that is the night, or None: no rest has 60 min of presence inside the night window."""
    window = window_span(facts)
    rests = _rests(_bouts(facts), window)
    # No tie is possible: a gap between two presences that both reach into the window lies inside it, and joins them.
    best = max(rests, key=lambda rest: _presence_in(window, rest), default=None)
    if best is None or _presence_in(window, best) < PRESENCE_IN_WINDOW_S_MIN:
        return None
    return Rest(
        presences=_merged(bout.span for bout in best),
        in_bed_known=not best[0].cut_start,
        rise_known=not (best[-1].cut_end or best[-1].running),
        still_running=best[-1].running,
    )


def _presence_in(window: Span, rest: Sequence[_Bout]) -> int:
    return overlap_s(window, (bout.span for bout in rest))


def _bouts(facts: NightFacts) -> list[_Bout]:
    """Presences cut to noon and noon, and to `as_of`: what happened later is not known yet."""
    noons = considered_span(facts)
    as_of = noons.end_utc_s if facts.as_of_utc_s is None else facts.as_of_utc_s
    last = min(noons.end_utc_s, as_of)
    bouts = []
    for presence in sorted(facts.occupancy, key=lambda p: p.start_utc_s):
        end = as_of if presence.end_utc_s is None else presence.end_utc_s
        # An explicit end after noon is a cut, not a presence that still runs: nothing the night looks at can change.
        running = presence.end_utc_s is None or (presence.end_utc_s > as_of and as_of < noons.end_utc_s)
        span = Span(max(presence.start_utc_s, noons.start_utc_s), min(end, last))
        if span.seconds > 0:
            bouts.append(_Bout(span, presence.start_utc_s < noons.start_utc_s, end > noons.end_utc_s, running))
    return bouts


def _rests(bouts: Sequence[_Bout], window: Span) -> list[list[_Bout]]:
    rests: list[list[_Bout]] = []
    for bout in bouts:
        if rests and _joined(rests[-1][-1].span.end_utc_s, bout.span.start_utc_s, window):
            rests[-1].append(bout)
        else:
            rests.append([bout])
    return rests


def _joined(gap_start: int, gap_end: int, window: Span) -> bool:
    inside_window = window.start_utc_s <= gap_start and gap_end <= window.end_utc_s
    return gap_end - gap_start <= GAP_JOINED_S_MAX or inside_window


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Ordered spans, those that touch made one: leaving for 0 s is no exit."""
    merged: list[Span] = []
    for span in spans:
        if merged and span.start_utc_s <= merged[-1].end_utc_s:
            merged[-1] = Span(merged[-1].start_utc_s, max(merged[-1].end_utc_s, span.end_utc_s))
        else:
            merged.append(span)
    return tuple(merged)
