"""Puts a built firmware onto a board over USB with mpremote; the board runs a plain MicroPython of its port.

The belt is first told to stay in service (boot.py), for its watchdog would end the copying. Records, settings and the
identity of a belt that already is one stay; a new one is given an identity.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_py.tooling.build import BOOT_FILES
from firmware_py.tooling.compile import BOARDS, PROJECT

__all__ = ["FlashError", "Flasher", "Identity", "PortError"]

RESET_S = 3.0
COMMAND_TIMEOUT_S = 300.0
_TO_SERVICE = "open('/service', 'w').close()"
_SETUP_RP2 = """
import os, rp2
if os.statvfs('/')[2] == rp2.Flash().ioctl(4, 0):
    OUTER = {outer!r}
    exec({setup!r})
    open('/service', 'w').close()
"""
_FOLDERS = """
import os
def clear(path):
    for name, kind, *_ in os.ilistdir(path):
        if kind == 0x4000:
            clear(path + '/' + name)
            os.rmdir(path + '/' + name)
        else:
            os.remove(path + '/' + name)
for path in {folders!r}:
    try:
        os.mkdir(path)
    except OSError:
        if path in ('/a', '/b'):
            clear(path)
for path in ('/trial', '/slot'):
    try:
        os.remove(path)
    except OSError:
        pass
"""
_READ_IDENTITY = """
try:
    print(open('/config/identity.json').read())
except OSError:
    print('{}')
"""
_WHAT_IT_IS = """
import os, sys
print(sys.platform, sys.implementation.version[0], sys.implementation.version[1], os.uname().machine)
"""
_MICROPYTHON_MIN = (1, 29)
# What os.uname().machine of each board has in it (ESP32 builds write either).
_CHIPS = {
    "pico-w": ("RP2040",), "pico-2-w": ("RP2350",), "esp32-s3": ("ESP32S3", "ESP32-S3"),
    "esp32-c3": ("ESP32C3", "ESP32-C3"), "esp32-c6": ("ESP32C6", "ESP32-C6"),
}  # fmt: skip
_HAS_RING = """
import esp32
print(len(esp32.Partition.find(esp32.Partition.TYPE_DATA, label='ring')))
"""
_LEAVE_SERVICE = "import os; os.remove('/service')"


class PortError(ValueError):
    """No board, more boards than one, or no such port; the message names what there is."""


class FlashError(RuntimeError):
    """mpremote is missing or the board does not answer as it should; the message has mpremote's words."""


@dataclass(frozen=True)
class Identity:
    """What the belt is now; key is its claim secret, as it belongs into a gateway's configuration."""

    serial: str
    key: str
    is_new: bool


