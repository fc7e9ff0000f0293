"""`sleepbelt receiver`: the platform's side, from the broker to the pages."""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloud_sync.receiver.app import Ready
    from cloud_sync.receiver.settings import ReceiverSettings

SUMMARY = "receive from gateways, keep, and show residents' nights (the platform)"

DONE, FAILED, BAD_INPUT = 0, 1, 2

_EXAMPLES = """\
examples:
  sleepbelt receiver --embedded-broker 127.0.0.1:1883 --http 127.0.0.1:8090 --residents residents.toml
  sleepbelt receiver --config /etc/sleepbelt/receiver.toml
  sleepbelt receiver --config receiver.toml --check
"""


def main(argv: Sequence[str]) -> int:
    """Run until interrupted; 0 ended by a signal, 1 failed, 2 bad input."""
    arguments = _parser().parse_args(argv)
    from cloud_sync.receiver.settings import SettingsError

    try:
        settings = _settings(arguments)
    except SettingsError as error:
        return _fail(str(error), BAD_INPUT)
    if arguments.check:
        return _check(settings, arguments.json)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return _run(settings, arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt receiver",
        description="Receive batches from gateways, keep them, acknowledge them, and serve API and pages.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with a table [receiver]")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the database (default: sleepbelt-data)")
    parser.add_argument("--database", metavar="URL", help="postgresql://user:password@host/name in place of a file")
    broker = parser.add_mutually_exclusive_group()
    broker.add_argument("--broker", metavar="URL", help="MQTT 5 broker (default: mqtt://127.0.0.1:1883)")
    broker.add_argument("--embedded-broker", metavar="HOST:PORT", help="start a broker of our own there")
    parser.add_argument("--http", metavar="HOST:PORT", help="where API and pages listen (default: 127.0.0.1:8090)")
    parser.add_argument("--residents", type=Path, metavar="FILE", help="TOML file of residents to admit at start")
    parser.add_argument("--check", action="store_true", help="check settings and files, then end")
    parser.add_argument("--json", action="store_true", help="say what is said on stdout as JSON lines")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def _settings(arguments: argparse.Namespace) -> ReceiverSettings:
    from cloud_sync.pages.settings import WebSettings
    from cloud_sync.receiver.settings import ReceiverSettings, checked, parse_host_port, read_settings

    if arguments.config is not None:
        settings = read_settings(arguments.config, arguments.data)
    else:
        # Without a file there are no accounts: pages are open to this machine alone, and refuse other names for it.
        settings = ReceiverSettings(data=Path("sleepbelt-data"), web=WebSettings(port=8090, open_access=True))
        if arguments.data is not None:
            settings = dataclasses.replace(settings, data=arguments.data)
    if arguments.database is not None:
        settings = dataclasses.replace(settings, postgres=arguments.database)
    if arguments.residents is not None:
        settings = dataclasses.replace(settings, residents=arguments.residents)
    if arguments.broker is not None:
        settings = dataclasses.replace(settings, broker=arguments.broker, embedded_broker=None)
    if arguments.embedded_broker is not None:
        settings = dataclasses.replace(
            settings, embedded_broker=parse_host_port(arguments.embedded_broker, "--embedded-broker")
        )
    if arguments.http is not None:
        host, port = parse_host_port(arguments.http, "--http")
        open_access = settings.web.open_access and _is_loopback(host)
        settings = dataclasses.replace(
            settings, web=dataclasses.replace(settings.web, host=host, port=port, open_access=open_access)
        )
    return checked(settings, has_broker=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(settings: ReceiverSettings, as_json: bool) -> int:
    from cloud_sync.receiver.residents import ResidentsError, read_residents

    count = 0
    if settings.residents is not None:
        try:
            count = len(read_residents(settings.residents))
        except ResidentsError as error:
            return _fail(str(error), BAD_INPUT)
    said = {"ok": True, "data": str(settings.data), "broker": _public(settings.broker), "residents": count}
    print(json.dumps(said) if as_json else f"settings are good: {said['broker']}, {settings.data}, {count} residents")
    return DONE


def _public(url: str) -> str:
    from cloud_sync.mqtt import parse_broker_url

    return str(parse_broker_url(url))


def _run(settings: ReceiverSettings, as_json: bool) -> int:
    import asyncio
    import signal

    from cloud_sync.authority import AuthorityError
    from cloud_sync.broker import BrokerStartError
    from cloud_sync.pages.server import ListenError
    from cloud_sync.receiver.app import serve
    from cloud_sync.receiver.names import KeyFileError
    from cloud_sync.receiver.residents import ResidentsError
    from cloud_sync.receiver.stores.base import StoreError
    from cloud_sync.service_notify import ServiceNotify

    supervisor = ServiceNotify()

    def ready(found: Ready) -> None:
        _say_ready(found, as_json)
        supervisor.ready(f"pages and API at {found.http}")

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        stats = await serve(settings, ready, stop)
        supervisor.stopping()
        if as_json:
            counts = {"readings_stored": stats.readings, "alarms_stored": stats.alarms, "nights_stored": stats.nights}
            print(json.dumps({"event": "summary", **counts}), flush=True)

    try:
        asyncio.run(run())
    except (ResidentsError, AuthorityError) as error:
        return _fail(str(error), BAD_INPUT)
    except (StoreError, KeyFileError, ListenError, BrokerStartError) as error:
        return _fail(str(error), FAILED)
    return DONE


def _say_ready(ready: Ready, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"event": "ready", **dataclasses.asdict(ready)}), flush=True)
        return
    if ready.remark:
        print(ready.remark)
    print(f"pages and API  {ready.http}\nbroker         {ready.broker}\ndatabase       {ready.database}\n"
          f"platform key   {ready.platform_key}", flush=True)


def _fail(message: str, code: int) -> int:
    print(f"sleepbelt receiver: {message}", file=sys.stderr)
    return code
