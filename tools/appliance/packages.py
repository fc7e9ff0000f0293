"""What the appliance's test installs: the package, signed updates to a good and a bad version, firmware for belts."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.tooling.build import image_of_folder
from firmware_py.tooling.compile import BOARDS, compile_board
from firmware_py.tooling.image import public_bytes

__all__ = ["BAD", "GOOD", "Packages", "make_packages"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "protocol", "gateway", "cloud_sync", "hil", "firmware_py", "docs", "tools/deb", "tools/appliance/packages.py",
    "requirements/appliance.lock", "README.md", "README.zh-CN.md", "SECURITY.md", "pyproject.toml",
)  # fmt: skip
GOOD, BAD = "0.2.0", "0.3.0"
"""Versions of the gateway as well as of the belts' firmware; the bad ones end at each start."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Files on this machine. `belts_key` is the public key that the belts' firmware is signed with; nothing here is
    signed with the private half of `strangers_key`."""

    first: Path
    key: Path
    good: Path
    bad: Path
    belts_good: Path
    belts_bad: Path
    belts_key: bytes
    strangers_key: Path


def make_packages(work: Path) -> Packages:
    """All of them in `work`, made anew where the source has changed; the keys stay there from run to run."""
    keys, strangers = work / "keys", work / "strangers"
    for folder in (keys, strangers):
        if not (folder / "private.pem").exists():
            _cli("update", "keygen", "--out", str(folder))
    belts_key = _belts_key(keys / "belts.pem")
    made = Packages(
        work / "first.deb", keys / "public.pem", work / "good.update", work / "bad.update", work / "belts-good.update",
        work / "belts-bad.update", public_bytes(belts_key), strangers / "public.pem",
    )  # fmt: skip
    stamp, stamp_file = _stamp(keys), work / "packages.stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return made
    stamp_file.unlink(missing_ok=True)
    # Packed lightly: unpacking xz takes an emulated processor many minutes.
    command = [sys.executable, "-m", "tools.deb.build", "--light", "--arch", "amd64", "--out", str(work)]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    shutil.copy(done.stdout.split()[-1], made.first)
    for version, update, belts in ((GOOD, made.good, made.belts_good), (BAD, made.bad, made.belts_bad)):
        package = update.with_suffix(".deb")
        _again(made.first, version, package)
        _sign(package, keys, update)
        _sign(_firmware(work / f"firmware-{version}", version, belts_key), keys, belts)
    stamp_file.write_text(stamp)
    return made


def _stamp(keys: Path) -> str:
    """Of all that the packages are made of."""
    digest = hashlib.sha256((keys / "public.pem").read_bytes() + (keys / "belts.pem").read_bytes())
    for name in SOURCES:
        found = ROOT / name
        for file in sorted(found.rglob("*")) if found.is_dir() else (found,):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _again(package: Path, version: str, target: Path) -> None:
    """The same package as another version; the bad one ends at each start."""
    tree = target.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    (tree / "opt/sleepbelt/VERSION").write_text(version + "\n")
    site = tree / "opt/sleepbelt/lib/python3.11/site-packages"
    metadata = next(site.glob("sleepbelt-*.dist-info")) / "METADATA"
    metadata.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata.read_text(), count=1))
    if version == BAD:
        app = site / "gateway/app.py"
        app.write_text(app.read_text() + '\nraise SystemExit("this version is broken on purpose")\n')
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(tree), str(target)], check=True,
                   capture_output=True)  # fmt: skip
    shutil.rmtree(tree)


def _firmware(folder: Path, version: str, key: ec.EllipticCurvePrivateKey) -> Path:
    """What `sleepbelt firmware build` makes for the emulated belt, as another version; the bad one resets at once."""
    shutil.rmtree(folder, ignore_errors=True)
    compile_board(BOARDS["emulated"], folder / "emulated")
    slot, sources = folder / "emulated/slot", folder / "emulated/src"
    numbers = (int(version[0]), int(version[2]), int(version[4]))
    app = (sources / "firmware_py/belt/app.py").read_text()
    newer, changed = re.subn(r"(?m)^VERSION = .*$", f"VERSION = {numbers}", app)
    assert changed == 1
    (slot / "firmware_py/belt/app.mpy").unlink()
    (slot / "firmware_py/belt/app.py").write_text(newer)
    if version == BAD:
        (slot / "firmware_py/main.mpy").unlink()
        (slot / "firmware_py/main.py").write_text("import machine\nmachine.reset()\n")
    board = BOARDS["emulated"]
    (folder / "emulated/update.img").write_bytes(image_of_folder(slot, board.model, numbers, key))
    boards = {"emulated": {"model": board.model, "image": "emulated/update.img"}}
    (folder / "manifest.json").write_text(json.dumps({"version": version, "boards": boards}))
    return folder


def _belts_key(file: Path) -> ec.EllipticCurvePrivateKey:
    if file.exists():
        key = serialization.load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key
    made = ec.generate_private_key(ec.SECP256R1())
    file.write_bytes(made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                        serialization.NoEncryption()))  # fmt: skip
    return made


def _sign(what: Path, keys: Path, target: Path) -> None:
    _cli("update", "sign", str(what), "--key", str(keys / "private.pem"), "--out", str(target))


def _cli(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "gateway.cli", *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
