"""`sleepbelt audit`: the gateway's evidence, printed and verified; also beside a running gateway."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

if TYPE_CHECKING:
    from gateway.cores.audit import AuditEntry, Broken, Head

SUMMARY = "print and verify a gateway's audit: alarms, answers, settings, sign-ins"
DONE, FAILED, BAD_INPUT = 0, 1, 2

_EPILOG = """\
The records are chained by hashes: --verify names the first one that was changed, taken out or put in. Keep the head it
prints elsewhere (--head): it also shows if the newest records were cut off together with the head in the file.
Exit code: 0 done, 1 the chain is broken, 2 bad input.

examples:
  sleepbelt audit --store /var/lib/sleepbelt --since 2026-11-20
  sleepbelt audit --store /var/lib/sleepbelt --verify --json
"""


def main(argv: Sequence[str]) -> int:
    """Print or verify; 0 done, 1 broken, 2 bad input."""
    options = _parser().parse_args(argv)
    t = Words(options.lang)
    from gateway.cores.audit import Head
    from gateway.store_copy import events_copy
    from gateway.store_evidence import audit_entries, audit_rows, kept_head
    from gateway.store_repair import StoreError

    try:
        since_ms = 0 if options.since is None else _utc_ms(options.since)
        expected = None if options.head is None else Head.parse(options.head)
    except ValueError as error:
        print(f"sleepbelt audit: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    try:
        with events_copy(Path(options.store)) as db:
            if options.verify:
                kept = kept_head(db)
                return _verified(list(audit_rows(db)), [h for h in (expected, kept) if h is not None], options.json, t)
            for position, entry in audit_entries(db, since_ms):
                print(_json_line(position, entry) if options.json else _text_line(position, entry, t))
    except StoreError as error:
        print(f"sleepbelt audit: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    except sqlite3.Error as error:
        why = Phrase("{file}: has no readable audit ({error})", file=f"{options.store}/events.db", error=error)
        print(f"sleepbelt audit: {t(why)}", file=sys.stderr)
        return FAILED
    return DONE


def _verified(rows: list[tuple[int, bytes, bytes]], heads: list[Head], as_json: bool, t: Words) -> int:
    from gateway.cores.audit import verify

    reached, broken = verify(rows)
    for head in heads:
        if broken is None:
            reached, broken = verify(rows, head)
    if as_json:
        print(json.dumps({
            "ok": broken is None, "records": len(rows), "head": reached.text(),
            "first_broken": None if broken is None else broken.position,
            "reason": None if broken is None else broken.reason,
        }))  # fmt: skip
    elif broken is None:
        print(t(Phrase("good: {count} records, none changed, none missing\nhead: {head}", count=len(rows),
                       head=reached.text())))  # fmt: skip
    else:
        print(t(Phrase("BROKEN at record {position}: {why}; the {before} records before it are good",
                       position=broken.position, why=_why(broken), before=reached.position)))  # fmt: skip
    return DONE if broken is None else FAILED


def _why(broken: Broken) -> Phrase:
    return {
        "changed": Phrase("its content is not what was written"),
        "missing": Phrase("it is missing"),
        "unreadable": Phrase("its content is no audit record"),
        "cut_off": Phrase("it and all after it are missing, although the known head says they were written"),
    }[broken.reason]


def _json_line(position: int, entry: AuditEntry) -> str:
    line: dict[str, Any] = {"position": position, "utc": _iso(entry.utc_ms), **asdict(entry)}
    return json.dumps(line, ensure_ascii=False)


def _text_line(position: int, entry: AuditEntry, t: Words) -> str:
    parts = [
        f"{position:>7}  {_iso(entry.utc_ms)}" + ("" if entry.trusted else t(Phrase(" (clock not set)"))),
        entry.bed or "-", entry.kind, entry.detail,
        t(Phrase("by {who}", who=entry.who)) if entry.who else "",
        t(Phrase("because: {why}", why=entry.why)) if entry.why else "",
    ]  # fmt: skip
    return "  ".join(part for part in parts if part).encode("utf-8", "backslashreplace").decode()


def _iso(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(Phrase("--since: {text} is no date; write it as 2026-11-20 (UTC)", text=repr(text))) from None
    return round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt audit", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--store", required=True, metavar="DIR", help="data folder of a gateway (gateway.data_dir)")
    parser.add_argument("--verify", action="store_true", help="check the whole chain instead of printing it")
    parser.add_argument("--head", metavar="N:HASH", help="with --verify: a head that was kept elsewhere")
    parser.add_argument("--since", metavar="DATE", help="print records from this day on (UTC)")
    parser.add_argument("--json", action="store_true", help="one object a line; with --verify one object")
    add_language(parser)
    return parser
