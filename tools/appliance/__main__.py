"""`make appliance`: the .deb on a fresh Debian with real systemd and BlueZ, in a virtual machine, boot to rollback.

Emulated belts (the real firmware) run on this machine and are the adapter's other end; everything else is in the
machine: kernel Bluetooth, bluetoothd, systemd, the package as it was built. Each step prints what was seen and after
how long. Processors are emulated, so times say little about a board; orders and outcomes do.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.cores.labels import BeltLabel, belt_label_text
from tools.appliance.image import build_image, build_kernel
from tools.appliance.machine import Machine, MachineError

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "appliance"
HERE = Path(__file__).parent
GOOD, BAD = "0.2.0", "0.3.0"
PATIENCE_S = 600.0
SITE = """\
[site]
gateway = "gw-appliance"
timezone = "Asia/Shanghai"
[radio]
backend = "bluez"
[web]
host = "127.0.0.1"
port = 8080
open_access = true
[channels]
relay_pin = 22
relay_socket = "/run/sleepbelt/relay.sock"
mock_pins = true
[[rooms]]
name = "201"
beds = ["201-1", "201-2"]
overrides = { windows = [{ all_day = true, allowed_s = 60 }], settle_s = 5 }
"""
MODEL = 1
# The page's way to answer an alarm, from inside, as the carer's browser does it.
ACKNOWLEDGE = """\
import http.cookiejar, re, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
base = "http://127.0.0.1:8080"
opener.open(base + "/").read()
token = re.search(r'name="csrf" content="([^"]+)"', opener.open(base + "/").read().decode())[1]
request = urllib.request.Request(base + "/api/beds/201-1/acknowledge", b"{}", {"X-CSRF-Token": token, "Origin": base})
print(opener.open(request).read().decode())
"""
# As radio_recovery.py asks for it: over D-Bus, as the gateway's user, without any capability.
RESTART = (
    "systemd-run --quiet --wait --pipe --uid=sleepbelt -p PrivateUsers=yes -p CapabilityBoundingSet="
    " -p NoNewPrivileges=yes busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1"
    " org.freedesktop.systemd1.Manager RestartUnit ss {unit} replace"
)


class Story:
    """One run; `step` names what is done, times it, and remembers it for the record."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.steps: list[dict[str, Any]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Whatever is put into the dictionary is printed with it."""
        seen: dict[str, Any] = {}
        began = time.monotonic()
        yield seen
        took_s = round(time.monotonic() - began, 1)
        self.steps.append({"step": name, "took_s": took_s, **seen})
        shown = "".join(f"; {key} {value}" for key, value in seen.items())
        print(f"{took_s:7.1f} s  {name}{shown}", flush=True)

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        found: dict[str, Any] = json.loads(self.machine.run("cat /run/sleepbelt/health.json"))
        return found

    def stats(self) -> dict[str, Any]:
        """Its figures, asked from inside."""
        get = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/api/stats').read().decode())"
        found: dict[str, Any] = json.loads(self.machine.run(f'python3 -c "{get}"'))
        return found

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.machine.run(f"systemctl show {unit} --property={name} --value")


