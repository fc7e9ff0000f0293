"""The values behind protocol/vectors/batch.json; `python -m tests.protocol.batch_vectors` writes the file anew.

The file is what a receiver in another language tests itself with: bytes in hex, and what they mean as plain JSON.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from protocol.batch import (
    Ack,
    AlarmEvent,
    BeltEventItem,
    DeviceState,
    Envelope,
    GapReport,
    Item,
    LiveBed,
    LiveSnapshot,
    Minute,
    NightReportItem,
    Reading,
    Stamp,
    VitalsChunk,
    body_hash,
    encode_ack,
    encode_envelope,
    encode_item,
    encode_live,
)

FILE = Path(__file__).parents[2] / "protocol" / "vectors" / "batch.json"
AT = Stamp(boot_id=7, elapsed_ms=3_600_000, utc_ms=1_795_000_020_000, trusted=True)
EPOCH = "5f3a9c0e1b2d4f60"


def _reading(second: int, heart: int | None, breath: int | None, **more: Any) -> Reading:
    return Reading(
        second=second,
        occupancy=2,
        heart_rate_bpm=heart,
        heart_quality=0 if heart is None else 80,
        heart_reason=3 if heart is None else 0,
        respiration_per_min=breath,
        respiration_quality=0 if breath is None else 90,
        respiration_reason=3 if breath is None else 0,
        **more,
    )


CHUNK = VitalsChunk(
    bed="101-A",
    belt="sb-0001",
    boot_id=3,
    start_second=120,
    start_utc_ms=1_795_000_020_000,
    trusted=True,
    span_s=10,
    readings=(
        _reading(120, 61, 14),
        _reading(121, 62, 14),
        _reading(123, None, None, movement=70, turn_overs=1, flags=1),  # second 122 is missing
        _reading(124, None, 14, movement=20),
        _reading(125, 160, 13),
        _reading(128, 60, 13),  # 126, 127 and 129 are missing
    ),
)
RING_MINUTE = VitalsChunk(
    bed="101-A",
    belt="sb-0001",
    boot_id=3,
    start_second=60,
    start_utc_ms=1_794_999_960_000,
    trusted=False,
    span_s=60,
    minute=Minute(occupied_s=50, empty_s=10, unclear_s=0, heart_rate_bpm=61, heart_valid_s=44, turn_overs=1),
)
FULL_MINUTE = dataclasses.replace(
    CHUNK,
    minute=Minute(
        57, 2, 1, 64, 58, 71, 55, 14, 12, 17, 50,
        moving_first_half_s=3, moving_second_half_s=1, turn_overs=2, irregular_s=4, weak_breath_s=5, fault_s=1,
    ),
)  # fmt: skip
ITEMS: dict[str, Item] = {
    "alarm_raise": AlarmEvent("101-A", AT, "alarm_raise", "medium", "a-17", "sb-0001", "medium", 1, "9"),
    "notice_defaults_left_out": AlarmEvent("101-A", AT, "notice", "check_bed"),
    "night_report": NightReportItem(
        "101-A",
        AT,
        "2026-11-24",
        2,
        {"night": {"total_sleep_s": 25_200, "times_out_of_bed": 2, "coverage_percent": 99.7}, "reason": None},
    ),
    "vitals_with_gaps_and_absent_rates": CHUNK,
    "vitals_minute_from_the_ring": RING_MINUTE,
    "vitals_with_the_minute_of_the_belt": FULL_MINUTE,
    "belt_event": BeltEventItem("101-A", "sb-0001", AT, "absence", 3, 123_456, 42, {"duration_s": 300}),
    "device": DeviceState("gw-01", "gateway", AT, fields={"version": "0.1.0", "belts": 8}),
    "gap": GapReport(AT, "vitals", EPOCH, 10, 19, "store_lost"),
}
# Items in a form that is read for ever and written no more.
OLD_ITEMS: dict[str, tuple[str, Item]] = {
    "vitals_of_kind_4_with_gaps_and_absent_rates": (
        "de0013000401a53130312d4102a773622d303030310303047805cf000001a1ee56ac2006c3070a08c40602010602090114c4"
        "02020616c40600020302000217c4067a02c401c70118c40608020002080219c4060002030100031ac4051c000001001bc406"
        "0902000109031cc40800024601140100021dc4060002010100031ec406000201010003",
        CHUNK,
    ),
    "vitals_of_kind_4_minute_from_the_ring": (
        "8a000401a53130312d4102a773622d303030310303043c05cf000001a1ee55c1c006c2073c08c402003c09860132020a0300"
        "043d072c0e01",
        RING_MINUTE,
    ),
}
ENVELOPE = Envelope(
    "gw-01", EPOCH, 5, 4, ((0, encode_item(CHUNK)), (1, encode_item(RING_MINUTE)), (3, encode_item(ITEMS["device"])))
)
ACK = Ack("vitals", EPOCH, ((5, 6), (8, 8)), ((7, "bad_value"),))
ACK_REWIND = Ack("alarm", EPOCH, ((9, 9),), rewind=3)
ACK_UNREADABLE = Ack("vitals", "", unreadable=(bytes(range(16)),))
LIVE = LiveSnapshot(
    "gw-01",
    1_795_000_020_000,
    True,
    (LiveBed("101-A", "absent", out_since_utc_ms=1_795_000_000_000), LiveBed("101-B", "present", heart_rate_bpm=58)),
)


def plain(value: Any) -> Any:
    """The value as JSON: dataclasses as objects, bytes as hex."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def document() -> dict[str, Any]:
    """What the file holds."""
    return {
        "items": [
            *(_described(name, item, encode_item(item)) for name, item in ITEMS.items()),
            *(_described(name, item, bytes.fromhex(body)) for name, (body, item) in OLD_ITEMS.items()),
        ],
        "envelope": {"hex": encode_envelope(ENVELOPE).hex(), "value": plain(ENVELOPE)},
        "acks": [{"hex": encode_ack(ack).hex(), "value": plain(ack)} for ack in (ACK, ACK_UNREADABLE, ACK_REWIND)],
        "live": {"hex": encode_live(LIVE).hex(), "value": plain(LIVE)},
    }


def _described(name: str, item: Item, body: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "kind": type(item).__name__,
        "hex": body.hex(),
        "sha256": body_hash(body).hex(),
        "value": plain(item),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
