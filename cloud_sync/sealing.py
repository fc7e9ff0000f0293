"""Files sealed with a passphrase, as long as may be, in segments: what a backup is kept in.

    SBBK2, salt 16, nonce 7, then segments of 1 MiB (the last: 0 to 1 MiB) of AES-256-GCM, each with its tag of 16
    the key is scrypt(passphrase, salt), N = 2^15, r = 8, p = 1
    a segment's nonce is nonce + its number (4 bytes, big endian) + 1 for the last one, else 0
    what each segment is bound to is SBBK2 + the file's label

A file that was cut, lengthened, put together from others or given another's label does not open (the construction is
STREAM, of Hoang, Reyhanitabar, Rogaway and Vizár). No segment is given out before it has been verified.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cloud_sync.secret_file import read_secrets

__all__ = ["PASSPHRASE_CHARS_MIN", "SealError", "ask_passphrase", "key_of", "open_sealed", "seal_file"]

MAGIC = b"SBBK2"
SALT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 7, 16
SEGMENT_BYTES = 1 << 20
SEGMENTS_MAX = 1 << 32
PASSPHRASE_CHARS_MIN = 12
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 32}


class SealError(ValueError):
    """The passphrase cannot be used, or the file does not open with it; the message says which and what to do."""


def key_of(passphrase: str, salt: bytes) -> bytes:
    """The key of 256 bits; takes 32 MiB and a tenth of a second, as each guess does."""
    return hashlib.scrypt(passphrase.encode(), salt=salt, **_SCRYPT)


def ask_passphrase(file: Path | None, *, is_new: bool = False) -> str:
    """The passphrase in `file`, else from the terminal, twice if it is new. SealError, SecretFileError."""
    if file is not None:
        given = read_secrets(file, 1)[0].decode("utf-8", "surrogateescape")
    else:
        import getpass

        given = getpass.getpass("passphrase of the backup: ")
        if is_new and getpass.getpass("once more: ") != given:
            raise SealError("the two passphrases differ; begin again")
    if is_new and len(given) < PASSPHRASE_CHARS_MIN:
        raise SealError(f"a passphrase has at least {PASSPHRASE_CHARS_MIN} characters")
    return given


def seal_file(source: Path, target: Path, passphrase: str, label: str) -> None:
    """Write `target`, for its owner alone and on the disk; OSError."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    aead = AESGCM(key_of(passphrase, salt))
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out, source.open("rb") as file:
        out.write(MAGIC + salt + nonce)
        for number, segment, is_last in _segments(file, SEGMENT_BYTES):
            out.write(aead.encrypt(_nonce(nonce, number, is_last), segment, MAGIC + label.encode()))
        out.flush()
        os.fsync(out.fileno())


def open_sealed(source: Path, passphrase: str, label: str) -> Iterator[bytes]:
    """The content in pieces, each of them verified; SealError in place of the first that is not what was sealed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    with source.open("rb") as file:
        head = file.read(len(MAGIC) + SALT_BYTES + NONCE_BYTES)
        if not head.startswith(MAGIC) or len(head) < len(MAGIC) + SALT_BYTES + NONCE_BYTES:
            raise SealError(f"{source} is no sealed file (it does not begin as SBBK2)")
        salt, nonce = head[len(MAGIC) : -NONCE_BYTES], head[-NONCE_BYTES:]
        aead = AESGCM(key_of(passphrase, salt))
        for number, segment, is_last in _segments(file, SEGMENT_BYTES + TAG_BYTES):
            try:
                yield aead.decrypt(_nonce(nonce, number, is_last), segment, MAGIC + label.encode())
            except (InvalidTag, ValueError):
                why = "wrong passphrase, or the file was changed" if number == 0 else "the file was cut or changed"
                raise SealError(f"{source} does not open: {why}") from None


def _segments(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """(number, bytes, is it the last) of segments of `size`; there is always a last one, if need be an empty one."""
    segment = file.read(size)
    for number in range(SEGMENTS_MAX):
        following = file.read(size)
        yield number, segment, not following
        if not following:
            return
        segment = following
    raise OSError("too long to be sealed")


def _nonce(nonce: bytes, number: int, is_last: bool) -> bytes:
    return nonce + number.to_bytes(4, "big") + bytes([is_last])
