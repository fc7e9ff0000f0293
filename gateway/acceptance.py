"""The acceptance certificate: what was tested on which bed, signed with the gateway's own Ed25519 key.

    {"acceptance": {...}, "signature": {"algorithm": "Ed25519", "public_key": hex, "value": hex}}

The signature covers the canonical JSON of `acceptance` (sorted keys, no spaces, UTF-8). It says that this gateway made
the certificate and that nothing in it was changed since; whose gateway that is says the public key, which
`sleepbelt provision certificate` prints and whoever accepts the site writes down.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.phrase import Phrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["KEY_FILE", "CertificateError", "attached", "gateway_key", "pdf_streams", "sign", "verify"]

KEY_FILE = "acceptance.key"
STREAM_BYTES_MAX = 4_000_000


class CertificateError(Exception):
    """The certificate does not hold, or is none; the text says why."""


def gateway_key(folder: Path) -> Ed25519PrivateKey:
    """The gateway's key of its data folder, made when it is first needed. OSError; ValueError if the file is no key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = folder / KEY_FILE
    if path.exists():
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    key = Ed25519PrivateKey.generate()
    part = path.with_name(f"{KEY_FILE}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return key


def sign(acceptance: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The signed certificate."""
    public = key.public_key().public_bytes_raw().hex()
    value = key.sign(_canonical(acceptance)).hex()
    return {"acceptance": acceptance, "signature": {"algorithm": "Ed25519", "public_key": public, "value": value}}


def verify(certificate: object, public_key: str = "") -> tuple[dict[str, Any], str]:
    """(what it says, the public key that signed it); CertificateError. `public_key`: the only one that counts."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        assert isinstance(certificate, dict)
        acceptance, signature = certificate["acceptance"], certificate["signature"]
        signer, value = str(signature["public_key"]), bytes.fromhex(signature["value"])
        if not isinstance(acceptance, dict) or signature["algorithm"] != "Ed25519":
            raise TypeError
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
    except (AssertionError, KeyError, TypeError, ValueError):
        raise CertificateError(Phrase("this is no acceptance certificate of a gateway")) from None
    try:
        key.verify(value, _canonical(acceptance))
    except InvalidSignature:
        raise CertificateError(
            Phrase("the signature does not fit: the certificate was changed after it was signed")
        ) from None
    if public_key and signer.lower() != public_key.strip().lower():
        raise CertificateError(Phrase("it was signed by {signer}, not by the key that was asked for", signer=signer))
    return acceptance, signer


def attached(pdf: bytes) -> object:
    """The certificate that a PDF of ours carries; CertificateError if it carries none."""
    for stream in pdf_streams(pdf):
        if stream.lstrip()[:1] == b"{":
            try:
                return json.loads(stream)
            except ValueError:
                continue
    raise CertificateError(Phrase("this PDF carries no certificate; verify the JSON file"))


def pdf_streams(pdf: bytes) -> Iterator[bytes]:
    """What stands in a PDF's streams, unpacked where it is packed."""
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        raw = found[1]
        try:
            yield zlib.decompressobj().decompress(raw, STREAM_BYTES_MAX)
        except zlib.error:
            yield raw


def _canonical(acceptance: Mapping[str, Any]) -> bytes:
    return json.dumps(acceptance, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
