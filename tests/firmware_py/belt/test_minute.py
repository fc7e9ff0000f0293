"""A minute record adds up what sixty reports said, and invents nothing."""

from __future__ import annotations

from firmware_py.belt.minute import Minute
from protocol.wire import frames

# (occupancy, reason, heart, heart quality, heart reason, breath, quality, reason, movement, turn-over, weak, flags)
QUIET: tuple[int, ...] = (2, 0, 620, 80, 0, 150, 70, 0, 0, 0, 0, 0)
EMPTY: tuple[int, ...] = (0, 0, -1, 0, 1, -1, 0, 1, 0, 0, 0, 0)


def _record(seconds: list[tuple[int, ...]]) -> dict[str, int]:
    minute = Minute()
    full = [minute.add(second) for second in seconds]
    assert full == [False] * 59 + [True]
    names = frames.RECORDS[frames.RECORD_MINUTE][2]
    values = frames.decode_record(frames.RECORD_MINUTE, minute.body())
    assert values is not None
    return dict(zip(names, values, strict=True))


def _with(second: tuple[int, ...], **changes: int) -> tuple[int, ...]:
    places = {"heart": 2, "heart_reason": 4, "movement": 8, "turn_over": 9, "weak": 10, "flags": 11}
    values = list(second)
    for name, value in changes.items():
        values[places[name]] = value
    return tuple(values)


def test_seconds_are_counted_by_state() -> None:
    record = _record([QUIET] * 40 + [EMPTY] * 20)
    assert (record["occupied_s"], record["empty_s"], record["unclear_s"]) == (40, 20, 0)


def test_rates_are_averaged_over_the_seconds_that_have_them() -> None:
    record = _record([QUIET] * 20 + [_with(QUIET, heart=640)] * 20 + [EMPTY] * 20)
    got = [record[name] for name in ("heart_dbpm_mean", "heart_dbpm_min", "heart_dbpm_max", "heart_valid_s")]
    assert got == [630, 620, 640, 40]


def test_a_minute_without_a_rate_has_none() -> None:
    record = _record([EMPTY] * 60)
    assert (record["heart_dbpm_mean"], record["respiration_dpm_max"]) == (frames.ABSENT_16, frames.ABSENT_16)
    assert (record["heart_valid_s"], record["respiration_valid_s"]) == (0, 0)


def test_movement_is_kept_by_half_minute() -> None:
    moving = _with(QUIET, movement=70, flags=frames.FLAG_MOVING)
    record = _record([QUIET] * 25 + [moving] * 10 + [QUIET] * 25)
    half_minutes = (record["moving_first_half_s"], record["moving_second_half_s"])
    assert (half_minutes, record["movement_peak"]) == ((5, 5), 70)


def test_turn_overs_irregular_weak_and_faulty_seconds_are_counted() -> None:
    odd = [
        _with(QUIET, turn_over=1),
        _with(QUIET, heart=-1, heart_reason=frames.REASON_IRREGULAR),
        _with(QUIET, weak=1),
        _with(QUIET, flags=frames.FLAG_SENSOR_FAULT),
    ]
    record = _record(odd + [QUIET] * 56)
    got = [record[name] for name in ("turn_overs", "irregular_s", "weak_breath_s", "fault_s")]
    assert got == [1, 1, 1, 1]


def test_the_next_minute_starts_from_nothing() -> None:
    minute = Minute()
    for _ in range(60):
        minute.add(_with(QUIET, movement=90, turn_over=1))
    minute.body()
    for _ in range(60):
        minute.add(EMPTY)
    values = frames.decode_record(frames.RECORD_MINUTE, minute.body())
    assert values is not None
    assert values[0] == 0
    assert values[13:15] == (0, 0)
