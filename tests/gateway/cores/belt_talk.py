"""What a belt might say, with defaults, for tests of the cores that listen to it."""

from __future__ import annotations

from typing import Any

from protocol.messages import BeaconReport, Hello, LiveReport, MinuteRecord, OccupancyRecord

SERIAL = bytes.fromhex("0011223344556677")


def report(uptime_s: float, occupancy: Any = "occupied", age_s: int = 100, **changes: Any) -> LiveReport:
    values: dict[str, Any] = {
        "occupancy": occupancy, "occupancy_reason": 0, "state_age_s": age_s, "exit_count": 0, "record_seq": 0,
        "boot_id": 1, "uptime_ms": round(uptime_s * 1000), "heart_rate_bpm": 61.5, "heart_quality": 80,
        "heart_reason": "", "respiration_per_min": 14.5, "respiration_quality": 70, "respiration_reason": "",
        "movement": 3, "turn_over_count": 0, "battery_percent": 90, "mains": False, "flags": 0,
    }  # fmt: skip
    return LiveReport(**(values | changes))


def beacon(occupancy: Any = "occupied", age_s: int = 100, **changes: Any) -> BeaconReport:
    values: dict[str, Any] = {
        "occupancy": occupancy, "state_age_s": age_s, "exit_count_low": 0, "heart_rate_bpm": 60.0, "heart_quality": 80,
        "heart_reason": "", "respiration_per_min": 14.0, "respiration_quality": 70, "respiration_reason": "",
        "battery_percent": 90, "mains": False, "boot_id_low": 1, "record_seq_low": 0, "movement": 3, "flags": 0,
    }  # fmt: skip
    return BeaconReport(**(values | changes))


def hello(
    record_seq: int = 0, oldest_seq: int = 1, boot_id: int = 1, uptime_s: float = 0.0, features: int = 0
) -> Hello:
    return Hello(SERIAL, bytes(16), bytes(8), 1, boot_id, round(uptime_s * 1000), features, (0, 1, 0), record_seq,
                 oldest_seq, False)


def minute(seq: int, uptime_s: int, boot_id: int = 1, **changes: Any) -> MinuteRecord:
    values: dict[str, Any] = {
        "occupied_s": 60, "empty_s": 0, "unclear_s": 0, "heart_rate_bpm_mean": 60.4, "heart_rate_bpm_min": 55.0,
        "heart_rate_bpm_max": 70.0, "heart_valid_s": 50, "respiration_per_min_mean": 14.2,
        "respiration_per_min_min": 12.0, "respiration_per_min_max": 17.0, "respiration_valid_s": 55,
        "moving_first_half_s": 1, "moving_second_half_s": 2, "movement_peak": 30, "turn_overs": 1, "irregular_s": 0,
        "weak_breath_s": 0, "fault_s": 0,
    }  # fmt: skip
    return MinuteRecord(seq, boot_id, uptime_s * 1000, **(values | changes))


def occupancy_record(seq: int, uptime_s: int, old: Any, new: Any, age_s: int = 6, boot_id: int = 1) -> OccupancyRecord:
    return OccupancyRecord(seq, boot_id, uptime_s * 1000, old, new, 0, age_s, 1)