def main() -> int:
    """0 all of it was seen, 1 something was not."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.appliance", description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m tools.appliance --keep  (the machine's folder stays, to look into)",
    )  # fmt: skip
    parser.add_argument("--part", choices=("all", "room", "updates"), default="all", help="room: alarm and recoveries")
    parser.add_argument("--keep", action="store_true", help="keep the machine's disk and logs")
    parser.add_argument("--patience", type=float, default=1.0, metavar="FACTOR", help="on time limits, for a busy host")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    packages = _packages()
    kernel, initramfs = build_kernel(WORK)
    image = build_image(WORK)
    # A Unix socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="sleepbelt-vm-"))
    disk = folder / "disk.ext4"
    subprocess.run(["cp", "--sparse=always", str(image), str(disk)], check=True)
    machine = Machine(kernel, initramfs, disk, folder, arguments.patience)
    story = Story(machine)
    belts: subprocess.Popen[str] | None = None
    try:
        belts = tell(story, packages, folder, arguments.part)
    except MachineError as error:
        print(f"NOT SEEN: {error}", file=sys.stderr)
        _why(machine)
        return 1
    finally:
        machine.cut()
        for process in _BELTS:
            process.terminate()
            process.wait(20)
        (WORK / "result.json").write_text(json.dumps(story.steps, indent=1) + "\n")
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    assert belts is not None
    print(f"all seen; written to {WORK / 'result.json'}")
    return 0


_BELTS: list[subprocess.Popen[str]] = []


def tell(story: Story, packages: dict[str, Path], folder: Path, part: str) -> subprocess.Popen[str]:
    """From boot to rollback; MachineError at the first thing that is not as it should be."""
    machine = story.machine
    with story.step("a fresh Debian boots") as seen:
        machine.start()
        seen["systemd"] = machine.run("systemctl --version | head -1")
    with story.step("the .deb installs without a network"):
        machine.put(packages["first"], "/root/first.deb")
        machine.run("dpkg -i /root/first.deb", 900)
    with story.step("the doctor names what is missing") as seen:
        said = json.loads(machine.run("sleepbelt doctor --json || true"))
        failing = [x for x in said["findings"] if x["level"] == "fail"]
        _expect(all(x["advice"] for x in failing), str(failing))
        seen["fails"] = ", ".join(dict.fromkeys(x["topic"] for x in failing))
    with story.step("exposure as systemd sees it") as seen:
        text = machine.run("systemd-analyze security --no-pager sleepbelt.service | tail -1")
        found = re.search(r"([0-9.]+) ", text.partition("service:")[2])
        _expect(found is not None and float(found[1]) <= 1.3, text)
        seen["exposure"] = found[1] if found else ""
    belts = _start_belts(story, folder, part)
    if part != "updates":
        _alarm(story)
        _recoveries(story)
    if part != "room":
        _updates(story, packages)
    return belts


def _start_belts(story: Story, folder: Path, part: str) -> subprocess.Popen[str]:
    machine = story.machine
    with story.step("an adapter is plugged in, a site file is set up, the service starts (Type=notify)") as seen:
        # Without the alarm's part nobody answers one, and a bed that is open holds updates back.
        first = "stays_in_bed.toml" if part == "updates" else "leaves_bed.toml"
        nights = [str(HERE / first), str(HERE / "stays_in_bed.toml")]
        belts = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "hil", "--json", "--belts", "2", "--night", *nights,
             "--socket", str(machine.adapter), "--state-dir", str(folder / "belts")],
            stdout=subprocess.PIPE, stderr=(folder / "belts.log").open("w"), text=True, cwd=ROOT,
        )  # fmt: skip
        _BELTS.append(belts)
        assert belts.stdout is not None
        listed = json.loads(belts.stdout.readline())["belts"]
        time.sleep(2)  # QEMU looks for the socket once a second
        machine.run("systemctl start test-attach@hvc0")
        machine.write("/root/site.toml", SITE)
        machine.run("sleepbelt provision setup --site /root/site.toml --json")
        machine.write("/etc/sleepbelt/relay.env", "RELAY_ARGUMENTS=--pin 22 --mock\n")
        began = time.monotonic()
        machine.run("systemctl start sleepbelt-relay sleepbelt", 300)
        seen["start to READY"] = f"{time.monotonic() - began:.1f} s"
        _expect(story.shown("sleepbelt", "ActiveState") == "active", "not active")
        _expect(story.shown("sleepbelt", "Type") == "notify", "another type")
    with story.step("both belts are claimed by their labels and bound to their beds") as seen:
        for number, belt in enumerate(listed, 1):
            label = belt_label_text(BeltLabel(bytes.fromhex(belt["serial"]), MODEL, bytes.fromhex(belt["key"])))
            began = time.monotonic()
            _until(machine, lambda text=label, bed=number: _claimed(machine, text, bed), f"belt {number} bound")
            seen[f"bed 201-{number}"] = f"{time.monotonic() - began:.1f} s"
    with story.step("both belts are heard through real BlueZ") as seen:
        machine.until("grep -q '\"state\": \"ok\"' /run/sleepbelt/health.json", PATIENCE_S)
        _until(machine, lambda: story.stats()["belts_heard"] == 2, "two belts heard")
        stats = story.stats()
        seen["status"] = story.shown("sleepbelt", "StatusText")
        seen["RSS"] = f"{stats['rss_bytes'] / 2**20:.1f} MiB"
        seen["sessions"] = stats.get("radio_sessions", 0)
    return belts


def _claimed(machine: Machine, label: str, bed: int) -> bool:
    """Claim and bind as the technician's command does; False if the belt is not in range yet."""
    said = machine.run(f"sleepbelt provision claim '{label}' --bed 201-{bed} --json", check=False)
    return '"belt"' in said and '"ok": false' not in said


