"""Trains the dictionary with which the platform compresses packs (stores/packs.py). A dictionary is never replaced:
a better one is a further file under a further number, and old packs keep theirs.

    python -m tools.make_pack_dictionary OUT.zdict
"""

from __future__ import annotations

import sys
from pathlib import Path

import zstandard

from protocol.batch import Reading, chunk_of, encode_item
from protocol.packing import pack
from tools.bench_bytes import ABSENT, CHUNK_S, FLUSH_S, NIGHT_S, UTC0_MS, night

DICTIONARY_ID = 1
DICTIONARY_BYTES = 2_048
EMPTY_PACKS = 20


def packs(readings: list[Reading], label: str, serial: str, uptime_s: int) -> list[bytes]:
    """Uncompressed packs of one belt's night."""
    found = []
    seq = 5
    for flush in range(0, NIGHT_S - FLUSH_S, FLUSH_S):
        rows = []
        for minute in range(flush, flush + FLUSH_S, CHUNK_S):
            of_minute = [
                Reading(uptime_s + second, *(getattr(readings[second], name) for name in Reading.__slots__[1:]))
                for second in range(minute, minute + CHUNK_S)
            ]
            rows.append([3, seq, encode_item(chunk_of(label, serial, 7, UTC0_MS - uptime_s * 1000, True, of_minute))])
            seq += 8
        found.append(pack(rows))
    return found


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tools.make_pack_dictionary OUT.zdict", file=sys.stderr)
        return 2
    samples: list[bytes | bytearray | memoryview[int]] = [
        *packs(night("quiet"), "210-B", "aa34567890abcdef", 111_111),
        *packs(night("restless"), "211-A", "fedcba0987654321", 3_333_333),
        *packs([ABSENT] * NIGHT_S, "212-A", "fedcba0987654321", 3_333_333)[:EMPTY_PACKS],
    ]
    trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9, d=8, k=64, dict_id=DICTIONARY_ID)
    Path(sys.argv[1]).write_bytes(trained.as_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
