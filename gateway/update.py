"""Signed updates of a gateway on its disk: bundle, slots, trial. What is decided stands in cores/update_slots.py.

A bundle is the packaged gateway with a signed head, so that what is installed by hand and what is sent is one thing:

    sleepbelt-update 1\n
    {"version": "1.4.2", "architecture": "arm64", "size": N, "sha256": "..."}\n
    <Ed25519 signature over the two lines above, base64>\n
    <the .deb, N bytes>
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gateway.cores.update_slots import (
    PACKAGED,
    Running,
    Slots,
    begin_trial,
    commit,
    newer,
    proved,
    roll_back,
)
from protocol.phrase import Phrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "Manifest",
    "Places",
    "UpdateError",
    "apply",
    "clean",
    "compile_slot",
    "give_up",
    "point",
    "read_bundle",
    "read_health",
    "read_signed",
    "running_version",
    "signed_head",
    "stage",
    "trusted_keys",
    "watch_trial",
    "write_bundle",
]

MAGIC = b"sleepbelt-update 1\n"
LINE_MAX = 4096
SIZE_MAX = 256 * 1024 * 1024
FREE_FACTOR = 6  # unpacked and compiled, a package takes this many times its size
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class UpdateError(Exception):
    """The update cannot be used or applied; the message says what, why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    version: str
    architecture: str  # amd64 | arm64
    size: int  # bytes of the package
    sha256: str  # of the package, hex

    def line(self) -> bytes:
        said = {"version": self.version, "architecture": self.architecture, "size": self.size, "sha256": self.sha256}
        return json.dumps(said, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie; the defaults are those of the package."""

    packaged: Path = Path("/opt/sleepbelt")
    state: Path = Path("/var/lib/sleepbelt-update")
    link: Path = Path("/run/sleepbelt-slot/current")
    health: Path = Path("/run/sleepbelt/health.json")
    keys: Path = Path("/etc/sleepbelt/update-keys.d")

    def slot(self, version: str) -> Path:
        """The folder of a version."""
        return self.packaged if version == PACKAGED else self.state / "slots" / version

    def load(self) -> Slots:
        """The slots as kept; nothing kept, or damage: the packaged version."""
        try:
            return Slots.from_state(json.loads((self.state / "state.json").read_text("utf-8")))
        except FileNotFoundError:
            return Slots()
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"sleepbelt update: {self.state / 'state.json'} is damaged ({error}); the packaged version is used",
                  file=sys.stderr)
            return Slots()

    def keep(self, slots: Slots) -> None:
        """Write, so that a power cut leaves the old or the new state."""
        self.state.mkdir(parents=True, exist_ok=True)
        part = self.state / "state.json.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(slots.to_state(), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.state / "state.json")
        _sync_folder(self.state)


def read_health(places: Places) -> Running | None:
    """What the running gateway last said of itself; None if it never did, or its file cannot be read."""
    try:
        said: dict[str, Any] = json.loads(places.health.read_text("utf-8"))
        age_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - int(said["boottime_ms"])
        reasons, open_beds = tuple(said["reasons"]), tuple(said["open_beds"])
        return Running(str(said["version"]), str(said["state"]), reasons, age_ms, open_beds)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_bundle(
    package: Path, version: str, architecture: str, sign: Callable[[bytes], bytes], target: Path
) -> Manifest:
    """Make `target` of a .deb; `sign` gives the Ed25519 signature of a message."""
    content = package.read_bytes()
    newer(version, "0")
    manifest = Manifest(version, architecture, len(content), hashlib.sha256(content).hexdigest())
    target.write_bytes(signed_head(MAGIC, manifest.line(), sign) + content)
    return manifest


def signed_head(magic: bytes, line: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Magic, the manifest's line and the signature over both, as `read_signed` takes them."""
    return magic + line + base64.b64encode(sign(magic + line)) + b"\n"


def read_bundle(file: BinaryIO, keys: Sequence[Ed25519PublicKey]) -> Manifest:
    """The manifest of a bundle that one of `keys` has signed; the file stands at the package then. UpdateError else."""
    line = read_signed(file, MAGIC, keys)
    try:
        said = json.loads(line)
        manifest = Manifest(str(said["version"]), str(said["architecture"]), int(said["size"]), str(said["sha256"]))
        newer(manifest.version, "0")
    except (ValueError, KeyError, TypeError) as error:
        raise UpdateError(Phrase("the update's manifest cannot be read: {error}", error=error)) from None
    if not 0 < manifest.size <= SIZE_MAX:
        raise UpdateError(Phrase(
            "the update says it has {size} bytes; allowed: up to {size_max}",
            size=manifest.size, size_max=SIZE_MAX))
    return manifest


def read_signed(file: BinaryIO, magic: bytes, keys: Sequence[Ed25519PublicKey]) -> bytes:
    """The manifest's line of a file that begins with `magic` and that one of `keys` has signed; UpdateError else."""
    from cryptography.exceptions import InvalidSignature

    found, line, signature = (file.readline(LINE_MAX) for _ in range(3))
    if found != magic:
        raise UpdateError(Phrase(
            "this is no sleepbelt update (or of a newer kind); build one with `sleepbelt update sign`"))
    if not keys:
        raise UpdateError(Phrase(
            "no key is trusted here, so nothing can be taken: put the public key of your updates into "
            "/etc/sleepbelt/update-keys.d/NAME.pem"))
    for key in keys:
        try:
            key.verify(base64.b64decode(signature.strip(), validate=True), magic + line)
            return line
        except (InvalidSignature, ValueError):
            continue
    raise UpdateError(Phrase("no key that is trusted here has signed this update; it was not taken"))


def trusted_keys(folder: Path) -> list[Ed25519PublicKey]:
    """The public keys in `folder`; UpdateError for a file there that is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = []
    for file in sorted(folder.glob("*.pem")) if folder.is_dir() else []:
        try:
            key = load_pem_public_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise UpdateError(Phrase(
                "{file}: {error}; a public key in PEM belongs there",
                file=file, error=error)) from None
        if not isinstance(key, Ed25519PublicKey):
            raise UpdateError(Phrase(
                "{file}: not an Ed25519 key; `sleepbelt update keygen` makes one",
                file=file))
        keys.append(key)
    return keys


def stage(bundle: Path, places: Places) -> Manifest:
    """Check a bundle and unpack it into a slot of its own; nothing that runs is touched. UpdateError: refused, why."""
    try:
        with bundle.open("rb") as file:
            manifest = read_bundle(file, trusted_keys(places.keys))
            here = MACHINES.get(platform.machine(), platform.machine())
            if manifest.architecture != here:
                raise UpdateError(Phrase(
                    "the update is for {architecture}, this machine is {here}",
                    architecture=manifest.architecture, here=here))
            _check_space(places, manifest.size)
            _unpack(file, manifest, places)
    except OSError as error:
        raise UpdateError(Phrase(
            "{filename}: {why}",
            filename=error.filename or bundle, why=error.strerror or error)) from None
    return manifest


def _check_space(places: Places, size: int) -> None:
    places.state.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(places.state).free
    if free < size * FREE_FACTOR:
        raise UpdateError(Phrase(
            "{state}: {free} MiB free, the update needs {size} MiB; `sleepbelt doctor` says what takes the disk",
            state=places.state, free=free >> 20, size=size * FREE_FACTOR >> 20))


def _unpack(file: BinaryIO, manifest: Manifest, places: Places) -> None:
    work = places.state / "staging"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        package = work / "package.deb"
        digest, left = hashlib.sha256(), manifest.size
        with package.open("wb") as target:
            while left and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                target.write(block)
                left -= len(block)
        if left or file.read(1) or digest.hexdigest() != manifest.sha256:
            raise UpdateError(Phrase(
                "the update is damaged (its content is not what was signed); copy it again"))
        unpack = ["dpkg-deb", "-x", str(package), str(work / "tree")]
        done = subprocess.run(unpack, capture_output=True, text=True, check=False)
        tree = work / "tree" / "opt" / "sleepbelt"
        if done.returncode != 0 or not (tree / "bin" / "sleepbelt").is_file():
            raise UpdateError(Phrase(
                "the update holds no gateway: {why}",
                why=done.stderr.strip() or 'no opt/sleepbelt/bin/sleepbelt'))
        compile_slot(tree)
        _sync_tree(tree)
        slot = places.slot(manifest.version)
        slot.parent.mkdir(exist_ok=True)
        shutil.rmtree(slot, ignore_errors=True)
        tree.rename(slot)
        _sync_folder(slot.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compile_slot(tree: Path) -> None:
    """Bytecode for a folder that its user cannot write: without it every start compiles everything."""
    command = [str(tree / "bin" / "python"), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, str(tree / "lib")], check=False, stdout=subprocess.DEVNULL)


def apply(version: str, places: Places, restart: Callable[[], None]) -> None:
    """Put the staged `version` on trial and start it. SlotsError if it must not be; UpdateError if it is not there."""
    slots = places.load()
    if not (places.slot(version) / "bin" / "sleepbelt").exists():
        raise UpdateError(Phrase(
            "version {version} is not staged; `sleepbelt update stage FILE` does that",
            version=version))
    after = begin_trial(slots, version, running_version(places, slots))
    before = read_health(places)
    (places.state / "before.json").write_text(json.dumps(None if before is None else asdict(before)), "utf-8")
    places.keep(after)
    restart()


def give_up(places: Places, restart: Callable[[], None]) -> str:
    """End a trial, or leave the current update for the packaged version; the version that runs then."""
    after = roll_back(places.load())
    places.keep(after)
    restart()
    return running_version(places, after)


def watch_trial(
    places: Places, restart: Callable[[], None], say: Callable[[str], None], now_ms: Callable[[], int],
    wait: Callable[[float], None],
) -> bool:  # fmt: skip
    """Follow the trial that runs until it is committed (True) or rolled back (False); True without one."""
    version, began_ms, since_ms = places.load().trial, now_ms(), None
    if version is None:
        return True
    before = _before(places)
    say(f"version {version} is on trial")
    while True:
        slots = places.load()
        if slots.trial != version:  # its starts were used up
            say(f"version {version} did not stay up; {slots.current or 'the packaged version'} runs again")
            return False
        verdict, since_ms = proved(version, before, read_health(places), since_ms, began_ms, now_ms())
        if verdict == "commit":
            places.keep(commit(slots))
            clean(places)
            say(f"version {version} runs well; it stays")
            return True
        if verdict == "roll_back":
            say(f"version {version} does not run well; back to {give_up(places, restart)}")
            return False
        wait(1.0)


def _before(places: Places) -> Running | None:
    """What the gateway said before the trial; kept on the disk, since the trial may outlast a power cut."""
    try:
        said = json.loads((places.state / "before.json").read_text("utf-8"))
        return Running(said["version"], said["state"], tuple(said["reasons"]), said["age_ms"], tuple(said["open_beds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_version(places: Places, slots: Slots) -> str:
    """The version that starts when nothing is on trial."""
    return slots.current if slots.current != PACKAGED else (places.packaged / "VERSION").read_text("ascii").strip()


def clean(places: Places) -> None:
    """Remove slots that are neither current nor on trial."""
    slots = places.load()
    for folder in sorted((places.state / "slots").glob("*")):
        if folder.name not in (slots.current, slots.trial):
            shutil.rmtree(folder, ignore_errors=True)


def point(places: Places, version: str) -> None:
    """Let the link that the service starts from name the slot of `version`."""
    part = places.link.with_name("next")
    part.unlink(missing_ok=True)
    part.symlink_to(places.slot(version))
    part.replace(places.link)


def _sync_tree(tree: Path) -> None:
    """The slot must be whole on the disk before anything names it. File by file: one sync of everything stops the
    whole machine on a slow card for longer than its hardware watchdog waits (seen in the virtual machine)."""
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(tree)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
