"""`sleepbelt hil`: emulated belts that run the real firmware, and a virtual Bluetooth adapter to reach them with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

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
    parser.add_argument("--json", action="store_true", help="print the lines as JSON")
    arguments = parser.parse_args(argv)
    from hil.serve import serve_belts

    return serve_belts(arguments)
