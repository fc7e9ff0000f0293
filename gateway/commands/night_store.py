"""Reports a gateway has stored, read beside the running gateway without writing to its files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


class NoStoreError(Exception):
    """There is no readable store in that folder; the message says why."""


def stored_answer(folder: Path, bed: str, night_of: str) -> dict[str, Any]:
    """The newest stored report of a bed's night, as `sleepbelt night --json` prints it; NoStoreError."""
    file = folder / "events.db"
    if not file.is_file():
        raise NoStoreError(f"{folder}: holds no events.db; give the gateway's data folder (gateway.data_dir)")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as store:
            row = store.execute("SELECT report FROM nights WHERE bed = ? AND night_of = ?", (bed, night_of)).fetchone()
    except sqlite3.Error as error:
        raise NoStoreError(f"{file}: cannot be read ({error})") from None
    if row is None:
        return {"night": None, "reason": "no_night_recorded"}
    return {"night": json.loads(row[0]), "reason": None}
