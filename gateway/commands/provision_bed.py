"""`sleepbelt provision export` and `erase`: what a gateway keeps of one bed, for whoever lay there."""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.bed_records import erase_bed, export_bed
from gateway.config import Config, load_config
from gateway.cores.audit import ERASURE, AuditEntry
from gateway.provision_error import ProvisionError
from gateway.provision_socket import is_served
from gateway.store_copy import events_copy
from gateway.store_files import StoreFiles

__all__ = ["erase", "export"]

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Counts of what was written; ProvisionError, StoreError, OSError."""
    config = load_config(options.config)
    _known(config, options.at)
    return export_bed(config.gateway.data_dir, options.at, *_span(config, options), options.out)


def erase(ask: Ask, options: argparse.Namespace) -> dict[str, Any]:
    """What was erased: by the gateway that runs, else from its files."""
    config = load_config(options.config)
    if options.yes != options.at:
        raise ProvisionError("erase_confirm", bed=options.at)
    _known(config, options.at)
    from_ms, to_ms = _span(config, options)
    folder = config.gateway.data_dir
    if is_served(folder):
        return ask("erase_bed", {"bed": options.at, "bed_again": options.yes, "from_utc_ms": from_ms,
                                 "to_utc_ms": to_ms})  # fmt: skip
    files = StoreFiles(folder)
    try:
        now_ms = time.time_ns() // 1_000_000
        # Without a running gateway nobody vouches for the clock.
        done = erase_bed(files, options.at, from_ms, to_ms, AuditEntry(now_ms, 0, False, ERASURE, who="local"))
    except (sqlite3.Error, OSError) as error:
        raise ProvisionError("erase_failed", bed=options.at, why=str(error)) from None
    finally:
        files.close()
    return {"bed": options.at, "rows": done.rows, "audit_records": done.redacted}


def _known(config: Config, bed: str) -> None:
    """A bed of the configuration, or one of before that the store still knows."""
    labels = {each.label for each in config.beds}
    if bed in labels:
        return
    with events_copy(config.gateway.data_dir) as store:
        for table in ("nights", "belt_records", "events"):
            if store.execute(f"SELECT 1 FROM {table} WHERE bed = ? LIMIT 1", (bed,)).fetchone():
                return
    raise ProvisionError("unknown_bed", bed=bed)


def _span(config: Config, options: argparse.Namespace) -> tuple[int, int]:
    zone = ZoneInfo(config.gateway.timezone)
    return _utc_ms(options.since, zone, 0), _utc_ms(options.until, zone, time.time_ns() // 1_000_000)


def _utc_ms(text: str | None, zone: ZoneInfo, default_ms: int) -> int:
    if text is None:
        return default_ms
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ProvisionError("bad_argument", name=text, allowed="2026-11-20, 2026-11-20T14:30") from None
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
