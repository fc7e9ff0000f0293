"""Who may become a gateway of this site, and which certificates it has given out: claim tokens, signing, revocation.

A token is 128 random bits for one gateway, good once and for a day; only its hash is kept. It carries the authority's
fingerprint, so that a gateway that has never spoken to this platform knows whom to believe (facts/SYNC.md "Security").
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sync.authority import CLIENT_DAYS, Authority, read_request, write_private
from cloud_sync.receiver.stores.base import StoreError
from protocol.batch import topic

__all__ = ["ENROLMENT", "REVOKED_FILE", "Enrolled", "Enrolment", "EnrolmentError", "token_text"]

ENROLMENT = "enrolment.db"
REVOKED_FILE = "revoked.pem"
TOKEN_BYTES = 16
TOKEN_S = 24 * 3600
TRIES_MAX = 10  # wrong tokens in a minute, from anybody: 128 bits are not guessed, but a log full of tries is seen
TRIES_S = 60
VERSION = 1
_SCHEMA = """
CREATE TABLE tokens (
  hash BLOB PRIMARY KEY, gateway TEXT NOT NULL, expires_s INTEGER NOT NULL, used_s INTEGER
) WITHOUT ROWID;
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY, gateway TEXT NOT NULL, issued_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,
  revoked_s INTEGER
) WITHOUT ROWID;
CREATE INDEX certificates_gateway ON certificates (gateway);
"""


class EnrolmentError(Exception):
    """A claim or renewal that is refused; `code` says why in one word, the text in a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A gateway's newest certificate."""

    gateway: str
    serial: str
    issued_s: int
    expires_s: int
    revoked_s: int | None


def token_text(secret: bytes, fingerprint: bytes) -> str:
    """`SBE1-<token>-<fingerprint>` of 16 and 32 bytes, letters and digits: it is read out, typed and pasted."""
    words = (base64.b32encode(part).decode().rstrip("=") for part in (secret, fingerprint))
    return "-".join(("SBE1", *words))


