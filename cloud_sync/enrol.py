"""The gateway's side of enrolment: from a claim token to a key of its own, a certificate, and renewal in time.

The key is made here and never leaves. The token says by the authority's fingerprint whom to believe, so the first word
to the platform needs no certificate that was brought before. Key, certificate and authority are one file, replaced by
renaming: there is no moment with a key that does not fit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sync.authority import is_signed_by, key_pem, make_request, write_private
from cloud_sync.enrol_files import AUTHORITY_FILE, IDENTITY_FILE
from protocol.phrase import Phrase

__all__ = ["EnrolError", "Identity", "accept", "enrol", "read_identity", "renew_at"]

TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 65_536
CLOCK_ADVICE = "check this machine's clock (date; timedatectl): certificates are valid for a time"


class EnrolError(Exception):
    """Enrolment failed; the text says why and what to do. `is_input` if what was typed is wrong."""

    def __init__(self, text: str, *, is_input: bool = False) -> None:
        super().__init__(text)
        self.is_input = is_input


@dataclass(frozen=True)
class Identity:
    """What a gateway has from its enrolment."""

    gateway: str
    not_before: datetime
    not_after: datetime
    serial: int


def enrol(url: str, token: str, gateway: str, folder: Path) -> Identity:
    """Claim `token` at the platform's `url`, write both files to `folder`; EnrolError, OSError (not writable)."""
    fingerprint = _fingerprint_of(token)
    base = _checked(url)
    authority = x509.load_pem_x509_certificate(_believed(base, fingerprint))
    request, key = make_request(gateway)
    body = json.dumps({"token": token.strip(), "request": request.decode()}).encode()
    answer = _call(f"{base}/enrol", _trusting(authority), body)
    try:
        named, pem = str(answer["gateway"]), str(answer["certificate"]).encode()
        certificate = x509.load_pem_x509_certificate(pem)
    except (KeyError, ValueError) as error:
        raise EnrolError(Phrase(
            "{base} gave no certificate ({error}); is it a sleepbelt receiver?",
            base=base, error=error)) from None
    if named != gateway:
        raise EnrolError(
            Phrase(
                "the token is for the gateway {named}, this one is {gateway} (gateway.id); ask for a token for it",
                named=repr(named), gateway=repr(gateway)),
            is_input=True,
        )
    if certificate.public_key() != key.public_key() or not is_signed_by(certificate, authority):
        raise EnrolError(Phrase(
            "{base} gave a certificate that is not ours or not its authority's; do not use it",
            base=base))
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / AUTHORITY_FILE, authority.public_bytes(Encoding.PEM))
    write_private(folder / IDENTITY_FILE, key_pem(key) + pem)
    return _identity(certificate)


def accept(certificate_pem: bytes, private_key_pem: bytes, public_key: object, folder: Path) -> Identity:
    """Take a renewed certificate into use; EnrolError if it is not one for `public_key` by the authority we know."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        authority = x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise EnrolError(Phrase("the renewed certificate cannot be used: {error}", error=error)) from None
    if certificate.public_key() != public_key or not is_signed_by(certificate, authority):
        raise EnrolError(Phrase(
            "the renewed certificate is not for our key, or not from our authority; it was not taken"))
    write_private(folder / IDENTITY_FILE, private_key_pem + certificate_pem)
    return _identity(certificate)


def read_identity(file: Path) -> Identity:
    """What lies in an identity file; EnrolError if that is none."""
    try:
        return _identity(x509.load_pem_x509_certificate(file.read_bytes()))
    except (OSError, ValueError, IndexError) as error:
        raise EnrolError(Phrase(
            "{file}: no certificate can be read ({error}); enrol this gateway anew",
            file=file, error=error)) from None


def renew_at(identity: Identity) -> datetime:
    """At two thirds of its time: a month is left to find out why it did not work."""
    return identity.not_before + (identity.not_after - identity.not_before) * 2 / 3


def _identity(certificate: x509.Certificate) -> Identity:
    name = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return Identity(
        str(name), certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.serial_number
    )


def _fingerprint_of(token: str) -> bytes:
    form = re.fullmatch(r"SBE1-([A-Z2-7]{26})-([A-Z2-7]{52})", token.strip().upper())
    if form is None:
        raise EnrolError(
            Phrase("the token is not complete: it begins with SBE1- and has 85 characters; paste it whole"),
            is_input=True,
        )
    return base64.b32decode(form[2] + "====")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    is_here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.scheme not in ("https", "http") or (parts.scheme == "http" and not is_here):
        raise EnrolError(Phrase("{url}: the platform's address is given as https://host", url=repr(url)), is_input=True)
    return url.rstrip("/")


def _believed(base: str, fingerprint: bytes) -> bytes:
    """The authority's certificate, fetched from anybody and believed because the token names it."""
    stranger = ssl.create_default_context()
    stranger.check_hostname = False
    stranger.verify_mode = ssl.CERT_NONE
    offered = _call(f"{base}/enrol/authority", stranger, None).get("authority", "")
    try:
        der = x509.load_pem_x509_certificate(str(offered).encode()).public_bytes(Encoding.DER)
    except ValueError:
        raise EnrolError(Phrase(
            "{base} names no authority; is it a sleepbelt receiver with receiver.authority?",
            base=base)) from None
    if hashlib.sha256(der).digest() != fingerprint:
        raise EnrolError(
            Phrase(
                "{base} is not the platform this token was made on (its authority has another fingerprint): check "
                "the address; if it is right, somebody is in between",
                base=base)
        )
    return str(offered).encode()


def _trusting(authority: x509.Certificate) -> ssl.SSLContext:
    """The site's own authority, or a public one where the platform stands behind a proxy with such a certificate."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority.public_bytes(Encoding.DER))
    return context


def _call(url: str, context: ssl.SSLContext, body: bytes | None) -> dict[str, object]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as response:
            answer = json.loads(response.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        raise EnrolError(_refusal(url, error)) from None
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        advice = CLOCK_ADVICE if is_about_time(reason) else "check the address and the network"
        raise EnrolError(Phrase("{url}: {reason}; {advice}", url=url, reason=reason, advice=advice)) from None
    except ValueError:
        raise EnrolError(Phrase("{url} does not answer as a sleepbelt receiver; check the address", url=url)) from None
    if not isinstance(answer, dict):
        raise EnrolError(Phrase("{url} does not answer as a sleepbelt receiver; check the address", url=url))
    return answer


def is_about_time(error: object) -> bool:
    """Whether a certificate was refused because it is not valid yet, or no more: a clock that is not set does that."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in (9, 10)


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read(ANSWER_BYTES_MAX))
        return f"{said['message']} ({said['error']})"
    except (ValueError, KeyError, TypeError, OSError):
        return f"{url} answers {error.code}; is it a sleepbelt receiver with receiver.authority set?"

