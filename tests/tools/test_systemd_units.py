"""The appliance's units: systemd finds nothing wrong with them, and they are shut as far as the design says."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "tools" / "deb" / "root"
UNITS = ROOT / "usr/lib/systemd/system"
LOCAL_IO = ROOT / "usr/share/sleepbelt/local-io.conf"
# Of 10, lower is better; a plain unit has 9.6 (facts: PEERS.md).
EXPOSURE_MAX = {
    "sleepbelt.service": 1.3,
    "sleepbelt-receiver.service": 1.3,
    "sleepbelt-relay.service": 1.8,
    "sleepbelt-adapter-reset.service": 1.8,
    "sleepbelt-update-watch.service": 3.0,  # root, to change what root owns
}


def exposure(unit: Path, limit: float) -> subprocess.CompletedProcess[str]:
    threshold = f"--threshold={round(limit * 10)}"
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", threshold, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_service_has_a_limit_here() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == set(EXPOSURE_MAX)


@pytest.mark.parametrize(("name", "limit"), sorted(EXPOSURE_MAX.items()))
def test_a_service_is_exposed_no_more_than_the_design_allows(name: str, limit: float) -> None:
    done = exposure(UNITS / name, limit)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_with_local_io_the_gateway_stays_below_its_limit(tmp_path: Path) -> None:
    unit = tmp_path / "sleepbelt.service"
    unit.write_text((UNITS / "sleepbelt.service").read_text() + "\n" + LOCAL_IO.read_text())
    done = exposure(unit, 1.8)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_the_limit_is_one_that_a_plain_unit_fails(tmp_path: Path) -> None:
    unit = tmp_path / "plain.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(unit, 1.8).returncode != 0


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """In a root of its own where the programs they start exist; what other packages bring is not asked for."""
    system = tmp_path / "usr/lib/systemd/system"
    system.mkdir(parents=True)
    units = sorted(UNITS.iterdir())
    for unit in units:
        (system / unit.name).write_text(unit.read_text())
    # What every unit stands on, as little as verify needs.
    for name in ("sysinit", "basic", "multi-user", "shutdown", "network", "paths"):
        (system / f"{name}.target").write_text("[Unit]\nDescription=x\n")
    for unit in units:
        for program in re.findall(r"^Exec\w+=[-+!:@]*(/\S+)", unit.read_text(), re.MULTILINE):
            file = tmp_path / program[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/bin/sh\n")
            file.chmod(0o755)
    command = ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *(unit.name for unit in units)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # A container has no cgroups to speak of and an own user may not read them; neither is about the units.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "sleepbelt" in line]
    assert said == []
    assert done.returncode == 0, done.stderr


def test_the_watchdogs_fit_one_another() -> None:
    service = (UNITS / "sleepbelt.service").read_text()
    watchdog_s = int(re.search(r"^WatchdogSec=(\d+)$", service, re.MULTILINE)[1])  # type: ignore[index]
    assert 3 <= watchdog_s <= 30  # the pipeline pings each second; the relay opens after 5 s on its own
    manager = configparser.ConfigParser()
    manager.read(ROOT / "usr/lib/systemd/system.conf.d/50-sleepbelt.conf")
    assert int(manager["Manager"]["RuntimeWatchdogSec"].rstrip("s")) <= 15  # a Raspberry Pi's reaches no further


def test_the_gateway_has_no_capability_and_restarts_for_ever() -> None:
    lines = (UNITS / "sleepbelt.service").read_text().splitlines()
    wanted = {"Type=notify", "CapabilityBoundingSet=", "Restart=always", "StartLimitIntervalSec=0", "User=sleepbelt"}
    assert wanted <= set(lines)


def test_only_the_adapters_helper_may_administrate_the_network() -> None:
    settings = {path.name: path.read_text().split("[Service]")[1] for path in UNITS.glob("*.service")}
    holders = [name for name, text in settings.items() if "CAP_NET_ADMIN\n" in text]
    assert holders == ["sleepbelt-adapter-reset.service"]


def test_the_journal_and_the_reserves_are_bounded() -> None:
    journal = configparser.ConfigParser()
    journal.optionxform = str  # type: ignore[assignment,method-assign]
    journal.read(ROOT / "usr/lib/systemd/journald.conf.d/50-sleepbelt.conf")
    assert {"SystemMaxUse", "RuntimeMaxUse", "RateLimitBurst"} <= set(journal["Journal"])
