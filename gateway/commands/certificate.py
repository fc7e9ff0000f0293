"""`sleepbelt certificate`: a small certificate authority for one site, and certificates for its gateways' pages."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SUMMARY = "make the site's certificate authority and a gateway's certificate for HTTPS"
DONE, FAILED, BAD_INPUT = 0, 1, 2

CA_DAYS = 3650
LEAF_DAYS_DEFAULT, LEAF_DAYS_MAX = 397, 825  # browsers refuse longer ones
SITE_CHARS_MAX = 64

_EPILOG = """\
The authority is made once: the folder's site-ca.pem goes to every browser of the site, site-ca.key stays locked away.
Run it again with other --host for each further gateway; an authority that is there is used.

example:
  sleepbelt certificate --site "Sunrise Home" --out tls --host gw-01.local --host 192.168.1.20

and then in gateway.toml:
  [web]
  tls_certificate = "tls/gw-01.local.pem"
  tls_key = "tls/gw-01.local.key"
"""


class CertificateInputError(ValueError):
    """An argument or file that cannot be used; the message says which and why."""


def main(argv: Sequence[str]) -> int:
    """Write the files; 0 done, 1 not writable, 2 bad input."""
    options = _parser().parse_args(argv)
    try:
        made = _make(options)
    except CertificateInputError as error:
        print(f"sleepbelt certificate: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"sleepbelt certificate: {error.filename or options.out}: {error.strerror}", file=sys.stderr)
        return FAILED
    if options.json:
        print(json.dumps(made, ensure_ascii=False))
    else:
        print(f"authority of {options.site}: {made['ca']} ({'new' if made['ca_new'] else 'was there'})")
        print(f"  SHA-256 {made['ca_sha256']}")
        print(f"certificate for {', '.join(options.host)} until {made['not_after']}:")
        print(f"  tls_certificate = \"{made['certificate']}\"\n  tls_key = \"{made['key']}\"")
    return DONE


def _make(options: argparse.Namespace) -> dict[str, Any]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    if not options.site.strip() or len(options.site) > SITE_CHARS_MAX or not options.site.isprintable():
        raise CertificateInputError(f"--site: a name of 1 to {SITE_CHARS_MAX} characters")
    if not 1 <= options.days <= LEAF_DAYS_MAX:
        raise CertificateInputError(f"--days: 1 to {LEAF_DAYS_MAX}; browsers refuse longer ones")
    names = [_name(host) for host in options.host]
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    ca, ca_key, ca_new = _authority(folder, options.site, now)
    leaf, leaf_key = _leaf(ca, ca_key, options.host[0], names, now, options.days)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", options.host[0])
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    _write_key(key, leaf_key)
    certificate.write_bytes(leaf.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM))
    return {
        "ca": str(folder / "site-ca.pem"), "ca_new": ca_new, "ca_sha256": ca.fingerprint(hashes.SHA256()).hex(":"),
        "certificate": str(certificate), "key": str(key), "not_after": leaf.not_valid_after_utc.date().isoformat(),
    }  # fmt: skip


def _authority(
    folder: Path, site: str, now: datetime
) -> tuple[x509.Certificate, EllipticCurvePrivateKey, bool]:
    """(certificate, key, whether it is new) of the folder's authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    file, key_file = folder / "site-ca.pem", folder / "site-ca.key"
    if file.exists() or key_file.exists():
        try:
            there = x509.load_pem_x509_certificate(file.read_bytes())
            key = load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise CertificateInputError(
                f"{folder}: site-ca.pem and site-ca.key are not a usable pair ({error}); give another folder"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != there.public_key():
            raise CertificateInputError(f"{folder}: site-ca.key is not the key of site-ca.pem; give another folder")
        return there, key, False
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{site[:50]} sleepbelt")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # signs certificates and lists
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_file, key)
    file.write_bytes(made.public_bytes(Encoding.PEM))
    return made, key, True


def _leaf(
    ca: x509.Certificate, ca_key: EllipticCurvePrivateKey, host: str, names: list[x509.GeneralName], now: datetime,
    days: int,
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:  # fmt: skip
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host[:64])]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(min(now + timedelta(days=days), ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return made, key


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.(?!-)[A-Za-z0-9-]{1,63})*", host) or len(host) > 253:
        raise CertificateInputError(f"--host: {host!r} is no host name and no address")
    return x509.DNSName(host)


def _write_key(file: Path, key: EllipticCurvePrivateKey) -> None:
    """Readable by its owner only, from the first byte on."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(pem)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt certificate", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--site", required=True, metavar="NAME", help="name of the site, shown by browsers")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the files, made if it is not there")
    parser.add_argument("--host", required=True, action="append", metavar="NAME",
                        help="host name or address by which browsers open the gateway; may be given several times")
    parser.add_argument("--days", type=int, default=LEAF_DAYS_DEFAULT, metavar="N",
                        help=f"validity of the gateway's certificate (default {LEAF_DAYS_DEFAULT})")
    parser.add_argument("--json", action="store_true", help="print one object")
    return parser
