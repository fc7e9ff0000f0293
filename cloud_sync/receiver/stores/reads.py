"""The reading side of a store, in SQL that SQLite and PostgreSQL both speak."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloud_sync.receiver.port import AlarmRow, EventRow, GapRow, MinuteRow, NightCard
from cloud_sync.receiver.stores.base import Counts, Place, SealedName, StoreError
from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.minute_sums import MINUTE_MS, added, unpack_minutes
from cloud_sync.receiver.stores.pack_rows import first_start_ms
from cloud_sync.receiver.stores.packs import open_pack
from protocol.batch import BeltEventItem, decode_item
from protocol.packing import unpack

__all__ = ["DatabaseReads", "night_card"]

OPEN_ALARMS_MAX = 1_000

_ALARM_COLUMNS = """
SELECT alarms.alarm_id, assignments.resident_id, beds.gateway, beds.bed, beds.room, alarms.state, alarms.level,
       alarms.priority, alarms.raised_utc_ms, alarms.acknowledged_utc_ms, alarms.ended_utc_ms, alarms.detail
FROM alarms JOIN beds USING (bed_id)
LEFT JOIN assignments ON assignments.bed_id = alarms.bed_id AND assignments.from_utc_ms <= alarms.raised_utc_ms
     AND (assignments.to_utc_ms IS NULL OR assignments.to_utc_ms > alarms.raised_utc_ms)
