"""`sleepbelt certificate`: a small certificate authority for one site, and certificates for its gateways' pages."""

from __future__ import annotations

import argparse
import ipaddress
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

if TYPE_CHECKING:
    from cryptography import x509

SUMMARY = "make the site's certificate authority and a gateway's certificate for HTTPS"
DONE, FAILED, BAD_INPUT = 0, 1, 2

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
    t = Words(options.lang)
    try:
        made = _make(options)
    except CertificateInputError as error:
        print(f"sleepbelt certificate: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"sleepbelt certificate: {error.filename or options.out}: {error.strerror}", file=sys.stderr)
        return FAILED
    if options.json:
        print(json.dumps(made, ensure_ascii=False))
    else:
        age = Phrase("new") if made["ca_new"] else Phrase("was there")
        print(t(Phrase("authority of {site}: {file} ({age})", site=options.site, file=made["ca"], age=age)))
        print(f"  SHA-256 {made['ca_sha256']}")
        print(t(Phrase("certificate for {hosts} until {day}:", hosts=", ".join(options.host), day=made["not_after"])))
        print(f"  tls_certificate = \"{made['certificate']}\"\n  tls_key = \"{made['key']}\"")
    return DONE


def _make(options: argparse.Namespace) -> dict[str, Any]:
    from cryptography.hazmat.primitives.serialization import Encoding

    from cloud_sync.authority import AuthorityError, key_pem, open_authority, write_private

    if not options.site.strip() or len(options.site) > SITE_CHARS_MAX or not options.site.isprintable():
        raise CertificateInputError(Phrase(
            "--site: a name of 1 to {site_chars_max} characters",
            site_chars_max=SITE_CHARS_MAX))
    if not 1 <= options.days <= LEAF_DAYS_MAX:
        raise CertificateInputError(Phrase(
            "--days: 1 to {leaf_days_max}; browsers refuse longer ones",
            leaf_days_max=LEAF_DAYS_MAX))
    names = [_name(host) for host in options.host]
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    try:
        authority, ca_new = open_authority(folder, options.site, now)
    except AuthorityError as error:
        raise CertificateInputError(error.args[0]) from None
    leaf, leaf_key = authority.server_certificate(options.host[0], names, now, options.days)
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", options.host[0])
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    write_private(key, key_pem(leaf_key))
    certificate.write_bytes(leaf.public_bytes(Encoding.PEM) + authority.pem)
    return {
        "ca": str(folder / "site-ca.pem"), "ca_new": ca_new, "ca_sha256": authority.fingerprint.hex(":"),
        "certificate": str(certificate), "key": str(key), "not_after": leaf.not_valid_after_utc.date().isoformat(),
    }  # fmt: skip


def _name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.(?!-)[A-Za-z0-9-]{1,63})*", host) or len(host) > 253:
        raise CertificateInputError(Phrase("--host: {host} is no host name and no address", host=repr(host)))
    return x509.DNSName(host)


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
    add_language(parser)
    return parser
