"""A root that is never written: what changes lies on a disk of its own; a power cut leaves the root as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tools.appliance.image import make_ext4
from tools.appliance.story import Story, expect

__all__ = ["tell"]

SIZE = "512M"
FAILED = "systemctl --failed --plain --no-legend | cut -d' ' -f1"


def tell(story: Story) -> None:
    """Laid out by the package's own script, then an alarm, and the power cut in the middle of it."""
    machine = story.machine
    second = machine.folder / "second.ext4"
    make_ext4(second, SIZE, label="sleepbelt")
    machine.disks.append(second)
    story.begin(leaves=(140, 1500))
    failed_before = set(machine.run(FAILED).split())  # what this kernel lacks
    with story.step("what is written moves to the second disk") as seen:
        seen["said"] = machine.run("/usr/lib/sleepbelt/read-only-root prepare", 600).splitlines()[-1]
        expect("already" in machine.run("/usr/lib/sleepbelt/read-only-root prepare", check=False), "it did it twice")
        machine.shut_down()
    root = machine.disks[0]
    before = _digest(root)
    machine.is_read_only = True
    with story.step("it boots with / mounted read-only; both belts are heard, no more units fail than before") as seen:
        machine.start()
        story.hear()
        seen["/"] = machine.run("findmnt -no OPTIONS /")
        expect(seen["/"].split(",")[0] == "ro", seen["/"])
        expect(machine.run("touch /var/x /etc/x /opt/x 2>&1", check=False).count("Read-only") == 3, "/ is written")
        seen["records on"] = machine.run("findmnt -no SOURCE,OPTIONS -T /var/lib/sleepbelt")
        more = set(machine.run(FAILED).split()) - failed_before
        expect(not more, f"failed: {more}")
    with story.step("the alarm fires"):
        story.alarm()
        audit = "sleepbelt audit --store /var/lib/sleepbelt"
        story.until(lambda: "alarm_raise" in machine.run(audit), "it on the disk")
    with story.step("the power fails in the middle of it: not a byte of the root has changed") as seen:
        machine.cut()
        seen["sha256"] = _digest(root)[:16]
        expect(_digest(root) == before, "the root has changed")
    with story.step("it boots again, and the alarm stands again") as seen:
        machine.start()
        story.until(lambda: story.stats()["beds_alarming"] == 1, "the alarm after the power cut", 600)
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify | head -1")
        expect(seen["audit"].startswith("good"), seen["audit"])
        machine.cut()
        expect(_digest(root) == before, "the root has changed")


def _digest(disk: Path) -> str:
    with disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
