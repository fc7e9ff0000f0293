"""An image received whole becomes the other application slot: signature first, then file by file, the switch last.

    head       magic "SBI1", model u8, firmware major u8, minor u8, patch u16, files u16
    manifest   per file: length of its path u8, size u32, SHA-256, path below the slot
    signature  r, s of ECDSA P-256 over the SHA-256 of head and manifest
    contents   the files in the order of the manifest

Little-endian; firmware_py/tooling/image.py writes it. The power may fail anywhere: until the last rename the slot in
use is the old one, and everything before is done again from the image.
"""

import hashlib
import os
import struct

from protocol.wire import frames

from .p256 import SIGNATURE_BYTES, verify

HEAD_FORMAT = "<4sBBBHH"
ENTRY_FORMAT = "<BI32s"
MAGIC = b"SBI1"
FILES_MAX = 64
PATH_BYTES_MAX = 80
BLOCK_BYTES = 512
HASH_BLOCKS = 16  # hashed in one slice

SLOT_FILE = "/slot"  # boot/boot.py
TRIAL_FILE = "/trial"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    Entry = tuple[str, int, bytes]


class ImageError(Exception):
    """This image is not to be installed here; args[0] is the RESULT status."""


def slot_in_use(root: str) -> str:
    """ "a" or "b": the slot that boot.py starts next."""
    try:
        with open(root + SLOT_FILE) as file:
            return "b" if file.read(2) == "b" else "a"
    except (OSError, ValueError):
        return "a"


def install(
    root: str, image: str, sha256: bytes, model: int, version: "tuple[int, int, int]", key: bytes
) -> "Iterator[int]":
    """Do it in slices, between which the caller goes on sampling; yields STATUS_STARTED until the final status.

    Refused: not signed by `key`, for another model, or older than `version`. Failed: not what `sha256` promised.
    """
    try:
        for _ in _steps(root, image, sha256, model, version, key):
            yield frames.STATUS_STARTED
    except ImageError as error:
        yield error.args[0]
        return
    except (OSError, ValueError):
        yield frames.STATUS_FAILED
        return
    yield frames.STATUS_DONE


def _steps(
    root: str, image: str, sha256: bytes, model: int, version: "tuple[int, int, int]", key: bytes
) -> "Iterator[None]":
    for digest in _hashing(image):
        if digest:
            if digest != sha256:
                raise ImageError(frames.STATUS_FAILED)
        else:
            yield
    other = "a" if slot_in_use(root) == "b" else "b"
    folder = root + "/" + other
    with open(image, "rb") as file:
        files = _signed_count(file, model, version, key)
        yield
        _clear(folder)
        yield
        contents_at = file.tell()
        manifest_at = struct.calcsize(HEAD_FORMAT)
        for _ in range(files):
            file.seek(manifest_at)
            path, size, digest = _entry(file)
            manifest_at = file.tell()
            file.seek(contents_at)
            _copy(file, folder + "/" + path, size, digest)
            contents_at += size
            yield
        if file.read(1):
            raise ImageError(frames.STATUS_FAILED)
    # In this order: a trial of a slot that is not in use is forgotten by boot.py, a slot without a trial is for good.
    _write(root + TRIAL_FILE, other + "0")
    _write(root + SLOT_FILE, other)


def _hashing(path: str) -> "Iterator[bytes]":
    """b"" after each slice, at the end the SHA-256 of the file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        blocks = 0
        while True:
            block = file.read(BLOCK_BYTES)
            if not block:
                break
            digest.update(block)
            blocks += 1
            if blocks % HASH_BLOCKS == 0:
                yield b""
    yield digest.digest()


def _signed_count(file: "BinaryIO", model: int, version: "tuple[int, int, int]", key: bytes) -> int:
    """Files in the manifest, once its signature and all of its entries are good; the file stands at the contents."""
    head = file.read(struct.calcsize(HEAD_FORMAT))
    if len(head) != struct.calcsize(HEAD_FORMAT) or head[:4] != MAGIC:
        raise ImageError(frames.STATUS_FAILED)
    _, for_model, major, minor, patch, files = struct.unpack(HEAD_FORMAT, head)
    if not 0 < files <= FILES_MAX:
        raise ImageError(frames.STATUS_FAILED)
    digest = hashlib.sha256(head)
    for _ in range(files):
        path, size, content = _entry(file)
        digest.update(struct.pack(ENTRY_FORMAT, len(path), size, content))
        digest.update(path.encode())
    if not verify(key, digest.digest(), file.read(SIGNATURE_BYTES)):
        raise ImageError(frames.STATUS_REFUSED)
    if for_model != model or (major, minor, patch) < version:
        raise ImageError(frames.STATUS_REFUSED)
    return int(files)


def _entry(file: "BinaryIO") -> "Entry":
    head = file.read(struct.calcsize(ENTRY_FORMAT))
    if len(head) != struct.calcsize(ENTRY_FORMAT):
        raise ImageError(frames.STATUS_FAILED)
    length, size, digest = struct.unpack(ENTRY_FORMAT, head)
    path = file.read(length).decode()
    if not path or len(path) > PATH_BYTES_MAX or path[0] == "/" or ".." in path:
        raise ImageError(frames.STATUS_FAILED)
    return path, size, digest


def _copy(source: "BinaryIO", path: str, size: int, digest: bytes) -> None:
    """Write one file and read it back: its hash is of what the flash holds."""
    at = path.find("/", 1)
    while at > 0:
        if not _exists(path[:at]):
            os.mkdir(path[:at])
        at = path.find("/", at + 1)
    with open(path, "wb") as file:
        while size:
            block = source.read(min(size, BLOCK_BYTES))
            if not block:
                raise ImageError(frames.STATUS_FAILED)
            file.write(block)
            size -= len(block)
    for found in _hashing(path):
        if found and found != digest:
            raise ImageError(frames.STATUS_FAILED)


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _clear(folder: str) -> None:
    if not _exists(folder):
        return
    for name in os.listdir(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            _clear(path)
        else:
            os.remove(path)
    os.rmdir(folder)


def _write(path: str, text: str) -> None:
    with open(path + ".tmp", "w") as file:
        file.write(text)
    os.rename(path + ".tmp", path)
