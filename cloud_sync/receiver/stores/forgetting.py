"""Deleting what was recorded of a resident, by data class: for retention, a consent withdrawn, an erasure.

SQL that all our databases speak. The hashes of what was received stay (they name nobody): a batch sent once more is
known as a repetition, so nothing that was deleted comes back.
"""

from collections.abc import Iterator

from cloud_sync.receiver.stores.database import Database
from cloud_sync.receiver.stores.pack_rows import PACK_TYPES, PackRow, first_start_ms, kept_outside

__all__ = ["DATA_CLASSES", "NIGHTS", "PRESENCE", "VITALS", "discharge", "erase", "forget_before", "forget_of"]

PRESENCE, VITALS, NIGHTS = "presence", "vitals", "nights"
DATA_CLASSES = (PRESENCE, VITALS, NIGHTS)
# (table, column of its instant) of each class: in and out of bed with its alarms; heart, breath and movement; reports.
_TABLES = {
    PRESENCE: (("alarm_events", "utc_ms"), ("alarms", "raised_utc_ms"), ("belt_events", "utc_ms")),
    VITALS: (),  # packs, which may reach over the instant
    NIGHTS: (("nights", "utc_ms"),),
}
_END_OF_TIME_MS = 2**53


def discharge(database: Database, resident_id: str, now_utc_ms: int) -> bool:
    """Their bed is nobody's from now on; False if they have none."""
    found = database.execute(
        "UPDATE assignments SET to_utc_ms = ? WHERE resident_id = ? AND to_utc_ms IS NULL", (now_utc_ms, resident_id)
    )
    return found.rowcount > 0


def forget_of(database: Database, resident_id: str, data_class: str, from_utc_ms: int, to_utc_ms: int) -> int:
    """Delete what a resident's beds recorded while they were theirs in [from, to); how many rows."""
    gone = 0
    for bed_id, start_ms, end_ms in _stays(database, resident_id):
        first, last = max(start_ms, from_utc_ms), min(end_ms, to_utc_ms)
        if first >= last:
            continue
        for table, column in _TABLES[data_class]:
            gone += database.execute(
                f"DELETE FROM {table} WHERE bed_id = ? AND {column} >= ? AND {column} < ?", (bed_id, first, last)
            ).rowcount
        if data_class == VITALS:
            gone += _forget_packs(database, bed_id, first, last)
    return gone


def forget_before(database: Database, data_class: str, utc_ms: int) -> int:
    """Delete what is older, of everybody; how many rows. A pack goes when all of it is older."""
    if data_class == VITALS:
        return database.execute(
            "DELETE FROM packs WHERE start_utc_ms < ? AND end_utc_ms <= ?", (utc_ms, utc_ms)
        ).rowcount
    return sum(
        database.execute(f"DELETE FROM {table} WHERE {column} < ?", (utc_ms,)).rowcount
        for table, column in _TABLES[data_class]
    )


def erase(database: Database, resident_id: str) -> bool:
    """Delete a resident: what was recorded of them, where they lay, their name; False if there is no such one."""
    for data_class in DATA_CLASSES:
        forget_of(database, resident_id, data_class, 0, _END_OF_TIME_MS)
    database.execute(
        "DELETE FROM webhook_deliveries "
        "WHERE event_key IN (SELECT event_key FROM webhook_events WHERE resident_id = ?)",
        (resident_id,),
    )
    for table in ("webhook_events", "assignments", "resident_names"):
        database.execute(f"DELETE FROM {table} WHERE resident_id = ?", (resident_id,))
    return database.execute("DELETE FROM residents WHERE resident_id = ?", (resident_id,)).rowcount > 0


def _forget_packs(database: Database, bed_id: int, from_utc_ms: int, to_utc_ms: int) -> int:
    """Delete a bed's packs in [from, to), and of those that reach over an end what lies within; how many changed."""
    gone = database.execute(
        "DELETE FROM packs WHERE bed_id = ? AND start_utc_ms >= ? AND end_utc_ms <= ?", (bed_id, from_utc_ms, to_utc_ms)
    ).rowcount
    over = database.execute(
        "SELECT bed_id, start_utc_ms, end_utc_ms, readings, body, minutes, holes FROM packs "
        "WHERE bed_id = ? AND start_utc_ms >= ? AND start_utc_ms < ? AND end_utc_ms > ?",
        (bed_id, first_start_ms(from_utc_ms), to_utc_ms, from_utc_ms),
    ).fetchall()
    for found in over:
        row: PackRow = (*found[:4], bytes(found[4]), bytes(found[5]), found[6])
        kept = kept_outside(row, from_utc_ms, to_utc_ms)
        if kept == row:
            continue
        database.execute("DELETE FROM packs WHERE bed_id = ? AND start_utc_ms = ? AND body = ? AND minutes = ?",
                         (bed_id, row[1], row[4], row[5]))  # fmt: skip
        database.insert("packs", PACK_TYPES, [] if kept is None else [kept])
        gone += 1
    return gone


def _stays(database: Database, resident_id: str) -> Iterator[tuple[int, int, int]]:
    """(bed_id, from, to) of a resident; a bed's first one also has what was recorded there before."""
    rows = database.execute(
        "SELECT bed_id, from_utc_ms, to_utc_ms, (SELECT min(from_utc_ms) FROM assignments AS other "
        "WHERE other.bed_id = assignments.bed_id) FROM assignments WHERE resident_id = ?",
        (resident_id,),
    ).fetchall()
    for bed_id, from_ms, to_ms, first_ms in rows:
        yield bed_id, 0 if from_ms == first_ms else from_ms, _END_OF_TIME_MS if to_ms is None else to_ms
