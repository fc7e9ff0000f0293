"""Whatever bytes come, the batch decoders give a value or a BatchError, and what is encoded comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.batch import (
    BatchError,
    Minute,
    Reading,
    VitalsChunk,
    chunk_of,
    decode_ack,
    decode_envelope,
    decode_item,
    decode_live,
    encode_ack,
    encode_envelope,
    encode_item,
    encode_live,
)
from protocol.columns import (
    ColumnError,
    mark_numbers,
    pack_varints,
    read_marks,
    read_steps,
    step_numbers,
    unpack_deltas,
    unpack_run_pairs,
    unpack_varints,
)
from tests.protocol.batch_vectors import ACK, CHUNK, ENVELOPE, FULL_MINUTE, ITEMS, LIVE, OLD_ITEMS

DECODERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "envelope": (decode_envelope, encode_envelope(ENVELOPE)),
    "item": (decode_item, encode_item(CHUNK)),
    "minute": (decode_item, encode_item(FULL_MINUTE)),
    "kind 4": (decode_item, bytes.fromhex(OLD_ITEMS["vitals_of_kind_4_with_gaps_and_absent_rates"][0])),
    "night": (decode_item, encode_item(ITEMS["night_report"])),
    "ack": (decode_ack, encode_ack(ACK)),
    "live": (decode_live, encode_live(LIVE)),
}
NAMES = st.sampled_from(sorted(DECODERS))


def survives(decode: Callable[[bytes], Any], data: bytes) -> None:
    with suppress(BatchError):
        decode(data)


@given(name=NAMES, data=st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_by_name(name: str, data: bytes) -> None:
    survives(DECODERS[name][0], data)


@given(name=NAMES, cut=st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_a_cut_message_is_refused(name: str, cut: int) -> None:
    decode, good = DECODERS[name]
    with pytest.raises(BatchError):
        decode(good[: min(cut, len(good) - 1)])


@given(name=NAMES, flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_flipped_bytes_do_no_harm(name: str, flips: list[tuple[int, int]]) -> None:
    decode, good = DECODERS[name]
    data = bytearray(good)
    for position, mask in flips:
        data[position % len(data)] ^= mask
    survives(decode, bytes(data))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.integers(-1, 40) | st.text(max_size=4) | st.binary(max_size=2), inner, max_size=6)
    ),
    max_leaves=25,
)


@given(name=NAMES, value=VALUES)
@settings(max_examples=300, deadline=None)
def test_any_msgpack_value_is_taken_or_refused_by_name(name: str, value: Any) -> None:
    survives(DECODERS[name][0], msgpack.packb(value))


@given(kind=st.integers(0, 9), value=st.dictionaries(st.integers(1, 31), VALUES, max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_map_of_a_known_kind_is_taken_or_refused_by_name(kind: int, value: dict[int, Any]) -> None:
    survives(decode_item, msgpack.packb({0: kind, **value}))


RATES = st.none() | st.integers(0, 400)


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    seconds = sorted(draw(st.sets(st.integers(1000, 1100), min_size=1, max_size=40)))
    drawn = []
    for second in seconds:
        heart, breath = draw(RATES), draw(RATES)
        drawn.append(
            Reading(
                second,
                draw(st.integers(0, 2)),
                draw(st.integers(0, 5)),
                heart,
                draw(st.integers(0, 10)) * 10,
                0 if heart is not None else draw(st.integers(1, 5)),
                breath,
                draw(st.integers(0, 10)) * 10,
                0 if breath is not None else draw(st.integers(1, 5)),
                draw(st.integers(0, 100)),
                draw(st.integers(0, 3)),
                draw(st.integers(0, 65_535)),
            )
        )
    return drawn


@given(readings())
@settings(max_examples=80, deadline=None)
def test_any_readings_come_back_as_they_were(rows: list[Reading]) -> None:
    chunk = chunk_of("A", "b", 1, 0, True, rows)
    assert decode_item(encode_item(chunk)) == chunk


MINUTE_RATES = st.tuples(RATES, RATES, RATES, st.integers(0, 60))
MINUTES = st.builds(
    lambda seconds, heart, breath, counts: Minute(*seconds, *heart, *breath, *counts),
    st.tuples(*[st.integers(0, 60)] * 3), MINUTE_RATES, MINUTE_RATES, st.tuples(*[st.integers(0, 60)] * 6),
)  # fmt: skip


@given(MINUTES)
@settings(max_examples=100, deadline=None)
def test_any_minute_comes_back_as_it_was(minute: Minute) -> None:
    chunk = VitalsChunk("A", "b", 1, 0, 0, True, 60, (), minute)
    assert decode_item(encode_item(chunk)) == chunk


@given(st.lists(st.integers(0, 3) | st.integers(0, 2**33), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_columns_come_back_as_they_were(values: list[int]) -> None:
    for numbers, read in ((step_numbers(values), read_steps), (mark_numbers(values), read_marks)):
        pairs, end = read(unpack_varints(pack_varints([7, *numbers, 9])), 1, len(values))
        assert [value for value, length in zip(pairs[::2], pairs[1::2], strict=True) for _ in range(length)] == values
        assert end == 1 + len(numbers)


@given(data=st.binary(max_size=40), count=st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_a_column_of_any_bytes_gives_the_count_asked_for_or_an_error(data: bytes, count: int) -> None:
    for read in (read_steps, read_marks):
        with suppress(ColumnError):
            pairs, _ = read(unpack_varints(data), 0, count)
            assert sum(pairs[1::2]) == count
            assert all(pairs[1::2])
            assert all(one != other for one, other in pairwise(pairs[::2]))
    with suppress(ColumnError):
        assert len(unpack_deltas(data, count)) == count
    with suppress(ColumnError):
        assert sum(unpack_run_pairs(data, count)[1::2]) == count
