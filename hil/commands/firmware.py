"""`sleepbelt firmware`: build the belt's firmware, put it onto boards, update belts over BLE, make the signing key."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_py.belt.ring import RING_BYTES
from firmware_py.tooling.partitions import TABLE_BYTES, TABLE_OFFSET, PartitionError, with_ring

SUMMARY = "build, flash and update the belt's firmware"

DONE, FAILED, BAD_INPUT = 0, 1, 2
_BUILD = Path("build/firmware")
_KEY = Path("sleepbelt-signing.pem")

_EPILOG = """examples:
  sleepbelt firmware keygen sleepbelt-signing.pem
  sleepbelt firmware build --key sleepbelt-signing.pem
  sleepbelt firmware flash --board pico-w --port /dev/ttyACM0
  sleepbelt firmware update build/firmware/pico-w/update.img --address F0:4D:55:00:00:01 --belt-key <32 hex digits>

The signing key is the only way to update belts that know its public half: keep it off the gateways, with a copy.
`update` connects to the belt itself: set the bed to maintenance and stop its gateway's link first; never while an
absence or an alarm is open (the belt refuses while its bed is empty)."""

_BUILD_EXAMPLE = """example:
  sleepbelt firmware build --key sleepbelt-signing.pem --board pico-w esp32-s3
Writes DIR/BOARD/update.img (signed), the compiled slot and its stripped sources, DIR/boot and DIR/manifest.json."""
_FLASH_EXAMPLE = """examples:
  sleepbelt firmware flash --board pico-w
  sleepbelt firmware flash --board pico-2-w --port /dev/ttyACM1 --sensor ads1115 --load hx711
