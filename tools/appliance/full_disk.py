"""The disk is full: the alarm fires and is on record all the same, and the doctor says what is wrong."""

from __future__ import annotations

from tools.appliance.story import Story, expect

__all__ = ["tell"]

LEFT_BYTES = 65_536  # a few blocks that the file system keeps for itself
# First what root may take at once, then, as the gateway's user, byte by byte what is left for it.
FILL = (
    "fallocate -l $(( $(stat -f -c '%a*%S' /var) - 4194304 )) /var/filler;"
    " runuser -u sleepbelt -- sh -c 'cat /dev/zero >/var/tmp/filler; echo x >/var/tmp/one-more' 2>&1"
)


def tell(story: Story) -> None:
    """Filled before an absence, freed after its alarm."""
    story.begin(leaves=(90, 300))
    machine = story.machine
    with story.step("the disk is filled to the last blocks") as seen:
        machine.run("journalctl --relinquish-var")  # in memory we can read what the relay says
        expect("No space left" in machine.run(FILL, check=False), "there is still space")
        seen["free for the gateway"] = int(machine.run("stat -f -c %a /var")) * 4096
        expect(seen["free for the gateway"] <= LEFT_BYTES, str(seen))
    with story.step("the alarm fires and the relay opens all the same") as seen:
        story.alarm()
        seen["relay"] = story.relay()
        story.acknowledge()
    with story.step("the doctor says so, and what to do") as seen:
        failing = [finding for finding in story.findings("disk") if finding["level"] == "fail"]
        expect(len(failing) == 1 and failing[0]["advice"] != "", str(failing))
        seen["found"], seen["advice"] = failing[0]["found"], failing[0]["advice"]
        health = story.health()
        seen["state"] = f"{health['state']}: {health['status']}"
    with story.step("there is space again: all is well without a restart, the alarm is on record") as seen:
        before = story.shown("sleepbelt", "NRestarts")
        machine.run("rm -f /var/filler /var/tmp/filler /var/tmp/one-more")
        story.until(lambda: story.health()["state"] == "ok", "state ok")
        expect(story.stats()["store_failing"] == 0 and story.shown("sleepbelt", "NRestarts") == before == "0", before)
        said = machine.run("sleepbelt audit --store /var/lib/sleepbelt")
        expect("alarm_raise" in said and "ack" in said, said)
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify | head -1")
        expect(seen["audit"].startswith("good"), seen["audit"])