def _alarm(story: Story) -> None:
    machine = story.machine
    with story.step("a resident leaves; no update begins while that absence is open") as seen:
        _until(machine, lambda: story.health()["open_beds"] == ["201-1"], "an open absence")
        said = machine.run("sleepbelt update apply 9.9.9 2>&1", check=False)
        _expect("absence open" in said, said)
        seen["said"] = said.strip().splitlines()[-1]
    with story.step("the alarm fires and the relay's process opens the contact") as seen:
        _until(machine, lambda: story.stats()["beds_alarming"] == 1, "an alarm")
        machine.until("journalctl -u sleepbelt-relay --no-pager | grep -q 'open: '", 30)
        seen["relay"] = machine.run("journalctl -u sleepbelt-relay --no-pager -o cat | grep 'open: ' | tail -1")
    with story.step("kill -9 in the middle of the alarm: it stands again by itself") as seen:
        began = time.monotonic()
        machine.run("systemctl kill -s KILL sleepbelt; sleep .3")
        machine.until("systemctl is-active -q sleepbelt && test -e /run/sleepbelt/health.json", 120)
        _until(machine, lambda: story.stats()["beds_alarming"] == 1, "the alarm after the kill")
        seen["kill to alarm again"] = f"{time.monotonic() - began:.1f} s"
    with story.step("a bed is open: the package's own upgrade would wait") as seen:
        seen["quiet"] = machine.run("/opt/sleepbelt/bin/python -m gateway.update_boot quiet; echo $?")
        _expect(seen["quiet"] == "1", "quiet though an alarm is open")
    with story.step("it is acknowledged on the wall board, the resident returns"):
        machine.write("/root/acknowledge.py", ACKNOWLEDGE)
        _expect('"ok":true' in machine.run("python3 /root/acknowledge.py").replace(" ", ""), "not acknowledged")
        _until(machine, lambda: story.health()["open_beds"] == [], "the end of the absence")


def _recoveries(story: Story) -> None:
    machine = story.machine
    with story.step("the gateway hangs (SIGSTOP): the watchdog starts it anew") as seen:
        before = story.shown("sleepbelt", "MainPID")
        machine.run(f"kill -STOP {before}")
        machine.until(f"test $(systemctl show sleepbelt --property=MainPID --value) != {before}"
                      " && systemctl is-active -q sleepbelt", 180)
        seen["result"] = machine.run("journalctl -u sleepbelt --no-pager -o cat | grep -i watchdog | tail -1")
    with story.step("the gateway's user may restart bluetoothd from its sandbox, and no other unit") as seen:
        before = story.shown("bluetooth", "MainPID")
        machine.run(RESTART.format(unit="bluetooth.service"))
        machine.until(f"test $(systemctl show bluetooth --property=MainPID --value) != {before}", 60)
        seen["another"] = machine.run(RESTART.format(unit="dbus.service") + " 2>&1", check=False).splitlines()[-1]
        _expect("denied" in seen["another"] or "authentication" in seen["another"], seen["another"])
    with story.step("bluetoothd dies and comes back") as seen:
        _until(machine, lambda: story.health()["state"] == "ok", "health after the hang")
        began = time.monotonic()
        machine.run("systemctl kill -s KILL bluetooth; systemctl start bluetooth")
        fresh = story.stats()["readings_received"]
        _until(machine, lambda: story.stats()["readings_received"] > fresh and story.health()["state"] == "ok",
               "readings again")
        seen["to readings"] = f"{time.monotonic() - began:.1f} s"
    with story.step("a bundle for support") as seen:
        machine.run("sleepbelt doctor --bundle /root/b.tar.gz >/dev/null || true")
        seen["holds"] = machine.run("tar -tzf /root/b.tar.gz | tr '\\n' ' '")


