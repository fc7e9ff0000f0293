"""`sleepbelt pin`: the hash of a PIN for the accounts of a configuration file."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

SUMMARY = "make the hash of a PIN for an account of the wall board or the platform"

DONE, BAD_INPUT = 0, 2

_EPILOG = """examples:
  sleepbelt pin                       asks twice, prints the hash
  echo 'four words or digits' | sleepbelt pin --json

Put it into the configuration:
  [web]
  accounts = [{ name = "night", role = "carer", pin = "scrypt$..." }]"""


def main(argv: Sequence[str]) -> int:
    """Print the hash; 0 done, 2 for a PIN that cannot be one. The PIN itself is never printed."""
    parser = argparse.ArgumentParser(
        prog="sleepbelt pin", description=SUMMARY, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help='print {"pin": "scrypt$..."}')
    add_language(parser)
    arguments = parser.parse_args(argv)
    t = Words(arguments.lang)
    pin = _asked(t) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if pin is None:
        return _wrong(Phrase("the two entries differ; nothing was made"), t)
    from cloud_sync.pages.pins import PinError, hash_pin

    try:
        hashed = hash_pin(pin)
    except PinError as refused:
        return _wrong(refused, t)
    print(json.dumps({"pin": hashed}) if arguments.json else hashed)
    return DONE


def _asked(t: Words) -> str | None:
    first = getpass.getpass("PIN: ")
    return first if getpass.getpass(t(Phrase("again: "))) == first else None


def _wrong(text: object, t: Words) -> int:
    print(f"sleepbelt pin: {t(text)}", file=sys.stderr)
    return BAD_INPUT
