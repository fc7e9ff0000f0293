"""CPython faces of the wire's tuples: frozen dataclasses with units in their names and None for what is absent.

Built from `protocol.wire.frames` tuples; a value that the wire allows but the product does not is a FrameError here, so
a decoded message is a believable one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from protocol.wire import frames
from protocol.wire.frames import FrameError

Occupancy = Literal["empty", "unclear", "occupied"]
Reason = Literal["", "no_signal", "irregular", "moving", "weak", "sensor_fault"]

OCCUPANCIES: tuple[Occupancy, ...] = ("empty", "unclear", "occupied")
REASONS: tuple[Reason, ...] = ("", "no_signal", "irregular", "moving", "weak", "sensor_fault")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a belt says of itself when a session begins."""

    serial: bytes
    belt_nonce: bytes
    belt_proof: bytes
    model: int
    boot_id: int
    uptime_ms: int
    features: int
    firmware: tuple[int, int, int]
    record_seq: int
    oldest_seq: int
    claimed: bool


@dataclass(frozen=True, slots=True)
class LiveReport:
    """One second as the belt judged it; rates are reference values that describe about five seconds ago."""

    occupancy: Occupancy
    occupancy_reason: int
    state_age_s: int
    exit_count: int
    record_seq: int
    boot_id: int
    uptime_ms: int
    heart_rate_bpm: float | None
    heart_quality: int
    heart_reason: Reason
    respiration_per_min: float | None
    respiration_quality: int
    respiration_reason: Reason
    movement: int
    turn_over_count: int
    battery_percent: int | None
    mains: bool
    flags: int


@dataclass(frozen=True, slots=True)
class BeaconReport:
    """The status beacon's content; counts and ids are low bits only (exit_count 8, boot_id and record_seq 16)."""

    occupancy: Occupancy
    state_age_s: int
    exit_count_low: int
    heart_rate_bpm: float | None
    heart_quality: int
    heart_reason: Reason
    respiration_per_min: float | None
    respiration_quality: int
    respiration_reason: Reason
    battery_percent: int | None
    mains: bool
    boot_id_low: int
    record_seq_low: int
    movement: int
    flags: int


@dataclass(frozen=True, slots=True)
class Record:
    """What every record of the belt's ring begins with; `seq` rises by one for ever, over boots too."""

    seq: int
    boot_id: int
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class MinuteRecord(Record):
    """The 60 s that end at `uptime_ms`."""

    occupied_s: int
    empty_s: int
    unclear_s: int
    heart_rate_bpm_mean: float | None
    heart_rate_bpm_min: float | None
    heart_rate_bpm_max: float | None
    heart_valid_s: int
    respiration_per_min_mean: float | None
    respiration_per_min_min: float | None
    respiration_per_min_max: float | None
    respiration_valid_s: int
    moving_first_half_s: int
    moving_second_half_s: int
    movement_peak: int
    turn_overs: int
    irregular_s: int
    weak_breath_s: int
    fault_s: int


@dataclass(frozen=True, slots=True)
class OccupancyRecord(Record):
    """A change of the belt's classification; `state_age_s` is how long the new state had lasted when recognised."""

    old_state: Occupancy
    new_state: Occupancy
    reason: int
    state_age_s: int
    exit_count: int


@dataclass(frozen=True, slots=True)
class AbsenceRecord(Record):
    """A finished absence, on the belt's uptime."""

    ended_uptime_ms: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class FaultRecord(Record):
    """A fault the belt saw in itself."""

    code: int
    value: int


@dataclass(frozen=True, slots=True)
class BootRecord(Record):
    """The belt started, and why."""

    reset_cause: int
    firmware: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TurnOverRecord(Record):
    """A turn-over, recognised at `uptime_ms`."""

    strength: int


@dataclass(frozen=True, slots=True)
class UnknownRecord(Record):
    """A record of a kind that a newer belt writes: its seq is kept, so it is acknowledged and not asked for again."""

    record_kind: int
    body: bytes


AnyRecord = (
    MinuteRecord | OccupancyRecord | AbsenceRecord | FaultRecord | BootRecord | TurnOverRecord | UnknownRecord
)


def _rate(tenths: int) -> float | None:
    return None if tenths == frames.ABSENT_16 else tenths / 10


def _occupancy(code: int) -> Occupancy:
    if code >= len(OCCUPANCIES):
        raise FrameError("occupancy")
    return OCCUPANCIES[code]


def _reason(code: int) -> Reason:
    if code >= len(REASONS):
        raise FrameError("reason")
    return REASONS[code]


def _percent(value: int, what: str) -> int:
    if value > 100:
        raise FrameError(what)
    return value


