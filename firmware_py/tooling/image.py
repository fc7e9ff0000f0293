"""Signed update images (the layout is in firmware_py/belt/install.py) and the key that signs them."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from firmware_py.belt.install import ENTRY_FORMAT, FILES_MAX, HEAD_FORMAT, MAGIC, PATH_BYTES_MAX
from firmware_py.belt.update import IMAGE_BYTES_MAX

__all__ = ["KeyFileError", "make_image", "make_key", "public_bytes", "read_key"]

Version = tuple[int, int, int]


class KeyFileError(ValueError):
    """A signing key cannot be read or written; the message names the file."""


def make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A new signing key in a PEM file that only its owner can read; KeyFileError if there is one already."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists, and belts take the images of no other key; name another file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    with open(descriptor, "wb") as file:
        file.write(text)
    return key


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The signing key in a PEM file; KeyFileError if it is none of P-256."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; `sleepbelt firmware keygen {path}` makes one") from None
    except TypeError:
        raise KeyFileError(f"{path}: protected by a password; `openssl ec -in {path} -out FILE` takes it off") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: no private key in PEM; `sleepbelt firmware keygen FILE` makes one") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"{path}: not a key of P-256; `sleepbelt firmware keygen` makes one")
    return key


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """What a belt is told at the factory: x and y, 32 bytes each."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def make_image(files: Mapping[str, bytes], model: int, version: Version, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The image of one application slot: contents by path below the slot, signed."""
    assert 0 < len(files) <= FILES_MAX
    manifest = struct.pack(HEAD_FORMAT, MAGIC, model, *version, len(files))
    for path, content in files.items():
        name = path.encode()
        assert len(name) <= PATH_BYTES_MAX
        manifest += struct.pack(ENTRY_FORMAT, len(name), len(content), hashlib.sha256(content).digest()) + name
    digest = hashlib.sha256(manifest).digest()
    r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    image = manifest + r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"".join(files.values())
    assert len(image) <= IMAGE_BYTES_MAX
    return image
