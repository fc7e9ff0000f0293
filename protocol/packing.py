"""Canonical, bounded msgpack and zstd: nothing a stranger sends can make the decoder allocate more than it may.

Canonical means that one value has one encoding (map keys in ascending order, shortest integers), so that the SHA-256 of
the bytes stands for the value. The limits are part of the protocol: docs/cloud-protocol.md lists them.
"""

from collections.abc import Mapping
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard

__all__ = [
    "DEPTH_MAX",
    "MESSAGE_BYTES_MAX",
    "UNPACKED_BYTES_MAX",
    "PackingError",
    "pack",
    "squeeze",
    "unpack",
    "unsqueeze",
]

MESSAGE_BYTES_MAX = 256 * 1024  # on the wire, compressed or not
UNPACKED_BYTES_MAX = 2 * 1024 * 1024  # after decompression
DEPTH_MAX = 12
ARRAY_MAX = 16_384
MAP_MAX = 1_024
_CONTAINERS = (dict, list)
ZSTD_LEVEL = 19
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class PackingError(ValueError):
    """The bytes break a limit or are not what they claim; `code` is stable, for counters and acks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def pack(value: Any) -> bytes:
    """Canonical msgpack of None, bools, numbers, str, bytes, sequences and maps; PackingError on anything else."""
    try:
        packed = msgpack.packb(_ordered(value, DEPTH_MAX), use_bin_type=True)
    except (TypeError, OverflowError, ValueError) as error:
        raise PackingError("not_packable", str(error)) from error
    assert isinstance(packed, bytes)
    return packed


def unpack(data: bytes) -> Any:
    """One msgpack value that fills `data` exactly, within all limits; PackingError otherwise."""
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,
            max_str_len=UNPACKED_BYTES_MAX,
            max_bin_len=UNPACKED_BYTES_MAX,
            max_array_len=ARRAY_MAX,
            max_map_len=MAP_MAX,
            max_ext_len=0,
        )
    # The library raises TypeError for an unhashable map key and its own ValueErrors for everything else.
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise PackingError("not_msgpack", f"not a msgpack value: {error}") from error
    _check_depth(value, DEPTH_MAX)
    return value


def squeeze(data: bytes) -> bytes:
    """`data` as one zstd frame that states its size, or `data` itself where that is not longer."""
    squeezed = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True, write_checksum=False).compress(data)
    return squeezed if len(squeezed) < len(data) else data


def unsqueeze(message: bytes) -> bytes:
    """Inverse of `squeeze`: refuses messages and contents over the limits before allocating for them."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise PackingError("too_large", f"message of {len(message)} bytes, at most {MESSAGE_BYTES_MAX}")
    if not message.startswith(ZSTD_MAGIC):
        return message
    try:
        # The stated size is a stranger's word: it is checked here, and zstd then refuses contents that exceed it.
        stated = zstandard.frame_content_size(message)
        if not 0 <= stated <= UNPACKED_BYTES_MAX:
            raise PackingError("bomb", f"contents of {stated} bytes, at most {UNPACKED_BYTES_MAX}")
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj()
        data = stream.decompress(message)
    except zstandard.ZstdError as error:
        raise PackingError("not_zstd", f"not a zstd frame: {error}") from error
    if not stream.eof or stream.unused_data or len(data) != stated:
        raise PackingError("not_zstd", "a zstd frame that is cut off or followed by something")
    return data


def _ordered(value: Any, depth: int) -> Any:
    if depth == 0:
        raise PackingError("too_deep", f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, Mapping):
        return {key: _ordered(value[key], depth - 1) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_ordered(item, depth - 1) for item in value]
    return value


def _check_depth(value: Any, depth: int) -> None:
    if depth == 0:
        raise PackingError("too_deep", f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            # Only these have an inside: most of what is looked at here are numbers and bytes.
            if type(item) in _CONTAINERS:
                _check_depth(item, depth - 1)
            elif depth == 1:
                raise PackingError("too_deep", f"nested deeper than {DEPTH_MAX}")
