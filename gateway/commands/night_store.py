"""Reports a gateway has stored, read beside the running gateway without writing to its files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gateway.cores.night_facts import Minute
from gateway.cores.night_gather import minutes_of
from gateway.past_nights import span_of
from gateway.store_copy import events_copy, store_copy
from gateway.store_files import StoreFiles
from gateway.store_repair import StoreError
from protocol.batch import VitalsChunk, decode_item
from protocol.phrase import Phrase


class NoStoreError(Exception):
    """There is no readable store in that folder, or it knows no such bed; the message says why."""


def stored_answer(folder: Path, bed: str, night_of: str) -> dict[str, Any]:
    """The newest stored report of a bed's night, as `sleepbelt night --json` prints it; NoStoreError."""
    try:
        with events_copy(folder) as store:
            row = store.execute("SELECT report FROM nights WHERE bed = ? AND night_of = ?", (bed, night_of)).fetchone()
            known = [] if row is not None else _beds(store)
    except StoreError as error:
        raise NoStoreError(error.args[0]) from None
    except sqlite3.Error as error:
        raise NoStoreError(Phrase("{name}: cannot be read ({why})", name=f"{folder}/events.db", why=error)) from None
    if row is not None:
        report = json.loads(row[0])
        return dict(report) if "night" in report else {"night": report, "reason": None}
    if bed not in known:
        raise NoStoreError(
            Phrase(
                "{folder}: knows no bed {bed}{known}",
                folder=folder,
                bed=repr(bed),
                known=Phrase("; it knows {names}", names=", ".join(known)) if known else "",
            )
        )
    return {"night": None, "reason": "no_night_recorded"}


def stored_minutes(folder: Path, bed: str, night: dict[str, Any]) -> Sequence[Minute]:
    """The minute records between the noons of a stored report's night; NoStoreError."""
    day = date.fromisoformat(night["night_of"])
    # The days around the date hold the night in every zone.
    days = [(day + timedelta(days=offset)).strftime("%Y%m%d") for offset in range(-2, 2)]
    try:
        with store_copy(folder, days) as copy:
            files = StoreFiles(copy)
            try:
                return minutes_of(_chunks(files, bed, *span_of(day, night["timezone"])))
            finally:
                files.close()
    except (StoreError, sqlite3.Error) as error:
        raise NoStoreError(error.args[0]) from None


def _chunks(files: StoreFiles, bed: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[VitalsChunk]:
    for body in files.chunks(bed, from_utc_ms, to_utc_ms):
        item = decode_item(body)
        if isinstance(item, VitalsChunk):
            yield item


def _beds(store: sqlite3.Connection) -> list[str]:
    tables = ("nights", "belt_records", "events")
    rows = store.execute(" UNION ".join(f"SELECT bed FROM {table} WHERE bed <> ''" for table in tables))
    return sorted(bed for (bed,) in rows)
