"""An ESP32's partition table with room for the ring of records: its file system gives up the last 128 KiB for it.

A table as it lies in flash (ESP-IDF, "Partition Tables"): entries of 32 bytes, then one that holds the MD5 of those
before it, then 0xFF. Whatever table the board's MicroPython came with is kept otherwise.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from firmware_py.belt.ring import RING_BYTES

__all__ = ["TABLE_BYTES", "TABLE_OFFSET", "PartitionError", "with_ring"]

TABLE_OFFSET, TABLE_BYTES = 0x8000, 0xC00
FILE_SYSTEM, RING = "vfs", "ring"
_ENTRY = struct.Struct("<HBBII16sI")  # magic, type, subtype, offset, size, label, flags
_MAGIC, _ERASED = 0x50AA, 0xFFFF
_MD5_MARK = b"\xeb\xeb" + b"\xff" * 14
_DATA, _UNDEFINED = 0x01, 0x06
_FILE_SYSTEM_BYTES_MIN = 512 * 1024  # two application slots, an image, the settings


class PartitionError(ValueError):
    """This is no partition table that a ring fits into; the message says why."""


@dataclass(frozen=True)
class _Entry:
    kind: int
    subtype: int
    offset: int
    size: int
    label: bytes
    flags: int

    @property
    def name(self) -> str:
        return self.label.rstrip(b"\0").decode("latin-1")


def with_ring(table: bytes) -> bytes:
    """The table (0xC00 bytes, from flash at 0x8000) with a partition `ring`; the same one if it has it already."""
    entries = _entries(table)
    if any(entry.name == RING for entry in entries):
        return table[:TABLE_BYTES]
    system = next((entry for entry in entries if entry.name == FILE_SYSTEM), None)
    if system is None:
        raise PartitionError(f"no partition `{FILE_SYSTEM}` in it, only {', '.join(each.name for each in entries)}")
    if system.size < _FILE_SYSTEM_BYTES_MIN + RING_BYTES:
        raise PartitionError(f"its `{FILE_SYSTEM}` of {system.size // 1024} KiB is too small for belt and ring")
    smaller = replace(system, size=system.size - RING_BYTES)
    ring = _Entry(_DATA, _UNDEFINED, smaller.offset + smaller.size, RING_BYTES, RING.encode(), 0)
    at = entries.index(system)
    return _packed([*entries[:at], smaller, ring, *entries[at + 1 :]])


def _entries(table: bytes) -> list[_Entry]:
    found: list[_Entry] = []
    for at in range(0, min(len(table), TABLE_BYTES) - _ENTRY.size + 1, _ENTRY.size):
        if table[at : at + 16] == _MD5_MARK:
            if hashlib.md5(table[:at], usedforsecurity=False).digest() != table[at + 16 : at + 32]:
                raise PartitionError("its checksum is wrong: read it from the board once more")
            return found
        magic, *fields = _ENTRY.unpack_from(table, at)
        if magic == _ERASED and found:
            return found
        if magic != _MAGIC:
            break
        found.append(_Entry(*fields))
    raise PartitionError(f"no partition table: read {TABLE_BYTES:#x} bytes from {TABLE_OFFSET:#x} of the board's flash")


def _packed(entries: list[_Entry]) -> bytes:
    table = b"".join(
        _ENTRY.pack(_MAGIC, each.kind, each.subtype, each.offset, each.size, each.label, each.flags) for each in entries
    )
    table += _MD5_MARK + hashlib.md5(table, usedforsecurity=False).digest()
    if len(table) > TABLE_BYTES:
        raise PartitionError("no room for one more entry in it")
    return table.ljust(TABLE_BYTES, b"\xff")
