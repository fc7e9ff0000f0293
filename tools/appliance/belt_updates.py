"""Firmware for the belts, over BlueZ: one belt in a room, not while a bed is open, taken back when it is bad."""

from __future__ import annotations

import json
from typing import Any

from tools.appliance.packages import BAD, GOOD
from tools.appliance.story import Story, expect

__all__ = ["tell"]

ROLLOUT_S = 1500.0
KEY_FILE = "/etc/sleepbelt/update-keys.d/site.pem"


def tell(story: Story) -> None:
    """A resident is away when it begins; then a version that is good, and one that is not."""
    story.begin(leaves=(110, 150), bed=2)
    machine, packages = story.machine, story.packages
    with story.step("firmware signed by somebody else is refused, ours is staged") as seen:
        machine.put(packages.belts_good, "/root/belts.update")
        refused = machine.run("sleepbelt update stage /root/belts.update 2>&1", check=False).splitlines()[-1]
        expect("no key is trusted here" in refused, refused)
        machine.put(packages.strangers_key, KEY_FILE)
        seen["refused"] = machine.run("sleepbelt update stage /root/belts.update 2>&1", check=False).splitlines()[-1]
        expect("has signed this update" in seen["refused"], seen["refused"])
        machine.put(packages.key, KEY_FILE)
        said = json.loads(machine.run("sleepbelt update stage /root/belts.update --json"))
        expect(said["staged"] == GOOD, str(said))
    with story.step("a resident is away: neither belt of the room begins"):
        story.until(lambda: story.health()["open_beds"] == ["201-2"], "an open absence")
        machine.run("sleepbelt update belts start")
        story.until(lambda: _states(story) == ["absence_open", "absence_open"], "both belts waiting")
    with story.step("nor while the alarm of that absence is open; it is acknowledged"):
        story.until(lambda: _states(story) == ["alarm_open", "alarm_open"], "both belts waiting for the alarm's end")
        story.acknowledge(bed=2)
    with story.step("the resident returns: one belt after the other gets it, by itself") as seen:
        story.until(lambda: story.health()["open_beds"] == [], "the return")
        busiest = [0]

        def are_done() -> bool:
            states = _states(story)
            busiest[0] = max(busiest[0], states.count("running"))
            return states == ["done", "done"]

        story.until(are_done, "both belts updated", ROLLOUT_S)
        seen["versions"] = ", ".join(bed["version"] for bed in _status(story)["beds"])
        expect(seen["versions"] == f"{GOOD}, {GOOD}", seen["versions"])
        seen["at once"] = busiest[0]
        expect(busiest[0] == 1, f"{busiest[0]} belts of one room at once")
        seen["slots"] = " ".join(story.belts.slot(number) for number in (1, 2))
        expect(seen["slots"] == "b b", seen["slots"])
    with story.step("a version that dies at once: the first belt goes back, the second never gets it") as seen:
        machine.put(packages.belts_bad, "/root/bad.update")
        machine.run("sleepbelt update stage /root/bad.update")
        machine.run("sleepbelt update belts start")
        story.until(lambda: _status(story)["stopped_why"] == "went_back", "the roll-out stopped", ROLLOUT_S)
        status = _status(story)
        seen["states"] = ", ".join(bed["state"] for bed in status["beds"])
        expect(sorted(bed["state"] for bed in status["beds"]) == ["given_up", "stopped"], seen["states"])
        expect({bed["version"] for bed in status["beds"]} == {GOOD}, str(status))
        (finding,) = [finding for finding in story.findings("update") if BAD in finding["found"]]
        expect(finding["level"] == "fail", str(finding))
        seen["doctor"] = finding["found"]
        story.hear()


def _status(story: Story) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(story.machine.run("sleepbelt update belts status --json"))
    return said


def _states(story: Story) -> list[str]:
    return [bed["state"] for bed in _status(story)["beds"]]
