"""First part: a fresh Debian, the package, the units as systemd sees them, a site, two belts; the disk is kept."""

from __future__ import annotations

import re
import time
from functools import partial

from tools.appliance.belts import night
from tools.appliance.story import Story, expect

__all__ = ["tell"]

CHANNEL_PIN = 22
SITE = f"""\
[site]
gateway = "gw-appliance"
timezone = "Asia/Shanghai"
[radio]
backend = "bluez"
[web]
host = "0.0.0.0"
port = 8080
open_access = true
[channels]
relay_pin = {CHANNEL_PIN}
relay_socket = "/run/sleepbelt/relay.sock"
mock_pins = true
[[rooms]]
name = "201"
beds = ["201-1", "201-2"]
overrides = {{ windows = [{{ all_day = true, allowed_s = 60 }}], settle_s = 5 }}
"""
UNITS = ("sleepbelt.service", "sleepbelt-relay.service", "sleepbelt-receiver.service", "sleepbelt-adapter-reset.path",
         "sleepbelt-adapter-reset.service", "sleepbelt-update-watch.service")  # fmt: skip
LOCAL_IO = "/etc/systemd/system/sleepbelt.service.d/local-io.conf"
JOURNAL_KIB = 16 * 1024  # in memory; on a disk 64 MiB
# More than it may take in memory, in lines that do not compress well and are fewer than its limit of a burst.
FLOOD = "head -c 24M /dev/urandom | base64 -w 40000 | systemd-cat -t flood"


def tell(story: Story) -> None:
    """From the first boot to belts that are heard; it ends switched off."""
    _package(story)
    _units(story)
    _journal(story)
    _site(story)
    _metrics(story)
    with story.step("it switches off"):
        story.machine.run("systemctl stop sleepbelt")
        story.machine.shut_down()
        story.belts.stop()


def _package(story: Story) -> None:
    machine = story.machine
    with story.step("a fresh Debian boots") as seen:
        machine.start()
        seen["systemd"] = machine.run("systemctl --version | head -1")
    with story.step("the .deb installs without a network") as seen:
        machine.put(story.packages.first, "/root/first.deb")
        machine.run("dpkg -i /root/first.deb && rm /root/first.deb", 900)
        seen["routes"] = machine.run("grep -c 00000000.*00000000 /proc/net/route", check=False) or "0"
        # This root takes no manual pages.
        wrong = machine.run("dpkg -V sleepbelt | grep -v ' /usr/share/man/'", check=False)
        expect(wrong == "", f"not as it was packed: {wrong}")
    with story.step("the doctor names what is missing") as seen:
        failing = [found for topic in ("configuration", "adapters", "time") for found in story.findings(topic)
                   if found["level"] == "fail"]  # fmt: skip
        expect(all(found["advice"] for found in failing) and len(failing) >= 3, str(failing))
        seen["fails"] = ", ".join(dict.fromkeys(found["topic"] for found in failing))


def _units(story: Story) -> None:
    machine = story.machine
    with story.step("systemd finds nothing wrong with the units") as seen:
        seen["verify"] = machine.run(f"systemd-analyze verify --man=no {' '.join(UNITS)}") or "clean"
        expect(seen["verify"] == "clean", seen["verify"])
    with story.step("exposure as systemd computes it there") as seen:
        seen["gateway"] = story.exposure("sleepbelt.service", 1.3)
        seen["relay"] = story.exposure("sleepbelt-relay.service", 1.8)
        machine.run(f"install -D /usr/share/sleepbelt/local-io.conf {LOCAL_IO} && systemctl daemon-reload")
        seen["gateway with local I/O"] = story.exposure("sleepbelt.service", 1.8)
        expect(seen["gateway with local I/O"] != seen["gateway"], "the drop-in changes nothing")
        machine.run(f"rm {LOCAL_IO} && systemctl daemon-reload")


def _journal(story: Story) -> None:
    machine = story.machine
    with story.step("the journal is flooded and stays within its bounds") as seen:
        machine.run("mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush")
        seen["on the disk"] = machine.run("journalctl -u systemd-journald -o cat | grep ^System | grep -o 'max [^,]*'"
                                          " | tail -1")  # fmt: skip
        expect(seen["on the disk"] == "max 64.0M", seen["on the disk"])
        machine.run(f"journalctl --relinquish-var; {FLOOD}; journalctl --sync")
        flooded = int(machine.run("journalctl -t flood -o cat | wc -c"))
        expect(flooded > 2**20, f"only {flooded} bytes of the flood are in it")
        seen["in memory, KiB"] = int(machine.run("du -sk /run/log/journal").split()[0])
        expect(0 < seen["in memory, KiB"] <= JOURNAL_KIB, str(seen))
        machine.run("journalctl --flush")


def _site(story: Story) -> None:
    machine, belts = story.machine, story.belts
    with story.step("an adapter is plugged in, a site file is set up, the service starts (Type=notify)") as seen:
        belts.start([night(1), night(2)])
        time.sleep(2)  # QEMU looks for the socket once a second
        machine.run("systemctl enable --now test-attach@hvc0")
        machine.write("/root/site.toml", SITE)
        machine.run("sleepbelt provision setup --site /root/site.toml --json")
        machine.write("/etc/sleepbelt/relay.env", f"RELAY_ARGUMENTS=--pin {CHANNEL_PIN} --mock\n")
        began = time.monotonic()
        machine.run("systemctl start sleepbelt-relay sleepbelt", 300)
        seen["start to READY"] = f"{time.monotonic() - began:.1f} s"
        expect(story.shown("sleepbelt", "ActiveState") == "active", "not active")
        expect(story.shown("sleepbelt", "Type") == "notify", "another type")
    with story.step("both belts are claimed by their labels and bound to their beds") as seen:
        for number, label in enumerate(belts.labels(), 1):
            began = time.monotonic()
            story.until(partial(_claimed, story, label, number), f"belt {number} bound")
            seen[f"bed 201-{number}"] = f"{time.monotonic() - began:.1f} s"
    with story.step("both belts are heard through real BlueZ") as seen:
        story.hear()
        story.until(lambda: story.health()["state"] == "ok", "state ok")
        stats = story.stats()
        seen["status"] = story.shown("sleepbelt", "StatusText")
        seen["RSS"] = f"{stats['rss_bytes'] / 2**20:.1f} MiB"
        seen["sessions"] = stats.get("radio_sessions", 0)


def _claimed(story: Story, label: str, bed: int) -> bool:
    """Claim and bind as the technician's command does; False if the belt is not in range yet."""
    said = story.machine.run(f"sleepbelt provision claim '{label}' --bed 201-{bed} --json", check=False)
    return '"belt"' in said and '"ok": false' not in said


def _metrics(story: Story) -> None:
    machine = story.machine
    with story.step("figures answer this machine alone, the wall board others too") as seen:
        get = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
        text = machine.run(f'python3 -c "{get}"')
        families = re.findall(r"(?m)^# TYPE (sleepbelt_\w+) ", text)
        expect("sleepbelt_belts_heard" in families and "\nsleepbelt_belts_heard 2.0" in text, text)
        seen["families"] = len(families)
        for path in ("/metrics", "/api/stats", "/api/health"):
            seen[f"{path} from elsewhere"] = machine.page(path)
            expect(seen[f"{path} from elsewhere"] == 403, f"{path} answers others")
        expect(machine.page("/") == 200, "the wall board does not answer")
