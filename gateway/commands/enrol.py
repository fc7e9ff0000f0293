"""`sleepbelt enrol`: with a claim token of the platform, this gateway gets a certificate of its own for mutual TLS."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

SUMMARY = "enrol this gateway at the care platform with a claim token"
DONE, FAILED, BAD_INPUT = 0, 1, 2
CONFIG_FILE = Path("/etc/sleepbelt/gateway.toml")

_EPILOG = """\
The platform gives out a token (sleepbelt authority token --gateway ID); it is good once, for a day, for that gateway.
The key is made here and stays here. The certificate is renewed by the running gateway at two thirds of its time.
Exit code: 0 done, 1 the platform refused or was not reached, 2 bad input.

example:
  sleepbelt enrol --platform https://care.example --token SBE1-... --config /etc/sleepbelt/gateway.toml
  sleepbelt enrol --show
"""


def main(argv: Sequence[str]) -> int:
    """Enrol, or show the certificate; 0 done, 1 failed, 2 bad input."""
    options = _parser().parse_args(argv)
    t = Words(options.lang)
    from gateway.config import TLS_DIR, ConfigError, load_config

    try:
        config = load_config(options.config)
    except ConfigError as error:
        return _fail(error, BAD_INPUT, t)
    folder = config.gateway.data_dir / TLS_DIR
    if config.uplink is not None and config.uplink.tls_dir is not None:
        folder = config.uplink.tls_dir
    from cloud_sync.enrol import EnrolError, enrol, read_identity, renew_at
    from cloud_sync.enrol_files import IDENTITY_FILE

    try:
        if options.show:
            identity = read_identity(folder / IDENTITY_FILE)
        elif options.platform is None or options.token is None:
            return _fail(Phrase("--platform and --token are needed (or --show)"), BAD_INPUT, t)
        else:
            identity = enrol(options.platform, options.token, config.gateway.id, folder)
    except EnrolError as error:
        return _fail(error, BAD_INPUT if error.is_input else FAILED, t)
    except OSError as error:
        return _fail(
            Phrase(
                "{filename}: {why}; check its owner and the disk", filename=error.filename or folder, why=error.strerror
            ),
            FAILED,
            t,
        )
    renews = renew_at(identity).date().isoformat()
    found = {"gateway": identity.gateway, "folder": str(folder), "serial": f"{identity.serial:x}",
             "valid_until": identity.not_after.date().isoformat(), "renews_on": renews}  # fmt: skip
    if options.json:
        print(json.dumps(found))
    else:
        print(t(Phrase("{gateway}: certificate until {day}, renewed from {renews} on, in {folder}",
                       gateway=identity.gateway, day=found["valid_until"], renews=renews, folder=folder)))  # fmt: skip
        if config.uplink is None or not config.uplink.url.startswith("mqtts://"):
            print(t(Phrase('next: give the broker in the configuration: [uplink] url = "mqtts://BROKER:8883"')))
        elif not options.show:
            print(t(Phrase("next: restart the gateway (systemctl restart sleepbelt), then: sleepbelt doctor uplink")))
    return DONE


def _fail(message: object, code: int, t: Words) -> int:
    print(f"sleepbelt enrol: {t(message)}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt enrol", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--platform", metavar="URL", help="address of the platform's pages, https://...")
    parser.add_argument("--token", help="the claim token, SBE1-...")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help=f"default: {CONFIG_FILE}")
    parser.add_argument("--show", action="store_true", help="show the certificate this gateway has")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_language(parser)
    return parser
