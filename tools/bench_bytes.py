"""Bytes per belt-hour on the way to the cloud and in its database, from nights that went through the belt's own code.

Three simulated nights (hil.synth) run through firmware_py's pipeline, once: the reports are cached in build/bench/.
Eight belts share them, an hour or more apart; the day is an empty bed. The belt's minute records and the gateway's
assembly of chunks are the real ones, and belt uptime is anchored a few milliseconds anew with each minute.
"""

from __future__ import annotations

import hashlib
import random
import sys
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from cloud_sync.ingest import examine
from cloud_sync.receiver.stores.opening import open_writes
from gateway.cores.vitals import Assembler
from protocol.batch import LANE_VITALS, Envelope, VitalsChunk, encode_envelope, encode_item
from protocol.messages import MinuteRecord, record_from, report_from
from protocol.packing import pack, unpack
from protocol.wire import frames
from tools.bench_rows import Row, print_rows, row

ROOT = Path(__file__).parents[1]
NIGHTS = ("quiet", "restless", "frail")
NIGHT_S = 37_800  # 21:00 to 07:30
DAY_S = 86_400
BELTS = 8
FLUSH_S = 300
UTC0_MS = 1_795_000_020_000
UPTIME_S = 2_000_000
ANCHOR_MS = 2  # how far the anchor of belt uptime wanders
EMPTY = (0, 0, -1, 0, frames.REASON_NO_SIGNAL, -1, 0, frames.REASON_NO_SIGNAL, 0, 0, 0, 0)
Second = Sequence[int]  # as Pipeline.second gives it
REPORT = "facts/SYNC.md: columnar, delta, zstd-19"


def night(name: str) -> list[Second]:
    """The night's seconds as the belt's pipeline gives them; from the cache if the code is the same."""
    cache = ROOT / "build" / "bench" / f"night-{name}-{_code_hash()}.bin"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(b"".join(pack(list(values)) for values in _measure(name)))
    return [unpack(part) for part in _values(cache.read_bytes())]


def _values(data: bytes) -> Iterator[bytes]:
    import msgpack  # type: ignore[import-untyped]

    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    begin = 0
    for _ in unpacker:
        yield data[begin : unpacker.tell()]
        begin = unpacker.tell()


def _measure(name: str) -> Iterator[tuple[int, ...]]:
    from firmware_py.belt.pipeline import RATE_HZ, Pipeline
    from hil.synth import Synth, load

    synth, pipeline = Synth(load(name), rate_hz=RATE_HZ), Pipeline(bits=10)
    for second in range(NIGHT_S):
        pipeline.push(array("h", synth.block(second * RATE_HZ, RATE_HZ).tolist()), RATE_HZ, 0)
        yield tuple(int(value) for value in pipeline.second())


def _code_hash() -> str:
    """Of what makes the readings: the pipeline with all that it imports, the synthesis, the nights."""
    import firmware_py.belt.pipeline  # noqa: F401
    import hil.synth  # noqa: F401

    loaded = {
        Path(str(module.__file__)) for name, module in sys.modules.items()
        if name.startswith(("firmware_py.", "hil.synth")) and getattr(module, "__file__", None)
    }  # fmt: skip
    files = sorted([*loaded, *(ROOT / "hil/nights" / f"{name}.toml" for name in NIGHTS)])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def chunks(seconds: Sequence[Second], bed: str, serial: str, boot_id: int, uptime_s: int, zero_utc_ms: int) \
        -> Iterator[tuple[int, VitalsChunk]]:
    """(second in which it is closed, chunk) of a belt that has these seconds from `uptime_s` on."""
    from firmware_py.belt.minute import Minute

    draw = random.Random(serial)
    assembler, minute = Assembler(bed, serial), Minute()
    turn_overs, anchor_ms = 0, zero_utc_ms
    for second, values in enumerate(seconds):
        (occupancy, why, heart, heart_quality, heart_why, breath, breath_quality, breath_why, movement, turned, _,
         flags) = values
        turn_overs += turned
        uptime_ms = 1000 * (uptime_s + second) + 311
        report = report_from((
            occupancy, why, 5, 0, 1, boot_id, uptime_ms, _sent(heart), heart_quality, heart_why, _sent(breath),
            breath_quality, breath_why, movement, turn_overs & 0xFFFF, 254, flags,
        ))  # fmt: skip
        closed = assembler.report(report, anchor_ms, True)
        if minute.add(values):
            record = record_from((second, boot_id, uptime_ms, frames.RECORD_MINUTE), minute.body())
            assert isinstance(record, MinuteRecord)
            closed += assembler.minute(record, anchor_ms, True)
            anchor_ms = zero_utc_ms + draw.randint(-ANCHOR_MS, ANCHOR_MS)
        yield from ((second, chunk) for chunk in closed)


