"""`sleepbelt authority`: the platform's side of enrolment: broker files, claim tokens, who is enrolled, revocation."""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

SUMMARY = "enrol gateways: broker and its certificates, claim tokens, revocation"
DONE, FAILED, BAD_INPUT = 0, 1, 2
SERVER_DAYS = 397
RECEIVER_DAYS = 3650
RECEIVER = "receiver"

_EPILOG = """\
broker  makes the site's authority if there is none, certificates of broker and receiver, mosquitto.conf and acl
token   one claim token for one gateway: good once, for a day, on: sleepbelt enrol
list    which gateways are enrolled, until when
revoke  nobody gets in with a certificate of that gateway any more, once the broker was restarted

DIR is the folder of the authority; receiver.authority in the receiver's configuration names the same one, DATA is the
receiver's data folder. Exit code: 0 done, 1 failed, 2 bad input.

example:
  sleepbelt authority broker --authority ca --site "Sunrise Home" --host care.example --out /etc/mosquitto/sleepbelt
  sleepbelt authority token --authority ca --data /var/lib/sleepbelt-platform --gateway gw-01
  sleepbelt authority revoke --authority ca --data /var/lib/sleepbelt-platform --gateway gw-01
"""

_CONF = """\
# Written by `sleepbelt authority broker`. Everybody shows a certificate of the site's authority and goes by its name.
per_listener_settings false
listener {port}
cafile {out}/site-ca.pem
certfile {out}/broker.pem
keyfile {out}/broker.key
crlfile {revoked}
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {out}/acl
max_keepalive 120
# Else an alarm waits until the receiver has confirmed what was sent before it.
set_tcp_nodelay true
# Batches wait in the gateways, which keep them until the receiver's own ack: the broker need not.
persistence false
"""
_ACL = """\
# A gateway speaks and hears under its own name only; the receiver under all.
pattern readwrite sb/v1/%u/#

user {receiver}
topic readwrite sb/v1/#
"""


