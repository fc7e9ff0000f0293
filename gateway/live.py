"""The lossy picture of all beds that the platform shows between two batches."""

from __future__ import annotations

from gateway.board_port import BoardPort
from protocol.batch import LiveBed, LiveSnapshot
from protocol.messages import REASONS

__all__ = ["live_snapshot"]


def live_snapshot(port: BoardPort, gateway_id: str, test_alarm: tuple[str, str] = ("", "")) -> LiveSnapshot:
    """The lossy snapshot for the platform, from the same words that the wall board shows.

    `test_alarm`: (bed, id) of a walk test's alarm that waits for an answer.
    """
    snapshot = port.snapshot()
    offset_ms = snapshot["utc_ms"] - snapshot["elapsed_ms"]

    def utc(elapsed_ms: int | None) -> int:
        return 0 if elapsed_ms is None else max(0, elapsed_ms + offset_ms)

    beds = []
    for bed in snapshot["beds"]:
        heart, breath, belt = bed["heart"], bed["respiration"], bed["belt"]
        open_alarm = bed["alarm"]["state"] != "none"
        beds.append(LiveBed(
            bed=bed["bed"],
            state=bed["state"],
            belt=belt["id"] if belt is not None else "",
            mode=bed["mode"],
            alarm=bed["alarm"]["state"],
            level=bed["alarm"]["level"] if open_alarm else 0,
            priority=bed["alarm"]["priority"] if open_alarm else "",
            out_since_utc_ms=utc(bed["out_since_ms"]),
            heard_utc_ms=utc(belt["last_heard_ms"]) if belt is not None else 0,
            heart_rate_bpm=None if heart["value"] is None else round(heart["value"]),
            heart_reason=_reason(heart["reason"]),
            respiration_per_min=None if breath["value"] is None else round(breath["value"]),
            respiration_reason=_reason(breath["reason"]),
            movement=bed["movement"] or 0,
            watched=bed["watched"],
            why_unwatched=bed["unwatched_reason"] or "",
            battery_percent=-1 if belt is None or belt["battery_percent"] is None else belt["battery_percent"],
            test_alarm_id=test_alarm[1] if bed["bed"] == test_alarm[0] else "",
        ))
    return LiveSnapshot(gateway_id, max(0, snapshot["utc_ms"]), snapshot["time_trusted"], tuple(beds))


def _reason(word: str | None) -> int:
    if word is None:
        return 0
    return REASONS.index(word) if word in REASONS else REASONS.index("no_signal")
