"""The gateway's SQLite files, synchronous: what is written together, what survives a power cut, what is left of damage.

| file | holds | committed |
|---|---|---|
| events.db | ward state, anchor, alarm log, belt records, outbox of small items, what the cloud acked | at once, FULL |
| | audit chain, settings history, accounts (store_evidence.py) | |
| vitals-YYYYMMDD.db | columnar chunks (UTC day of their start), CRC each; dropped whole at retention | once a minute |

Settings as measured in facts/SYNC.md: WAL + FULL loses no acked commit; psow=0 assumes that a cut garbles the block
being written; EXCLUSIVE keeps a second gateway out of the folder.
"""

from __future__ import annotations

import heapq
import json
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS, LANES, OutboxItem
from gateway.cores.audit import ERASURE, AuditEntry, positions_text
from gateway.store_days import DayFiles
from gateway.store_erase import ErasedBed, delete_bed, erase_chunks, runs_of, scrub, tells_of
from gateway.store_evidence import (
    EVIDENCE_TABLES,
    append_audit,
    audit_head,
    insert_settings,
    put_accounts,
    redact_bed,
)
from gateway.store_provisional import (
    BEGIN,
    CHUNKS_AT_ONCE,
    PROVISIONAL,
    Placed,
    Zeros,
    begin_text,
    chunk_moves,
    move_chunks,
    place_rows,
    shifted,
)
from gateway.store_repair import (
    Opener,
    StoreBusyError,
    StoreError,
    connect,
    damage,
    open_file,
    put_aside,
    salvage,
)
from gateway.store_rows import Chunk, EventRow, NightRow, RecordRow, Writes
from gateway.store_schema import EVENTS, pack_state, unpack_state
from gateway.store_space import DiskFullError, Reserve, is_full

__all__ = [
    "Chunk",
    "EventRow",
    "NightRow",
    "RecordRow",
    "Repair",
    "StoreBusyError",
    "StoreError",
    "StoreFiles",
    "Writes",
]

MS_PER_DAY = 86_400_000
T = TypeVar("T")

