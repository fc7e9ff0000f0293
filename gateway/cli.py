"""`sleepbelt`: finds the command that was named and hands over; it decides nothing itself.

Commands are modules named by the entry-point group `sleepbelt.commands`. Each has `SUMMARY` (one line) and
`main(argv) -> int`. Only the module of the command that was called is imported, so `sleepbelt run` on a
gateway never loads what belongs to emulation or to the platform.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version

DONE, FAILED, BAD_INPUT = 0, 1, 2
OUR_PACKAGES = ("protocol", "gateway", "cloud_sync", "hil", "firmware_py")


def _commands() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group="sleepbelt.commands"), key=lambda e: e.name)}


def _summary(entry: EntryPoint) -> str:
    try:
        return str(entry.load().SUMMARY)
    except ModuleNotFoundError as missing:
        return f"(not installed here: needs {missing.name}; pip install 'sleepbelt[hil]')"


def _usage(commands: dict[str, EntryPoint]) -> str:
    lines = ["usage: sleepbelt COMMAND [options]", "", "Sleep and bed-exit watch for eldercare homes.", "", "commands:"]
    lines += [f"  {name:<10} {_summary(entry)}" for name, entry in commands.items()]
    lines += ["", "`sleepbelt COMMAND --help` explains one. Example: sleepbelt demo"]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit codes: 0 done, 1 failed, 2 bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = _commands()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage(commands))
        return DONE if arguments else BAD_INPUT
    if arguments[0] in ("-V", "--version"):
        print(f"sleepbelt {version('sleepbelt')}")
        return DONE
    name, rest = arguments[0], arguments[1:]
    if name not in commands:
        print(f"sleepbelt: no command {name!r}; there are: {', '.join(commands)}", file=sys.stderr)
        return BAD_INPUT
    try:
        return int(commands[name].load().main(rest))
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] in OUR_PACKAGES:
            raise
        print(f"sleepbelt {name}: needs the package {missing.name}, which is not installed here; "
              "install it with: pip install 'sleepbelt[hil]'", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`sleepbelt analyse ... | head`): nothing is wrong, and nobody reads an explanation.
        sys.stderr.close()
        return DONE


if __name__ == "__main__":
    sys.exit(main())
