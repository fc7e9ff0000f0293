"""`sleepbelt hil`: emulated belts that run the real firmware, and a virtual Bluetooth adapter to reach them with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

SUMMARY = "run emulated belts (real firmware) and a virtual Bluetooth adapter"

_EPILOG = """example:
  sleepbelt hil --belts 3 --night quiet restless frail --socket /tmp/sleepbelt/hci0.sock

A gateway reaches the belts with, in its configuration:
  [radio]
  backend = "bumble"
  adapter = "unix:/tmp/sleepbelt/hci0.sock"

With --radio box the adapter is plugged into a virtual machine with the real kernel and bluetoothd, and what is printed
(DBUS_SYSTEM_BUS_ADDRESS, BLEAK_DBUS_AUTH_UID) lets a gateway with backend = "bluez", or any program that uses bleak,
reach the belts through it:
  sleepbelt hil --belts 3 --radio box --faults plan.toml

With --radio usb:0 the first belt is on the air through that dongle, for any phone or gateway nearby.

A recording for `sleepbelt analyse`, with beats, breaths, exits and turn-overs as they truly were in night.truth.json:
  sleepbelt hil --night frail --seed 7 --record night.npz --rate-hz 226
  sleepbelt analyse night.npz --array samples --rate-hz 226

SLEEPBELT_CLOCK="<real_unix_s>,<virtual_unix_s>,<speed>" compresses time. The first line on stdout says that the belts
are ready: their serials, keys and addresses. SIGTERM or Ctrl-C ends them and prints a summary."""


def main(argv: Sequence[str]) -> int:
    """Run until a signal or --for; 0 done, 1 a belt's firmware crashed, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="sleepbelt hil", description=SUMMARY, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--belts", type=int, default=1, metavar="N", help="how many belts (1 to 100)")
    parser.add_argument("--night", nargs="+", default=["quiet"], metavar="FILE", help="nights by name or .toml path")
    parser.add_argument("--socket", default="build/hil/hci0.sock", metavar="PATH", help="Unix socket of the adapter")
    parser.add_argument(
        "--radio", default="bumble", metavar="bumble|box|usb:N",
        help="what hears the belts: the virtual adapter itself (bumble), real BlueZ in a virtual machine (box), or the "
        "air: each belt on a dongle of its own, from usb:N on (any other Bumble transport too, then for one belt)",
    )  # fmt: skip
    parser.add_argument("--faults", metavar="FILE", help="plan of what goes wrong when (docs/hil.md)")
    parser.add_argument("--state-dir", metavar="DIR", help="where belts keep flash and identity (default: temporary)")
    parser.add_argument("--seed", type=int, help="identities that are the same each time")
    parser.add_argument("--for", type=float, dest="for_s", metavar="SECONDS", help="end by itself after real seconds")
    parser.add_argument(
        "--record", metavar="FILE.npz", help="run no belt: write the night's samples there and the truth beside them"
    )
    parser.add_argument("--rate-hz", type=int, default=250, metavar="R", help="of --record, 50 to 1000 (default 250)")
    parser.add_argument("--json", action="store_true", help="print the lines as JSON")
    arguments = parser.parse_args(argv)
    if arguments.record is not None:
        return _record(arguments)
    from hil.serve import serve_belts

    return serve_belts(arguments)


def _record(arguments: argparse.Namespace) -> int:
    """Write one simulated night and its truth; 0 done, 1 not writable, 2 bad input."""
    from hil.synth import ScriptError, Synth, load
    from hil.synth.record import write

    path = Path(arguments.record)
    try:
        if path.suffix != ".npz" or not path.absolute().parent.is_dir():
            raise ValueError(f"--record {path}: name a .npz file in a folder that exists")
        if len(arguments.night) != 1:
            raise ValueError(f"--record writes one night; --night names {len(arguments.night)}")
        if not 50 <= arguments.rate_hz <= 1000:
            raise ValueError(f"--rate-hz {arguments.rate_hz}: the rate must be 50 to 1000 samples a second")
        synth = Synth(load(arguments.night[0]), arguments.rate_hz, arguments.seed)
    except (ScriptError, ValueError) as error:
        print(f"sleepbelt hil: {error}", file=sys.stderr)
        return 2
    try:
        truth_path = write(synth, path)
    except OSError as error:
        print(f"sleepbelt hil: {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    said = {"event": "recorded", "samples": str(path), "truth": str(truth_path), "seconds": synth.script.duration_s}
    print(json.dumps(said) if arguments.json else f"{path}: {synth.script.duration_s:g} s; truth in {truth_path}")
    return 0
