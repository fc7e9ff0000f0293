"""Reports a gateway has stored, read beside the running gateway without writing to its files."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from gateway.store_copy import events_copy
from gateway.store_repair import StoreError


class NoStoreError(Exception):
    """There is no readable store in that folder; the message says why."""


def stored_answer(folder: Path, bed: str, night_of: str) -> dict[str, Any]:
    """The newest stored report of a bed's night, as `sleepbelt night --json` prints it; NoStoreError."""
    try:
        with events_copy(folder) as store:
            row = store.execute("SELECT report FROM nights WHERE bed = ? AND night_of = ?", (bed, night_of)).fetchone()
    except StoreError as error:
        raise NoStoreError(str(error)) from None
    except sqlite3.Error as error:
        raise NoStoreError(f"{folder}/events.db: cannot be read ({error})") from None
    if row is None:
        return {"night": None, "reason": "no_night_recorded"}
    return {"night": json.loads(row[0]), "reason": None}
