"""How the platform keeps vitals chunks: those of one bed that came together, as one compressed value.

A pack's body is one zstd frame of the canonical msgpack array [[stream_id, seq, body], ...], compressed with the
newest dictionary (tools/make_pack_dictionary.py; a fifth less bytes than without); the frame names the one it needs. A
bed has packs of its own, so that a resident's data can be read and erased without touching anybody else's.
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

# By the number that frames carry: 1 learnt chunks of kind 4, 2 those of kind 8.
_DICTIONARIES = {
    number: zstandard.ZstdCompressionDict((resources.files(__package__) / f"pack_{number}.zdict").read_bytes())
    for number in (1, 2)
}
_compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, dict_data=_DICTIONARIES[2], write_checksum=True)
_decompressors = {number: zstandard.ZstdDecompressor(dict_data=data) for number, data in _DICTIONARIES.items()}


def make_pack(chunks: Sequence[PackedChunk]) -> bytes:
    """The body of a pack; one thread at a time."""
    return _compressor.compress(pack([list(chunk) for chunk in chunks]))


def open_pack(body: bytes) -> Iterator[PackedChunk]:
    """The chunks of a pack; ValueError if it is damaged."""
    try:
        number = zstandard.get_frame_parameters(body).dict_id
        if number not in _decompressors:
            raise ValueError(f"damaged pack: it needs dictionary {number}, which is unknown here")
        rows = unpack(_decompressors[number].decompress(body, max_output_size=PACK_BYTES_MAX))
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged pack: {error}") from error
    yield from map(tuple, rows)