class Enrolment:
    """One connection, used by one thread. All times are UTC seconds of the wall clock."""

    def __init__(self, file: Path, authority: Authority, folder: Path) -> None:
        """`folder` is the authority's: the list of revoked certificates is kept there for the broker."""
        self._authority, self._folder, self._path = authority, folder, file
        self._tries: list[int] = []
        try:
            self._file = sqlite3.connect(file, isolation_level=None, timeout=10.0, check_same_thread=False)
            version = int(self._file.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                self._file.close()
                raise StoreError(f"{file} has version {version}, this sleepbelt knows {VERSION}: start the newer one")
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=FULL")
            if version == 0:
                self._file.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={VERSION};COMMIT;")
            if not (folder / REVOKED_FILE).exists():
                self._write_list(0)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"cannot use {file}: {error}; check its folder, its owner and the disk") from error

    def close(self) -> None:
        self._file.close()

    @property
    def authority_pem(self) -> bytes:
        """What gateways are to believe."""
        return self._authority.pem

    def new_token(self, gateway: str, now_s: int) -> str:
        """A token for `gateway`; one it had before and did not use is void. ValueError for a label that cannot be."""
        topic(gateway, "ack")
        secret = secrets.token_bytes(TOKEN_BYTES)
        self._file.execute("DELETE FROM tokens WHERE gateway = ? AND used_s IS NULL", (gateway,))
        self._file.execute("INSERT INTO tokens VALUES (?, ?, ?, NULL)", (_hash(secret), gateway, now_s + TOKEN_S))
        return token_text(secret, self._authority.fingerprint)

    def claim(self, token: str, request_pem: bytes, now_s: int) -> tuple[str, bytes]:
        """(gateway, PEM of its certificate) for a token that is good; EnrolmentError, AuthorityError otherwise."""
        self._tries = [at_s for at_s in self._tries if now_s - at_s < TRIES_S]
        if len(self._tries) >= TRIES_MAX:
            raise EnrolmentError("too_many_tries", "too many wrong tokens; try again in a minute")
        row = self._file.execute(
            "SELECT gateway, expires_s, used_s FROM tokens WHERE hash = ?", (_hash(_secret_of(token)),)
        ).fetchone()
        if row is None:
            self._tries.append(now_s)
            raise EnrolmentError("unknown_token", "this token was never given out here; ask for a new one")
        gateway, expires_s, used_s = row
        if used_s is not None:
            raise EnrolmentError("token_used", "this token has been used; ask for a new one")
        if now_s >= expires_s:
            raise EnrolmentError("token_expired", "this token is older than a day; ask for a new one")
        key = read_request(request_pem)
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            claimed = self._file.execute(
                "UPDATE tokens SET used_s = ? WHERE hash = ? AND used_s IS NULL", (now_s, _hash(_secret_of(token)))
            )
            if claimed.rowcount != 1:
                raise EnrolmentError("token_used", "this token has been used; ask for a new one")
            certificate = self._issue(gateway, key, now_s)
        return gateway, certificate

    def renew(self, gateway: str, request_pem: bytes, now_s: int) -> bytes:
        """A new certificate for a gateway that the broker has let in by its old one."""
        if not self._valid(gateway, now_s):
            raise EnrolmentError("not_enrolled", f"{gateway} has no certificate that is valid; enrol it anew")
        key = read_request(request_pem)
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            return self._issue(gateway, key, now_s)

    def revoke(self, gateway: str, now_s: int) -> int:
        """Revoke every certificate of `gateway` and void its tokens; how many were revoked. The broker must reload."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("DELETE FROM tokens WHERE gateway = ? AND used_s IS NULL", (gateway,))
            count = self._file.execute(
                "UPDATE certificates SET revoked_s = ? WHERE gateway = ? AND revoked_s IS NULL AND expires_s > ?",
                (now_s, gateway, now_s),
            ).rowcount
        self._write_list(now_s)
        return count

    def enrolled(self) -> Sequence[Enrolled]:
        """The newest certificate of each gateway, by label."""
        rows = self._file.execute(
            "SELECT gateway, serial, max(issued_s), expires_s, revoked_s FROM certificates GROUP BY gateway "
            "ORDER BY gateway"
        ).fetchall()
        return [Enrolled(gateway, serial, issued_s, expires_s, revoked_s)
                for gateway, serial, issued_s, expires_s, revoked_s in rows]  # fmt: skip

    def is_revoked(self, gateway: str) -> bool:
        """It was revoked and not enrolled anew since."""
        (revoked,) = self._file.execute(
            "SELECT max(revoked_s) FROM certificates WHERE gateway = ?", (gateway,)
        ).fetchone()
        if revoked is None:
            return False
        since = self._file.execute(
            "SELECT 1 FROM certificates WHERE gateway = ? AND revoked_s IS NULL AND issued_s >= ?", (gateway, revoked)
        ).fetchone()
        return since is None

    def _valid(self, gateway: str, now_s: int) -> bool:
        found = self._file.execute(
            "SELECT 1 FROM certificates WHERE gateway = ? AND revoked_s IS NULL AND expires_s > ?", (gateway, now_s)
        ).fetchone()
        return found is not None

    def _issue(self, gateway: str, key: EllipticCurvePublicKey, now_s: int) -> bytes:
        certificate = self._authority.client_certificate(key, gateway, _utc(now_s), CLIENT_DAYS)
        self._file.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?, NULL)",
            (str(certificate.serial_number), gateway, now_s, int(certificate.not_valid_after_utc.timestamp())),
        )
        return certificate.public_bytes(Encoding.PEM)

    def _write_list(self, now_s: int) -> None:
        rows = self._file.execute(
            "SELECT serial, revoked_s FROM certificates WHERE revoked_s IS NOT NULL"
        ).fetchall()
        now = _utc(now_s) if now_s else datetime.now(UTC)
        listed = self._authority.revocation_list([(int(serial), _utc(at_s)) for serial, at_s in rows], now)
        write_private(self._folder / REVOKED_FILE, listed)


def _secret_of(token: str) -> bytes:
    """The 16 bytes of a token as it was given out; empty, which no token hashes to, for anything else."""
    parts = token.strip().upper().split("-")
    if len(parts) != 3 or parts[0] != "SBE1":
        return b""
    try:
        return base64.b32decode(parts[1] + "=" * (-len(parts[1]) % 8))
    except ValueError:
        return b""


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(b"sleepbelt enrolment" + secret).digest()


def _utc(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
