"""The certificate authority of one site: a key and a certificate in a folder, and what they sign.

Server certificates for pages and broker, client certificates for gateways (facts/SYNC.md "Security"), and the list of
those that were revoked. Everything is ECDSA P-256; a key file is readable by its owner alone from the first byte on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from protocol.phrase import Phrase

__all__ = [
    "CLIENT_DAYS",
    "Authority",
    "AuthorityError",
    "is_signed_by",
    "key_pem",
    "load_authority",
    "make_request",
    "open_authority",
    "read_request",
    "write_private",
]

CA_DAYS = 3650
CLIENT_DAYS = 90
LIST_DAYS = 3650  # a broker with an overdue list lets nobody in; a fresh one is written with every revocation
CA_FILE, CA_KEY_FILE = "site-ca.pem", "site-ca.key"
REQUEST_BYTES_MAX = 4096
_BACKDATED = timedelta(days=1)  # for clocks that are a little behind


class AuthorityError(ValueError):
    """A folder, key or request that cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Authority:
    """The site's certificate and key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes: what a claim token carries."""
        return self.certificate.fingerprint(hashes.SHA256())

    def server_certificate(
        self, host: str, names: list[x509.GeneralName], now: datetime, days: int
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate and its new key for a page or broker reached as `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(key.public_key(), host[:64], now, days, ExtendedKeyUsageOID.SERVER_AUTH)
        return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(
            self.key, hashes.SHA256()
        ), key

    def client_certificate(
        self, public_key: ec.EllipticCurvePublicKey, name: str, now: datetime, days: int = CLIENT_DAYS
    ) -> x509.Certificate:
        """A certificate by which a broker knows `name` (its common name, and so its MQTT user)."""
        return self._leaf(public_key, name, now, days, ExtendedKeyUsageOID.CLIENT_AUTH).sign(self.key, hashes.SHA256())

    def revocation_list(self, revoked: Iterable[tuple[int, datetime]], now: datetime) -> bytes:
        """PEM of the list of (serial number, since when) that nobody may trust any more."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + timedelta(days=LIST_DAYS))
        )
        for serial, since in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _leaf(
        self, public_key: ec.EllipticCurvePublicKey, name: str, now: datetime, days: int, usage: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(min(now + timedelta(days=days), self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def load_authority(folder: Path) -> Authority:
    """The authority that lies in `folder`; AuthorityError if there is none, or no usable pair."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        key = load_pem_private_key((folder / CA_KEY_FILE).read_bytes(), None)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise AuthorityError(
            Phrase(
                "{folder}: {missing} is missing; give the folder of the site's authority",
                folder=folder,
                missing=missing,
            )
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(
            Phrase(
                "{folder}: {ca_file} and {ca_key_file} are not a usable pair ({error}); give another folder",
                folder=folder,
                ca_file=CA_FILE,
                ca_key_file=CA_KEY_FILE,
                error=error,
            )
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityError(
            Phrase(
                "{folder}: {ca_key_file} is not the key of {ca_file}; give another folder",
                folder=folder,
                ca_key_file=CA_KEY_FILE,
                ca_file=CA_FILE,
            )
        )
    return Authority(certificate, key)


def open_authority(folder: Path, site: str, now: datetime) -> tuple[Authority, bool]:
    """The folder's authority, made for `site` if none is there; second: whether it is new."""
    if (folder / CA_FILE).exists() or (folder / CA_KEY_FILE).exists():
        return load_authority(folder), False
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{site[:50]} sleepbelt")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # signs certificates and lists
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Authority(certificate, key)
    write_private(folder / CA_KEY_FILE, key_pem(key))
    (folder / CA_FILE).write_bytes(made.pem)
    return made, True


def make_request(name: str) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """PEM of a signing request for `name`, and the new key that it is for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM), key


def read_request(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key that a signing request is for, proven to be held; AuthorityError otherwise. Its subject is not used."""
    try:
        if len(pem) > REQUEST_BYTES_MAX:
            raise ValueError("too long")
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("not signed by a key of an elliptic curve")
        if key.curve.name != "secp256r1":
            raise ValueError(f"a key of {key.curve.name}, not of secp256r1")
    except ValueError as error:
        raise AuthorityError(Phrase("no signing request: {error}", error=error)) from None
    return key


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `authority` signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS 8, not encrypted: a service must start without a person."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(file: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone, in place of what was there."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, file)
