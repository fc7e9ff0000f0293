"""The partition table of an ESP32 with room for the records, against tables packed by hand."""

from __future__ import annotations

import hashlib
import struct

import pytest

from firmware_py.belt.ring import RING_BYTES
from firmware_py.tooling.partitions import TABLE_BYTES, PartitionError, with_ring

# MicroPython's for 8 MiB: type, subtype, offset, size, label.
STOCK = [(1, 2, 0x9000, 0x6000, b"nvs"), (1, 1, 0xF000, 0x1000, b"phy_init"), (0, 0, 0x10000, 0x1F0000, b"factory"),
         (1, 0x81, 0x200000, 0x600000, b"vfs")]  # fmt: skip


def _table(rows: list[tuple[int, int, int, int, bytes]], checksum: bool = True) -> bytes:
    table = b"".join(
        b"\xaa\x50" + bytes((kind, subtype)) + struct.pack("<II", offset, size) + label.ljust(16, b"\0") + bytes(4)
        for kind, subtype, offset, size, label in rows
    )
    if checksum:
        table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table, usedforsecurity=False).digest()
    return table.ljust(TABLE_BYTES, b"\xff")


@pytest.mark.parametrize("checksum", [True, False])
def test_the_file_system_gives_its_end_to_the_ring(checksum: bool) -> None:
    ring = (1, 6, 0x7E0000, 0x20000, b"ring")
    assert with_ring(_table(STOCK, checksum)) == _table([*STOCK[:3], (1, 0x81, 0x200000, 0x5E0000, b"vfs"), ring])
    assert ring[3] == RING_BYTES


def test_a_table_that_has_a_ring_stays_as_it_is() -> None:
    done = with_ring(_table(STOCK))
    assert with_ring(done) == done


def test_what_lies_after_the_file_system_stays_in_its_place() -> None:
    more = (1, 0x40, 0x800000, 0x1000, b"more")
    assert with_ring(_table([*STOCK, more])) == _table(
        [*STOCK[:3], (1, 0x81, 0x200000, 0x5E0000, b"vfs"), (1, 6, 0x7E0000, 0x20000, b"ring"), more]
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"", "no partition table"),
        (b"\xff" * TABLE_BYTES, "no partition table"),
        (b"firmware" * 400, "no partition table"),
        (_table(STOCK).replace(b"factory", b"Factory"), "checksum"),
        (_table(STOCK[:3]), "no partition `vfs` in it, only nvs, phy_init, factory"),
        (_table([*STOCK[:3], (1, 0x81, 0x200000, 0x90000, b"vfs")]), "of 576 KiB is too small"),
        (_table(STOCK + [(1, 6, 0, 4096, b"%d" % i) for i in range(91)]), "no room for one more"),
    ],
)
def test_what_is_no_table_with_room_is_refused(table: bytes, words: str) -> None:
    with pytest.raises(PartitionError, match=words):
        with_ring(table)
