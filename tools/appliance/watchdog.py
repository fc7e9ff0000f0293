"""The kernel stands still in the middle of an alarm: the hardware watchdog resets the machine."""

from __future__ import annotations

import contextlib
import time

from tools.appliance.machine import MachineError
from tools.appliance.story import Story, expect

__all__ = ["tell"]


def tell(story: Story) -> None:
    """A panic that waits for somebody, and what comes of it without anybody."""
    story.begin(leaves=(100, 900))
    machine = story.machine
    with story.step("systemd feeds the hardware watchdog") as seen:
        seen["device"] = machine.run("cat /sys/class/watchdog/watchdog0/identity")
        seen["limit"] = machine.run("systemctl show --property=RuntimeWatchdogUSec --value")
        expect(seen["limit"] == "14s", seen["limit"])
        expect(machine.run("cat /sys/class/watchdog/watchdog0/state") == "active", "nobody feeds it")
    with story.step("an alarm is open"):
        story.alarm()
    with story.step("the kernel panics and stands still (kernel.panic=0); the watchdog resets the machine") as seen:
        before = machine.run("cat /proc/sys/kernel/random/boot_id")
        began = time.monotonic()
        machine.run("echo 0 >/proc/sys/kernel/panic")
        with contextlib.suppress(MachineError):
            machine.run("echo c >/proc/sysrq-trigger", 10)
        story.until(lambda: machine.run("cat /proc/sys/kernel/random/boot_id", 30) != before, "another boot")
        seen["panic to shell"] = f"{time.monotonic() - began:.1f} s"
        expect("Kernel panic" in (machine.folder / "console.log").read_text(errors="replace"), "there was no panic")
    with story.step("the gateway comes back by itself, and the alarm with it") as seen:
        story.until(lambda: story.stats()["beds_alarming"] == 1, "the alarm after the reset", 600)
        seen["panic to alarm again"] = f"{time.monotonic() - began:.1f} s"
        story.hear()
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify | head -1")
        expect(seen["audit"].startswith("good"), seen["audit"])
