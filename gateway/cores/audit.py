"""The evidence: who did what and what the gateway decided, as records chained by hashes, so that a change shows.

    hash(0) = SHA-256("sleepbelt audit 1")
    hash(n) = SHA-256(hash(n-1) + n as 8 bytes, big-endian + canonical bytes of record n)

A record that was changed, taken out or put in breaks the chain at its position. Cutting off the newest ones shows
only against a head that was written down elsewhere: `verify(..., head)`.

What a record says of a resident can be erased: its body becomes ERASED, its hash stays. That holds only where a later
record of kind `bed_erased` names its position (`positions_text`), so that who erased what, and when, stays evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

GENESIS = hashlib.sha256(b"sleepbelt audit 1").digest()
VERSION = 1

ERASED, ERASURE = b"erased", "bed_erased"
CHANGED, MISSING, UNREADABLE, CUT_OFF = "changed", "missing", "unreadable", "cut_off"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record. Instants in ms: UTC for people, the elapsed clock for durations. `who`: an account of the staff."""

    utc_ms: int
    elapsed_ms: int
    trusted: bool
    kind: str  # alarm_raise, ack, action, outcome, settings, sign_in, view, ...
    bed: str = ""
    who: str = ""
    detail: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record's position (0: none yet) and the hash that covers everything up to it."""

    position: int = 0
    hash: bytes = GENESIS

    def text(self) -> str:
        """As kept beside the chain and printed for people."""
        return f"{self.position}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """ValueError for a text that `text()` would not give."""
        position, _, digest = text.partition(":")
        head = cls(int(position), bytes.fromhex(digest))
        if head.position < 0 or len(head.hash) != len(GENESIS):
            raise ValueError(f"{text!r} is no head of an audit")
        return head


@dataclass(frozen=True, slots=True)
class Broken:
    """The first position at which the chain does not hold, and how: changed, missing, unreadable or cut_off."""

    position: int
    reason: str


def canonical(entry: AuditEntry) -> bytes:
    """The one way to write a record: a JSON array in the order of the fields, UTF-8, no spaces."""
    return json.dumps([VERSION, *astuple(entry)], ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def entry_of(body: bytes) -> AuditEntry:
    """The record of canonical bytes; ValueError for anything else."""
    values = json.loads(body.decode("utf-8", "surrogatepass"))
    if not isinstance(values, list) or len(values) != 1 + len(fields(AuditEntry)) or values[0] != VERSION:
        raise ValueError("not an audit record of this version")
    entry = AuditEntry(*values[1:])
    if canonical(entry) != body:
        raise ValueError("not in canonical form")
    return entry


def link(head: Head, body: bytes) -> Head:
    """The head after one more record."""
    position = head.position + 1
    return Head(position, hashlib.sha256(head.hash + position.to_bytes(8, "big") + body).digest())


def verify(rows: Iterable[tuple[int, bytes, bytes]], head: Head | None = None) -> tuple[Head, Broken | None]:
    """(head reached, first break) over (position, canonical bytes, hash) in order of position.

    `head`: what is known from elsewhere; its position must hold its hash.
    """
    reached = Head()
    erased: set[int] = set()
    for position, body, digest in rows:
        if position != reached.position + 1:
            return reached, Broken(reached.position + 1, MISSING)
        if body == ERASED:
            erased.add(position)
            following = Head(position, digest)
        else:
            following = link(reached, body)
        if following.hash != digest:
            return reached, Broken(position, CHANGED)
        try:
            if body != ERASED:
                erased -= erased_positions(entry_of(body))
        except (ValueError, TypeError):
            return reached, Broken(position, UNREADABLE)
        reached = following
        if head is not None and position == head.position and reached.hash != head.hash:
            return reached, Broken(position, CHANGED)
    if head is not None and head.position > reached.position:
        return reached, Broken(reached.position + 1, CUT_OFF)
    return reached, Broken(min(erased), CHANGED) if erased else None


def positions_text(positions: Iterable[int]) -> str:
    """Positions as runs, "3-7,9"; inverse of `erased_positions`' reading."""
    runs: list[list[int]] = []
    for position in sorted(positions):
        if runs and position == runs[-1][1] + 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def erased_positions(entry: AuditEntry) -> set[int]:
    """The positions that a record of an erasure names; ValueError if it is none that we wrote."""
    if entry.kind != ERASURE or not entry.detail:
        return set()
    found: set[int] = set()
    for run in entry.detail.split(","):
        first, _, last = run.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