"""


class DatabaseReads:
    """StoreReads on one database; used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.close()

    def places(self) -> Sequence[Place]:
        rows = self._all(
            "SELECT resident_id, gateway, bed, room FROM assignments JOIN beds USING (bed_id) "
            "WHERE to_utc_ms IS NULL ORDER BY room, bed, gateway"
        )
        return [Place(*row) for row in rows]

    def names(self) -> Sequence[SealedName]:
        return [SealedName(*row) for row in self._all("SELECT resident_id, nonce, sealed FROM resident_names")]

    def open_alarms(self) -> Sequence[AlarmRow]:
        return self._alarms(
            "WHERE alarms.state <> 'closed' ORDER BY alarms.raised_utc_ms DESC LIMIT ?", OPEN_ALARMS_MAX
        )

    def alarms(self, limit: int) -> Sequence[AlarmRow]:
        return self._alarms("ORDER BY alarms.raised_utc_ms DESC LIMIT ?", limit)

    def latest_nights(self) -> Mapping[tuple[str, str], NightCard]:
        rows = self._all(
            "SELECT gateway, bed, night_of, version, report FROM nights AS one JOIN beds USING (bed_id) "
            "LEFT JOIN assignments ON assignments.bed_id = one.bed_id AND to_utc_ms IS NULL "
            # Never the night of who had the bed before; a bed's first resident also has what came before.
            "WHERE (from_utc_ms IS NULL OR one.utc_ms >= from_utc_ms OR NOT EXISTS (SELECT 1 FROM assignments AS other "
            "WHERE other.bed_id = one.bed_id AND other.from_utc_ms < assignments.from_utc_ms)) "
            "AND night_of = (SELECT max(night_of) FROM nights WHERE bed_id = one.bed_id) "
            "AND version = (SELECT max(version) FROM nights WHERE bed_id = one.bed_id AND night_of = one.night_of)"
        )
        return {
            (gateway, bed): night_card(night_of, version, unpack(report))
            for gateway, bed, night_of, version, report in rows
        }

    def nights(self, gateway: str, bed: str, limit: int) -> Sequence[NightCard]:
        rows = self._all(
            "SELECT night_of, version, report FROM nights AS one JOIN beds USING (bed_id) "
            "WHERE gateway = ? AND bed = ? "
            "AND version = (SELECT max(version) FROM nights WHERE bed_id = one.bed_id AND night_of = one.night_of) "
            "ORDER BY night_of DESC LIMIT ?",
            gateway, bed, limit,
        )  # fmt: skip
        return [night_card(night_of, version, unpack(report)) for night_of, version, report in rows]

    def report(self, gateway: str, bed: str, night_of: str) -> Mapping[str, Any] | None:
        rows = self._all(
            "SELECT report FROM nights JOIN beds USING (bed_id) "
            "WHERE gateway = ? AND bed = ? AND night_of = ? ORDER BY version DESC LIMIT 1",
            gateway, bed, night_of,
        )  # fmt: skip
        return dict(unpack(rows[0][0])) if rows else None

    def events(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int, limit: int) -> Sequence[EventRow]:
        span = (gateway, bed, from_utc_ms, to_utc_ms, limit)
        where = (
            "JOIN beds USING (bed_id) WHERE gateway = ? AND bed = ? AND utc_ms >= ? AND utc_ms < ? "
            "ORDER BY utc_ms DESC, seq DESC LIMIT ?"
        )
        alarm = self._all(f"SELECT utc_ms, trusted, event, detail FROM alarm_events {where}", *span)
        belt = self._all(f"SELECT utc_ms, trusted, event, body FROM belt_events {where}", *span)
        rows = [EventRow(utc_ms, bool(trusted), event, detail, "alarm") for utc_ms, trusted, event, detail in alarm]
        rows += [EventRow(utc_ms, bool(trusted), event, _words(body), "belt") for utc_ms, trusted, event, body in belt]
        rows.sort(key=lambda row: row.utc_ms, reverse=True)
        return rows[:limit]

    def minutes(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> Sequence[MinuteRow]:
        rows = self._packs("start_utc_ms, minutes", gateway, bed, from_utc_ms, to_utc_ms + MINUTE_MS)
        parts = (
            minute for start_ms, body in rows for minute in unpack_minutes(start_ms // MINUTE_MS, bytes(body))
            if from_utc_ms <= minute[0] * MINUTE_MS < to_utc_ms
        )  # fmt: skip
        return [_minute_row(number * MINUTE_MS, sums) for number, sums in added(parts)]

    def chunks(self, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[bytes]:
        for (body,) in self._packs("body", gateway, bed, from_utc_ms, to_utc_ms):
            for _, _, chunk in open_pack(bytes(body)) if body else ():
                yield chunk

    def gaps(self, limit: int) -> Sequence[GapRow]:
        rows = self._all(
            "SELECT gateway, epoch, lane, first_seq, last_seq, reason FROM gaps JOIN streams USING (stream_id) "
            "ORDER BY noted_utc_ms DESC, first_seq DESC LIMIT ?",
            limit,
        )
        return [GapRow(*row) for row in rows]

    def select(self, sql: str, *values: Any) -> Sequence[Any]:
        return self._all(sql, *values)

    def counts(self) -> Counts:
        counts = {name: int(value) for name, value in self._all("SELECT name, sum(value) FROM counters GROUP BY name")}
        counts["alarms"] = self._number("SELECT count(*) FROM alarms")
        counts["quarantined"] = self._number("SELECT count(*) FROM quarantine")
        counts["missing"] = self._number("SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM gaps")
        return counts

    def _packs(self, columns: str, gateway: str, bed: str, from_utc_ms: int, to_utc_ms: int) -> list[Any]:
        """Rows of a bed's packs that may reach into [from, to)."""
        return self._all(
            f"SELECT {columns} FROM packs JOIN beds USING (bed_id) WHERE gateway = ? AND bed = ? "
            "AND start_utc_ms >= ? AND start_utc_ms < ? AND end_utc_ms >= ? ORDER BY start_utc_ms",
            gateway, bed, first_start_ms(from_utc_ms), to_utc_ms, from_utc_ms,
        )  # fmt: skip

    def _alarms(self, tail: str, *values: Any) -> list[AlarmRow]:
        return [
            AlarmRow(alarm_id, resident_id, gateway, bed, room, *rest)
            for alarm_id, resident_id, gateway, bed, room, *rest in self._all(_ALARM_COLUMNS + tail, *values)
        ]

    def _all(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except self._database.errors as error:
            raise StoreError(f"cannot read {self._database.where}: {error}") from error

    def _number(self, sql: str) -> int:
        return int(self._all(sql)[0][0])


def night_card(night_of: str, version: int, report: Mapping[str, Any]) -> NightCard:
    """The card of a report as a gateway wrote it: its fields, or {"night": fields or null, "reason"}."""
    fields = report.get("night", report)
    if not isinstance(fields, Mapping):
        reason = report.get("reason")
        return NightCard(night_of, version, False, None, None, None, None, None, str(reason) if reason else None)
    heart = fields.get("heart_rate_bpm")
    return NightCard(
        night_of=night_of,
        version=version,
        provisional=fields.get("provisional") is True,
        coverage_percent=_number(fields.get("coverage_percent")),
        sleep_s=_whole(fields.get("total_sleep_s")),
        times_out=_whole(fields.get("times_out_of_bed")),
        turn_overs=_whole(fields.get("turn_overs")),
        heart_rate_mean_bpm=_number(heart.get("mean")) if isinstance(heart, Mapping) else None,
        reason=None,
    )


def _minute_row(utc_ms: int, sums: Sequence[int]) -> MinuteRow:
    # In the order of minute_sums.FIELDS.
    heart_sum, respiration_sum, heart, breath, moving_s, turn_overs, readings, occupied_s, empty_s = sums
    return MinuteRow(
        utc_ms=utc_ms,
        heart_rate_bpm=round(heart_sum / heart) if heart else None,
        respiration_per_min=round(respiration_sum / breath) if breath else None,
        # A minute that reached us live and again from the belt's ring is still one minute.
        movement=min(60, moving_s),
        turn_overs=turn_overs,
        occupied_s=min(60, occupied_s),
        empty_s=min(60, empty_s),
        readings=readings,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else round(number)


def _words(body: bytes) -> str:
    item = decode_item(body)
    fields: Iterable[tuple[str, Any]] = item.fields.items() if isinstance(item, BeltEventItem) else ()
    return " ".join(f"{name}={value}" for name, value in fields)
