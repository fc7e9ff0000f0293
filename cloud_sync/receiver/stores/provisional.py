"""Times that were told before their clock was set, put right once it was.

Every chunk tells its seconds on its belt's own axis, every event its instant on the gateway's: (boot, ms since). The
first thing of the same boot that comes with a trusted time is the anchor: it says where that axis' zero lies in UTC.
What came before waits in `provisional`, whatever the order of arrival, and is given its time in the commit that brings
the anchor or in a later one: chunks go into packs of the right day, events get their instant, alarms are folded anew.

| source | boot_id | kind: place, number |
|---|---|---|
| gateway/belt's serial | the belt's | pack: bed_id, start_utc_ms of the pack |
| gateway | the gateway's | alarm_events, belt_events: stream_id, seq |

A clock is known by who told of it: no gateway can move what another one sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloud_sync.ingest import Arrival
from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.pack_rows import PACK_TYPES, pack_rows
from cloud_sync.receiver.stores.packs import PackedChunk, open_pack
from protocol.batch import (
    AlarmEvent,
    BeltEventItem,
    ChunkColumns,
    DeviceState,
    NightReportItem,
    Stamp,
    VitalsChunk,
    decode_columns,
    decode_item,
    encode_item,
)

__all__ = ["PACK", "Corrected", "Key", "Waiting", "anchors_in", "belt_key", "coming_utc_ms", "correct", "gateway_key"]

PACK = "pack"
AT_ONCE_MAX = 20  # packs or events a commit puts right: an ack does not wait for three days of them
TWO_HOURS_MS = 7_200_000  # the chunks of a live pack

Key = tuple[str, int]  # source, boot_id
Waiting = tuple[str, int, str, int, int, int]  # the columns of `provisional`


@dataclass(frozen=True, slots=True)
class Corrected:
    """What got its time: beds whose vitals or events moved, and the alarms to be folded anew."""

    bed_ids: frozenset[int]
    alarms: frozenset[tuple[int, str]]  # (bed_id, alarm_id)


def gateway_key(gateway: str, at: Stamp) -> Key:
    """The clock that told an event's instant."""
    return gateway, at.boot_id


def belt_key(gateway: str, chunk: ChunkColumns) -> Key:
    """The clock that told a chunk's seconds."""
    return f"{gateway}/{chunk.belt}", chunk.boot_id


def anchors_in(arrivals: Iterable[Arrival]) -> dict[Key, int]:
    """Clock -> UTC ms of its zero, by what came with a trusted time."""
    found: dict[Key, int] = {}
    for arrival in arrivals:
        for incoming in arrival.items:
            match incoming.item:
                case ChunkColumns(trusted=True) as chunk:
                    found[belt_key(arrival.gateway, chunk)] = chunk.start_utc_ms - chunk.start_second * 1000
                case (AlarmEvent() | BeltEventItem() | DeviceState() | NightReportItem()) as item if item.at.trusted:
                    found[gateway_key(arrival.gateway, item.at)] = item.at.utc_ms - item.at.elapsed_ms
    return found


def coming_utc_ms(database: Database, anchors: Mapping[Key, int]) -> Iterator[int]:
    """Instants around the packs that these anchors will put right."""
    rows = database.execute("SELECT source, boot_id, elapsed_ms FROM provisional WHERE kind = ?", (PACK,)).fetchall()
    for source, boot_id, elapsed_ms in rows:
        if (source, boot_id) in anchors:
            start_ms = anchors[source, boot_id] + elapsed_ms
            yield from (start_ms, start_ms + TWO_HOURS_MS)


def correct(database: Database) -> Corrected:
    """Give their time to some of those whose anchor is known, inside the caller's transaction."""
    rows = database.execute(
        "SELECT source, boot_id, kind, place, number, zero_utc_ms "
        "FROM provisional JOIN anchors USING (source, boot_id) ORDER BY source, boot_id, kind, place, number LIMIT ?",
        (AT_ONCE_MAX,),
    ).fetchall()
    bed_ids: set[int] = set()
    alarms: set[tuple[int, str]] = set()
    for source, boot_id, kind, place, number, zero_ms in rows:
        if kind == PACK:
            _correct_pack(database, place, number, (source, boot_id), zero_ms)
            bed_ids.add(place)
        else:
            for bed_id, alarm_id in _correct_event(database, kind, place, number, zero_ms):
                bed_ids.add(bed_id)
                if alarm_id:
                    alarms.add((bed_id, alarm_id))
        database.execute(
            "DELETE FROM provisional WHERE source = ? AND boot_id = ? AND kind = ? AND place = ? AND number = ?",
            (source, boot_id, kind, place, number),
        )
    return Corrected(frozenset(bed_ids), frozenset(alarms))


def _correct_pack(database: Database, bed_id: int, start_ms: int, key: Key, zero_ms: int) -> None:
    found = database.execute(
        "SELECT body, minutes FROM packs WHERE bed_id = ? AND start_utc_ms = ?", (bed_id, start_ms)
    ).fetchall()
    for body, minutes in found:
        packed = list(open_pack(bytes(body))) if body else []
        # Another pack may begin at the same instant; those of one pack are of one boot.
        if not packed or _told_by(packed[0]) != (key[0].partition("/")[2], key[1]):
            continue
        database.execute("DELETE FROM packs WHERE bed_id = ? AND start_utc_ms = ? AND body = ? AND minutes = ?",
                         (bed_id, start_ms, body, minutes))  # fmt: skip
        database.insert("packs", PACK_TYPES, list(pack_rows(bed_id, [_placed(one, zero_ms) for one in packed])))


def _told_by(packed: PackedChunk) -> tuple[str, int] | None:
    """(belt, boot_id) of a chunk that waits."""
    columns = decode_columns(packed[2])
    if not isinstance(columns, ChunkColumns) or columns.trusted:
        return None
    return columns.belt, columns.boot_id


def _placed(packed: PackedChunk, zero_ms: int) -> tuple[ChunkColumns, PackedChunk]:
    stream_id, seq, body = packed
    chunk = decode_item(body)
    assert isinstance(chunk, VitalsChunk)
    start_ms = max(0, zero_ms + chunk.start_second * 1000)
    body = encode_item(replace(chunk, start_utc_ms=start_ms, trusted=True))
    columns = decode_columns(body)
    assert isinstance(columns, ChunkColumns)
    return columns, (stream_id, seq, body)


def _correct_event(
    database: Database, table: str, stream_id: int, seq: int, zero_ms: int
) -> Iterator[tuple[int, str]]:
    assert table in ("alarm_events", "belt_events")
    rows: list[Any] = database.execute(
        f"SELECT bed_id, body FROM {table} WHERE stream_id = ? AND seq = ?", (stream_id, seq)
    ).fetchall()
    for bed_id, body in rows:
        item = decode_item(bytes(body))
        if isinstance(item, AlarmEvent | BeltEventItem):
            item = replace(item, at=replace(item.at, utc_ms=max(0, zero_ms + item.at.elapsed_ms), trusted=True))
            database.execute(
                f"UPDATE {table} SET utc_ms = ?, trusted = 1, body = ? WHERE stream_id = ? AND seq = ?",
                (item.at.utc_ms, encode_item(item), stream_id, seq),
            )
            yield bed_id, item.alarm_id if isinstance(item, AlarmEvent) else ""
