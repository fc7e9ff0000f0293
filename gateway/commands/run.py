"""`sleepbelt run`: the gateway process."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase, lines

if TYPE_CHECKING:
    from gateway.config import Config

SUMMARY = "run the gateway of a room: belts, leave-bed alarms, wall board, sync"

DONE, FAILED, BAD_INPUT = 0, 1, 2
_M_ARENA_MAX = -8

_EPILOG = """examples:
  sleepbelt run --config /etc/sleepbelt/gateway.toml
  sleepbelt run --config gateway.toml --check

A configuration needs no more than this (docs/configuration.md has all of it):
  [gateway]
  id = "gw-01"
  data_dir = "/var/lib/sleepbelt"
  [[beds]]
  label = "101-1"
  serial = "0011223344556677"
  key_file = "101-1.key"

SIGTERM or Ctrl-C ends it cleanly with a summary. Exit codes: 0 done, 1 failed, 2 bad input."""


def main(argv: Sequence[str]) -> int:
    """Run until a signal; 0 ended in order, 1 failed, 2 bad configuration."""
    parser = argparse.ArgumentParser(
        prog="sleepbelt run", description=SUMMARY, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the gateway's TOML file")
    parser.add_argument("--check", action="store_true", help="validate the file, say what it means, and end")
    parser.add_argument("--json", action="store_true", help="print the ready line and the summary as JSON")
    parser.add_argument("--verbose", action="store_true", help="log more (stderr)")
    add_language(parser)
    arguments = parser.parse_args(argv)
    t = Words(arguments.lang)
    from gateway.config import ConfigError, load_config
    from protocol.clock_scale import ENVIRONMENT, parse_clock_scale

    try:
        config = load_config(arguments.config)
    except ConfigError as error:
        return _bad_config(error, arguments.json, t)
    try:
        parse_clock_scale(os.environ.get(ENVIRONMENT))
    except ValueError as error:
        print(f"sleepbelt run: {error}", file=sys.stderr)
        return BAD_INPUT
    if arguments.check:
        return _checked(config, arguments.json, t)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )  # fmt: skip
    # Libraries below: their chatter is not ours; their errors come to us as exceptions.
    for name in ("bumble", "bleak", "asyncio", "aiomqtt", "uvicorn"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "bumble" else logging.WARNING)
    for warning in config.warnings:
        logging.getLogger("gateway").warning("%s", warning)
    return _run(config, arguments.json, t)


def one_heap() -> None:
    """One malloc arena for all threads: an arena each costs megabytes of a 512 MB board and serves no speed here."""
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _run(config: Config, as_json: bool, t: Words) -> int:
    one_heap()
    import asyncio

    from cloud_sync.broker_url import BrokerUrlError
    from cloud_sync.pages.server import ListenError
    from gateway.app import Gateway, GatewayError
    from gateway.config import ConfigError, load_config
    from gateway.radio import RadioError
    from gateway.site_file import SiteFileError
    from gateway.store_repair import StoreError
    from gateway.wipe import PROOF_FILE, carry_out, files_outside, ordered

    def erase_if_ordered(config: Config) -> None:
        if ordered(config.gateway.data_dir):
            proof = carry_out(config.gateway.data_dir, files_outside(config))["acceptance"]
            _say({"event": "wiped", **proof}, as_json, t(Phrase(
                "gateway {gateway}: {erased} files erased, {left} left; the proof is {file}", gateway=config.gateway.id,
                erased=len(proof["erased"]), left=len(proof["left"]), file=config.gateway.data_dir / PROOF_FILE,
            )))  # fmt: skip

    async def serve(config: Config) -> tuple[dict[str, Any], bool]:
        gateway = await Gateway.start(config)
        gateway.stop_on_signals()
        ready = gateway.ready()
        text = t(Phrase("gateway {gateway} is ready: wall board at {page}", gateway=config.gateway.id,
                        page=gateway.page))  # fmt: skip
        if ready.get("setup_token"):
            text += "\n" + t(Phrase(
                "no account yet: open {page}setup and make the first admin with the one-time token {token}",
                page=gateway.page, token=ready["setup_token"],
            ))  # fmt: skip
        _say(ready, as_json, text)
        await gateway.run()
        return gateway.summary(), gateway.restarting

    try:
        erase_if_ordered(config)
        summary, again = asyncio.run(serve(config))
        # A supervisor that was told that we stop starts us anew by itself.
        while again and "NOTIFY_SOCKET" not in os.environ:
            erase_if_ordered(config)
            config = load_config(config.file)
            summary, again = asyncio.run(serve(config))
    except ConfigError as error:
        return _bad_config(error, as_json, t)
    except (StoreError, ListenError, GatewayError, SiteFileError) as error:
        print(f"sleepbelt run: {t(error)}", file=sys.stderr)
        return FAILED
    except (RadioError, BrokerUrlError) as error:
        print(f"sleepbelt run: {config.file}: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    except ExceptionGroup:
        # An error nobody foresaw: the traceback is for us, the exit code for the supervisor that starts us again.
        logging.getLogger("gateway").critical("a part of the gateway died; the process ends", exc_info=True)
        return FAILED
    _say(summary, as_json, t(Phrase(
        "gateway {gateway} ended: {received} readings received, {stored} stored, {alarms} alarms raised",
        gateway=config.gateway.id, received=summary["readings_received"], stored=summary["readings_stored"],
        alarms=summary["alarms_raised"],
    )))  # fmt: skip
    return DONE


def _say(line: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(line, ensure_ascii=False) if as_json else text, flush=True)


def _bad_config(error: Any, as_json: bool, t: Words) -> int:
    if as_json:
        problems = [{"path": p.path, "found": p.found, "allowed": p.allowed} for p in error.problems]
        print(json.dumps({"ok": False, "file": str(error.file), "problems": problems}, ensure_ascii=False))
    print(t(error), file=sys.stderr)
    return BAD_INPUT


def _checked(config: Config, as_json: bool, t: Words) -> int:
    beds = [
        {"label": bed.label, "room": bed.room, "profile": bed.profile_name,
         "belt": None if bed.serial is None else bed.serial.hex()}
        for bed in config.beds
    ]
    if as_json:
        print(json.dumps({"ok": True, "file": str(config.file), "gateway": config.gateway.id, "beds": beds,
                          "warnings": list(config.warnings)}, ensure_ascii=False))
        return DONE
    uplink = Phrase("configured") if config.uplink is not None else Phrase("none")
    print(t(lines([
        Phrase("{file}: good", file=config.file),
        Phrase("gateway {gateway}, {zone}, data in {folder}", gateway=config.gateway.id, zone=config.gateway.timezone,
               folder=config.gateway.data_dir),
        Phrase("wall board on {host}:{port}, radio {radio}, uplink {uplink}", host=config.web.host,
               port=config.web.port, radio=config.radio.backend, uplink=uplink),
        *(Phrase("bed {bed}: profile {profile}, belt {belt}", bed=bed["label"], profile=bed["profile"],
                 belt=bed["belt"] or Phrase("none")) for bed in beds),
        *(Phrase("warning: {warning}", warning=warning) for warning in config.warnings),
    ])))  # fmt: skip
    return DONE
