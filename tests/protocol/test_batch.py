"""The cloud batch: golden bytes, what comes back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import zstandard

from protocol.batch import (
    BatchError,
    DeviceState,
    Envelope,
    Reading,
    batch_digest,
    chunk_of,
    decode_ack,
    decode_envelope,
    decode_item,
    decode_live,
    encode_envelope,
    encode_item,
    topic,
)
from protocol.packing import MESSAGE_BYTES_MAX, UNPACKED_BYTES_MAX
from protocol.vitals import CHUNK_SECONDS_MAX
from tests.protocol.batch_vectors import (
    ACK,
    ACK_REWIND,
    ACK_UNREADABLE,
    AT,
    CHUNK,
    ENVELOPE,
    FILE,
    FULL_MINUTE,
    ITEMS,
    LIVE,
    OLD_ITEMS,
    document,
)

VECTORS = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_vectors_are_what_this_code_writes() -> None:
    assert document() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["items"], ids=lambda vector: str(vector["name"]))
def test_an_item_of_the_vectors_is_read_back(vector: dict[str, Any]) -> None:
    items = ITEMS | {name: item for name, (_, item) in OLD_ITEMS.items()}
    assert decode_item(bytes.fromhex(vector["hex"])) == items[vector["name"]]


def test_the_envelope_of_the_vectors_is_read_back() -> None:
    assert decode_envelope(bytes.fromhex(VECTORS["envelope"]["hex"])) == ENVELOPE


def test_acks_and_live_of_the_vectors_are_read_back() -> None:
    assert [decode_ack(bytes.fromhex(vector["hex"])) for vector in VECTORS["acks"]] == [ACK, ACK_UNREADABLE, ACK_REWIND]
    assert decode_live(bytes.fromhex(VECTORS["live"]["hex"])) == LIVE


def test_missing_seconds_are_gaps_and_never_zeros() -> None:
    assert CHUNK.gaps() == ((2, 1), (6, 2), (9, 1))
    assert [reading.second for reading in _chunk(encode_item(CHUNK)).readings] == [120, 121, 123, 124, 125, 128]


def test_qualities_are_kept_to_the_nearest_ten() -> None:
    chunk = chunk_of("A", "b", 1, 0, True, [Reading(0, 2, heart_rate_bpm=60, heart_quality=76, respiration_reason=4)])
    assert _chunk(encode_item(chunk)).readings[0].heart_quality == 80


def test_two_reports_in_one_second_are_both_kept() -> None:
    readings = [
        Reading(5, 0, heart_reason=1, respiration_reason=1),
        Reading(5, 0, heart_reason=1, respiration_reason=1),
    ]
    chunk = chunk_of("A", "b", 1, 1000, True, readings)
    assert [reading.second for reading in chunk.readings] == [5, 6]
    assert (chunk.start_utc_ms, chunk.span_s) == (6000, 2)


def test_an_unknown_key_of_a_newer_gateway_is_skipped() -> None:
    wire = msgpack.unpackb(encode_item(ITEMS["gap"]), strict_map_key=False)
    wire[99] = "new"
    assert decode_item(msgpack.packb(wire)) == ITEMS["gap"]


def test_further_elements_of_an_envelope_are_skipped() -> None:
    wire = msgpack.unpackb(zstd_or_plain(encode_envelope(ENVELOPE)), strict_map_key=False)
    assert decode_envelope(msgpack.packb([*wire, "signature"])) == ENVELOPE


def test_a_kind_of_a_newer_gateway_is_named_as_unknown() -> None:
    assert code_of(decode_item, msgpack.packb({0: 77})) == "unknown_kind"


def test_another_version_is_refused_by_name() -> None:
    assert code_of(decode_envelope, msgpack.packb([2, "gw", "e", 1, 1, []])) == "wrong_version"


def test_the_rate_and_its_reason_may_not_disagree() -> None:
    with pytest.raises(BatchError, match="heart_rate_bpm"):
        encode_item(chunk_of("A", "b", 1, 0, True, [Reading(0, 2, heart_rate_bpm=60, heart_reason=3)]))


def test_a_decompression_bomb_is_refused_before_it_goes_off() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024))
    assert len(bomb) < MESSAGE_BYTES_MAX
    assert code_of(decode_envelope, bomb) == "bomb"


def test_a_bomb_that_lies_about_its_size_is_refused() -> None:
    honest = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(8 * UNPACKED_BYTES_MAX))
    assert code_of(decode_envelope, honest) == "bomb"


def test_deep_nesting_is_refused() -> None:
    assert code_of(decode_envelope, b"\x91" * 300 + b"\x01") in ("too_deep", "not_msgpack")
    assert code_of(decode_item, b"\x91" * 60_000 + b"\x01") in ("too_deep", "not_msgpack")


@pytest.mark.parametrize("head", ["dfffffffff", "ddffffffff", "c6ffffffff", "dbffffffff", "c9ffffffff00"])
def test_a_huge_length_is_refused_without_allocating_it(head: str) -> None:
    assert code_of(decode_envelope, bytes.fromhex(head)) == "not_msgpack"


def test_a_message_over_the_limit_is_refused_unread() -> None:
    assert code_of(decode_envelope, bytes(MESSAGE_BYTES_MAX + 1)) == "too_large"


OLD_CHUNK = bytes.fromhex(OLD_ITEMS["vitals_of_kind_4_with_gaps_and_absent_rates"][0])


@pytest.mark.parametrize(
    ("body", "key", "value"),
    [
        pytest.param(encode_item(CHUNK), 6, CHUNK_SECONDS_MAX + 1, id="a span over the limit"),
        pytest.param(encode_item(CHUNK), 10, b"\x02\xff\xff\xff\x0f\x01\x00", id="a change outside the span"),
        pytest.param(encode_item(CHUNK), 10, b"", id="no columns"),
        pytest.param(encode_item(CHUNK), 4, -(10**9), id="a start before 1970"),
        pytest.param(encode_item(CHUNK), 9, b"\x3d", id="a minute of 61 s"),
        pytest.param(encode_item(CHUNK), 9, b"\x00\x01\x00", id="a minute that ends in a zero"),
        pytest.param(encode_item(CHUNK), 9, b"\x00" * 5 + b"\x01\x02", id="a lowest rate below zero"),
        pytest.param(OLD_CHUNK, 7, CHUNK_SECONDS_MAX + 1, id="kind 4: a span over the limit"),
        pytest.param(OLD_CHUNK, 20, b"\x02\xff\xff\xff\x0f", id="kind 4: a run outside the span"),
    ],
)
def test_a_chunk_that_does_not_add_up_is_refused(body: bytes, key: int, value: Any) -> None:
    wire = msgpack.unpackb(body, strict_map_key=False)
    wire[key] = value
    assert code_of(decode_item, msgpack.packb(wire)) == "bad_value"


@pytest.mark.parametrize("extra", [b"\x00", b"\x01", b"\x05\x00"])
def test_a_number_behind_the_last_column_is_refused(extra: bytes) -> None:
    wire = msgpack.unpackb(encode_item(CHUNK), strict_map_key=False)
    wire[10] += extra
    assert code_of(decode_item, msgpack.packb(wire)) == "bad_value"


def test_a_newer_gateways_minute_may_hold_more() -> None:
    wire = msgpack.unpackb(encode_item(FULL_MINUTE), strict_map_key=False)
    wire[9] += b"\x07\x09"
    assert decode_item(msgpack.packb(wire)) == FULL_MINUTE


@pytest.mark.parametrize("change", [{"occupied_s": 61}, {"heart_rate_bpm": 401}, {"heart_rate_bpm_min": -1}])
def test_a_minute_that_would_be_refused_is_not_sent(change: dict[str, int]) -> None:
    assert FULL_MINUTE.minute is not None
    minute = dataclasses.replace(FULL_MINUTE.minute, **change)
    with pytest.raises(BatchError, match=next(iter(change)).removesuffix("_min")):
        encode_item(dataclasses.replace(FULL_MINUTE, minute=minute))


@pytest.mark.parametrize(
    "change",
    [
        {"gateway": ""},
        {"gateway": "a\nb"},
        {"epoch": "e" * 33},
        {"seq": 0},
        {"floor": -1},
        {"items": ()},
        {"items": ((1, b""), (1, b""))},
        {"items": ((2, b""), (1, b""))},
    ],
)
def test_an_envelope_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        encode_envelope(dataclasses.replace(ENVELOPE, **change))


def test_equal_values_have_equal_bytes_whatever_the_order_of_their_maps() -> None:
    one = DeviceState("gw-01", "gateway", AT, fields={"a": 1, "b": {"x": 1, "y": 2}})
    two = DeviceState("gw-01", "gateway", AT, fields={"b": {"y": 2, "x": 1}, "a": 1})
    assert encode_item(one) == encode_item(two)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1: 2}, [b"x"]])
def test_a_report_that_json_cannot_carry_is_refused_on_both_sides(value: Any) -> None:
    with pytest.raises(BatchError, match="fields"):
        encode_item(DeviceState("gw-01", "gateway", AT, fields={"x": value}))
    wire = msgpack.unpackb(encode_item(ITEMS["device"]), strict_map_key=False)
    wire[5] = {"x": value}
    assert code_of(decode_item, msgpack.packb(wire)) == "bad_value"


def test_a_label_that_would_change_the_topic_is_refused() -> None:
    assert topic("gw-01", "alarm") == "sb/v1/gw-01/alarm"
    for label in ("", "a/b", "+", "a#"):
        with pytest.raises(ValueError, match="label"):
            topic(label, "ack")


def test_an_in_bed_hour_of_eight_belts_in_five_minute_messages_keeps_to_its_bytes() -> None:
    # Goal of issue 6: at most 3.3 kB per belt-hour; this synthetic hour has a real hour's spread of rates.
    from tests.cloud_sync.samples import minute

    total = 0
    for message in range(12):
        minutes = [minute(f"10{belt}", message * 5 + number) for number in range(5) for belt in range(8)]
        bodies = tuple((index, encode_item(chunk)) for index, chunk in enumerate(minutes))
        total += len(encode_envelope(Envelope("gw-01", "e", 1 + message * 40, 1, bodies)))
    assert total / 8 < 3300


def test_the_digest_names_the_whole_message() -> None:
    assert batch_digest(b"a") != batch_digest(b"b")
    assert len(batch_digest(b"a")) == 16


def _chunk(body: bytes) -> Any:
    return decode_item(body)


def code_of(decode: Any, data: bytes) -> str:
    with pytest.raises(BatchError) as caught:
        decode(data)
    return caught.value.code


def zstd_or_plain(message: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(message) if message.startswith(b"\x28\xb5\x2f\xfd") else message
