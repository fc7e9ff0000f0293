"""`sleepbelt demo`: the whole product on one machine, without root, network or hardware."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

SUMMARY = "three emulated belts, gateway, broker, receiver and pages on this machine"

EPILOG = """examples:
  sleepbelt demo                                  a night at 60 times speed, until Ctrl-C
  sleepbelt demo --speed 1                        the same in real time
  sleepbelt demo --for 90 --json                  ends by itself, prints one JSON summary
  sleepbelt demo --cut-uplink 22:10-23:30         the internet is down while the alarm is due
  sleepbelt demo --kill-gateway 22:15             SIGKILL in the middle of an absence
The residents are invented. Data go to a temporary folder that is deleted at the end, unless --dir names one."""

SPEED_MAX = 600.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt demo", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speed", type=float, default=60.0, help="virtual seconds a real second (default 60)")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="end by itself after so long (real)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object on stdout")
    parser.add_argument("--dir", type=Path, help="keep data, logs and configuration in this folder")
    parser.add_argument("--gateway-port", type=int, default=0, help="wall board (default: 8080 or a free port)")
    parser.add_argument("--platform-port", type=int, default=0, help="platform (default: 8090 or a free port)")
    parser.add_argument("--broker", help="MQTT 5 broker to use, as mqtt://HOST:PORT (default: the embedded one)")
    parser.add_argument("--cut-uplink", metavar="HH:MM-HH:MM", help="cut the way to the broker in the demo's night")
    parser.add_argument("--kill-gateway", metavar="HH:MM", action="append", default=[], help="SIGKILL and restart it")
    parser.add_argument("--nights", nargs=3, metavar="FILE", help="night of each bed, by name or .toml (hil/nights)")
    parser.add_argument("--seed", type=int, default=1, help="random details of the synthesised signals (default 1)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0 if nothing was lost, 1 if a part failed or readings were lost, 2 for an option that is wrong."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    from hil.demo.plan import NIGHTS, TIMEZONE, PlanError, instant_ms, interval_ms, plan_night
    from hil.demo.ports import free_port, usable_port

    if not 1 <= arguments.speed <= SPEED_MAX:
        parser.error(f"--speed: {arguments.speed:g} is not between 1 and {SPEED_MAX:g}")
    if arguments.for_s is not None and arguments.for_s <= 0:
        parser.error(f"--for: {arguments.for_s:g} is not a positive number of seconds")
    nights = tuple(arguments.nights or NIGHTS)
    try:
        night = plan_night(nights, datetime.now(ZoneInfo(TIMEZONE)).date())
        cut = interval_ms(arguments.cut_uplink, night, "--cut-uplink") if arguments.cut_uplink else None
        kills = [instant_ms(text, night, "--kill-gateway") for text in arguments.kill_gateway]
        gateway_port = usable_port(arguments.gateway_port, 8080, "--gateway-port")
        platform_port = usable_port(arguments.platform_port, 8090, "--platform-port")
        folder = _folder(arguments.dir)
    except PlanError as wrong:
        print(f"sleepbelt demo: {wrong}", file=sys.stderr)
        return 2
    from hil.demo.show import Options, say_to_stderr

    options = Options(
        folder=folder, speed=arguments.speed, nights=nights, night=night, for_s=arguments.for_s,
        gateway_port=gateway_port, platform_port=platform_port, broker_url=arguments.broker,
        broker_port=free_port(), cut_ms=cut, kill_ms=kills, seed=arguments.seed, say=say_to_stderr,
    )
    try:
        return asyncio.run(_run(options, arguments.json))
    finally:
        if arguments.dir is None:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(wanted: Path | None) -> Path:
    from hil.demo.plan import PlanError

    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="sleepbelt-demo-"))
    folder = wanted.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PlanError(f"--dir: {folder} is not empty; name a new folder")
    except OSError as refused:
        raise PlanError(f"--dir: {folder} cannot be used ({refused})") from None
    return folder


async def _run(options: Any, as_json: bool) -> int:
    from hil.demo.child import ChildError
    from hil.demo.show import Show, say_to_stderr

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    show = Show(options)
    try:
        await show.start()
        pages = f"wall board: {show.pages['gateway']}   platform: {show.pages['platform']}"
        print(pages, file=sys.stderr if as_json else sys.stdout, flush=True)
        await show.run(ended)
        summary = await show.finish()
    except ChildError as failed:
        say_to_stderr(f"failed: {failed}")
        await show.abandon()
        return 1
    if as_json:
        print(json.dumps(summary, ensure_ascii=False), flush=True)
    else:
        print(_text(summary))
    return 1 if summary["lost"] else 0


def _text(summary: dict[str, Any]) -> str:
    return (
        f"night {summary['night_from']}-{summary['night_to']}: {summary['readings_sent']} readings sent by the belts, "
        f"{summary['readings_received']} received by the gateway, {summary['readings_stored']} stored by the platform; "
        f"lost {summary['lost']}, not heard in the air {summary['unheard']}; "
        f"alarms raised {summary['alarms_raised']}, on the platform {summary['alarms_stored']}"
    )
