"""What `sleepbelt hil` does: build the fleet, serve the adapter, wait for the end, tell what happened."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hil.belt_host import BeltDiedError, StateError
from hil.clock import HilClock
from hil.fleet import Fleet, pick_scripts
from hil.radio.box import INTERVAL_MS_MIN, Box, BoxError
from hil.radio.bumble_backend import TRANSPORTS
from hil.radio.faults import Fault, PlanError, load_faults, play_faults
from hil.radio.hci_server import SocketInUseError, serve_adapters
from hil.radio.link import VirtualLink
from hil.runtime import RuntimeMissingError, find_interpreter
from hil.synth import BedScript, ScriptError, load

__all__ = ["serve_belts"]

BELTS_MAX = 100
SOCKET_PATH_BYTES_MAX = 100


def serve_belts(arguments: argparse.Namespace) -> int:
    """Exit code of the command with parsed arguments."""
    if not 1 <= arguments.belts <= BELTS_MAX:
        return _bad_input(f"--belts {arguments.belts}: 1 to {BELTS_MAX} belts")
    if len(str(Path(arguments.socket))) > SOCKET_PATH_BYTES_MAX:
        return _bad_input(f"--socket: a Unix socket's path has at most {SOCKET_PATH_BYTES_MAX} characters")
    try:
        controllers = _controllers(arguments.radio, arguments.belts)
        faults = []
        if arguments.faults is not None:
            faults = load_faults(
                Path(arguments.faults), arguments.belts, box=arguments.radio == "box", end_s=arguments.for_s)
            if controllers:
                raise PlanError("--faults: nothing can be injected into the real air of --radio " + arguments.radio)
        find_interpreter()
        scripts = pick_scripts([load(name) for name in arguments.night], arguments.belts)
        clock = HilClock()
    except (ScriptError, ValueError) as error:
        return _bad_input(str(error))
    except RuntimeMissingError as error:
        print(f"sleepbelt hil: {error}", file=sys.stderr)
        return 1
    with contextlib.ExitStack() as stack:
        if arguments.state_dir is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sleepbelt-hil-")))
        else:
            state = Path(arguments.state_dir)
        try:
            belts = [(script, controllers[i] if controllers else None) for i, script in enumerate(scripts)]
            return asyncio.run(_serve(arguments, clock, belts, state, faults))
        except (BeltDiedError, BoxError) as error:
            print(f"sleepbelt hil: {error}", file=sys.stderr)
            return 1
        except (SocketInUseError, StateError, OSError) as error:
            return _bad_input(str(error))


def _bad_input(text: str) -> int:
    print(f"sleepbelt hil: {text}", file=sys.stderr)
    return 2


def _controllers(radio: str, belts: int) -> list[str]:
    """The real controllers of the belts, [] for the virtual air; ValueError for a radio that is none."""
    if radio in ("bumble", "box"):
        return []
    scheme, _, name = radio.partition(":")
    if scheme not in TRANSPORTS or not name:
        raise ValueError(f"--radio {radio!r}: bumble, box, usb:N or another of Bumble's transports "
                         f"({', '.join(TRANSPORTS)}) with what it needs after the colon")
    if scheme == "usb" and name.isdecimal():
        return [f"usb:{int(name) + i}" for i in range(belts)]
    if belts > 1:
        raise ValueError(f"--belts {belts}: a controller is the radio of one belt; with usb:N the next ones are used")
    return [radio]


async def _serve(
    arguments: argparse.Namespace, clock: HilClock, belts: list[tuple[BedScript, str | None]], state: Path,
    faults: list[Fault],
) -> int:  # fmt: skip
    socket = Path(arguments.socket)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    link = VirtualLink(INTERVAL_MS_MIN) if arguments.radio == "box" else VirtualLink()
    server = await serve_adapters(link, socket)
    fleet = Fleet(clock, link, signal_start_ms=clock.now_ms())
    box: Box | None = None
    try:
        if arguments.radio == "box":
            box = await Box.start([socket])
            await box.attach(0)
        for i, (script, controller) in enumerate(belts):
            fleet.add(script, state / f"belt{i + 1}", arguments.seed, controller)
        await fleet.start()
        ready = [belt.ready() for belt in fleet.belts]
        start_ms = fleet.signal_start_ms
        line = {"event": "ready", "socket": str(socket), "signal_start_utc_ms": start_ms, "belts": ready}
        if box is not None:
            line["environment"] = box.environment()
        _say(arguments.json, line)
        playing = asyncio.create_task(play_faults(faults, fleet, link, box, partial(_say_fault, arguments.json)))
        try:
            await _until_end(fleet, ended, arguments.for_s)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
    finally:
        await fleet.stop()
        if box is not None:
            await box.stop()
        server.close()
    summaries = [belt.summary() for belt in fleet.belts]
    total = sum(belt["reports_sent"] for belt in summaries)
    _say(arguments.json, {"event": "summary", "reports_sent": total, "belts": summaries})
    return 0


async def _until_end(fleet: Fleet, ended: asyncio.Event, for_s: float | None) -> None:
    watch = asyncio.create_task(fleet.failed())
    signalled = asyncio.create_task(ended.wait())
    await asyncio.wait({watch, signalled}, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if watch.done():
        watch.result()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def _say_fault(as_json: bool, fault: Fault, hindrance: str) -> None:
    line = {"event": "fault", "at_s": fault.at_s, "kind": fault.kind, "belt": fault.belt, "what": fault.text()}
    _say(as_json, {**line, "not_done": hindrance} if hindrance else line)


def _say(as_json: bool, line: dict[str, Any]) -> None:
    if as_json:
        print(json.dumps(line), flush=True)
        return
    if line["event"] == "ready":
        print(f"{len(line['belts'])} belts on {line['socket']}")
        for name, value in line.get("environment", {}).items():
            print(f"  export {name}={value}")
        for belt in line["belts"]:
            print(f"  serial {belt['serial']}  key {belt['key']}  address {belt['address']}  night {belt['night']}")
    elif line["event"] == "fault":
        hindrance = line.get("not_done")
        print(f"{line['at_s']:g} s: {line['what']}{f' - not done: {hindrance}' if hindrance else ''}")
    else:
        for belt in line["belts"]:
            print(
                f"  serial {belt['serial']}  {belt['uptime_s']} s  reports {belt['reports_sent']}  "
                f"records {belt['records_written']}  restarts {belt['restarts']}  lag {belt['lag_s_max']} s"
            )
    sys.stdout.flush()
