"""Minutes inside their packs: nothing changes on the way, damage is noticed, few bytes a minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.ingest import minutes_of
from cloud_sync.receiver.stores.minute_sums import FIELDS, added, holes_of, minute_values, pack_minutes, unpack_minutes
from protocol.batch import ChunkColumns, decode_columns, encode_item
from protocol.columns import ColumnError
from tests.cloud_sync.samples import START_UTC_MS, minute

SUMS = st.tuples(*[st.integers(0, 2**31) for _ in FIELDS])
MINUTES = st.dictionaries(st.integers(0, 2**22), SUMS, max_size=20).map(lambda found: sorted(found.items()))


@given(MINUTES)
def test_minutes_come_back_as_they_were(minutes: list[tuple[int, tuple[int, ...]]]) -> None:
    assert list(unpack_minutes(0, pack_minutes(0, minutes))) == minutes


@given(MINUTES.filter(bool), st.integers(1, 10_000_000))
def test_a_value_is_counted_from_the_minute_its_pack_begins_in(
    minutes: list[tuple[int, tuple[int, ...]]], base: int
) -> None:
    moved = [(base + number, sums) for number, sums in minutes]
    assert pack_minutes(base, moved) == pack_minutes(0, minutes)


def test_a_value_that_is_cut_off_is_noticed() -> None:
    body = pack_minutes(0, [(0, tuple(range(1, 10)))])
    for length in range(1, len(body)):
        with pytest.raises(ColumnError):
            list(unpack_minutes(0, body[:length]))


def test_the_parts_of_a_minute_are_one_minute_whatever_their_order() -> None:
    parts = [(5, (1,) * 9), (4, (2,) * 9), (5, (3,) * 9)]
    assert added(parts) == added(reversed(parts)) == [(4, (2,) * 9), (5, (4,) * 9)]


def test_a_night_takes_at_most_eight_bytes_a_minute() -> None:
    chunks = [decode_columns(encode_item(minute(number=number))) for number in range(600)]
    base = START_UTC_MS // 60_000
    minutes = added(
        (one.utc_ms // 60_000, minute_values(one))
        for chunk in chunks if isinstance(chunk, ChunkColumns) for one in minutes_of(chunk)
    )  # fmt: skip
    assert len(minutes) == 600
    assert len(pack_minutes(base, minutes)) <= 8 * 600


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "minutes", "holes"),
    [
        (0, 60_000, 1, 0),
        (30_000, 90_000, 2, 0),
        (311, 60_311, 1, 0),  # its last second began within the minute
        (0, 300_000, 3, 2),
        (0, 0, 1, 0),
    ],
)
def test_holes_are_the_minutes_of_a_span_without_anything(
    start_ms: int, end_ms: int, minutes: int, holes: int
) -> None:
    assert holes_of(start_ms, end_ms, minutes) == holes
