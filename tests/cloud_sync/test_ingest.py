"""The ingest core: arrivals, acks, missing runs, minutes and alarms, by values alone."""

from __future__ import annotations

import random

from cloud_sync.ingest import MinuteSums, ack_of, address_of, examine, fold_alarm, minutes_of, missing_runs
from protocol.batch import (
    ChunkColumns,
    Envelope,
    Minute,
    Reading,
    VitalsChunk,
    batch_digest,
    chunk_of,
    decode_columns,
    encode_envelope,
    encode_item,
)
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute

TOPIC = "sb/v1/gw-01/alarm"


def message(*bodies: bytes, gateway: str = "gw-01", seq: int = 1, floor: int = 1) -> bytes:
    return encode_envelope(Envelope(gateway, "e", seq, floor, tuple(enumerate(bodies))))


def columns(chunk: VitalsChunk) -> ChunkColumns:
    found = decode_columns(encode_item(chunk))
    assert isinstance(found, ChunkColumns)
    return found


def test_a_topic_gives_its_gateway_and_lane() -> None:
    assert address_of("sb/v1/gw-01/alarm") == ("gw-01", "alarm")


def test_a_topic_of_somebody_else_is_none() -> None:
    assert [address_of(topic) for topic in ("", "sb/v1//alarm", "sb/v2/gw/alarm", "sb/v1/gw/x/alarm", "a")] == [
        None
    ] * 5


def test_a_good_batch_arrives_with_seqs_and_items() -> None:
    arrival = examine(TOPIC, message(encode_item(alarm()), encode_item(alarm("ack")), seq=5, floor=4))
    assert arrival is not None
    assert [(incoming.seq, incoming.item) for incoming in arrival.items] == [(5, alarm()), (6, alarm("ack"))]
    assert (arrival.floor, arrival.code) == (4, "")


def test_a_poisoned_item_does_not_spoil_its_neighbours() -> None:
    arrival = examine(TOPIC, message(encode_item(alarm()), b"\xc1poison"))
    assert arrival is not None
    assert [incoming.code for incoming in arrival.items] == ["", "not_msgpack"]


def test_garbage_is_an_arrival_named_by_its_digest() -> None:
    arrival = examine(TOPIC, b"garbage")
    assert arrival is not None
    assert arrival.code == "not_msgpack"
    assert ack_of(arrival, ()).unreadable == (batch_digest(b"garbage"),)


def test_a_batch_on_the_topic_of_another_gateway_is_foreign() -> None:
    arrival = examine(TOPIC, message(encode_item(alarm()), gateway="gw-02"))
    assert arrival is not None
    assert arrival.code == "foreign"


def test_an_ack_joins_accepted_seqs_to_runs_and_names_what_is_rejected() -> None:
    arrival = examine(TOPIC, message(encode_item(alarm()), encode_item(alarm()), b"\xc1", encode_item(alarm()), seq=3))
    assert arrival is not None
    ack = ack_of(arrival, ("stored", "repeated", "rejected", "conflict"))
    assert ack.accepted == ((3, 4),)
    assert ack.rejected == ((5, "not_msgpack"), (6, "conflict"))


def test_missing_runs_are_what_lies_between_the_present_seqs() -> None:
    assert missing_runs(1, 11, [2, 3, 7, 10]) == [(1, 1), (4, 6), (8, 9)]


def test_nothing_is_missing_where_everything_is_present() -> None:
    assert missing_runs(5, 8, [5, 6, 7]) == []


def test_a_chunk_over_a_minute_boundary_adds_to_both_minutes() -> None:
    readings = [Reading(second, 2, heart_rate_bpm=60, respiration_reason=4) for second in range(50, 70)]
    sums = minutes_of(columns(chunk_of("A", "b", 1, START_UTC_MS, True, readings)))
    assert [(row.utc_ms - START_UTC_MS, row.readings, row.heart_sum) for row in sums] == [
        (0, 10, 600),
        (60_000, 10, 600),
    ]


