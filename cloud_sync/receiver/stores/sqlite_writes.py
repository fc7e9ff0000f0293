"""The writing side of the SQLite store: a group of arrivals becomes durable in one transaction."""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from cloud_sync.ingest import Arrival, Incoming, Outcome, fold_alarm, minutes_of, missing_runs
from cloud_sync.receiver.port import GapRow
from cloud_sync.receiver.stores.base import Admission, Committed, StoreError
from cloud_sync.receiver.stores.sqlite_file import open_for_writing
from protocol.batch import (
    AlarmEvent,
    BeltEventItem,
    DeviceState,
    GapReport,
    Item,
    NightReportItem,
    VitalsChunk,
    decode_item,
)
from protocol.packing import pack

__all__ = ["SqliteWrites"]

log = logging.getLogger(__name__)

STORED, REJECTED = 1, 2
QUARANTINE_ROWS_MAX = 10_000  # beyond it the oldest go: poison must not fill the disk
NOT_TOLD = "acknowledged earlier, not in this database"


class SqliteWrites:
    """StoreWrites on one SQLite file; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection, self.remark = open_for_writing(path)
        self._beds: dict[tuple[str, str], int] = {}
        self._streams: dict[tuple[str, str, str], int] = {}

    def close(self) -> None:
        self._connection.close()

    def commit(self, arrivals: Sequence[Arrival], now_utc_ms: int) -> Committed:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            group = _Group(self._connection, self._beds, self._streams, now_utc_ms)
            outcomes = tuple(group.take(arrival) for arrival in arrivals)
            group.finish()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            raise StoreError(f"cannot commit to {self._path}: {error}; is the disk full or read-only?") from error
        except BaseException:
            self._abandon()
            raise
        return Committed(outcomes, frozenset(group.touched), tuple(group.new_gaps))

    def admit(self, admissions: Sequence[Admission], now_utc_ms: int) -> None:
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            group = _Group(self._connection, self._beds, self._streams, now_utc_ms)
            for admission in admissions:
                _admit(self._connection, admission, group.bed_id(admission.gateway, admission.bed), now_utc_ms)
            execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            raise StoreError(f"cannot admit residents in {self._path}: {error}") from error

    def _abandon(self) -> None:
        # Ids remembered from a transaction that never was would point nowhere.
        self._beds.clear()
        self._streams.clear()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class _Group:
    """One transaction's work."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        beds: dict[tuple[str, str], int],
        streams: dict[tuple[str, str, str], int],
        now_utc_ms: int,
    ) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._beds, self._streams, self._now_utc_ms = beds, streams, now_utc_ms
        self._counts: dict[str, int] = {}
        self._alarms: set[tuple[int, str]] = set()
        self.touched: set[tuple[str, str]] = set()
        self.new_gaps: list[GapRow] = []

    def take(self, arrival: Arrival) -> tuple[Outcome, ...]:
        if arrival.code:
            self._quarantine(arrival, None, arrival.digest, arrival.payload, arrival.code, arrival.message)
            return ()
        stream_id, audited = self._stream(arrival)
        outcomes = tuple(self._take_item(arrival, stream_id, audited, incoming) for incoming in arrival.items)
        self._audit(arrival, stream_id, audited)
        return outcomes

    def finish(self) -> None:
        for bed_id, alarm_id in self._alarms:
            self._refresh_alarm(bed_id, alarm_id)
        self._executemany(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            list(self._counts.items()),
        )

    def bed_id(self, gateway: str, bed: str) -> int:
        known = self._beds.get((gateway, bed))
        if known is None:
            self._execute("INSERT OR IGNORE INTO beds (gateway, bed) VALUES (?, ?)", (gateway, bed))
            row = self._execute("SELECT bed_id FROM beds WHERE gateway = ? AND bed = ?", (gateway, bed)).fetchone()
            known = self._beds[gateway, bed] = int(row[0])
        return known

    def _stream(self, arrival: Arrival) -> tuple[int, int]:
        key = (arrival.gateway, arrival.epoch, arrival.lane)
        if key not in self._streams:
            self._execute("INSERT OR IGNORE INTO streams (gateway, epoch, lane) VALUES (?, ?, ?)", key)
            row = self._execute(
                "SELECT stream_id FROM streams WHERE gateway = ? AND epoch = ? AND lane = ?", key
            ).fetchone()
            self._streams[key] = int(row[0])
        stream_id = self._streams[key]
        row = self._execute("SELECT audited FROM streams WHERE stream_id = ?", (stream_id,)).fetchone()
        return stream_id, int(row[0])

    def _take_item(self, arrival: Arrival, stream_id: int, audited: int, incoming: Incoming) -> Outcome:
        status = STORED if incoming.item is not None else REJECTED
        cursor = self._execute(
            "INSERT OR IGNORE INTO received VALUES (?, ?, ?, ?, ?)",
            (stream_id, incoming.seq, incoming.hash, status, incoming.code or None),
        )
        if cursor.rowcount == 0:
            return self._repeated(arrival, stream_id, incoming)
        if incoming.seq < audited:
            self._close_gap(stream_id, incoming.seq)
        if incoming.item is None:
            self._count("rejected")
            self._quarantine(arrival, incoming.seq, incoming.hash, incoming.body, incoming.code, incoming.message)
            return "rejected"
        self._count("items")
        self._project(arrival, stream_id, incoming, incoming.item)
        return "stored"

    def _repeated(self, arrival: Arrival, stream_id: int, incoming: Incoming) -> Outcome:
        known_hash, status = self._execute(
            "SELECT hash, status FROM received WHERE stream_id = ? AND seq = ?", (stream_id, incoming.seq)
        ).fetchone()
        if known_hash != incoming.hash:
            self._count("conflicts")
            message = f"seq {incoming.seq} was stored with other contents before"
            log.error("%s %s: %s", arrival.gateway, arrival.lane, message)
            self._quarantine(arrival, incoming.seq, incoming.hash, incoming.body, "conflict", message)
            return "conflict"
        self._count("duplicates")
        return "repeated" if status == STORED else "rejected"

    def _project(self, arrival: Arrival, stream_id: int, incoming: Incoming, item: Item) -> None:
        gateway, key = arrival.gateway, (stream_id, incoming.seq)
        match item:
            case VitalsChunk():
                self._add_chunk(self.bed_id(gateway, item.bed), key, item, incoming.body)
                self.touched.add((gateway, item.bed))
            case AlarmEvent():
                bed_id = self.bed_id(gateway, item.bed)
                self._count("alarm_events")
                self._execute(
                    "INSERT INTO alarm_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, bed_id, item.alarm_id, item.at.utc_ms, item.at.trusted, item.event, item.detail,
                     incoming.body),
                )  # fmt: skip
                if item.alarm_id:
                    self._alarms.add((bed_id, item.alarm_id))
                self.touched.add((gateway, item.bed))
            case NightReportItem():
                self._count("nights")
                self._execute(
                    "INSERT OR REPLACE INTO nights VALUES (?, ?, ?, ?, ?)",
                    (self.bed_id(gateway, item.bed), item.night_of, item.version, item.at.utc_ms, pack(item.report)),
                )
                self.touched.add((gateway, item.bed))
            case BeltEventItem():
                self._count("belt_events")
                self._execute(
                    "INSERT INTO belt_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, self.bed_id(gateway, item.bed), item.belt, item.at.utc_ms, item.at.trusted, item.event,
                     incoming.body),
                )  # fmt: skip
                self.touched.add((gateway, item.bed))
            case DeviceState():
                self._execute(
                    "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, device) DO UPDATE SET "
                    "role = excluded.role, bed = excluded.bed, utc_ms = excluded.utc_ms, body = excluded.body "
                    "WHERE excluded.utc_ms >= utc_ms",
                    (gateway, item.device, item.role, item.bed, item.at.utc_ms, incoming.body),
                )
            case GapReport():
                self._explain_gap(gateway, item)

    def _add_chunk(self, bed_id: int, key: tuple[int, int], chunk: VitalsChunk, body: bytes) -> None:
        self._count("chunks")
        self._count("readings", len(chunk.readings))
        self._execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, bed_id, chunk.belt, chunk.start_utc_ms, chunk.span_s, len(chunk.readings), chunk.trusted, body),
        )
        self._executemany(
            "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bed_id, utc_ms) DO UPDATE SET "
            "readings = readings + excluded.readings, occupied_s = occupied_s + excluded.occupied_s, "
            "empty_s = empty_s + excluded.empty_s, heart_sum = heart_sum + excluded.heart_sum, "
            "heart_count = heart_count + excluded.heart_count, "
            "respiration_sum = respiration_sum + excluded.respiration_sum, "
            "respiration_count = respiration_count + excluded.respiration_count, "
            "moving_s = moving_s + excluded.moving_s, turn_overs = turn_overs + excluded.turn_overs",
            [
                (bed_id, row.utc_ms, row.readings, row.occupied_s, row.empty_s, row.heart_sum, row.heart_count,
                 row.respiration_sum, row.respiration_count, row.moving_s, row.turn_overs)
                for row in minutes_of(chunk)
            ],
        )  # fmt: skip

    def _refresh_alarm(self, bed_id: int, alarm_id: str) -> None:
        rows = self._execute(
            "SELECT body FROM alarm_events WHERE bed_id = ? AND alarm_id = ? ORDER BY stream_id, seq",
            (bed_id, alarm_id),
        ).fetchall()
        # Batches may overtake each other: the state is folded anew from all events in order, never patched.
        events = [item for (body,) in rows if isinstance(item := decode_item(body), AlarmEvent)]
        life = fold_alarm(events)
        if life is not None:
            self._execute(
                "INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (bed_id, alarm_id, life.state, life.level, life.priority, life.raised_utc_ms,
                 life.acknowledged_utc_ms, life.ended_utc_ms, life.detail),
            )  # fmt: skip

    def _audit(self, arrival: Arrival, stream_id: int, audited: int) -> None:
        """What the gateway may have freed on an ack must be here: `floor` proves it, or shows what is missing."""
        if arrival.floor <= audited:
            return
        present = self._execute(
            "SELECT seq FROM received WHERE stream_id = ? AND seq >= ? AND seq < ? ORDER BY seq",
            (stream_id, audited, arrival.floor),
        )
        for first, last in missing_runs(audited, arrival.floor, (int(row[0]) for row in present)):
            self._execute(
                "INSERT OR IGNORE INTO gaps VALUES (?, ?, ?, ?, ?)",
                (stream_id, first, last, NOT_TOLD, self._now_utc_ms),
            )
            self.new_gaps.append(GapRow(arrival.gateway, arrival.epoch, arrival.lane, first, last, NOT_TOLD))
        self._execute("UPDATE streams SET audited = ? WHERE stream_id = ?", (arrival.floor, stream_id))

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
        stream_id, _ = self._stream(Arrival(gateway, report.lane, report.epoch))
        present = self._execute(
            "SELECT seq FROM received WHERE stream_id = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (stream_id, report.first_seq, report.last_seq),
        )
        runs = missing_runs(report.first_seq, report.last_seq + 1, (int(row[0]) for row in present))
        self._execute(
            "DELETE FROM gaps WHERE stream_id = ? AND first_seq BETWEEN ? AND ?",
            (stream_id, report.first_seq, report.last_seq),
        )
        for first, last in runs:
            self._execute(
                "INSERT OR REPLACE INTO gaps VALUES (?, ?, ?, ?, ?)",
                (stream_id, first, last, report.reason, self._now_utc_ms),
            )
            self.new_gaps.append(GapRow(gateway, report.epoch, report.lane, first, last, report.reason))

    def _quarantine(
        self, arrival: Arrival, seq: int | None, digest: bytes, body: bytes, code: str, message: str
    ) -> None:
        cursor = self._execute(
            "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (digest, arrival.gateway, arrival.lane, seq, code, message[:500], body, self._now_utc_ms),
        )
        if cursor.rowcount:
            log.warning("%s %s: quarantined (%s): %s", arrival.gateway, arrival.lane, code, message)
            self._execute(
                "DELETE FROM quarantine WHERE rowid <= (SELECT max(rowid) FROM quarantine) - ?", (QUARANTINE_ROWS_MAX,)
            )

    def _count(self, name: str, by: int = 1) -> None:
        if by:
            self._counts[name] = self._counts.get(name, 0) + by


def _admit(connection: sqlite3.Connection, admission: Admission, bed_id: int, now_utc_ms: int) -> None:
    name, execute = admission.name, connection.execute
    execute("INSERT OR IGNORE INTO residents VALUES (?, ?)", (name.resident_id, now_utc_ms))
    execute("INSERT OR REPLACE INTO resident_names VALUES (?, ?, ?)", (name.resident_id, name.nonce, name.sealed))
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
