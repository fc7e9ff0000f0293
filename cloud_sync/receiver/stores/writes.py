"""The writing side of a store: a group of arrivals becomes durable in one transaction, in SQL for any database."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from cloud_sync.ingest import Arrival, Incoming, Outcome, fold_alarm, missing_runs, night_ended_utc_ms
from cloud_sync.receiver.hook_events import HookEvent, of_alarm, of_link, of_night
from cloud_sync.receiver.port import GapRow
from cloud_sync.receiver.stores import forgetting, outbox
from cloud_sync.receiver.stores.base import Admission, Committed, StoreError, UnstorableError
from cloud_sync.receiver.stores.database import Database, transaction
from cloud_sync.receiver.stores.pack_rows import PACK_TYPES, PackRow, pack_rows
from cloud_sync.receiver.stores.packs import PackedChunk
from cloud_sync.receiver.stores.provisional import (
    PACK,
    Key,
    Waiting,
    anchors_in,
    belt_key,
    coming_utc_ms,
    correct,
    gateway_key,
)
from cloud_sync.receiver.stores.reads import night_card
from protocol.batch import (
    AlarmEvent,
    BeltEventItem,
    ChunkColumns,
    DeviceState,
    GapReport,
    NightReportItem,
    OtherItem,
    Stamp,
    decode_item,
)
from protocol.packing import pack

__all__ = ["DatabaseWrites"]

log = logging.getLogger(__name__)
T = TypeVar("T")

HASH_BYTES = 8  # enough to tell a repetition from a conflict under one key
RUN_ITEMS_MAX = 120  # of one row of `received`: SQLite then keeps the row in its page
# Beyond these the oldest go: poison must not fill the disk.
QUARANTINE_ROWS_MAX = 10_000
QUARANTINE_BYTES_MAX = 64 * 1024 * 1024  # of bodies
COUNTER_SLOTS = 16  # rows of each counter: workers on one database rarely wait for each other's
NOT_TOLD = "acknowledged earlier, not in this database"
_FORGET_OLD_QUARANTINE = """
DELETE FROM quarantine WHERE digest IN (SELECT digest FROM (
  SELECT digest, row_number() OVER newest_first AS number, sum(length(body)) OVER newest_first AS bytes
  FROM quarantine WINDOW newest_first AS (ORDER BY noted_utc_ms DESC, digest)
) AS held WHERE number > ? OR bytes > ?)
"""
_RECEIVED_TYPES = ("integer", "bigint", "bytea")


class DatabaseWrites:
    """StoreWrites on one database; used by one thread."""

    remark = ""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._beds: dict[tuple[str, str], int] = {}
        self._streams: dict[tuple[str, str, str], int] = {}
        self._anchored: set[Key] = set()  # clocks whose anchor is stored

    def close(self) -> None:
        self._database.close()

    def commit(self, arrivals: Sequence[Arrival], now_utc_ms: int) -> Committed:
        database = self._database
        try:
            anchors = anchors_in(arrivals)
            if new := {key: zero_ms for key, zero_ms in anchors.items() if key not in self._anchored}:
                database.prepare_days(coming_utc_ms(database, new), now_utc_ms)
            database.prepare_days(_vitals_times(arrivals), now_utc_ms)
            database.begin()
            group = _Group(database, self._beds, self._streams, now_utc_ms, anchors, self._anchored)
            group.lock(arrivals)
            outcomes = tuple(group.take(arrival) for arrival in arrivals)
            rewinds = tuple(group.rewind_of(arrival) for arrival in arrivals)
            group.finish()
            database.commit()
        except database.data_errors as error:
            self._abandon()
            raise UnstorableError(f"{database.where} cannot take a value: {error}") from error
        except database.errors as error:
            self._abandon()
            raise StoreError(f"cannot commit to {database.where}: {error}; is the disk full or read-only?") from error
        except BaseException:
            self._abandon()
            raise
        return Committed(outcomes, frozenset(group.touched), tuple(group.new_gaps), rewinds)

    def admit(self, admissions: Sequence[Admission], now_utc_ms: int) -> None:
        with transaction(self._database, "admit residents") as database:
            group = _Group(database, {}, {}, now_utc_ms, {}, set())
            for admission in admissions:
                _admit(database, admission, group.bed_id(admission.gateway, admission.bed), now_utc_ms)

    def discharge(self, resident_id: str, now_utc_ms: int) -> bool:
        return self._at_once(lambda database: forgetting.discharge(database, resident_id, now_utc_ms))

    def forget_of(self, resident_id: str, data_class: str, from_utc_ms: int, to_utc_ms: int) -> int:
        return self._at_once(
            lambda database: forgetting.forget_of(database, resident_id, data_class, from_utc_ms, to_utc_ms)
        )

    def forget_before(self, data_class: str, utc_ms: int) -> int:
        return self._at_once(lambda database: forgetting.forget_before(database, data_class, utc_ms))

    def erase(self, resident_id: str) -> bool:
        return self._at_once(lambda database: forgetting.erase(database, resident_id))

    def _at_once(self, change: Callable[[Database], T]) -> T:
        """One transaction, or StoreError and nothing."""
        with transaction(self._database, "change residents") as database:
            return change(database)

    def _abandon(self) -> None:
        # Ids remembered from a transaction that never was would point nowhere.
        self._beds.clear()
        self._streams.clear()
        self._anchored.clear()
        self._database.rollback()


class _Group:
    """One transaction's work."""

    def __init__(
        self,
        database: Database,
        beds: dict[tuple[str, str], int],
        streams: dict[tuple[str, str, str], int],
        now_utc_ms: int,
        anchors: Mapping[Key, int],
        anchored: set[Key],
    ) -> None:
        self._database = database
        self._anchors, self._anchored = anchors, anchored
        self._execute = database.execute
        self._executemany = database.executemany
        self._for_update = database.for_update
        self._beds, self._streams, self._now_utc_ms = beds, streams, now_utc_ms
        self._counts: dict[str, int] = {}
        self._alarms: dict[tuple[int, str], tuple[str, str]] = {}  # (bed_id, alarm_id) -> (gateway, bed)
        # By bed_id, and by the clock where that was not set: such packs wait for its anchor.
        self._chunks: dict[tuple[int, Key | None], list[tuple[ChunkColumns, PackedChunk]]] = {}
        self._waiting: list[Waiting] = []
        self._audited: dict[int, int] = {}
        self._has_quarantined = False
        self.touched: set[tuple[str, str]] = set()
        self.new_gaps: list[GapRow] = []

    def lock(self, arrivals: Sequence[Arrival]) -> None:
        """One worker at a time on each stream, in an order that all workers share."""
        keys = {(one.gateway, one.epoch, one.lane) for one in arrivals if not one.code}
        for stream_id in sorted(self._stream_id(*key) for key in sorted(keys)):
            row = self._execute(f"SELECT audited FROM streams WHERE stream_id = ?{self._for_update}", (stream_id,))
            self._audited[stream_id] = int(row.fetchone()[0])

    def take(self, arrival: Arrival) -> tuple[Outcome, ...]:
        if arrival.code:
            self._quarantine(arrival, None, arrival.digest, arrival.payload, arrival.code, arrival.message)
            return ()
        stream_id = self._stream_id(arrival.gateway, arrival.epoch, arrival.lane)
        known = self._known_hashes(stream_id, arrival.items)
        outcomes = []
        fresh = []
        for incoming in arrival.items:
            if incoming.seq in known:
                outcomes.append(self._repeated(arrival, stream_id, incoming, known[incoming.seq]))
                continue
            fresh.append(incoming)
            outcomes.append(self._take_fresh(arrival, stream_id, incoming))
        self._database.insert("received", _RECEIVED_TYPES, [(stream_id, *run) for run in _runs(fresh)])
        self._audit(arrival, stream_id)
        return tuple(outcomes)

    def rewind_of(self, arrival: Arrival) -> int:
        """The lowest seq that this stream's gateway may still have, though it was once acked: ask for it again."""
        if arrival.code:
            return 0
        stream_id = self._stream_id(arrival.gateway, arrival.epoch, arrival.lane)
        (first,) = self._execute(
            "SELECT min(first_seq) FROM gaps WHERE stream_id = ? AND reason = ?", (stream_id, NOT_TOLD)
        ).fetchone()
        return int(first or 0)

    def finish(self) -> None:
        """Write what was gathered over all arrivals."""
        self._database.insert("packs", PACK_TYPES, list(self._packs()))
        self._correct_times()
        for (bed_id, alarm_id), bed in sorted(self._alarms.items()):
            self._refresh_alarm(bed_id, alarm_id, bed)
        if self._has_quarantined:
            self._execute(_FORGET_OLD_QUARANTINE, (QUARANTINE_ROWS_MAX, QUARANTINE_BYTES_MAX))
        slot = os.getpid() % COUNTER_SLOTS
        self._executemany(
            "INSERT INTO counters VALUES (?, ?, ?) "
            "ON CONFLICT (name, slot) DO UPDATE SET value = counters.value + excluded.value",
            [(name, slot, value) for name, value in sorted(self._counts.items())],
        )

    def _correct_times(self) -> None:
        self._executemany("INSERT INTO provisional VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", self._waiting)
        new = [(*key, zero_ms) for key, zero_ms in sorted(self._anchors.items()) if key not in self._anchored]
        self._executemany("INSERT INTO anchors VALUES (?, ?, ?) ON CONFLICT DO NOTHING", new)
        self._anchored |= self._anchors.keys()
        corrected = correct(self._database)
        for bed_id in sorted(corrected.bed_ids):
            found = self._execute("SELECT gateway, bed FROM beds WHERE bed_id = ?", (bed_id,)).fetchone()
            self.touched.add((found[0], found[1]))
            for of_bed, alarm_id in corrected.alarms:
                if of_bed == bed_id:
                    self._alarms[bed_id, alarm_id] = (found[0], found[1])

    def bed_id(self, gateway: str, bed: str) -> int:
        known = self._beds.get((gateway, bed))
        if known is None:
            self._execute("INSERT INTO beds (gateway, bed) VALUES (?, ?) ON CONFLICT DO NOTHING", (gateway, bed))
            row = self._execute("SELECT bed_id FROM beds WHERE gateway = ? AND bed = ?", (gateway, bed)).fetchone()
            known = self._beds[gateway, bed] = int(row[0])
        return known

    def _stream_id(self, gateway: str, epoch: str, lane: str) -> int:
        key = (gateway, epoch, lane)
        if key not in self._streams:
            self._execute("INSERT INTO streams (gateway, epoch, lane) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", key)
            row = self._execute(
                "SELECT stream_id FROM streams WHERE gateway = ? AND epoch = ? AND lane = ?", key
            ).fetchone()
            self._streams[key] = int(row[0])
        return self._streams[key]

    def _known_hashes(self, stream_id: int, items: Sequence[Incoming]) -> dict[int, bytes]:
        """Hashes of those seqs between the first and the last item that were received before."""
        if not items:
            return {}
        return {
            first + i: hashes[i * HASH_BYTES : (i + 1) * HASH_BYTES]
            for first, hashes in self._received(stream_id, items[0].seq, items[-1].seq + 1)
            for i in range(len(hashes) // HASH_BYTES)
        }

    def _received(self, stream_id: int, first_seq: int, end_seq: int) -> list[tuple[int, bytes]]:
        """(first seq, hashes) of the runs that may reach into [first_seq, end_seq), ascending."""
        rows = self._execute(
            "SELECT first_seq, hashes FROM received WHERE stream_id = ? AND first_seq > ? AND first_seq < ? "
            "ORDER BY first_seq",
            (stream_id, first_seq - RUN_ITEMS_MAX, end_seq),
        )
        return [(int(first), bytes(hashes)) for first, hashes in rows.fetchall()]

    def _present(self, stream_id: int, first_seq: int, end_seq: int) -> Iterator[int]:
        """The received seqs in [first_seq, end_seq), ascending."""
        for first, hashes in self._received(stream_id, first_seq, end_seq):
            yield from range(max(first, first_seq), min(first + len(hashes) // HASH_BYTES, end_seq))

    def _take_fresh(self, arrival: Arrival, stream_id: int, incoming: Incoming) -> Outcome:
        if incoming.seq < self._audited[stream_id]:
            self._close_gap(stream_id, incoming.seq)
        if incoming.item is None:
            self._count("rejected")
            self._execute("INSERT INTO rejected VALUES (?, ?, ?)", (stream_id, incoming.seq, incoming.code))
            self._quarantine(arrival, incoming.seq, incoming.hash, incoming.body, incoming.code, incoming.message)
            return "rejected"
        self._count("items")
        if isinstance(incoming.item, ChunkColumns):
            self._add_chunk(arrival.gateway, stream_id, incoming, incoming.item)
        else:
            self._project(arrival, stream_id, incoming, incoming.item)
        return "stored"

    def _repeated(self, arrival: Arrival, stream_id: int, incoming: Incoming, known_hash: bytes) -> Outcome:
        if known_hash != incoming.hash[:HASH_BYTES]:
            self._count("conflicts")
            message = f"seq {incoming.seq} was stored with other contents before"
            log.error("%s %s: %s", arrival.gateway, arrival.lane, message)
            self._quarantine(arrival, incoming.seq, incoming.hash, incoming.body, "conflict", message)
            return "conflict"
        self._count("duplicates")
        is_rejected = self._execute(
            "SELECT 1 FROM rejected WHERE stream_id = ? AND seq = ?", (stream_id, incoming.seq)
        ).fetchone()
        return "rejected" if is_rejected else "repeated"

    def _project(self, arrival: Arrival, stream_id: int, incoming: Incoming, item: OtherItem) -> None:
        gateway, key = arrival.gateway, (stream_id, incoming.seq)
        match item:
            case AlarmEvent():
                bed_id = self.bed_id(gateway, item.bed)
                self._count("alarm_events")
                self._execute(
                    "INSERT INTO alarm_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, bed_id, item.alarm_id, item.at.utc_ms, int(item.at.trusted), item.event, item.detail,
                     incoming.body),
                )  # fmt: skip
                self._wait_for_anchor("alarm_events", gateway, key, item.at)
                if item.alarm_id:
                    self._alarms[bed_id, item.alarm_id] = (gateway, item.bed)
                self._tell(of_link(gateway, f"{arrival.epoch}:{arrival.lane}:{incoming.seq}", item))
                self.touched.add((gateway, item.bed))
            case NightReportItem():
                self._count("nights")
                self._execute(
                    "INSERT INTO nights VALUES (?, ?, ?, ?, ?) ON CONFLICT (bed_id, night_of, version) "
                    "DO UPDATE SET utc_ms = excluded.utc_ms, report = excluded.report",
                    (self.bed_id(gateway, item.bed), item.night_of, item.version, night_ended_utc_ms(item),
                     pack(item.report)),
                )
                card = night_card(item.night_of, item.version, item.report)
                self._tell(of_night(gateway, item.bed, night_ended_utc_ms(item), card))
                self.touched.add((gateway, item.bed))
            case BeltEventItem():
                self._count("belt_events")
                self._execute(
                    "INSERT INTO belt_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, self.bed_id(gateway, item.bed), item.belt, item.at.utc_ms, int(item.at.trusted), item.event,
                     incoming.body),
                )  # fmt: skip
                self._wait_for_anchor("belt_events", gateway, key, item.at)
                self.touched.add((gateway, item.bed))
            case DeviceState():
                self._execute(
                    "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, device) DO UPDATE SET "
                    "role = excluded.role, bed = excluded.bed, utc_ms = excluded.utc_ms, body = excluded.body "
                    "WHERE excluded.utc_ms >= devices.utc_ms",
                    (gateway, item.device, item.role, item.bed, item.at.utc_ms, incoming.body),
                )
            case GapReport():
                self._explain_gap(gateway, item)

    def _add_chunk(self, gateway: str, stream_id: int, incoming: Incoming, chunk: ChunkColumns) -> None:
        bed_id = self.bed_id(gateway, chunk.bed)
        self.touched.add((gateway, chunk.bed))
        self._count("chunks")
        self._count("readings", chunk.count)
        clock = None if chunk.trusted else belt_key(gateway, chunk)
        self._chunks.setdefault((bed_id, clock), []).append((chunk, (stream_id, incoming.seq, incoming.body)))

    def _packs(self) -> Iterator[PackRow]:
        for (bed_id, clock), chunks in self._chunks.items():
            for row in pack_rows(bed_id, chunks):
                if clock is not None:
                    zero_ms = chunks[0][0].start_utc_ms - chunks[0][0].start_second * 1000
                    self._waiting.append((*clock, PACK, bed_id, row[1], max(0, row[1] - zero_ms)))
                yield row

    def _wait_for_anchor(self, table: str, gateway: str, key: tuple[int, int], at: Stamp) -> None:
        if not at.trusted:
            self._waiting.append((*gateway_key(gateway, at), table, *key, at.elapsed_ms))

    def _tell(self, events: Iterable[HookEvent]) -> None:
        for event in events:
            outbox.note(self._database, event, self._now_utc_ms)

    def _refresh_alarm(self, bed_id: int, alarm_id: str, bed: tuple[str, str]) -> None:
        rows = self._execute(
            "SELECT body FROM alarm_events WHERE bed_id = ? AND alarm_id = ? ORDER BY stream_id, seq",
            (bed_id, alarm_id),
        ).fetchall()
        # Batches may overtake each other: the state is folded anew from all events in order, never patched.
        events = [item for (body,) in rows if isinstance(item := decode_item(bytes(body)), AlarmEvent)]
        life = fold_alarm(events)
        if life is not None:
            self._execute(
                "INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bed_id, alarm_id) DO UPDATE SET "
                "state = excluded.state, level = excluded.level, priority = excluded.priority, "
                "raised_utc_ms = excluded.raised_utc_ms, acknowledged_utc_ms = excluded.acknowledged_utc_ms, "
                "ended_utc_ms = excluded.ended_utc_ms, detail = excluded.detail",
                (bed_id, alarm_id, life.state, life.level, life.priority, life.raised_utc_ms,
                 life.acknowledged_utc_ms, life.ended_utc_ms, life.detail),
            )  # fmt: skip
            self._tell(of_alarm(*bed, alarm_id, life))

    def _audit(self, arrival: Arrival, stream_id: int) -> None:
        """What the gateway may have freed on an ack must be here: `floor` proves it, or shows what is missing."""
        audited = self._audited[stream_id]
        if arrival.floor <= audited:
            return
        for first, last in missing_runs(audited, arrival.floor, self._present(stream_id, audited, arrival.floor)):
            self._execute(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (stream_id, first, last, NOT_TOLD, self._now_utc_ms),
            )
            self.new_gaps.append(GapRow(arrival.gateway, arrival.epoch, arrival.lane, first, last, NOT_TOLD))
        self._execute("UPDATE streams SET audited = ? WHERE stream_id = ?", (arrival.floor, stream_id))
        self._audited[stream_id] = arrival.floor

    def _close_gap(self, stream_id: int, seq: int) -> None:
        """A seq that was proven missing has come after all: its gap shrinks, splits or goes."""
        row = self._execute(
            "SELECT first_seq, last_seq, reason, noted_utc_ms FROM gaps "
            "WHERE stream_id = ? AND first_seq <= ? AND last_seq >= ?",
            (stream_id, seq, seq),
        ).fetchone()
        if row is None:
            return
        first, last, reason, noted = row
        self._execute("DELETE FROM gaps WHERE stream_id = ? AND first_seq = ?", (stream_id, first))
        for start, end in ((first, seq - 1), (seq + 1, last)):
            if start <= end:
                self._execute("INSERT INTO gaps VALUES (?, ?, ?, ?, ?)", (stream_id, start, end, reason, noted))

    def _explain_gap(self, gateway: str, report: GapReport) -> None:
        """The gateway tells what will never come: kept even where no audit has noticed it yet."""
        stream_id = self._stream_id(gateway, report.epoch, report.lane)
        end_seq = report.last_seq + 1
        runs = missing_runs(report.first_seq, end_seq, self._present(stream_id, report.first_seq, end_seq))
        self._execute(
            "DELETE FROM gaps WHERE stream_id = ? AND first_seq BETWEEN ? AND ?",
            (stream_id, report.first_seq, report.last_seq),
        )
        for first, last in runs:
            self._execute(
                "INSERT INTO gaps VALUES (?, ?, ?, ?, ?) ON CONFLICT (stream_id, first_seq) DO UPDATE SET "
                "last_seq = excluded.last_seq, reason = excluded.reason, noted_utc_ms = excluded.noted_utc_ms",
                (stream_id, first, last, report.reason, self._now_utc_ms),
            )
            self.new_gaps.append(GapRow(gateway, report.epoch, report.lane, first, last, report.reason))

    def _quarantine(
        self, arrival: Arrival, seq: int | None, digest: bytes, body: bytes, code: str, message: str
    ) -> None:
        inserted = self._execute(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (digest, arrival.gateway, arrival.lane, seq, code, message[:500], body, self._now_utc_ms),
        )
        if inserted.rowcount:
            log.warning("%s %s: quarantined (%s): %s", arrival.gateway, arrival.lane, code, message)
            self._has_quarantined = True

    def _count(self, name: str, by: int = 1) -> None:
        if by:
            self._counts[name] = self._counts.get(name, 0) + by


def _vitals_times(arrivals: Iterable[Arrival]) -> Iterator[int]:
    for arrival in arrivals:
        for incoming in arrival.items:
            if isinstance(incoming.item, ChunkColumns):
                yield incoming.item.start_utc_ms


def _runs(items: Sequence[Incoming]) -> list[tuple[int, bytes]]:
    """(first seq, hashes) of the runs of neighbouring seqs, each of at most RUN_ITEMS_MAX."""
    runs: list[tuple[int, bytearray]] = []
    for item in items:
        if runs and item.seq == runs[-1][0] + len(runs[-1][1]) // HASH_BYTES and \
                len(runs[-1][1]) < RUN_ITEMS_MAX * HASH_BYTES:
            runs[-1][1].extend(item.hash[:HASH_BYTES])
        else:
            runs.append((item.seq, bytearray(item.hash[:HASH_BYTES])))
    return [(first, bytes(hashes)) for first, hashes in runs]


def _admit(database: Database, admission: Admission, bed_id: int, now_utc_ms: int) -> None:
    name, execute = admission.name, database.execute
    execute("INSERT INTO residents VALUES (?, ?) ON CONFLICT DO NOTHING", (name.resident_id, now_utc_ms))
    execute(
        "INSERT INTO resident_names VALUES (?, ?, ?) ON CONFLICT (resident_id) DO UPDATE SET "
        "nonce = excluded.nonce, sealed = excluded.sealed",
        (name.resident_id, name.nonce, name.sealed),
    )
    execute("UPDATE beds SET room = ? WHERE bed_id = ?", (admission.room, bed_id))
    here = execute(
        "SELECT 1 FROM assignments WHERE resident_id = ? AND bed_id = ? AND to_utc_ms IS NULL",
        (name.resident_id, bed_id),
    ).fetchone()
    if here is None:
        execute(
            "UPDATE assignments SET to_utc_ms = ? WHERE to_utc_ms IS NULL AND (resident_id = ? OR bed_id = ?)",
            (now_utc_ms, name.resident_id, bed_id),
        )
        execute("INSERT INTO assignments VALUES (?, ?, ?, NULL)", (name.resident_id, bed_id, now_utc_ms))