def test_a_minute_without_readings_is_the_belts_own_record() -> None:
    record = Minute(occupied_s=50, empty_s=10, unclear_s=0, heart_rate_bpm=61, heart_valid_s=40, turn_overs=2)
    chunk = VitalsChunk("A", "b", 1, 60, START_UTC_MS, True, 60, minute=record)
    (row,) = minutes_of(columns(chunk))
    assert (row.readings, row.occupied_s, row.heart_sum, row.heart_count, row.turn_overs) == (0, 50, 2440, 40, 2)


def test_a_minute_with_readings_is_not_counted_twice_by_its_record() -> None:
    record = Minute(occupied_s=60, empty_s=0, unclear_s=0, turn_overs=9)
    live = minute()
    chunk = VitalsChunk(live.bed, live.belt, 3, 0, START_UTC_MS, True, 60, live.readings, record)
    assert minutes_of(columns(chunk)) == minutes_of(columns(live))


def test_an_alarm_without_its_raise_is_not_known_yet() -> None:
    assert fold_alarm([alarm("ack")]) is None


def test_an_alarm_goes_from_raise_over_ack_to_its_end() -> None:
    life = fold_alarm([alarm(), alarm("ack", at_s=60), alarm("alarm_clear", at_s=90, detail="returned")])
    assert life is not None
    assert (life.state, life.acknowledged_utc_ms, life.ended_utc_ms, life.detail) == (
        "closed",
        START_UTC_MS + 60_000,
        START_UTC_MS + 90_000,
        "returned",
    )


def test_a_realarm_needs_somebody_again_at_its_level() -> None:
    life = fold_alarm([alarm(), alarm("ack", at_s=60), alarm("realarm", at_s=660, detail="L2")])
    assert life is not None
    assert (life.state, life.level) == ("unacknowledged", 2)


def test_a_latched_alarm_is_open() -> None:
    life = fold_alarm([alarm(), alarm("alarm_latched", at_s=60)])
    assert life is not None
    assert (life.state, life.ended_utc_ms) == ("latched", None)


def test_minutes_summed_from_columns_are_those_summed_reading_by_reading() -> None:
    draw = random.Random(5)
    for _ in range(200):
        start_ms = START_UTC_MS + draw.randrange(60_000)
        readings: list[Reading] = []
        for second in range(7, 7 + draw.randrange(1, 200)):
            if draw.random() < 0.1 and readings:
                continue
            has_heart, has_breath = draw.random() < 0.7, draw.random() < 0.7
            readings.append(
                Reading(
                    second, draw.randrange(3), movement=draw.choice((0, 0, 5)), turn_overs=draw.choice((0, 0, 1)),
                    heart_rate_bpm=draw.randrange(40, 90) if has_heart else None, heart_reason=0 if has_heart else 3,
                    respiration_per_min=draw.randrange(8, 20) if has_breath else None,
                    respiration_reason=0 if has_breath else 2,
                )
            )  # fmt: skip
        span = readings[-1].second + 1 - 7 + draw.randrange(3)
        naive: dict[int, list[int]] = {}
        for reading in readings:
            utc_ms = start_ms + (reading.second - 7) * 1000
            row = naive.setdefault(utc_ms - utc_ms % 60_000, [0] * 9)
            row[0] += 1
            row[1] += reading.occupancy == 2
            row[2] += reading.occupancy == 0
            row[3] += reading.heart_rate_bpm or 0
            row[4] += reading.heart_rate_bpm is not None
            row[5] += reading.respiration_per_min or 0
            row[6] += reading.respiration_per_min is not None
            row[7] += reading.movement > 0
            row[8] += reading.turn_overs
        chunk = VitalsChunk("A", "b", 1, 7, start_ms, True, span, tuple(readings))
        assert minutes_of(columns(chunk)) == [MinuteSums(utc_ms, *row) for utc_ms, row in naive.items()]