def _battery(code: int) -> tuple[int | None, bool]:
    if code in (frames.ABSENT_8, frames.MAINS_POWERED):
        return None, code == frames.MAINS_POWERED
    return _percent(code, "battery"), False


def hello_from(values: tuple[Any, ...]) -> Hello:
    """Hello from the fixed fields of a HELLO frame."""
    (serial, nonce, proof, model, boot_id, uptime_ms, features, major, minor, patch, record_seq, oldest_seq,
     claimed) = values
    return Hello(serial, nonce, proof, model, boot_id, uptime_ms, features, (major, minor, patch), record_seq,
                 oldest_seq, bool(claimed))


def report_from(values: tuple[Any, ...]) -> LiveReport:
    """LiveReport from the fixed fields of a REPORT frame; FrameError where a value is out of its range."""
    (occupancy, occupancy_reason, state_age_s, exit_count, record_seq, boot_id, uptime_ms, heart, heart_quality,
     heart_reason, breath, breath_quality, breath_reason, movement, turn_overs, battery, flags) = values
    percent, mains = _battery(battery)
    return LiveReport(
        _occupancy(occupancy), occupancy_reason, state_age_s, exit_count, record_seq, boot_id, uptime_ms,
        _rate(heart), _percent(heart_quality, "heart_quality"), _reason(heart_reason),
        _rate(breath), _percent(breath_quality, "respiration_quality"), _reason(breath_reason),
        _percent(movement, "movement"), turn_overs, percent, mains, flags,
    )


def beacon_counter_said(data: bytes) -> int:
    """The counter that a beacon's data (protocol.wire.beacon.seal) say they have; nobody has proved it."""
    return int.from_bytes(data[1:5], "little")


def beacon_from(values: tuple[Any, ...]) -> BeaconReport:
    """BeaconReport from a beacon tuple (beacon.FIELDS order); FrameError where a value is out of its range."""
    (occupancy, heart_reason, breath_reason, state_age_s, exit_count, heart, breath, heart_quality, breath_quality,
     battery, boot_low, seq_low, movement, flags) = values
    percent, mains = _battery(battery)
    return BeaconReport(
        _occupancy(occupancy), state_age_s, exit_count,
        float(heart) if heart else None, heart_quality * 100 // 15, _reason(heart_reason),
        breath / 2 if breath else None, breath_quality * 100 // 15, _reason(breath_reason),
        percent, mains, boot_low, seq_low, _percent(movement, "movement"), flags,
    )


def record_from(values: tuple[Any, ...], body: bytes) -> AnyRecord:
    """The ring record of a RECORD frame (fixed fields, tail); FrameError if its body is not of its kind."""
    seq, boot_id, uptime_ms, record_kind = values
    fields = frames.decode_record(record_kind, body)
    if fields is None:
        return UnknownRecord(seq, boot_id, uptime_ms, record_kind, bytes(body))
    if record_kind == frames.RECORD_MINUTE:
        return _minute(seq, boot_id, uptime_ms, fields)
    if record_kind == frames.RECORD_OCCUPANCY:
        old, new, reason, age, exits = fields
        return OccupancyRecord(seq, boot_id, uptime_ms, _occupancy(old), _occupancy(new), reason, age, exits)
    if record_kind == frames.RECORD_ABSENCE:
        return AbsenceRecord(seq, boot_id, uptime_ms, *fields)
    if record_kind == frames.RECORD_FAULT:
        return FaultRecord(seq, boot_id, uptime_ms, *fields)
    if record_kind == frames.RECORD_BOOT:
        cause, major, minor, patch = fields
        return BootRecord(seq, boot_id, uptime_ms, cause, (major, minor, patch))
    assert record_kind == frames.RECORD_TURN_OVER
    return TurnOverRecord(seq, boot_id, uptime_ms, fields[0])


def _minute(seq: int, boot_id: int, uptime_ms: int, fields: tuple[int, ...]) -> MinuteRecord:
    (occupied, empty, unclear, heart_mean, heart_min, heart_max, heart_valid, breath_mean, breath_min, breath_max,
     breath_valid, first_half, second_half, peak, turn_overs, irregular, weak, fault) = fields
    if occupied + empty + unclear > 60 or first_half > 30 or second_half > 30:
        raise FrameError("minute")
    return MinuteRecord(
        seq, boot_id, uptime_ms, occupied, empty, unclear, _rate(heart_mean), _rate(heart_min), _rate(heart_max),
        heart_valid, _rate(breath_mean), _rate(breath_min), _rate(breath_max), breath_valid, first_half, second_half,
        _percent(peak, "movement_peak"), turn_overs, irregular, weak, fault,
    )
