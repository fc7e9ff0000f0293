"""How the platform keeps vitals chunks: those of one bed that came together, as one compressed value.

A pack's body is one zstd frame of the canonical msgpack array [[stream_id, seq, body], ...], compressed with the
dictionary pack_1.zdict (tools/make_pack_dictionary.py; a fifth less bytes than without). A bed has
packs of its own, so that a resident's data can be read and erased without touching anybody else's.
"""

from collections.abc import Iterator, Sequence
from importlib import resources

import zstandard

from protocol.packing import pack, unpack

__all__ = ["PACK_CHUNKS_MAX", "PackedChunk", "make_pack", "open_pack"]

PACK_CHUNKS_MAX = 120
PACK_BYTES_MAX = 64 * 1024 * 1024  # our own data: a guard against a damaged size, no protocol limit
ZSTD_LEVEL = 9  # level 19 saves 1 % of such small frames and costs ten times as much

PackedChunk = tuple[int, int, bytes]  # stream_id, seq, the item's body as it came

_dictionary = zstandard.ZstdCompressionDict((resources.files(__package__) / "pack_1.zdict").read_bytes())
_compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, dict_data=_dictionary, write_checksum=True)
_decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary)


def make_pack(chunks: Sequence[PackedChunk]) -> bytes:
    """The body of a pack; one thread at a time."""
    return _compressor.compress(pack([list(chunk) for chunk in chunks]))


def open_pack(body: bytes) -> Iterator[PackedChunk]:
    """The chunks of a pack; ValueError if it is damaged."""
    try:
        rows = unpack(_decompressor.decompress(body, max_output_size=PACK_BYTES_MAX))
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged pack: {error}") from error
    yield from map(tuple, rows)
