"""Updates of the gateway itself: a good version stays, a bad one is taken back, the power fails; then the purge."""

from __future__ import annotations

import json

from tools.appliance.packages import BAD, GOOD
from tools.appliance.story import Story, expect

__all__ = ["tell"]


def tell(story: Story) -> None:
    """Nobody leaves: a bed that is open would hold updates back."""
    story.begin()
    machine, packages = story.machine, story.packages
    machine.put(packages.key, "/etc/sleepbelt/update-keys.d/site.pem")
    with story.step(f"a signed update to {GOOD} is staged"):
        machine.put(packages.good, "/root/good.update")
        machine.run("sleepbelt update stage /root/good.update && rm /root/good.update", 900)
    with story.step(f"{GOOD} is tried, runs well, and stays") as seen:
        said = json.loads(machine.run(f"sleepbelt update apply {GOOD} --wait --json", 900))
        expect(said["kept"] and said["runs"] == GOOD, str(said))
        seen["version"] = story.health()["version"]
        expect(seen["version"] == GOOD, "another version runs")
    with story.step(f"{BAD}, which crashes at each start, is tried and taken back"):
        machine.put(packages.bad, "/root/bad.update")
        machine.run("sleepbelt update stage /root/bad.update && rm /root/bad.update", 900)
        said = json.loads(machine.run(f"sleepbelt update apply {BAD} --wait --json", 900, check=False).splitlines()[0])
        expect(not said["kept"] and said["runs"] == GOOD, str(said))
        story.until(lambda: story.health()["version"] == GOOD and story.health()["state"] == "ok",
                    "the old version, well")  # fmt: skip
    with story.step("the power fails; after the boot the updated version runs and remembers") as seen:
        machine.cut()
        machine.start()
        story.until(lambda: story.health()["version"] == GOOD, "the gateway after the boot", 600)
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify | head -1")
        expect(seen["audit"].startswith("good"), seen["audit"])
    with story.step("removing keeps the records, purging wipes them"):
        machine.run("dpkg -r sleepbelt", 600)
        machine.run("test -e /var/lib/sleepbelt/events.db && test ! -e /opt/sleepbelt/bin")
        machine.run("dpkg -P sleepbelt", 600)
        machine.run("test ! -e /var/lib/sleepbelt && test ! -e /etc/sleepbelt && test ! -e /opt/sleepbelt")