class Flasher:
    """flash() one board; `mpremote` is the command before its arguments, `pause` waits for a board to come back.

    port: "auto" for the only board that there is. progress hears what is being done.
    """

    def __init__(
        self, port: str, mpremote: Sequence[str] = (sys.executable, "-m", "mpremote"),
        pause: Callable[[float], None] = time.sleep, progress: Callable[[str], None] = lambda words: None,
    ) -> None:  # fmt: skip
        self._port = port
        self._mpremote = list(mpremote)
        self._pause = pause
        self._progress = progress

    def flash(
        self, board: str, build: Path, serial: str | None = None, sensors: Mapping[str, str] | None = None
    ) -> Identity:
        """Copy build/<board> onto the board and start it. PortError, FlashError.

        sensors: text of /config/<name>.txt by name (belt/sensors.py); what is not named stays as it is on the board.
        What fails once the copying has begun leaves the board in service: flash again.
        """
        slot = build / board / "slot"
        update_key, files = _checked(build, board)
        self._port = self._found_port()
        self._check_board(board)
        self._progress(f"{self._port}: stopping what runs on the board")
        self._run("exec", _TO_SERVICE)
        self._reset()
        if BOARDS[board].port == "rp2":
            self._run("exec", _setup_rp2())
            self._reset()
        self._run("exec", _FOLDERS.format(folders=_folders(slot, files)))
        copies = [(path, "/a/" + path.relative_to(slot).as_posix()) for path in files]
        copies += [(build / "boot" / name, "/" + name) for name in BOOT_FILES]
        with tempfile.TemporaryDirectory() as directory:
            identity, content = self._identity(update_key, serial)
            (Path(directory) / "identity.json").write_text(json.dumps(content))
            copies.append((Path(directory) / "identity.json", "/config/identity.json"))
            for name, text in (sensors or {}).items():
                (Path(directory) / f"{name}.txt").write_text(text)
                copies.append((Path(directory) / f"{name}.txt", f"/config/{name}.txt"))
            self._progress(f"{self._port}: copying {len(copies)} files")
            # One call for all: mpremote restarts the interpreter at the start of each.
            chain = [word for source, target in copies for word in ("fs", "cp", str(source), ":" + target, "+")]
            self._run(*chain[:-1])
        self._progress(f"{self._port}: starting the belt")
        self._run("exec", _LEAVE_SERVICE)
        self._reset()
        return identity

    def _found_port(self) -> str:
        """The port to use; PortError unless it is there, or (auto) there is exactly one board on USB."""
        there = []
        for line in self._mpremote_says("connect", "list").splitlines():
            device, _, ids, *_ = [*line.split(), "", "", ""]
            if ids and ids != "0000:0000":  # what is not on USB is no board
                there.append(device)
        listed = ", ".join(there) or "none"
        if self._port != "auto":
            if self._port not in there and not Path(self._port).exists():
                raise PortError(f"--port {self._port}: no such port; boards on USB: {listed}")
            return self._port
        if not there:
            raise PortError("no board on USB: plug one in that runs MicroPython, or name its --port")
        if len(there) > 1:
            raise PortError(f"several boards on USB: {listed}; name the one to flash with --port")
        return there[0]

    def _check_board(self, board: str) -> None:
        """FlashError if what answers is another board, or its MicroPython is too old."""
        platform, major, minor, machine = [*self._run("exec", _WHAT_IT_IS).strip().split(" ", 3), "", "", "", ""][:4]
        if not major.isdigit() or not minor.isdigit():
            raise FlashError(f"{self._port}: what answers there is no MicroPython")
        if platform != BOARDS[board].port or not any(chip in machine for chip in _CHIPS[board]):
            raise FlashError(f"{self._port}: that is a {machine} ({platform}), not a {board}: name its --board")
        if (int(major), int(minor)) < _MICROPYTHON_MIN:
            needed = ".".join(map(str, _MICROPYTHON_MIN))
            raise FlashError(f"{self._port}: it runs MicroPython {major}.{minor}; put {needed} or newer on it first")
        if platform == "esp32" and self._run("exec", _HAS_RING).strip() == "0":
            raise FlashError(f"{self._port}: no partition `ring` in its flash; `sleepbelt firmware partitions --help`")

    def _identity(self, update_key: str, serial: str | None) -> tuple[Identity, dict[str, str]]:
        try:
            content = json.loads(self._run("exec", _READ_IDENTITY))
        except ValueError:
            raise FlashError(
                "identity.json on the belt is damaged: remove /config/identity.json, it gets a new one"
            ) from None
        is_new = not content
        if is_new:
            content = {"serial": serial or secrets.token_hex(8), "claim_secret": secrets.token_hex(16)}
        content["update_key"] = update_key
        return Identity(content["serial"], content["claim_secret"], is_new), content

    def _reset(self) -> None:
        self._run("reset")
        self._pause(RESET_S)

    def _run(self, *arguments: str) -> str:
        return self._mpremote_says("connect", self._port, *arguments)

    def _mpremote_says(self, *arguments: str) -> str:
        command = [*self._mpremote, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FlashError(f"mpremote on {self._port}: {error}; is the board plugged in?") from None
        if "No module named mpremote" in done.stderr:
            raise FlashError("mpremote is not installed here: pip install 'sleepbelt[hil]'")
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()
            raise FlashError(f"mpremote on {self._port}: {words[-1] if words else 'no answer'}")
        return done.stdout


def _checked(build: Path, board: str) -> tuple[str, list[Path]]:
    """Public half of the signing key and the files of the slot; FlashError unless they are what the manifest says."""
    slot = build / board / "slot"
    files = sorted(path for path in slot.rglob("*") if path.is_file())
    again = f"`sleepbelt firmware build --board {board}` first"
    try:
        manifest = json.loads((build / "manifest.json").read_text("utf-8"))
        listed = {path: entry["sha256"] for path, entry in manifest["boards"][board]["files"].items()}
        update_key = str(manifest["update_key"])
    except OSError:
        raise FlashError(f"{build}: nothing built there; {again}") from None
    except (ValueError, TypeError, KeyError):
        raise FlashError(f"{build}/manifest.json: damaged, or without {board}; {again}") from None
    found = {path.relative_to(slot).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    if not files or found != listed:
        wrong = next((path for path in sorted({*found, *listed}) if found.get(path) != listed.get(path)), "no file")
        raise FlashError(f"{slot}: {wrong} is not as the manifest has it; {again}")
    return update_key, files


def _setup_rp2() -> str:
    outer = (PROJECT / "firmware_py" / "boot" / "outer.py").read_text("utf-8")
    setup = (PROJECT / "firmware_py" / "tooling" / "rp2_setup.py").read_text("utf-8")
    return _SETUP_RP2.format(outer=outer, setup=setup)


def _folders(slot: Path, files: Sequence[Path]) -> list[str]:
    below = {parent.relative_to(slot).as_posix() for path in files for parent in path.parents if slot in parent.parents}
    return ["/config", "/a", *(f"/a/{name}" for name in sorted(below))]
