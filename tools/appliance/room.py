"""A resident leaves: the alarm, the gateway killed and hung in the middle, BlueZ gone, a bundle for support."""

from __future__ import annotations

import json
import time

from tools.appliance.story import Story, expect

__all__ = ["tell"]

# As radio_recovery.py asks for it: over D-Bus, as the gateway's user, without any capability. The first call starts
# polkitd, which takes an emulated processor longer than D-Bus waits by default.
RESTART = (
    "systemd-run --quiet --wait --pipe --uid=sleepbelt -p PrivateUsers=yes -p CapabilityBoundingSet="
    " -p NoNewPrivileges=yes busctl --timeout=240 call org.freedesktop.systemd1 /org/freedesktop/systemd1"
    " org.freedesktop.systemd1.Manager RestartUnit ss {unit} replace 2>&1"
)


def tell(story: Story) -> None:
    """From an open absence to recoveries."""
    story.begin(leaves=(100, 240))
    _alarm(story)
    _recoveries(story)
    _bundle(story)


def _alarm(story: Story) -> None:
    machine = story.machine
    with story.step("a resident leaves; no update begins while that absence is open") as seen:
        story.until(lambda: story.health()["open_beds"] == ["201-1"], "an open absence")
        said = machine.run("sleepbelt update apply 9.9.9 2>&1", check=False)
        expect("absence open" in said, said)
        seen["said"] = said.strip().splitlines()[-1]
    with story.step("the alarm fires and the relay's process opens the contact") as seen:
        story.alarm()
        seen["relay"] = story.relay()
    with story.step("kill -9 in the middle of the alarm: it stands again by itself") as seen:
        began = time.monotonic()
        machine.run("systemctl kill -s KILL sleepbelt; sleep .3")
        story.until(lambda: story.shown("sleepbelt", "ActiveState") == "active", "the gateway after the kill")
        story.until(lambda: story.stats()["beds_alarming"] == 1, "the alarm after the kill")
        seen["kill to alarm again"] = f"{time.monotonic() - began:.1f} s"
    with story.step("a bed is open: the package's own upgrade would wait") as seen:
        seen["quiet"] = machine.run("/opt/sleepbelt/bin/python -m gateway.update_boot quiet; echo $?")
        expect(seen["quiet"] == "1", "quiet though an alarm is open")
    with story.step("it is acknowledged on the wall board, the resident returns"):
        story.acknowledge()
        story.until(lambda: story.health()["open_beds"] == [], "the end of the absence")


def _recoveries(story: Story) -> None:
    machine = story.machine
    with story.step("the gateway hangs (SIGSTOP): the watchdog starts it anew") as seen:
        before = story.shown("sleepbelt", "MainPID")
        machine.run(f"kill -STOP {before}")
        story.until(lambda: story.shown("sleepbelt", "MainPID") not in ("0", before)
                    and story.shown("sleepbelt", "ActiveState") == "active", "another process")  # fmt: skip
        seen["result"] = machine.run("journalctl -u sleepbelt --no-pager -o cat | grep -i 'watchdog time' | tail -1")
        expect("limit 20s" in seen["result"], seen["result"])
    with story.step("the gateway's user may restart bluetoothd from its sandbox, and no other unit") as seen:
        before = story.shown("bluetooth", "MainPID")
        machine.run(RESTART.format(unit="bluetooth.service"))
        story.until(lambda: story.shown("bluetooth", "MainPID") not in ("0", before), "another bluetoothd")
        seen["another"] = machine.run(RESTART.format(unit="dbus.service"), check=False).splitlines()[-1]
        expect("denied" in seen["another"] or "authentication" in seen["another"], seen["another"])
    with story.step("bluetoothd dies and comes back") as seen:
        story.hear()
        story.until(lambda: story.health()["state"] == "ok", "health after the hang")
        began = time.monotonic()
        machine.run("systemctl kill -s KILL bluetooth; systemctl start bluetooth")
        fresh = story.stats()["readings_received"]
        story.until(lambda: story.stats()["readings_received"] > fresh and story.health()["state"] == "ok",
                    "readings again")  # fmt: skip
        seen["to readings"] = f"{time.monotonic() - began:.1f} s"


def _bundle(story: Story) -> None:
    """Nothing that names a person or a place or opens anything is in it, whatever the machine has of that."""
    machine = story.machine
    with story.step("a bundle for support has no key, no whole serial, no bed and no reading in it") as seen:
        machine.run("sleepbelt doctor --bundle /root/b.tar.gz >/dev/null || true")
        seen["holds"] = machine.run("tar -tzf /root/b.tar.gz | tr '\\n' ' '")
        text = machine.run("tar -xzOf /root/b.tar.gz")
        site = json.loads(machine.run("cat /var/lib/sleepbelt/site.json"))
        secret = [belt[name] for belt in story.belts.identities() for name in ("serial", "claim_secret")]
        keys = list(_keys(site))
        expect(len(keys) >= len(secret) // 2, f"no keys in site.json: {list(site)}")
        for word in (*secret, *keys, "201-1", "201-2", "heart_rate"):
            expect(word.lower() not in text.lower(), f"{word} is in the bundle")
        expect("bed-1" in text and "watchdog" in text.lower(), "the bundle says nothing of beds or of the hang")
        seen["looked for"] = f"{len(secret) + len(keys) + 3} words in {len(text)} characters"


def _keys(value: object) -> list[str]:
    """Every text in a JSON value that could be a key: 32 hexadecimal digits or more."""
    if isinstance(value, dict):
        return [key for each in value.values() for key in _keys(each)]
    if isinstance(value, list):
        return [key for each in value for key in _keys(each)]
    is_key = isinstance(value, str) and len(value) >= 32 and all(c in "0123456789abcdef" for c in value.lower())
    return [value] if is_key and isinstance(value, str) else []
