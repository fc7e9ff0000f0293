"""All that a gateway keeps of one bed in a span of time: written out for whoever lay there, or erased for good.

A gateway knows beds, not people: who wants a resident's records gives the time in which the bed was theirs.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.cores.audit import AuditEntry
from gateway.past_nights import CHUNK_MS_MAX, seconds_of
from gateway.store_copy import store_copy
from gateway.store_erase import ErasedBed
from gateway.store_evidence import audit_entries
from gateway.store_files import StoreFiles, Writes
from protocol.batch import GapReport, Stamp, VitalsChunk, decode_item, encode_item

__all__ = ["READINGS_FILE", "RECORDS_FILE", "erase_bed", "export_bed"]

RECORDS_FILE, READINGS_FILE = "records.json", "readings.csv"
_COLUMNS = (
    "utc", "occupancy", "heart_rate_bpm", "heart_quality", "heart_reason", "respiration_per_min", "respiration_quality",
)  # fmt: skip


def export_bed(folder: Path, bed: str, from_utc_ms: int, to_utc_ms: int, out: Path) -> dict[str, Any]:
    """Write `records.json` and `readings.csv` into a new folder; the counts. Also beside a running gateway.

    StoreError: there is no store; OSError: `out` is there already, or cannot be written.
    """
    out.mkdir(mode=0o700)
    with store_copy(folder, None) as copy:
        files = StoreFiles(copy)
        try:
            records = _records(files, bed, from_utc_ms, to_utc_ms)
            with (out / READINGS_FILE).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(_COLUMNS)
                readings = 0
                for row in _readings(files, bed, from_utc_ms, to_utc_ms):
                    writer.writerow(row)
                    readings += 1
        finally:
            files.close()
    text = {"bed": bed, "from": _iso(from_utc_ms), "to": _iso(to_utc_ms), **records}
    (out / RECORDS_FILE).write_text(json.dumps(text, ensure_ascii=False, indent=1), "utf-8")
    return {"bed": bed, "folder": str(out), "readings": readings, **{name: len(rows) for name, rows in records.items()}}


def erase_bed(files: StoreFiles, bed: str, from_utc_ms: int, to_utc_ms: int, who: AuditEntry) -> ErasedBed:
    """Erase, and tell the cloud what it will not get. The audit keeps who did it and the span, not what it was."""
    why = f"{_iso(from_utc_ms)} {_iso(to_utc_ms)}"
    entry = AuditEntry(who.utc_ms, who.elapsed_ms, who.trusted, who.kind, bed, who.who, "", why)
    done = files.erase(bed, from_utc_ms, to_utc_ms, entry)
    at = Stamp(0, max(0, who.elapsed_ms), who.utc_ms, who.trusted)
    gaps = [GapReport(at, lane, files.epoch, first, last, "erased at the gateway") for lane, first, last in done.unsent]
    files.commit(Writes(alarm_items=[encode_item(gap) for gap in gaps]))
    return done


def _records(files: StoreFiles, bed: str, from_utc_ms: int, to_utc_ms: int) -> dict[str, list[dict[str, Any]]]:
    def audit(db: sqlite3.Connection) -> list[dict[str, Any]]:
        return [{"position": position, **asdict(entry)} for position, entry in audit_entries(db, from_utc_ms)
                if entry.bed == bed and entry.utc_ms < to_utc_ms]  # fmt: skip

    return {
        "events": [asdict(row) for row in files.events(bed, from_utc_ms, to_utc_ms)],
        "belt_records": [
            {name: value for name, value in asdict(row).items() if name != "item"}
            for row in files.records(bed, from_utc_ms, to_utc_ms)
        ],
        "nights": [json.loads(row.report) for row in files.nights(bed)
                   if from_utc_ms <= _utc_ms(row.night_of) < to_utc_ms],
        "audit": files.evidence(audit),
    }  # fmt: skip


def _readings(files: StoreFiles, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[list[Any]]:
    for body in files.chunks(bed, from_utc_ms - CHUNK_MS_MAX, to_utc_ms):
        chunk = decode_item(body)
        for second in seconds_of(chunk) if isinstance(chunk, VitalsChunk) else ():
            if from_utc_ms <= second.utc_s * 1000 < to_utc_ms:
                values = (second.state, second.heart_rate_bpm, second.heart_quality, second.heart_reason,
                          second.respiration_per_min, second.respiration_quality)  # fmt: skip
                yield [_iso(second.utc_s * 1000), *("" if value is None else value for value in values)]


def _utc_ms(night_of: str) -> int:
    return round(datetime.fromisoformat(night_of).replace(tzinfo=UTC).timestamp() * 1000)


def _iso(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