The board runs MicroPython 1.29 or newer of its port. A belt that is one already keeps identity, settings and records.
An ESP32 needs a partition `ring` first: `sleepbelt firmware partitions --help`."""
_PARTITIONS_EXAMPLE = f"""example, with the board in its loader (esptool is Espressif's, pip install esptool):
  esptool read_flash {TABLE_OFFSET:#x} {TABLE_BYTES:#x} table.bin
  sleepbelt firmware partitions table.bin with_ring.bin
  esptool write_flash {TABLE_OFFSET:#x} with_ring.bin
The file system gives up its last {RING_BYTES // 1024} KiB; MicroPython formats it anew at the next start."""
_UPDATE_EXAMPLE = """example:
  sleepbelt firmware update build/firmware/pico-w/update.img --address F0:4D:55:00:00:01 --belt-key <32 hex digits>
Interrupted, the same command goes on where it stopped."""


def main(argv: Sequence[str]) -> int:
    """One of the sub-commands; 0 done, 1 failed, 2 bad input."""
    arguments = _parser().parse_args(argv)
    actions = {"keygen": _keygen, "build": _build, "flash": _flash, "partitions": _partitions, "update": _update}
    return actions[arguments.action](arguments)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    parser = argparse.ArgumentParser(
        prog="sleepbelt firmware", description=SUMMARY, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = parser.add_subparsers(dest="action", required=True, metavar="keygen|build|flash|partitions|update")
    raw = argparse.RawDescriptionHelpFormatter
    keygen = actions.add_parser("keygen", parents=[common], help="make the key that signs updates")
    keygen.add_argument("file", type=Path, nargs="?", default=_KEY)
    build = actions.add_parser("build", parents=[common], help="compile and sign for boards", epilog=_BUILD_EXAMPLE,
                               formatter_class=raw)  # fmt: skip
    build.add_argument("--key", type=Path, default=_KEY, metavar="FILE", help=f"signing key (default: {_KEY})")
    build.add_argument("--board", nargs="+", metavar="BOARD", help="pico-w, pico-2-w, esp32-s3, esp32-c3, esp32-c6")
    build.add_argument("--out", type=Path, default=_BUILD, metavar="DIR", help=f"default: {_BUILD}")
    flash = actions.add_parser("flash", parents=[common], help="put a build onto a board over USB (mpremote)",
                               epilog=_FLASH_EXAMPLE, formatter_class=raw)  # fmt: skip
    flash.add_argument("--board", required=True, metavar="BOARD", help="as for build")
    flash.add_argument("--port", default="auto", metavar="PORT", help="serial port (default: the only board there is)")
    flash.add_argument("--build", type=Path, default=_BUILD, metavar="DIR", help=f"default: {_BUILD}")
    flash.add_argument("--sensor", choices=("adc", "ads1115", "lis3dh"), help="what is fitted (default: as it is)")
    flash.add_argument("--load", choices=("none", "hx711"), help="load cells (default: as it is)")
    flash.add_argument("--serial", metavar="HEX", help="16 hex digits for a belt without an identity (default: random)")
    partitions = actions.add_parser("partitions", parents=[common], help="make room for the records on an ESP32",
                                    epilog=_PARTITIONS_EXAMPLE, formatter_class=raw)  # fmt: skip
    partitions.add_argument("table", type=Path, help="the board's partition table as read from its flash")
    partitions.add_argument("out", type=Path, help="file to write the new one to")
    update = actions.add_parser("update", parents=[common], help="send an image to a belt over BLE",
                                epilog=_UPDATE_EXAMPLE, formatter_class=raw)  # fmt: skip
    update.add_argument("image", type=Path)
    update.add_argument("--address", required=True, help="Bluetooth address of the belt")
    update.add_argument("--belt-key", required=True, metavar="HEX", help="bound key, or claim secret if not claimed")
    update.add_argument("--adapter", metavar="SPEC", help="bumble transport, as unix:/run/hci0.sock (default: BlueZ)")
    return parser


def _keygen(arguments: argparse.Namespace) -> int:
    from firmware_py.tooling.image import KeyFileError, make_key, public_bytes

    try:
        key = make_key(arguments.file)
    except (KeyFileError, OSError) as error:
        return _fail(str(error), BAD_INPUT)
    public = public_bytes(key).hex()
    _say(arguments, {"file": str(arguments.file), "update_key": public}, f"{arguments.file}: public half {public}")
    return DONE


def _build(arguments: argparse.Namespace) -> int:
    from firmware_py.tooling.build import build
    from firmware_py.tooling.compile import BOARDS, BuildError
    from firmware_py.tooling.image import KeyFileError, read_key

    boards = arguments.board or [name for name in BOARDS if name != "emulated"]
    unknown = [name for name in boards if name not in BOARDS]
    if unknown:
        return _fail(f"--board {unknown[0]}: one of {', '.join(BOARDS)}", BAD_INPUT)
    try:
        manifest = build(boards, read_key(arguments.key), arguments.out)
    except KeyFileError as error:
        return _fail(str(error), BAD_INPUT)
    except OSError as error:
        return _fail(f"{error.filename or arguments.out}: cannot be written: {error.strerror}", FAILED)
    except BuildError as error:
        return _fail(str(error), FAILED)
    lines = [f"{arguments.out}/{made['image']}  {made['bytes']} bytes" for made in manifest["boards"].values()]
    _say(arguments, manifest, "\n".join(lines))
    return DONE


def _flash(arguments: argparse.Namespace) -> int:
    from firmware_py.tooling.compile import BOARDS
    from firmware_py.tooling.flash import Flasher, FlashError, PortError

    boards = [name for name in BOARDS if name != "emulated"]
    if arguments.board not in boards:
        return _fail(f"--board {arguments.board}: one of {', '.join(boards)}", BAD_INPUT)
    if arguments.serial is not None and not _is_hex(arguments.serial, 8):
        return _fail(f"--serial {arguments.serial}: 16 hex digits", BAD_INPUT)
    try:
        flasher = Flasher(arguments.port, progress=lambda words: print(words, file=sys.stderr, flush=True))
        sensors = {"sensor": arguments.sensor, "load": arguments.load}
        chosen = {name: text for name, text in sensors.items() if text}
        belt = flasher.flash(arguments.board, arguments.build, arguments.serial, chosen)
    except PortError as error:
        return _fail(str(error), BAD_INPUT)
    except FlashError as error:
        return _fail(str(error), FAILED)
    words = "a new belt" if belt.is_new else "the belt keeps its identity"
    said = {"serial": belt.serial, "key": belt.key, "is_new": belt.is_new}
    _say(arguments, said, f"{words}: serial {belt.serial}, key {belt.key}")
    return DONE


def _partitions(arguments: argparse.Namespace) -> int:
    try:
        table = arguments.table.read_bytes()
        arguments.out.write_bytes(with_ring(table))
    except PartitionError as error:
        return _fail(f"{arguments.table}: {error}", BAD_INPUT)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}", BAD_INPUT)
    said = {"file": str(arguments.out), "offset": TABLE_OFFSET, "ring_bytes": RING_BYTES}
    _say(arguments, said, f"{arguments.out}: the board's table with {RING_BYTES // 1024} KiB for the records")
    return DONE


def _update(arguments: argparse.Namespace) -> int:
    import asyncio

    from bleak import BleakClient

    from firmware_py.belt.install import MAGIC
    from hil.update_client import UpdateClient, UpdateError

    if not _is_hex(arguments.belt_key, 16):
        return _fail("--belt-key: 32 hex digits", BAD_INPUT)
    try:
        image = arguments.image.read_bytes()
    except OSError as error:
        return _fail(f"{arguments.image}: {error.strerror}; `sleepbelt firmware build` makes images", BAD_INPUT)
    if image[: len(MAGIC)] != MAGIC:
        return _fail(f"{arguments.image}: no firmware image; `sleepbelt firmware build` makes them", BAD_INPUT)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done * 100 // total:3d} %", end="", file=sys.stderr, flush=True)

    backend = None
    if arguments.adapter is not None:
        from hil.radio.bumble_backend import radio_classes

        try:
            backend = radio_classes(arguments.adapter)[1]
        except ValueError as error:
            return _fail(f"--adapter {arguments.adapter}: {error}", BAD_INPUT)

    async def run() -> int:
        client = BleakClient(arguments.address, backend=backend)
        return await UpdateClient(client, bytes.fromhex(arguments.belt_key)).update(image, progress)

    try:
        begun_at = asyncio.run(run())
    except UpdateError as error:
        return _fail(str(error), FAILED)
    said = {"address": arguments.address, "bytes": len(image), "begun_at": begun_at}
    _say(arguments, said, f"installed; the belt restarts and tries it ({len(image) - begun_at} bytes sent)")
    return DONE


def _is_hex(text: str, count: int) -> bool:
    try:
        return len(bytes.fromhex(text)) == count and len(text) == 2 * count
    except ValueError:
        return False


def _say(arguments: argparse.Namespace, values: dict[str, object], text: str) -> None:
    print(json.dumps(values) if arguments.json else text)


def _fail(message: str, code: int) -> int:
    print(f"sleepbelt firmware: {message}", file=sys.stderr)
    return code