# Tables that are read out of a damaged events.db, most needed first.
_SALVAGED = (
    *("meta", "state", "belts", *EVIDENCE_TABLES, "lanes", "events"),
    *("outbox", "nights", "belt_records", "acked_ahead", "rejected"),
)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was found damaged at start, where it was put, and which seqs of the old epoch are gone for good."""

    file: Path
    aside: Path
    reason: str
    epoch: str
    lost: tuple[tuple[str, int, int], ...]  # (lane, first seq, last seq)


class StoreFiles:
    """All files of one data folder; used from one thread only. StoreError if the folder cannot be used."""

    def __init__(self, folder: Path, opener: Opener = open_file) -> None:
        self.folder = folder
        self._opener = opener
        self.repairs: list[Repair] = []
        self.bad_chunks = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}; give the gateway a folder it can write (gateway.data_dir)") \
                from None
        self._reserve = Reserve(folder)
        self._days = DayFiles(folder, opener)
        self._events = self._with_reserve(self._open_events)
        self._open_days()
        self.epoch = self._meta("epoch") or self._epoch_of_chunks()
        if not self.repairs:
            self._forget_unfinished()
        self._lanes = {lane: self._lane(lane) for lane in LANES}
        self._audit = audit_head(self._events)
        if self._meta("epoch") is None or self.repairs:
            self._begin_epoch()
        self._days.rest()
        self._reserve.make()

    # -- reading -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any] | None:
        """The newest committed state, with `belts` by serial; None in a new store, or where damage took it."""
        row = self._events.execute("SELECT body FROM state WHERE id = 1").fetchone()
        try:
            state = None if row is None else unpack_state(row[0])
            belts = {belt: json.loads(body) for belt, body in self._events.execute("SELECT belt, body FROM belts")}
        except ValueError:
            return None
        return {**state, "belts": belts} if isinstance(state, dict) else None

    def pending(self, lane: str, after_seq: int, limit_bytes: int) -> list[OutboxItem]:
        """Unacked items above after_seq, ascending, within limit_bytes but at least one."""
        _, floor = self._lanes[lane]
        first = max(floor, after_seq + 1)
        acked = self._acked_ahead(lane)
        next_kept = self._next_kept(lane)
        items: list[OutboxItem] = []
        size = 0
        for seq, body in self._items_from(lane, first):
            if seq in acked:
                continue
            if seq >= next_kept:
                break  # of a commit that events.db has not finished: its seq may yet be given to something else
            if items and size + len(body) > limit_bytes:
                break
            items.append(OutboxItem(seq, lane, body))
            size += len(body)
            if size >= limit_bytes:
                break
        return items

    def floor(self, lane: str) -> int:
        """The lowest unacked seq, or the next to be given."""
        return self._lanes[lane][1]

    def next_seq(self, lane: str) -> int:
        """The seq that the lane's next item will get."""
        return self._lanes[lane][0]

    def chunks(self, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[bytes]:
        """Bodies of the bed's chunks that start in [from, to), CRC checked, in order of start."""
        first_day, last_day = _day_of(from_utc_ms), _day_of(to_utc_ms)
        for day in (day for day in self._days if first_day <= day <= last_day):
            rows = self._days[day].execute(
                "SELECT body, crc, shift_ms FROM chunks WHERE bed = ? AND start_utc_ms >= ? AND start_utc_ms < ? "
                "ORDER BY start_utc_ms, rowid", (bed, from_utc_ms, to_utc_ms))
            for body, crc, shift_ms in rows:
                if zlib.crc32(body) == crc:
                    yield shifted(body, shift_ms) if shift_ms else body
                else:
                    self.bad_chunks += 1

    def records(self, bed: str, from_utc_ms: int, to_utc_ms: int) -> list[RecordRow]:
        """The bed's belt records with a known time in [from, to), in order of time."""
        rows = self._events.execute(
            "SELECT belt, seq, bed, boot_id, uptime_ms, utc_ms, kind, fields FROM belt_records "
            "WHERE bed = ? AND utc_ms >= ? AND utc_ms < ? ORDER BY utc_ms, seq", (bed, from_utc_ms, to_utc_ms))
        return [RecordRow(*row, json.loads(fields)) for *row, fields in rows]  # type: ignore[call-arg]

    def events(self, bed: str, from_utc_ms: int, to_utc_ms: int) -> list[EventRow]:
        """The bed's log lines in [from, to)."""
        rows = self._events.execute(
            "SELECT elapsed_ms, utc_ms, trusted, bed, event, detail, rule, who FROM events "
            "WHERE bed = ? AND utc_ms >= ? AND utc_ms < ? ORDER BY id", (bed, from_utc_ms, to_utc_ms))
        return [EventRow(elapsed, utc, bool(trusted), *rest) for elapsed, utc, trusted, *rest in rows]

    def nights(self, bed: str) -> list[NightRow]:
        """The newest version of each stored night of the bed, oldest first."""
        rows = self._events.execute(
            "SELECT bed, night_of, version, report FROM nights WHERE bed = ? ORDER BY night_of", (bed,))
        return [NightRow(*row) for row in rows]

    def evidence(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` (of store_evidence.py) finds."""
        return read(self._events)

    # -- writing -------------------------------------------------------------------------------------------------

    def commit(self, writes: Writes) -> None:
        """Make everything durable: chunks first, then the rest in one transaction. sqlite3.Error: what was kept is
        taken from `writes` (chunks are moved to `kept_chunks`), so that a retry doubles nothing.

        On a full disk alarms, events and state still fit, by the reserve; vitals first push out whole days that the
        cloud has, oldest first, and are refused (sqlite3.Error) when there is none left."""
        refused = self._commit_all_chunks(writes)
        self._with_reserve(lambda: self._commit_events(writes, with_belts=refused is None))
        if refused is not None:
            writes.keep_only_vitals()
            raise refused
        self._days.rest()

    def _commit_all_chunks(self, writes: Writes) -> sqlite3.Error | None:
        """Commit the chunks a day at a time; the error if the disk is full with what must stay."""
        while writes.chunks:
            day = _day_of(writes.chunks[0].start_utc_ms)
            of_day = [chunk for chunk in writes.chunks if _day_of(chunk.start_utc_ms) == day]
            try:
                if not self._reserve.make():
                    raise DiskFullError("the disk is full, the rest is kept for alarms")
                self._commit_chunks(day, of_day)
            except sqlite3.Error as error:
                if not is_full(error, self.folder):
                    raise
                if not self._drop_oldest_acked_day(not_from=day):
                    return error
                continue
            writes.chunks = [chunk for chunk in writes.chunks if _day_of(chunk.start_utc_ms) != day]
            writes.kept_chunks += of_day
        return None

    def _with_reserve(self, act: Callable[[], T]) -> T:
        """`act`, and once more with the reserve given up if the disk is full."""
        try:
            return act()
        except sqlite3.Error as error:
            if not is_full(error, self.folder) or not self._reserve.release():
                raise
        return act()

    def _commit_events(self, writes: Writes, with_belts: bool) -> None:
        lanes = dict(self._lanes)
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            if writes.state is not None:
                db.execute("INSERT OR REPLACE INTO state(id, body) VALUES (1, ?)", (pack_state(writes.state),))
            # A row each: a belt's minute rewrites one page, not the state of the whole ward.
            # Not before their chunks: a session that knows of minutes nobody stored would not ask for them again.
            if with_belts:
                db.executemany("INSERT OR REPLACE INTO belts(belt, body) VALUES (?, ?)",
                               [(belt, json.dumps(body)) for belt, body in writes.belts.items()])
            db.executemany(
                "INSERT INTO events(elapsed_ms, utc_ms, trusted, bed, event, detail, rule, who) "
                "VALUES (?,?,?,?,?,?,?,?)",
                [(e.elapsed_ms, e.utc_ms, e.trusted, e.bed, e.event, e.detail, e.rule, e.who) for e in writes.events])
            audit = append_audit(db, self._audit, [*(event.audited() for event in writes.events), *writes.audit])
            insert_settings(db, writes.settings)
            put_accounts(db, writes.accounts)
            new_items = self._insert_records(db, writes.records)
            db.executemany("INSERT OR REPLACE INTO nights(bed, night_of, version, report) VALUES (?,?,?,?)",
                           [(n.bed, n.night_of, n.version, n.report) for n in writes.nights])
            for lane, bodies in ((LANE_ALARM, writes.alarm_items), (LANE_VITALS, new_items + writes.vitals_items)):
                lanes[lane] = self._insert_items(db, lane, bodies, lanes[lane], writes.newest_utc_ms())
            self._save_lanes(db, lanes)
        self._lanes, self._audit = lanes, audit

    def begin_provisional(self) -> None:
        """From here on times may be wrong: the clock is not set. An earlier beginning stays."""
        if self._meta(PROVISIONAL) is None:
            with self._events as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO meta(key, value) VALUES (?, ?)",
                           (PROVISIONAL, begin_text(db, self._lanes[LANE_VITALS][0])))

    def place(self, zeros: Zeros, so_far: Placed | None = None) -> Placed | None:
        """Give their time to what was told since `begin_provisional`, as far as `zeros` knows the clock it was told
        by; None: nothing waits. While the answer has `after`, call again with it: an alarm need not wait for a week of
        chunks. A power cut within it only makes the next call do the rest."""
        begun = self._meta(PROVISIONAL)
        if begun is None:
            return None
        after_day, after_rowid = (so_far and so_far.after) or BEGIN
        placed = Placed(set(), so_far.left if so_far is not None else set())
        left = CHUNKS_AT_ONCE
        for day in list(self._days):
            if day < after_day or self._days.newest_seq(day, self.epoch) < int(begun.split()[0]):
                continue
            after_rowid = after_rowid if day == after_day else 0
            moves, seen, after_rowid = chunk_moves(self._days[day], self.epoch, begun, zeros, placed, after_rowid, left)
            for true_day in sorted({_day_of(move.start_utc_ms) for move in moves}):
                of_day = [move for move in moves if _day_of(move.start_utc_ms) == true_day]
                move_chunks(self._days[day], self._days[true_day], of_day)
                self._days.took(true_day, self.epoch, max(move.seq for move in of_day))
            self._days.rest()
            left -= seen
            if left == 0:
                return replace(placed, after=(day, after_rowid))
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            place_rows(db, begun, zeros, placed)
            if not placed.left:
                db.execute("DELETE FROM meta WHERE key = ?", (PROVISIONAL,))
        return placed

    def acked(self, lane: str, seqs: Iterable[int]) -> None:
        """Free what the cloud has committed; unknown and freed seqs are ignored."""
        next_seq, floor = self._lanes[lane]
        known = self._acked_ahead(lane)
        new = {seq for seq in seqs if floor <= seq < next_seq} - known
        if not new:
            return
        ahead = known | new
        while floor in ahead:
            floor += 1
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO acked_ahead(lane, seq) VALUES (?, ?)", [(lane, s) for s in new if s >= floor])
            db.execute("DELETE FROM acked_ahead WHERE lane = ? AND seq < ?", (lane, floor))
            self._save_lanes(db, {lane: (next_seq, floor)})
        self._lanes[lane] = (next_seq, floor)

    def rejected(self, lane: str, reasons: dict[int, str]) -> None:
        """Free what the cloud will never take, and remember why."""
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO rejected(lane, epoch, seq, reason) VALUES (?,?,?,?)",
                           [(lane, self.epoch, seq, reason) for seq, reason in reasons.items()])
        self.acked(lane, list(reasons))

    def drop_before(self, presence_utc_ms: int, vitals_utc_ms: int, nights_of: str) -> None:
        """Retention by class: in and out of bed with its alarms, whole vitals files, reports of nights before a date
        (ISO); what the cloud has not acked stays. Of what was sent, a copy stays as long as all its classes."""
        for day in list(self._days)[:-1]:
            if day >= _day_of(vitals_utc_ms) or not self._is_acked(day):
                break
            self._drop_day(day)
        nights_utc_ms = round(datetime.fromisoformat(nights_of).replace(tzinfo=UTC).timestamp() * 1000)
        # The vitals' small items are belt events, reports and states of devices.
        sent = {LANE_ALARM: presence_utc_ms, LANE_VITALS: max(presence_utc_ms, nights_utc_ms)}
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM events WHERE utc_ms < ?", (presence_utc_ms,))
            db.execute("DELETE FROM belt_records WHERE utc_ms < ?", (presence_utc_ms,))
            db.execute("DELETE FROM nights WHERE night_of < ?", (nights_of,))
            for lane, (_, floor) in self._lanes.items():
                db.execute("DELETE FROM outbox WHERE lane = ? AND seq < ? AND utc_ms < ?", (lane, floor, sent[lane]))

    def erase(self, bed: str, from_utc_ms: int, to_utc_ms: int, who: AuditEntry) -> ErasedBed:
        """Delete what was recorded at a bed in [from, to), from every file and its log; `who` goes into the audit.

        What the cloud did not have yet counts as acked, so that the lanes go on; its seqs are in the answer. sqlite3
        errors: nothing or a part was done, and the same call does the rest."""
        span = (bed, from_utc_ms, to_utc_ms)
        items = {lane: set(self._seqs_of(lane, *span)) for lane in LANES}
        unsent = {
            lane: sorted(seq for seq in seqs - self._acked_ahead(lane) if seq >= self._lanes[lane][1])
            for lane, seqs in items.items()
        }
        # First, so that nothing of it is sent any more whatever comes between.
        for lane, seqs in unsent.items():
            self.acked(lane, seqs)
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            rows = delete_bed(db, *span, items)
            redacted = redact_bed(db, *span)
            entry = replace(who, kind=ERASURE, detail=positions_text(redacted))
            audit = append_audit(db, self._audit, [entry])
        self._audit = audit
        for day in self._days.each():
            rows += erase_chunks(day, *span)
        for file in self.folder.glob("*.db.damaged-*"):
            file.unlink()  # nobody can say what is left in it
        scrub(self._events)
        lost = tuple((lane, first, last) for lane, seqs in unsent.items() for first, last in runs_of(seqs))
        return ErasedBed(rows, len(redacted), lost)

    def rewind(self, lane: str, from_seq: int) -> list[tuple[int, int]]:
        """The cloud was restored and lacks seqs from `from_seq` on: all that is still kept is pending again.

        Returns the inclusive runs of seqs that are not kept any more, for a gap report."""
        next_seq, floor = self._lanes[lane]
        if not 1 <= from_seq < floor:
            return []
        lost = _holes([seq for seq, _ in self._items_from(lane, from_seq) if seq < floor], from_seq, floor)
        # Years of seqs that retention took lie in front: they are a number here, no rows.
        ahead = lost
        if lost and lost[0][0] == from_seq:
            from_seq, ahead = lost[0][1] + 1, lost[1:]
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR IGNORE INTO acked_ahead(lane, seq) VALUES (?, ?)",
                           ((lane, seq) for first, last in ahead for seq in range(first, last + 1)))
            self._save_lanes(db, {lane: (next_seq, from_seq)})
        self._lanes[lane] = (next_seq, from_seq)
        return lost

    def close(self) -> None:
        """Close every file; the write-ahead logs are folded in."""
        self._days.close()
        self._events.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _items_from(self, lane: str, first: int) -> Iterator[tuple[int, bytes]]:
        """(seq, body) of the lane from `first`, ascending, merged from events.db and the day files."""
        sources = [self._events.execute("SELECT seq, body, NULL FROM outbox WHERE lane = ? AND seq >= ? ORDER BY seq",
                                        (lane, first))]
        if lane == LANE_VITALS:
            sources += [
                self._days[day].execute("SELECT seq, body, crc FROM chunks WHERE epoch = ? AND seq >= ? ORDER BY seq",
                                        (self.epoch, first))
                for day in self._days if self._days.newest_seq(day, self.epoch) >= first
            ]
        for seq, body, crc in heapq.merge(*sources, key=lambda row: row[0]):
            if crc is not None and zlib.crc32(body) != crc:
                self.bad_chunks += 1
                self.rejected(lane, {seq: "stored chunk is damaged"})
                continue
            yield seq, body

    def _seqs_of(self, lane: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[int]:
        """The seqs of items, sent or not, that tell of a bed in [from, to)."""
        for seq, body in self._events.execute("SELECT seq, body FROM outbox WHERE lane = ?", (lane,)):
            if tells_of(body, bed, from_utc_ms, to_utc_ms):
                yield seq
        for day in self._days.each() if lane == LANE_VITALS else ():
            yield from (seq for (seq,) in day.execute(
                "SELECT seq FROM chunks WHERE epoch = ? AND bed = ? AND start_utc_ms >= ? AND start_utc_ms < ?",
                (self.epoch, bed, from_utc_ms, to_utc_ms)))

    def _insert_records(self, db: sqlite3.Connection, records: Sequence[RecordRow]) -> list[bytes]:
        """Items of the records that were not known yet: the same record asked for twice crosses to the cloud once."""
        items = []
        for record in records:
            done = db.execute(
                "INSERT OR IGNORE INTO belt_records(belt, seq, bed, boot_id, uptime_ms, utc_ms, kind, fields) "
                "VALUES (?,?,?,?,?,?,?,?)",
                (record.belt, record.seq, record.bed, record.boot_id, record.uptime_ms, record.utc_ms, record.kind,
                 json.dumps(record.fields)))
            if done.rowcount == 1 and record.item is not None:
                items.append(record.item)
        return items

    def _insert_items(self, db: sqlite3.Connection, lane: str, bodies: Sequence[bytes], position: tuple[int, int],
                      utc_ms: int) -> tuple[int, int]:
        next_seq, floor = position
        db.executemany("INSERT INTO outbox(lane, seq, body, utc_ms) VALUES (?,?,?,?)",
                       [(lane, next_seq + i, body, utc_ms) for i, body in enumerate(bodies)])
        return next_seq + len(bodies), floor

    def _save_lanes(self, db: sqlite3.Connection, lanes: dict[str, tuple[int, int]]) -> None:
        db.executemany("INSERT OR REPLACE INTO lanes(lane, next_seq, floor) VALUES (?,?,?)",
                       [(lane, next_seq, floor) for lane, (next_seq, floor) in lanes.items()])

    def _commit_chunks(self, day: str, chunks: Sequence[Chunk]) -> None:
        next_seq, floor = self._lanes[LANE_VITALS]
        with self._days[day] as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO chunks(epoch, seq, bed, start_utc_ms, body, crc, floor) VALUES (?,?,?,?,?,?,?)",
                           [(self.epoch, next_seq + i, chunk.bed, chunk.start_utc_ms, chunk.body,
                             zlib.crc32(chunk.body), floor) for i, chunk in enumerate(chunks)])
        # Given to the files already, so given for good, whatever becomes of events.db's transaction.
        self._lanes[LANE_VITALS] = (next_seq + len(chunks), floor)
        self._days.took(day, self.epoch, next_seq + len(chunks) - 1)

    def _next_kept(self, lane: str) -> int:
        """The next seq as events.db has it."""
        row = self._events.execute("SELECT next_seq FROM lanes WHERE lane = ?", (lane,)).fetchone()
        return 1 if row is None else int(row[0])

    def _forget_unfinished(self) -> None:
        """Chunks of a commit that ended between its two files: nobody was told of them, and their belt sends again."""
        if self._meta("epoch") is None:
            return
        next_kept = self._next_kept(LANE_VITALS)
        for day in list(self._days):
            if self._days.newest_seq(day, self.epoch) >= next_kept:
                self._days[day].execute("DELETE FROM chunks WHERE epoch = ? AND seq >= ?", (self.epoch, next_kept))
                self._days.recount(day)

    def _acked_ahead(self, lane: str) -> set[int]:
        """Acked seqs above the floor."""
        return {row[0] for row in self._events.execute("SELECT seq FROM acked_ahead WHERE lane = ?", (lane,))}

    def _is_acked(self, day: str) -> bool:
        return self._days.newest_seq(day, self.epoch) < self._lanes[LANE_VITALS][1]

    def _drop_oldest_acked_day(self, not_from: str) -> bool:
        for day in self._days:
            if day < not_from and self._is_acked(day):
                self._drop_day(day)
                return True
        return False

    def _drop_day(self, day: str) -> None:
        try:
            self._days.file(day).unlink()
        except OSError as error:
            raise sqlite3.OperationalError(f"vitals-{day}.db cannot be removed: {error.strerror}") from error
        self._days.forget(day)
        for file in self.folder.glob(f"vitals-{day}.db*"):
            file.unlink(missing_ok=True)

    def _meta(self, key: str) -> str | None:
        row = self._events.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _lane(self, lane: str) -> tuple[int, int]:
        row = self._events.execute("SELECT next_seq, floor FROM lanes WHERE lane = ?", (lane,)).fetchone()
        next_seq, floor = row or (1, 1)
        if lane == LANE_VITALS:
            # A cut between the day file's commit and that of events.db leaves seqs given that events.db never heard
            # of; and where damage took events.db, each chunk still tells the floor of its minute (a rewind may have
            # lowered the one in events.db since).
            next_seq = max([next_seq, *(self._days.newest_seq(day, self.epoch) + 1 for day in self._days)])
            for db in self._days.each() if row is None else ():
                (known,) = db.execute("SELECT max(floor) FROM chunks WHERE epoch = ?", (self.epoch,)).fetchone()
                floor = max(floor, known or 1)
        return next_seq, floor

    def _epoch_of_chunks(self) -> str:
        for day in reversed(list(self._days)):
            row = self._days[day].execute("SELECT epoch FROM chunks ORDER BY rowid DESC LIMIT 1").fetchone()
            if row is not None:
                return str(row[0])
        return ""

    def _open_events(self) -> sqlite3.Connection:
        file = self.folder / "events.db"
        try:
            return connect(file, EVENTS, self._opener)
        except sqlite3.DatabaseError as error:
            reason = damage(file, error)
        aside = put_aside(file)
        db = connect(file, EVENTS, self._opener)
        kept = salvage(aside, db, _SALVAGED)
        self.repairs.append(Repair(file, aside, f"{reason}; {kept} rows kept", "", ()))
        return db

    def _open_days(self) -> None:
        for day in self._days.on_disk():
            file = self._days.file(day)
            try:
                self._days.check(day)
                continue
            except sqlite3.DatabaseError as error:
                reason = damage(file, error)
            aside = put_aside(file)
            self._days.check(day)
            kept = salvage(aside, self._days[day], ("chunks",))
            self._days.recount(day)
            self.repairs.append(Repair(file, aside, f"{reason}; {kept} rows kept", "", ()))

    def _begin_epoch(self) -> None:
        """A new stream: seqs start at 1 again, what is left unsent is given new ones, what is gone is named."""
        old_epoch = self.epoch
        found = {lane: list(self._items_from(lane, self._lanes[lane][1])) for lane in LANES} if old_epoch else {}
        acked = {lane: self._acked_ahead(lane) for lane in found}
        left = {lane: [item for item in items if item[0] not in acked[lane]] for lane, items in found.items()}
        lost = tuple(
            (lane, first, last) for lane, items in found.items()
            for first, last in _holes(sorted({seq for seq, _ in items} | acked[lane]), *reversed(self._lanes[lane]))
        )
        self.repairs = [Repair(r.file, r.aside, r.reason, old_epoch or "unknown", lost) for r in self.repairs]
        self.epoch = secrets.token_hex(8)
        lanes = dict.fromkeys(LANES, (1, 1))
        with self._events as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('epoch', ?)", (self.epoch,))
            db.execute("DELETE FROM outbox")
            db.execute("DELETE FROM acked_ahead")
            for lane, items in left.items():
                lanes[lane] = self._insert_items(db, lane, [body for _, body in items], lanes[lane], 0)
            self._save_lanes(db, lanes)
        self._lanes = lanes


_UTC_MS_MAX = 253_402_300_799_000  # the end of the year 9999


def _holes(seqs: Sequence[int], first: int, end: int) -> list[tuple[int, int]]:
    """Inclusive runs of [first, end) that `seqs` (ascending) lack."""
    holes = []
    expected = first
    for seq in [*seqs, end]:
        if seq > expected:
            holes.append((expected, seq - 1))
        expected = seq + 1
    return holes


def _day_of(utc_ms: int) -> str:
    return datetime.fromtimestamp(max(0, min(utc_ms, _UTC_MS_MAX)) / 1000, UTC).strftime("%Y%m%d")
