"""`make appliance`: the .deb on a fresh Debian with real systemd and BlueZ, in a virtual machine, boot to rollback.

Emulated belts (the real firmware) run on this machine and are the adapter's other end; everything else is in the
machine: kernel Bluetooth, bluetoothd, systemd, the package as it was built. The first part leaves a disk and the belts'
flash behind; each other part begins with a copy of both. Each step prints what was seen and after how long. Processors
are emulated, so times say little about a board; orders and outcomes do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.appliance import belt_updates, clockless, full_disk, install, read_only, room, updates, watchdog
from tools.appliance.belts import Belts, make_belts
from tools.appliance.image import build_image, build_kernel
from tools.appliance.machine import Machine, MachineError
from tools.appliance.packages import Packages, make_packages
from tools.appliance.story import Story

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "appliance"
PARTS = {
    "install": install.tell, "room": room.tell, "clock": clockless.tell, "disk": full_disk.tell,
    "watchdog": watchdog.tell, "read-only": read_only.tell, "belts": belt_updates.tell, "updates": updates.tell,
}  # fmt: skip


def main() -> int:
    """0 all of it was seen, 1 something was not."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.appliance", description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m tools.appliance --part room clock --keep  (their folders stay, to look into)",
    )  # fmt: skip
    parser.add_argument(
        "--part",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"only these of {', '.join(PARTS)}; without `install` on the disk that it left last",
    )
    parser.add_argument("--keep", action="store_true", help="keep the machines' disks and logs")
    parser.add_argument("--patience", type=float, default=1.0, metavar="FACTOR", help="on time limits, for a busy host")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    parts, installed = list(dict.fromkeys(arguments.part)), WORK / "installed"
    if "install" not in parts and not (installed / "stamp").exists():
        print("appliance: there is no installed disk yet; the first part is played too", file=sys.stderr)
        parts.insert(0, "install")
    packages = make_packages(WORK)
    kernel, initramfs = build_kernel(WORK)
    image = build_image(WORK)
    steps, unseen = [], []
    for part in parts:
        # A Unix socket's path is short.
        folder = Path(tempfile.mkdtemp(prefix="sleepbelt-vm-"))
        print(f"           {part} {folder if arguments.keep else ''}", flush=True)
        story = _stage(part, folder, Machine(kernel, initramfs, folder, arguments.patience), packages, image, installed)
        is_seen = _told(story, part)
        steps += [{"part": part, **step} for step in story.steps]
        (WORK / "result.json").write_text(json.dumps({"commit": _commit(), "steps": steps}, indent=1) + "\n")
        if is_seen and part == "install":
            _keep(folder, installed, packages)
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
        if not is_seen:
            unseen.append(part)
            if part == "install":
                break
    print(f"NOT SEEN: {', '.join(unseen)}" if unseen else f"all seen; written to {WORK / 'result.json'}")
    return 1 if unseen else 0


def _stage(part: str, folder: Path, machine: Machine, packages: Packages, image: Path, installed: Path) -> Story:
    """A machine that is switched off, with its disk, and belts that are."""
    belts = folder / "belts"
    if part == "install":
        make_belts(belts, packages.belts_key)
    else:
        if (installed / "stamp").read_text() != _stamp(packages):
            print("appliance: the installed disk is of another build of the package", file=sys.stderr)
        image = installed / "disk.ext4"
        shutil.copytree(installed / "belts", belts)
    subprocess.run(["cp", "--sparse=always", str(image), str(machine.disks[0])], check=True)
    return Story(machine, Belts(belts, machine.adapter), packages)


def _told(story: Story, part: str) -> bool:
    """Play a part; False, and why on stderr, at the first thing that is not as it should be."""
    try:
        PARTS[part](story)
    except MachineError as error:
        print(f"NOT SEEN ({time.strftime('%T')}): {error}", file=sys.stderr)
        _why(story.machine)
        return False
    finally:
        story.machine.cut()
        story.belts.stop()
    return True


def _keep(folder: Path, installed: Path, packages: Packages) -> None:
    """For the other parts: the disk of a machine that was switched off, and the flash of its belts."""
    shutil.rmtree(installed, ignore_errors=True)
    installed.mkdir()
    subprocess.run(["cp", "--sparse=always", str(folder / "disk.ext4"), str(installed / "disk.ext4")], check=True)
    shutil.copytree(folder / "belts", installed / "belts")
    (installed / "stamp").write_text(_stamp(packages))


def _stamp(packages: Packages) -> str:
    return hashlib.sha256(packages.first.read_bytes()).hexdigest()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _why(machine: Machine) -> None:
    try:
        print(
            machine.run(
                "systemctl status --no-pager 'sleepbelt*' 2>&1 | tail -40; "
                "journalctl -b --no-pager -n 60 -u 'sleepbelt*' -u bluetooth",
                check=False,
            ),
            file=sys.stderr,
        )
    except MachineError as error:
        print(f"and it says nothing more: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