def _sent(rate: int) -> int:
    return rate if rate >= 0 else frames.ABSENT_16


def belt_day(nights: list[list[Second]], belt: int) -> list[tuple[int, VitalsChunk]]:
    """(second of the day, chunk) of one belt: its night, begun at another hour than its neighbours', an empty bed
    around it, minutes that end at a second of its own."""
    asleep = nights[belt % len(nights)]
    begin = 3_600 * (belt // len(nights)) + 600 * belt - 7 * belt
    seconds = [*[EMPTY] * begin, *asleep, *[EMPTY] * DAY_S][:DAY_S]
    serial = hashlib.sha256(str(belt).encode()).hexdigest()[:16]
    zero_utc_ms = UTC0_MS - 2_000_000_000 - 10_000_000 * belt + 137 * belt
    of_day = chunks(seconds, f"10{belt}-A", serial, 40_000 + belt, UPTIME_S + 10_000 * belt, zero_utc_ms)
    return [((second + 7 * belt) % DAY_S, chunk) for second, chunk in of_day]


def messages(days: list[list[tuple[int, VitalsChunk]]], begin_s: int, end_s: int) -> Iterator[tuple[int, bytes]]:
    """(chunks, message) of all belts' batches, one per flush."""
    seq = 1
    closed = sorted((entry for day in days for entry in day), key=lambda entry: entry[0])
    for flush in range(begin_s, end_s, FLUSH_S):
        bodies = [encode_item(chunk) for second, chunk in closed if flush <= second < flush + FLUSH_S]
        yield len(bodies), encode_envelope(Envelope("gw-01", "0123456789abcdef", seq, seq, tuple(enumerate(bodies))))
        seq += len(bodies)


def stored_bytes(of_day: list[tuple[int, bytes]]) -> float:
    """Bytes of the receiver's SQLite file after the day, group commit of one message each."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "receiver.db"
        open_writes(path).close()
        empty = path.stat().st_size
        store_day(path, of_day)
        return path.stat().st_size - empty


def stored_postgres_bytes(of_day: list[tuple[int, bytes]]) -> float:
    """The same of PostgreSQL: all tables and indexes, as autovacuum leaves them."""
    import psycopg

    from tests.cloud_sync.postgres_server import postgres_server

    size = ("SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")  # fmt: skip
    with postgres_server("bytes") as url, psycopg.connect(url, autocommit=True) as direct:
        open_writes(url).close()
        (empty,) = direct.execute(size).fetchall()[0]
        store_day(url, of_day)
        (full,) = direct.execute(size).fetchall()[0]
        return float(full - empty)


def store_day(where: Path | str, of_day: list[tuple[int, bytes]]) -> None:
    writes = open_writes(where)
    for _, message in of_day:
        arrival = examine(f"sb/v1/gw-01/{LANE_VITALS}", message)
        assert arrival is not None
        writes.commit([arrival], UTC0_MS)
    writes.close()


def rows() -> list[Row]:
    with ProcessPoolExecutor(2) as pool:
        nights = list(pool.map(night, NIGHTS))
    days = [belt_day(nights, belt) for belt in range(BELTS)]
    of_day = list(messages(days, 0, DAY_S))
    belt_hours = BELTS * 24
    one_day = sum(len(message) for _, message in messages(days[:1], 0, DAY_S)) / 24
    in_bed_s = 5 * 3_600  # everybody has gone to bed, nobody has got up
    in_bed = sum(len(message) for _, message in messages(days, in_bed_s, in_bed_s + 3_600)) / BELTS
    alone = sum(len(message) for _, message in messages(days[:1], in_bed_s, in_bed_s + 3_600))
    return [
        row("uplink, 24 h mix, whole bpm, 5-min flush, 8 belts a message", sum(len(m) for _, m in of_day) / belt_hours,
            "B/belt-hour", limit=2_600, source=REPORT),
        row("uplink, 24 h mix, one belt a message", one_day, "B/belt-hour"),
        row("uplink, in-bed hour, 8 belts a message", in_bed, "B/belt-hour", limit=3_300, source=REPORT),
        row("uplink, in-bed hour, one belt a message", alone, "B/belt-hour"),
        row("cloud storage, 24 h mix, SQLite", stored_bytes(of_day) / belt_hours, "B/belt-hour", limit=6_000),
        row("cloud storage, 24 h mix, PostgreSQL", stored_postgres_bytes(of_day) / belt_hours, "B/belt-hour",
            limit=6_000),
    ]  # fmt: skip


def main() -> int:
    print_rows(rows())
    return 0


if __name__ == "__main__":
    sys.exit(main())
