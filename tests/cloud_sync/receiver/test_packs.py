"""Packs of chunks: those of every dictionary there ever was are opened."""

from __future__ import annotations

import pytest
import zstandard

from cloud_sync.receiver.stores.packs import make_pack, open_pack
from protocol.batch import decode_item, encode_item
from tests.cloud_sync.samples import minute
from tests.protocol.batch_vectors import OLD_ITEMS

FIRST_DICTIONARYS = bytes.fromhex(
    "28b52ffd2501ca1d0400e30718ff1ce12714d7cb24ae03e704663727580d1b250d5238e103267ad716a885bf4ce247374062"
    "ebd372c774dba613ebd2c2c7644bccb65d9d0def8cc136293157ee5dee73bb3d2c50e005ba1612471c7104120fb0600a4720"
    "e1825676d06c6d31840c3c24a2b185c24c3a22e6ee2e83dfc1f149c00dedbd8acf96b028385db3f20827d5ff90"
)


def test_a_pack_gives_back_what_was_put_in() -> None:
    chunks = [(3, number, encode_item(minute(number=number))) for number in range(5)]
    assert list(open_pack(make_pack(chunks))) == chunks


def test_a_pack_of_the_first_dictionary_is_opened() -> None:
    packed = list(open_pack(FIRST_DICTIONARYS))
    assert [(stream, seq) for stream, seq, _ in packed] == [(3, 5), (3, 6)]
    assert [decode_item(body) for _, _, body in packed] == [item for _, item in OLD_ITEMS.values()]


def test_a_pack_of_a_dictionary_that_is_unknown_here_or_a_damaged_one_is_an_error_that_says_so() -> None:
    unknown = zstandard.ZstdCompressionDict(b"raw" * 100, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    with pytest.raises(ValueError, match="dictionary 0"):
        list(open_pack(zstandard.ZstdCompressor(dict_data=unknown).compress(b"x" * 100)))
    with pytest.raises(ValueError, match="damaged pack"):
        list(open_pack(make_pack([(1, 1, b"x")])[:-3]))
