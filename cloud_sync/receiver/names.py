"""Residents' names: sealed with AES-GCM in one table, under a key that lies in a file of its own.

A copy of the database alone names nobody. No log, no wire and no other table carries a name.
"""

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud_sync.receiver.stores.base import SealedName

__all__ = ["KeyFileError", "NameBook"]

KEY_BYTES = 32
NONCE_BYTES = 12
UNREADABLE = "?"


class KeyFileError(OSError):
    """The key file cannot be used; the message says where, why and what to do."""


class NameBook:
    """Seals and opens names with the key in a file; the file is made (mode 600) if it is not there."""

    def __init__(self, key_file: Path) -> None:
        try:
            key = key_file.read_bytes() if key_file.exists() else _make_key(key_file)
        except OSError as error:
            raise KeyFileError(f"cannot use the name key {key_file}: {error.strerror or error}") from error
        if len(key) != KEY_BYTES:
            raise KeyFileError(
                f"{key_file} holds {len(key)} bytes where a key has {KEY_BYTES}: restore it from a backup, "
                "or remove it and admit the residents again"
            )
        self._cipher = AESGCM(key)

    def seal(self, resident_id: str, name: str) -> SealedName:
        """The name bound to its resident: moved to another row it does not open."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return SealedName(resident_id, nonce, self._cipher.encrypt(nonce, name.encode(), resident_id.encode()))

    def open(self, sealed: SealedName) -> str:
        """The name, or "?" where the key is not the one it was sealed with."""
        try:
            return self._cipher.decrypt(sealed.nonce, sealed.sealed, sealed.resident_id.encode()).decode()
        except InvalidTag:
            return UNREADABLE

    def open_all(self, rows: Iterable[SealedName]) -> dict[str, str]:
        """resident id -> name."""
        return {row.resident_id: self.open(row) for row in rows}


def _make_key(key_file: Path) -> bytes:
    """A new key, whole or not at all: of two receivers that start at once both go on with the same one."""
    key_file.parent.mkdir(parents=True, exist_ok=True)
    fresh = key_file.with_name(f"{key_file.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, key_file)
    finally:
        fresh.unlink()
    return key_file.read_bytes()