def main(argv: Sequence[str]) -> int:
    """Do what the subcommand says; 0 done, 1 failed, 2 bad input."""
    options = _parser().parse_args(argv)
    t = Words(options.lang)
    from cloud_sync.authority import AuthorityError
    from cloud_sync.receiver.stores.base import StoreError

    try:
        said, lines = {"broker": _broker, "token": _token, "list": _list, "revoke": _revoke}[options.subject](options)
    except (AuthorityError, ValueError) as error:
        print(f"sleepbelt authority: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    except (OSError, StoreError) as error:
        print(f"sleepbelt authority: {t(error)}", file=sys.stderr)
        return FAILED
    print(json.dumps(said, ensure_ascii=False) if options.json else "\n".join(map(t, lines)))
    return DONE


def _broker(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from cloud_sync.authority import AuthorityError, key_pem, make_request, open_authority, read_request, write_private
    from cloud_sync.enrol_files import AUTHORITY_FILE, IDENTITY_FILE
    from cloud_sync.receiver.enrolment import REVOKED_FILE

    if not options.site.strip() or not options.host:
        raise AuthorityError(Phrase("--site and --host: a name each"))
    now = datetime.now(UTC)
    folder, out = options.authority.absolute(), options.out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    authority, is_new = open_authority(folder, options.site, now)
    names: list[x509.GeneralName] = [_alternative(host) for host in options.host]
    certificate, key = authority.server_certificate(options.host[0], names, now, SERVER_DAYS)
    write_private(out / "broker.key", key_pem(key))
    (out / "broker.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (out / "site-ca.pem").write_bytes(authority.pem)
    revoked = folder / REVOKED_FILE
    if not revoked.exists():
        write_private(revoked, authority.revocation_list([], now))
    (out / "mosquitto.conf").write_text(_CONF.format(port=options.port, out=out, revoked=revoked))
    (out / "acl").write_text(_ACL.format(receiver=RECEIVER))
    ours = folder / RECEIVER
    ours.mkdir(exist_ok=True)
    request, own_key = make_request(RECEIVER)
    own = authority.client_certificate(read_request(request), RECEIVER, now, RECEIVER_DAYS)
    write_private(ours / IDENTITY_FILE, key_pem(own_key) + own.public_bytes(Encoding.PEM))
    write_private(ours / AUTHORITY_FILE, authority.pem)
    said = {"authority": str(folder), "authority_new": is_new, "authority_sha256": authority.fingerprint.hex(),
            "broker": str(out), "broker_valid_until": certificate.not_valid_after_utc.date().isoformat(),
            "receiver_tls": str(ours)}  # fmt: skip
    return said, [
        Phrase("authority {folder} ({age}), SHA-256 {digest}", folder=folder,
               age=Phrase("new") if is_new else Phrase("was there"), digest=authority.fingerprint.hex(":")),
        Phrase("broker    {file}, certificate until {day}", file=out / "mosquitto.conf",
               day=said["broker_valid_until"]),
        Phrase("          the user mosquitto must be able to read these files and the list of revoked certificates"),
        Phrase("receiver  in its configuration:"),
        f'            broker = "mqtts://{options.host[0]}:{options.port}"',
        f'            broker_tls = "{ours}"',
        f'            authority = "{folder}"',
    ]


def _token(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    enrolment = _open(options)
    token = enrolment.new_token(options.gateway, int(time.time()))
    said = {"gateway": options.gateway, "token": token, "good_for_s": 24 * 3600}
    return said, [token, Phrase(
        "for {gateway}, once, within a day: sleepbelt enrol --platform URL --token {token}",
        gateway=options.gateway, token=token)]  # fmt: skip


def _list(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    found = _open(options).enrolled()
    lines: list[str] = [
        Phrase("{gateway} until {day}{revoked}", gateway=f"{one.gateway:<32}", day=_day(one.expires_s),
               revoked=_revoked(one.revoked_s)) for one in found
    ]  # fmt: skip
    return {"gateways": [asdict(one) for one in found]}, lines or [Phrase("no gateway is enrolled yet")]


def _revoke(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    count = _open(options).revoke(options.gateway, int(time.time()))
    if not count:
        raise ValueError(Phrase(
            "{gateway} has no valid certificate; sleepbelt authority list shows who has one",
            gateway=repr(options.gateway)))
    return {"gateway": options.gateway, "revoked": count}, [
        Phrase("{gateway}: {count} certificate revoked", gateway=options.gateway, count=count) if count == 1 else
        Phrase("{gateway}: {count} certificates revoked", gateway=options.gateway, count=count),
        Phrase("now restart the broker: it reads the list of revoked certificates when it starts"),
    ]


def _open(options: argparse.Namespace) -> Any:
    from cloud_sync.authority import AuthorityError, load_authority
    from cloud_sync.receiver.enrolment import ENROLMENT, Enrolment

    if options.data is None:
        raise AuthorityError(Phrase("--data: the receiver's data folder is needed"))
    if options.subject != "list" and options.gateway is None:
        raise AuthorityError(Phrase("--gateway: the gateway's id (gateway.id in its configuration) is needed"))
    authority = load_authority(options.authority)
    options.data.mkdir(parents=True, exist_ok=True)
    return Enrolment(options.data / ENROLMENT, authority, options.authority)


def _alternative(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _day(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()


def _revoked(at_s: int | None) -> str:
    return "" if at_s is None else Phrase(", revoked on {day}", day=_day(at_s))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt authority", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("subject", choices=["broker", "token", "list", "revoke"])
    parser.add_argument("--authority", type=Path, required=True, metavar="DIR", help="folder of the site's authority")
    parser.add_argument("--data", type=Path, metavar="DATA", help="the receiver's data folder")
    parser.add_argument("--gateway", metavar="ID", help="gateway.id of the gateway")
    parser.add_argument("--site", default="", metavar="NAME", help="name of the site, for a new authority")
    parser.add_argument("--host", action="append", default=[], metavar="NAME",
                        help="host name or address of the broker; may be given several times")
    parser.add_argument("--port", type=int, default=8883, help="where the broker listens (default 8883)")
    parser.add_argument("--out", type=Path, default=Path("broker"), metavar="DIR", help="folder for the broker's files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_language(parser)
    return parser
