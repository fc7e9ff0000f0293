"""`sleepbelt doctor`: looks at everything a gateway needs and says what to do about what is wrong.

`doctor uplink` follows the way to the cloud step by step and says where it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import socket
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

if TYPE_CHECKING:
    from cloud_sync.http_link import HttpAddress
    from cloud_sync.mqtt import BrokerAddress

SUMMARY = "find what is wrong with this gateway and say what to do about it"
DONE, FAILED, BAD_INPUT = 0, 1, 2
CONNECT_S = 5.0
CONFIG_FILE = Path("/etc/sleepbelt/gateway.toml")
JOURNAL_LINES = 5_000

_EPILOG = """\
Without a subject it looks at the configuration, the running gateway, adapters, BlueZ, time, disk, wear, power,
certificates, alert channels and belts. It changes nothing, needs no running gateway, and may run beside one; with
sudo it sees more.
`uplink` sends nothing but a subscription, and where uplink.http_url is set an empty request.
--bundle writes a file for support: no names, keys, PINs, addresses or readings are in it.
Exit code: 0 all is well (there may be warnings), 1 something fails, 2 bad input.

examples:
  sudo sleepbelt doctor
  sleepbelt doctor --json --config gateway.toml
  sudo sleepbelt doctor --bundle support.tar.gz
  sleepbelt doctor uplink --config /etc/sleepbelt/gateway.toml
"""
_MARKS = {"ok": Phrase("ok    "), "hint": Phrase("hint  "), "warn": Phrase("WARN  "), "fail": Phrase("FAILED")}
_TOPICS = {str(topic): topic for topic in (
    Phrase("configuration"), Phrase("gateway"), Phrase("update"), Phrase("memory"), Phrase("adapters"), Phrase("BlueZ"),
    Phrase("time"), Phrase("clock"), Phrase("disk"), Phrase("store"), Phrase("wear"), Phrase("power"),
    Phrase("certificates"), Phrase("channels"), Phrase("belts"),
)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One thing looked at; `advice` says what to do where it failed."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def main(argv: Sequence[str]) -> int:
    """Look; 0 all is well, 1 something is wrong, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="sleepbelt doctor",
        description=SUMMARY,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subject", nargs="?", choices=["uplink"], help="look at this alone")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help=f"default: {CONFIG_FILE}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write a .tar.gz for support as well")
    add_language(parser)
    options = parser.parse_args(argv)
    t = Words(options.lang)
    if options.subject == "uplink":
        return _uplink(options.config, options.json, t)
    return _everything(options.config, options.json, options.bundle, t)


def _everything(config_file: Path, as_json: bool, bundle: Path | None, t: Words) -> int:
    from gateway.checkup_facts import gather
    from gateway.cores.checkup import checkup

    facts, config = gather(config_file)
    findings = checkup(facts)
    is_well = all(finding.level != "fail" for finding in findings)
    said = {"ok": is_well, "version": version("sleepbelt"), "findings": [asdict(finding) for finding in findings]}
    if bundle is not None:
        from gateway.bundle import write_bundle
        from gateway.checkup_facts import journal

        machine = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
        try:
            names = write_bundle(bundle, {**said, **machine, "facts": asdict(facts)}, config, journal(JOURNAL_LINES))
        except OSError as error:
            said_why = Phrase("{file}: {why}; name a file on a disk with room", file=bundle, why=error.strerror)
            print(f"sleepbelt doctor: {t(said_why)}", file=sys.stderr)
            return BAD_INPUT
        said["bundle"] = {"file": str(bundle), "holds": names}
    if as_json:
        print(json.dumps(said, ensure_ascii=False))
    else:
        for finding in findings:
            topic = _TOPICS.get(finding.topic, finding.topic)
            print(f"{t(_MARKS[finding.level])}  {t(topic)}: {t(finding.found)}")
            if finding.advice:
                print(f"        -> {t(finding.advice)}")
        if bundle is not None:
            print(t(Phrase("written: {file} ({names}); look into it before you send it", file=bundle,
                           names=", ".join(names))))
    return DONE if is_well else FAILED


