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
    arguments = parser.parse_args(argv)
    from gateway.config import ConfigError, load_config
    from protocol.clock_scale import ENVIRONMENT, parse_clock_scale

    try:
        config = load_config(arguments.config)
    except ConfigError as error:
        return _bad_config(error, arguments.json)
    try:
        parse_clock_scale(os.environ.get(ENVIRONMENT))
    except ValueError as error:
        print(f"sleepbelt run: {error}", file=sys.stderr)
        return BAD_INPUT
    if arguments.check:
        return _checked(config, arguments.json)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )  # fmt: skip
    # Libraries below: their chatter is not ours; their errors come to us as exceptions.
    for name in ("bumble", "bleak", "asyncio", "aiomqtt", "uvicorn"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "bumble" else logging.WARNING)
    for warning in config.warnings:
        logging.getLogger("gateway").warning("%s", warning)
    return _run(config, arguments.json)


def one_heap() -> None:
    """One malloc arena for all threads: an arena each costs megabytes of a 512 MB board and serves no speed here."""
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _run(config: Config, as_json: bool) -> int:
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
            _say({"event": "wiped", **proof}, as_json, (
                f"gateway {config.gateway.id}: {len(proof['erased'])} files erased, {len(proof['left'])} left; the "
                f"proof is {config.gateway.data_dir / PROOF_FILE}"
            ))

    async def serve(config: Config) -> tuple[dict[str, Any], bool]:
        gateway = await Gateway.start(config)
        gateway.stop_on_signals()
        ready = gateway.ready()
        text = f"gateway {config.gateway.id} is ready: wall board at {gateway.page}"
        if ready.get("setup_token"):
            text += (
                f"\nno account yet: open {gateway.page}setup and make the first admin with the one-time token "
                f"{ready['setup_token']}"
            )
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
        return _bad_config(error, as_json)
    except (StoreError, ListenError, GatewayError, SiteFileError) as error:
        print(f"sleepbelt run: {error}", file=sys.stderr)
        return FAILED
    except (RadioError, BrokerUrlError) as error:
        print(f"sleepbelt run: {config.file}: {error}", file=sys.stderr)
        return BAD_INPUT
    except ExceptionGroup:
        # An error nobody foresaw: the traceback is for us, the exit code for the supervisor that starts us again.
        logging.getLogger("gateway").critical("a part of the gateway died; the process ends", exc_info=True)
        return FAILED
    _say(summary, as_json, (
        f"gateway {config.gateway.id} ended: {summary['readings_received']} readings received, "
        f"{summary['readings_stored']} stored, {summary['alarms_raised']} alarms raised"
    ))
    return DONE


def _say(line: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(line, ensure_ascii=False) if as_json else text, flush=True)


def _bad_config(error: Any, as_json: bool) -> int:
    if as_json:
        problems = [{"path": p.path, "found": p.found, "allowed": p.allowed} for p in error.problems]
        print(json.dumps({"ok": False, "file": str(error.file), "problems": problems}, ensure_ascii=False))
    for problem in error.problems:
        print(f"{error.file}: {problem}", file=sys.stderr)
    return BAD_INPUT


def _checked(config: Config, as_json: bool) -> int:
    beds = [
        {"label": bed.label, "room": bed.room, "profile": bed.profile_name,
         "belt": None if bed.serial is None else bed.serial.hex()}
        for bed in config.beds
    ]
    if as_json:
        print(json.dumps({"ok": True, "file": str(config.file), "gateway": config.gateway.id, "beds": beds,
                          "warnings": list(config.warnings)}, ensure_ascii=False))
        return DONE
    print(f"{config.file}: good")
    print(f"gateway {config.gateway.id}, {config.gateway.timezone}, data in {config.gateway.data_dir}")
    print(f"wall board on {config.web.host}:{config.web.port}, radio {config.radio.backend}, "
          f"uplink {'configured' if config.uplink is not None else 'none'}")
    for bed in beds:
        print(f"bed {bed['label']}: profile {bed['profile']}, belt {bed['belt'] or 'none'}")
    for warning in config.warnings:
        print(f"warning: {warning}")
    return DONE
