"""Trains the dictionary with which the platform compresses packs (stores/packs.py). A dictionary is never replaced:
a better one is a further file under a further number, and old packs keep theirs.

    python -m tools.make_pack_dictionary OUT.zdict
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import zstandard

from protocol.batch import encode_item
from protocol.packing import pack
from tools.bench_bytes import EMPTY, FLUSH_S, NIGHT_S, UTC0_MS, Second, chunks, night

DICTIONARY_ID = 2
DICTIONARY_BYTES = 2_048
EMPTY_PACKS = 20


def packs(seconds: Sequence[Second], label: str, serial: str, uptime_s: int) -> list[bytes]:
    """Uncompressed packs of one belt's night."""
    rows: dict[int, list[list[object]]] = {}
    for number, (second, chunk) in enumerate(chunks(seconds, label, serial, 7, uptime_s, UTC0_MS - uptime_s * 1000)):
        rows.setdefault(second // FLUSH_S, []).append([3, 5 + 8 * number, encode_item(chunk)])
    return [pack(of_flush) for of_flush in rows.values()]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.make_pack_dictionary OUT.zdict", file=sys.stderr)
        return 2
    samples: list[bytes | bytearray | memoryview[int]] = [
        *packs(night("quiet"), "210-B", "aa34567890abcdef", 111_111),
        *packs(night("restless"), "211-A", "fedcba0987654321", 3_333_333),
        *packs([EMPTY] * NIGHT_S, "212-A", "fedcba0987654321", 3_333_333)[:EMPTY_PACKS],
    ]
    trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9, d=8, k=64, dict_id=DICTIONARY_ID)
    Path(sys.argv[1]).write_bytes(trained.as_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