def _uplink(config_file: Path, as_json: bool, t: Words) -> int:
    from cloud_sync.http_link import HttpAddress
    from cloud_sync.mqtt import BrokerUrlError
    from cloud_sync.uplink import enrolled_address
    from gateway.config import ConfigError, load_config

    try:
        config = load_config(config_file)
        if config.uplink is None:
            nothing = Phrase("{file}: has no [uplink]; this gateway sends nothing to a cloud", file=config_file)
            print(f"sleepbelt doctor: {t(nothing)}", file=sys.stderr)
            return BAD_INPUT
        address = enrolled_address(config.uplink.url, config.uplink.tls_dir)
        steps = asyncio.run(uplink_steps(address, config.gateway.id, config.gateway.data_dir))
        if config.uplink.http_url and config.uplink.http_token:
            http = HttpAddress(config.uplink.http_url, config.uplink.http_token)
            steps.insert(-1, asyncio.run(_http_step(http, config.gateway.id)))
    except (ConfigError, BrokerUrlError) as error:
        print(f"sleepbelt doctor: {t(error)}", file=sys.stderr)
        return BAD_INPUT
    is_well = all(step.ok for step in steps)
    if as_json:
        print(json.dumps({"ok": is_well, "steps": [asdict(step) for step in steps]}))
    else:
        for step in steps:
            print(f"{t(_MARKS['ok' if step.ok else 'fail'])}  {t(step.name)}: {t(step.found)}")
            if not step.ok:
                print(f"        -> {t(step.advice)}")
    return DONE if is_well else FAILED


async def uplink_steps(address: BrokerAddress, gateway: str, data_dir: Path) -> list[Step]:
    """What was found, in the order of the way; it ends with the first step that fails, and with what waits here."""
    from cloud_sync.mqtt import BrokerError, connect
    from protocol.batch import topic

    steps = [await _resolve(address.host, address.port)]
    if steps[-1].ok:
        steps.append(await _reach(address.host, address.port))
    if steps[-1].ok:
        name = topic(gateway, "ack")
        try:
            async with connect(address, f"{gateway}-doctor") as link:
                steps.append(Step(Phrase("MQTT 5"), True, Phrase("{address} takes us in", address=address)))
                await link.subscribe(name)
                steps.append(Step(Phrase("acks"), True, Phrase("subscribed to {name}", name=name)))
        except BrokerError as error:
            step = Phrase("MQTT 5") if steps[-1].name == "connection" else Phrase("acks")
            steps.append(Step(step, False, str(error), Phrase(
                "check user, password and certificate in uplink.url, the broker's access list for this gateway, "
                "and that it speaks MQTT 5")))  # fmt: skip
    steps.append(_waiting(data_dir))
    return steps


async def _http_step(address: HttpAddress, gateway: str) -> Step:
    """The second way, for when the broker is out of reach."""
    from cloud_sync.http_link import is_let_in
    from cloud_sync.mqtt import BrokerError

    advice = Phrase("check uplink.http_url, and that the receiver has receiver.gateway_token")
    try:
        if await is_let_in(address, gateway):
            return Step("HTTP", True, Phrase("{address} takes us in", address=address))
        found: str | Phrase = Phrase("{address} refuses our token", address=address)
        advice = Phrase("put the token of this gateway into uplink.http_token_file: sleepbelt platform gateway-token")
    except BrokerError as error:
        found = str(error)
    return Step("HTTP", False, found, advice)


async def _resolve(host: str, port: int) -> Step:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Step(
            Phrase("name"),
            False,
            Phrase("{host}: {why}", host=host, why=error.strerror or error),
            Phrase("check uplink.url and this machine's DNS"),
        )
    return Step(
        Phrase("name"),
        True,
        Phrase("{host} is {names}", host=host, names=", ".join(sorted({str(entry[4][0]) for entry in found}))),
    )


async def _reach(host: str, port: int) -> Step:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        return Step(Phrase("connection"), False, Phrase(
            "{host}:{port}: {error}",
            host=host, port=port, error=str(error) or Phrase("no answer")),
                    Phrase("check that the broker runs, the port in uplink.url, and firewalls between"))  # fmt: skip
    return Step(Phrase("connection"), True, Phrase("{host}:{port} answers", host=host, port=port))


def _waiting(data_dir: Path) -> Step:
    """What the store holds that the cloud has not acked."""
    from gateway.store_copy import events_copy
    from gateway.store_repair import StoreError

    try:
        with events_copy(data_dir) as db:
            lanes = db.execute("SELECT lane, next_seq - floor FROM lanes ORDER BY lane").fetchall()
    except (StoreError, sqlite3.Error) as error:
        return Step(
            Phrase("store"),
            False,
            error.args[0] if isinstance(error, StoreError) else str(error),
            Phrase("start the gateway once, or check gateway.data_dir and its owner"),
        )
    said: str = ", ".join(f"{waiting} of lane {lane}" for lane, waiting in lanes) or Phrase("nothing yet")
    return Step(Phrase("store"), True, Phrase("waiting for the cloud's ack: {said}", said=said))
