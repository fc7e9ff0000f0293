"""Tokens of the HTTP API: who may read what. Kept as SHA-256 of 256 random bits; shown once, when they are made."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.database import Database, transaction

__all__ = ["ADMIN", "INTEGRATOR", "ROLES", "TECHNICIAN", "Token", "TokenError", "add_token", "list_tokens",
           "revoke_token", "valid_token"]  # fmt: skip

ADMIN, INTEGRATOR, TECHNICIAN = ROLES = ("admin", "integrator", "technician")
"""Everything; residents' data without names; beds, devices and what is missing without residents' data."""
PREFIX = "sbt_"
TOKEN_BYTES = 32
TOKENS_MAX = 1_000
DAY_MS = 86_400_000
DAYS_MAX = 3_650


class TokenError(ValueError):
    """A token cannot be made or revoked as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept; what was given out cannot be told from it."""

    name: str
    role: str
    made_utc_ms: int
    expires_utc_ms: int | None
    revoked_utc_ms: int | None

    def is_valid(self, now_utc_ms: int) -> bool:
        """False once it was revoked or has expired."""
        return self.revoked_utc_ms is None and (self.expires_utc_ms is None or now_utc_ms < self.expires_utc_ms)


def add_token(database: Database, name: str, role: str, days: int | None, now_utc_ms: int) -> str:
    """Make a token, durable on return; the text to give out. TokenError for a bad or known name, role or number."""
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        raise TokenError(f"{name!r}: a token's name has 1 to 64 letters, digits, dots, dashes or underscores")
    if role not in ROLES:
        raise TokenError(f"{role!r} is no role; there are: {', '.join(ROLES)}")
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise TokenError(f"a token is good for 1 to {DAYS_MAX} days")
    text = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    expires_ms = None if days is None else now_utc_ms + days * DAY_MS
    with transaction(database, "keep a token") as changed:
        if changed.execute("SELECT count(*) FROM api_tokens").fetchone()[0] >= TOKENS_MAX:
            raise TokenError(f"there are {TOKENS_MAX} tokens, revoked ones included: no more fit")
        added = changed.execute(
            "INSERT INTO api_tokens VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
            (name, role, _hash(text), now_utc_ms, expires_ms),
        )
        if not added.rowcount:
            raise TokenError(f"there is a token {name!r} already, or was: choose another name")
    return text


def list_tokens(database: Database) -> Sequence[Token]:
    """All tokens ever made, by name."""
    with transaction(database, "read tokens") as read:
        rows = read.execute(
            "SELECT name, role, made_utc_ms, expires_utc_ms, revoked_utc_ms FROM api_tokens ORDER BY name"
        ).fetchall()
    return [Token(*row) for row in rows]


def revoke_token(database: Database, name: str, now_utc_ms: int) -> None:
    """It opens nothing from the next request on; TokenError if there is none of that name."""
    with transaction(database, "revoke a token") as changed:
        found = changed.execute(
            "UPDATE api_tokens SET revoked_utc_ms = coalesce(revoked_utc_ms, ?) WHERE name = ?", (now_utc_ms, name)
        )
        if not found.rowcount:
            raise TokenError(f"there is no token {name!r}")


def valid_token(store: StoreReads, text: str, now_utc_ms: int) -> Token | None:
    """The token of this text while it is valid, None for any other text."""
    if not text.startswith(PREFIX):
        return None
    # Found by its hash: what the comparison takes tells nothing of a token.
    rows = store.select(
        "SELECT name, role, made_utc_ms, expires_utc_ms, revoked_utc_ms FROM api_tokens WHERE hash = ?", _hash(text)
    )
    token = Token(*rows[0]) if rows else None
    return token if token is not None and token.is_valid(now_utc_ms) else None


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