def _updates(story: Story, packages: dict[str, Path]) -> None:
    machine = story.machine
    machine.run("mkdir -p /etc/sleepbelt/update-keys.d")
    machine.put(packages["key"], "/etc/sleepbelt/update-keys.d/site.pem")
    machine.put(packages["good"], "/root/good.update")
    machine.put(packages["bad"], "/root/bad.update")
    with story.step(f"a signed update to {GOOD} is staged"):
        machine.run("sleepbelt update stage /root/good.update", 900)
    with story.step(f"{GOOD} is tried, runs well, and stays") as seen:
        said = json.loads(machine.run(f"sleepbelt update apply {GOOD} --wait --json", 900))
        _expect(said["kept"] and said["runs"] == GOOD, str(said))
        seen["version"] = story.health()["version"]
        _expect(seen["version"] == GOOD, "another version runs")
    with story.step(f"{BAD}, which crashes at each start, is tried and taken back"):
        machine.run("sleepbelt update stage /root/bad.update", 900)
        said = json.loads(machine.run(f"sleepbelt update apply {BAD} --wait --json", 900, check=False).splitlines()[0])
        _expect(not said["kept"] and said["runs"] == GOOD, str(said))
        _until(machine, lambda: story.health()["version"] == GOOD and story.health()["state"] == "ok",
               "the old version, well")
    with story.step("the power fails; after the boot the updated version runs and remembers") as seen:
        raised = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify 2>&1 | tail -1")
        machine.cut()
        machine.start()
        _until(machine, lambda: story.health()["version"] == GOOD, "the gateway after the boot")
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify 2>&1 | tail -1") or raised
    with story.step("removing keeps the records, purging wipes them"):
        machine.run("dpkg -r sleepbelt", 600)
        machine.run("test -e /var/lib/sleepbelt/events.db && test ! -e /opt/sleepbelt/bin")
        machine.run("dpkg -P sleepbelt", 600)
        machine.run("test ! -e /var/lib/sleepbelt && test ! -e /etc/sleepbelt && test ! -e /opt/sleepbelt")


def _until(machine: Machine, condition: Any, what: str) -> None:
    patience_s = PATIENCE_S * machine.patience
    until = time.monotonic() + patience_s
    said = ""
    while time.monotonic() < until:
        try:
            if condition():
                return
        except (MachineError, ValueError, KeyError) as error:
            said = str(error)
        time.sleep(1.0)
    raise MachineError(f"not seen in {patience_s:g} s: {what} {said}")


def _expect(is_so: bool, said: str) -> None:
    if not is_so:
        raise MachineError(said)


def _packages() -> dict[str, Path]:
    """The package, and signed updates to a good and a broken version."""
    command = [sys.executable, "-m", "tools.deb.build", "--arch", "amd64", "--out", str(WORK)]
    subprocess.run(command, check=True, cwd=ROOT)
    first = max(WORK.glob("sleepbelt_0.1.*_amd64.deb"), key=lambda path: path.stat().st_mtime)
    keys = WORK / "keys"
    if not (keys / "private.pem").exists():
        _cli("update", "keygen", "--out", str(keys))
    found = {"first": first, "key": keys / "public.pem"}
    for name, version in (("good", GOOD), ("bad", BAD)):
        package = _again(first, version, is_broken=name == "bad")
        found[name] = package.with_suffix(".update")
        _cli("update", "sign", str(package), "--key", str(keys / "private.pem"), "--out", str(found[name]))
    return found


def _again(package: Path, version: str, is_broken: bool) -> Path:
    """The same package as another version; a broken one ends at each start."""
    tree = WORK / f"tree-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    (tree / "opt/sleepbelt/VERSION").write_text(version + "\n")
    site = tree / "opt/sleepbelt/lib/python3.11/site-packages"
    metadata = next(site.glob("sleepbelt-*.dist-info")) / "METADATA"
    metadata.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata.read_text(), count=1))
    if is_broken:
        app = site / "gateway/app.py"
        app.write_text(app.read_text() + '\nraise SystemExit("this version is broken on purpose")\n')
    target = WORK / f"sleepbelt_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(tree), str(target)], check=True,
                   capture_output=True)  # fmt: skip
    shutil.rmtree(tree)
    return target


def _cli(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "gateway.cli", *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _why(machine: Machine) -> None:
    try:
        print(machine.run("systemctl status --no-pager 'sleepbelt*' 2>&1 | tail -40; "
                          "journalctl --no-pager -n 60 -u 'sleepbelt*' -u bluetooth", check=False), file=sys.stderr)
    except MachineError as error:
        print(f"and it says nothing more: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
