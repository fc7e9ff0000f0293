"""A belt's live reports gathered into chunks: each accepted report is in exactly one, a chunk closes with its minute.

The belt writes a minute record each 60 s; when it arrives in order, the chunk of those seconds carries it. A minute
that comes from the belt's history travels alone. Where no minute records come a chunk closes after `SPAN_S_MAX`.
"""

from __future__ import annotations

from dataclasses import replace

from protocol.batch import Minute, Reading, VitalsChunk, chunk_of
from protocol.messages import OCCUPANCIES, REASONS, LiveReport, MinuteRecord

__all__ = ["Assembler", "minute_of", "reading_of"]

SPAN_S_MAX = 90  # a minute and the time in which its record should have come
MINUTE_S = 60
RATE_MAX = 400
HOLD_BPM = 0.7


class Assembler:
    """The open chunk of one belt. `utc0_ms` is the wall time of belt uptime 0, as known when the chunk is closed."""

    def __init__(self, bed: str, belt: str) -> None:
        self._bed = bed
        self._belt = belt
        self._boot_id = 0
        self._readings: list[Reading] = []
        self._turn_overs: int | None = None
        self._utc0_ms = 0
        self._trusted = False

    def report(self, report: LiveReport, utc0_ms: int, trusted: bool) -> list[VitalsChunk]:
        """Take one accepted report; the chunks that it closes (another boot, or an overlong wait for a minute)."""
        closed = []
        if report.boot_id != self._boot_id:
            closed += self.close()
            self._boot_id = report.boot_id
            self._turn_overs = None
        if self._readings and report.uptime_ms // 1000 - self._readings[0].second >= SPAN_S_MAX:
            closed += self.close()
        reading = reading_of(report, self._turn_overs, self._readings[-1] if self._readings else None)
        self._turn_overs = report.turn_over_count
        if self._readings and reading.second <= self._readings[-1].second:
            # An occupancy change is reported at once, so a second may hold two reports; none may vanish.
            reading = replace(reading, second=self._readings[-1].second + 1)
        self._readings.append(reading)
        self._utc0_ms, self._trusted = utc0_ms, trusted
        return closed

    def minute(self, record: MinuteRecord, utc0_ms: int, trusted: bool) -> list[VitalsChunk]:
        """Take a minute record; the chunks it closes: the open one with it, or one of the record alone."""
        end = record.uptime_ms // 1000
        start = max(0, end - MINUTE_S)
        inside = [r for r in self._readings if start <= r.second <= end] if record.boot_id == self._boot_id else []
        if not inside:
            return [VitalsChunk(self._bed, self._belt, record.boot_id, start, max(0, utc0_ms + start * 1000),
                                trusted, MINUTE_S, (), minute_of(record))]
        before = [r for r in self._readings if r.second < start]
        self._readings = [r for r in self._readings if r.second > end]
        closed = [self._chunk(before)] if before else []
        span_s = max(MINUTE_S, inside[-1].second - start + 1)
        closed.append(VitalsChunk(self._bed, self._belt, record.boot_id, start, max(0, utc0_ms + start * 1000), trusted,
                                  span_s, tuple(inside), minute_of(record)))
        return closed

    def close(self) -> list[VitalsChunk]:
        """The open chunk, if it holds anything: at the end, at a reboot of the belt, when its link is gone."""
        if not self._readings:
            return []
        readings, self._readings = self._readings, []
        return [self._chunk(readings)]

    def open_readings(self) -> int:
        """Readings that no chunk holds yet."""
        return len(self._readings)

    def _chunk(self, readings: list[Reading]) -> VitalsChunk:
        return chunk_of(self._bed, self._belt, self._boot_id, max(0, self._utc0_ms), self._trusted, readings)


def reading_of(report: LiveReport, turn_overs_before: int | None, before: Reading | None = None) -> Reading:
    """The report as the cloud keeps it; turn-overs count from the report before (None: unknown, so none).

    Its heart rate is the whole number of the reading before while the belt's rate lies within HOLD_BPM of it: a rate
    near a half would else cross it every few seconds, which says nothing and costs a tenth of the uplink.
    """
    turned = 0 if turn_overs_before is None else (report.turn_over_count - turn_overs_before) & 0xFFFF
    return Reading(
        second=report.uptime_ms // 1000,
        occupancy=OCCUPANCIES.index(report.occupancy),
        occupancy_reason=report.occupancy_reason,
        heart_rate_bpm=_held(report.heart_rate_bpm, before.heart_rate_bpm if before else None),
        heart_quality=report.heart_quality,
        heart_reason=_reason(report.heart_rate_bpm, report.heart_reason),
        respiration_per_min=_rate(report.respiration_per_min),
        respiration_quality=report.respiration_quality,
        respiration_reason=_reason(report.respiration_per_min, report.respiration_reason),
        movement=report.movement,
        turn_overs=turned if turned < 256 else 0,
        flags=report.flags,
    )


def minute_of(record: MinuteRecord) -> Minute:
    """The belt's minute record as the cloud keeps it: whole rates, None with no valid second."""
    return Minute(
        occupied_s=record.occupied_s,
        empty_s=record.empty_s,
        unclear_s=record.unclear_s,
        heart_rate_bpm=_rate(record.heart_rate_bpm_mean),
        heart_rate_bpm_min=_rate(record.heart_rate_bpm_min),
        heart_rate_bpm_max=_rate(record.heart_rate_bpm_max),
        heart_valid_s=min(MINUTE_S, record.heart_valid_s),
        respiration_per_min=_rate(record.respiration_per_min_mean),
        respiration_per_min_min=_rate(record.respiration_per_min_min),
        respiration_per_min_max=_rate(record.respiration_per_min_max),
        respiration_valid_s=min(MINUTE_S, record.respiration_valid_s),
        moving_first_half_s=record.moving_first_half_s,
        moving_second_half_s=record.moving_second_half_s,
        turn_overs=min(MINUTE_S, record.turn_overs),
        irregular_s=min(MINUTE_S, record.irregular_s),
        weak_breath_s=min(MINUTE_S, record.weak_breath_s),
        fault_s=min(MINUTE_S, record.fault_s),
    )


def _rate(value: float | None) -> int | None:
    return None if value is None else min(RATE_MAX, int(value + 0.5))


def _held(value: float | None, shown: int | None) -> int | None:
    return shown if value is not None and shown is not None and abs(value - shown) <= HOLD_BPM else _rate(value)


def _reason(value: float | None, reason: str) -> int:
    if value is not None:
        return 0
    # A belt that gives neither a rate nor a reason has no signal as far as anybody can tell.
    return REASONS.index(reason) or REASONS.index("no_signal")
