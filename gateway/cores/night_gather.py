"""From what the store keeps to the facts of a night: seconds, minutes and belt records of one bed, on UTC seconds.

Each second of the 24 h has one byte: what the belt said then. Readings fill their seconds; a minute fetched from the
belt's ring fills what readings left open; an occupancy record dates its change back to when it happened. Memory stays
at one byte a second, however many chunks are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from gateway.cores.night_facts import Alarm, Minute, NightFacts, PastNight, Presence, Span
from gateway.cores.night_rest import considered_span
from protocol.batch import Minute as StoredMinute
from protocol.batch import VitalsChunk
from protocol.messages import OCCUPANCIES
from protocol.wire.frames import EMPTY, FLAG_SENSOR_FAULT, OCCUPIED

__all__ = ["Gatherer", "minutes_of", "night_of"]

NO_DATA = 0  # a covered second holds 1 + its occupancy
SILENT_S_MIN = 5  # shorter holes are lost packets, not a silent belt
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class _Change:
    """The belt's state was `state` from `from_s` on."""

    from_s: int
    known_s: int
    state: int


def night_of(utc_s: int, timezone: str) -> date:
    """The waking date of the noon-to-noon span that an instant lies in."""
    from datetime import UTC, datetime

    local = datetime.fromtimestamp(utc_s, UTC).astimezone(ZoneInfo(timezone))
    return local.date() + timedelta(days=1) if local.hour >= 12 else local.date()


def minutes_of(chunks: Iterable[VitalsChunk]) -> tuple[Minute, ...]:
    """The minute records of chunks in any order, ascending; of a doubled one the last that was given."""
    return _minutes({chunk.start_utc_ms // 1000: chunk.minute for chunk in chunks if chunk.minute is not None})


class Gatherer:
    """Takes chunks and records of one bed in any order, doubled ones too; gives the night's facts."""

    def __init__(self, timezone: str, night: date, exit_confirm_s: int, entry_confirm_s: int) -> None:
        self._timezone = timezone
        self._night = night
        self._exit_confirm_s = exit_confirm_s
        self._entry_confirm_s = entry_confirm_s
        span = considered_span(NightFacts(timezone, night, ()))
        self._start_s, self._end_s = span.start_utc_s, span.end_utc_s
        self._said = bytearray(self._end_s - self._start_s)
        self._minutes: dict[int, StoredMinute] = {}
        self._changes: list[_Change] = []

    @property
    def span(self) -> Span:
        """Noon to noon."""
        return Span(self._start_s, self._end_s)

    def chunk(self, chunk: VitalsChunk) -> None:
        """A stored chunk; a second with a sensor fault is a second without data."""
        zero_s = chunk.start_utc_ms // 1000 - chunk.start_second
        for reading in chunk.readings:
            if not reading.flags & FLAG_SENSOR_FAULT:
                self._say(zero_s + reading.second, 1 + reading.occupancy)
        if chunk.minute is not None:
            self._minutes[chunk.start_utc_ms // 1000] = chunk.minute

    def occupancy(self, utc_s: int, new_state: str, state_age_s: int) -> None:
        """An occupancy record of the belt's ring, written at `utc_s`."""
        if new_state in OCCUPANCIES:
            self._changes.append(_Change(utc_s - state_age_s, utc_s, OCCUPANCIES.index(new_state)))

    def facts(
        self,
        as_of_utc_s: int | None,
        assists: Sequence[Span],
        alarms: Sequence[Alarm],
        history: Sequence[PastNight],
        version: int,
    ) -> NightFacts:
        """The facts of the night as known at `as_of_utc_s` (None: all of it has passed)."""
        self._fill_minutes()
        until_s = self._end_s if as_of_utc_s is None else max(self._start_s, min(self._end_s, as_of_utc_s))
        return NightFacts(
            timezone=self._timezone,
            night_of=self._night,
            occupancy=tuple(self._presences(until_s, as_of_utc_s is not None and until_s < self._end_s)),
            as_of_utc_s=None if as_of_utc_s is None else until_s,
            silences=tuple(self._silences(until_s)),
            assists=_merged(assists),
            minutes=_minutes(self._minutes),
            alarms=tuple(alarms),
            history=tuple(history),
            report_version=version,
        )

    # -- inside ------------------------------------------------------------------------------------------------------

    def _say(self, utc_s: int, value: int) -> None:
        if self._start_s <= utc_s < self._end_s:
            self._said[utc_s - self._start_s] = value

    def _fill_minutes(self) -> None:
        """Seconds that only a minute record covers, then the back-dated changes over everything."""
        changes = sorted(self._changes, key=lambda change: (change.from_s, change.known_s))
        for at, minute in sorted(self._minutes.items()):
            if minute.fault_s >= MINUTE_S:
                continue
            likely = OCCUPIED if minute.occupied_s >= minute.empty_s else EMPTY
            for second in range(max(at, self._start_s), min(at + MINUTE_S, self._end_s)):
                if self._said[second - self._start_s] == NO_DATA:
                    self._say(second, 1 + likely)
            if minute.occupied_s < MINUTE_S and minute.empty_s < MINUTE_S:
                self._replay(changes, at)
        for change in changes:
            for second in range(change.from_s, change.known_s):
                self._say(second, 1 + change.state)

    def _replay(self, changes: Sequence[_Change], at: int) -> None:
        """A mixed minute without its readings: the records say when it changed."""
        for change in changes:
            if at <= change.from_s < at + MINUTE_S:
                for second in range(change.from_s, at + MINUTE_S):
                    self._say(second, 1 + change.state)

    def _presences(self, until_s: int, may_run_on: bool) -> list[Presence]:
        """In bed from occupied to empty; unclear and silence keep what was; what was too short to confirm is joined."""
        spans: list[Span] = []
        for start, end in self._occupied_runs(until_s):
            if spans and start - spans[-1].end_utc_s < self._exit_confirm_s:
                spans[-1] = Span(spans[-1].start_utc_s, end)
            elif end - start >= self._entry_confirm_s:
                spans.append(Span(start, end))
        # In bed in the first second after noon, or the last before it: the night cuts a presence that reaches beyond.
        if spans and spans[0].start_utc_s == self._start_s:
            spans[0] = Span(self._start_s - 1, spans[0].end_utc_s)
        if spans and spans[-1].end_utc_s == self._end_s:
            spans[-1] = Span(spans[-1].start_utc_s, self._end_s + 1)
        running = bool(may_run_on and spans and spans[-1].end_utc_s == until_s)
        return [Presence(span.start_utc_s, None if running and span is spans[-1] else span.end_utc_s) for span in spans]

    def _occupied_runs(self, until_s: int) -> Iterator[tuple[int, int]]:
        begun: int | None = None
        for offset in range(until_s - self._start_s):
            said = self._said[offset]
            if begun is None and said == 1 + OCCUPIED:
                begun = self._start_s + offset
            elif begun is not None and said == 1 + EMPTY:
                yield begun, self._start_s + offset
                begun = None
        if begun is not None:
            yield begun, until_s

    def _silences(self, until_s: int) -> Iterator[Span]:
        begun: int | None = None
        for offset in range(until_s - self._start_s + 1):
            silent = offset < until_s - self._start_s and self._said[offset] == NO_DATA
            if silent and begun is None:
                begun = offset
            elif not silent and begun is not None:
                if offset - begun >= SILENT_S_MIN:
                    yield Span(self._start_s + begun, self._start_s + offset)
                begun = None


def _minutes(stored: Mapping[int, StoredMinute]) -> tuple[Minute, ...]:
    return tuple(_minute(at, minute) for at, minute in sorted(stored.items()))


def _minute(at: int, stored: StoredMinute) -> Minute:
    first, second = stored.moving_first_half_s, stored.moving_second_half_s
    return Minute(
        at_utc_s=at,
        heart_rate_bpm=stored.heart_rate_bpm,
        respiration_per_min=stored.respiration_per_min,
        movement_s=first + second,
        turn_overs=stored.turn_overs,
        movement_halves_s=(first, second),
        heart_rate_reason=_reason(stored),
        weak_breath_s=stored.weak_breath_s,
    )


def _reason(stored: StoredMinute) -> str | None:
    if stored.heart_rate_bpm is not None:
        return ""
    return "irregular" if stored.irregular_s else None


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_utc_s):
        if merged and span.start_utc_s <= merged[-1].end_utc_s:
            merged[-1] = Span(merged[-1].start_utc_s, max(merged[-1].end_utc_s, span.end_utc_s))
        else:
            merged.append(span)
    return tuple(merged)
