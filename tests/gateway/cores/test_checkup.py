"""checkup: each thing that can be wrong with a gateway is named with what to do about it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cloud_sync.words import Words
from gateway.cores.checkup import (
    AdapterFact,
    BeltFact,
    BeltUpdateFact,
    CertificateFact,
    ChannelFact,
    DiskFact,
    Facts,
    Finding,
    checkup,
)
from protocol.phrase import Phrase

GOOD = Facts(
    configuration_file="gateway.toml",
    adapters=(AdapterFact("hci0", "00:11:22:33:44:55", True),),
    bluez_version=(5, 66),
    bluez_answers=True,
    time_trusted=True,
    has_rtc=True,
    utc_year=2026,
    disks=(DiskFact("/var/lib/sleepbelt", 2**32, 2**34, 10**6),),
    wear_percent=10,
    written_bytes=10**9,
    uptime_s=86_400,
    disk_errors=0,
    certificates=(CertificateFact("web", "gw.pem", 200),),
    channels=(ChannelFact("relay", True, "", 3, True),),
    belts=(BeltFact("201-1", "0011223344556677", 1_000),),
    waiting_items=0,
    gateway_state="ok",
    restarts=0,
    memory_available_bytes=2**28,
    hardware_watchdog=True,
)


def of(facts: Facts, topic: str) -> list[Finding]:
    return [finding for finding in checkup(facts) if finding.topic == topic]


def test_a_healthy_gateway_has_nothing_to_advise() -> None:
    assert [finding for finding in checkup(GOOD) if finding.level != "ok"] == []
    assert {finding.topic for finding in checkup(GOOD)} >= {
        "configuration", "gateway", "adapters", "BlueZ", "time", "clock", "disk", "wear", "certificates", "channels",
        "belts",
    }  # fmt: skip


NO_PINS = ChannelFact("light", True, Phrase("this machine has no GPIO (/dev/gpiochip*)"))
SICK = [
    ({"belt_update": BeltUpdateFact("0.2.0", "45", "went_back")}, "update", "stopped", "stage another"),
    ({"adapters": ()}, "adapters", "no Bluetooth adapter", "USB adapter"),
    ({"adapters": (AdapterFact("hci0", powered=False),)}, "adapters", "switched off", "power on"),
    ({"adapters": (AdapterFact("hci0", blocked="soft"),)}, "adapters", "blocked", "rfkill unblock"),
    ({"wanted_adapter": "AA:BB:CC:DD:EE:FF"}, "adapters", "there is only hci0", "radio.adapter"),
    ({"bluez_answers": False, "bluez_version": None}, "BlueZ", "does not answer", "apt install bluez"),
    ({"time_trusted": False}, "time", "not synchronised", "timedatectl"),
    ({"disks": (DiskFact("/data", 2**20, 2**34),)}, "disk", "it is full", "vacuum"),
    ({"disks": (DiskFact("/data", 2**30, 2**34, None, False, "read-only"),)}, "disk", "cannot be", "owner"),
    ({"disk_errors": 3}, "wear", "3 errors", "replace"),
    ({"wear_percent": 95}, "wear", "95 %", "replace"),
    ({"under_voltage": True}, "power", "voltage", "power supply"),
    ({"certificates": (CertificateFact("web", "gw.pem", -3),)}, "certificates", "ended 3 days ago", "new one"),
    ({"certificates": (CertificateFact("web", "gw.pem", None, "no such file"),)}, "certificates", "no such", "new one"),
    ({"channels": (NO_PINS,)}, "channels", "no GPIO", "alerting.md"),
    ({"channels": (ChannelFact("light", True, "", 1, False, "pin"),)}, "channels", "last self-test failed", "cable"),
    ({"belts": (BeltFact("A", "00", 7_200_000),)}, "belts", "last heard 2 h ago", "power"),
    ({"gateway_state": "degraded", "gateway_status": "degraded: storage"}, "gateway", "degraded: storage", "below"),
    ({"configuration_problems": ("beds: found nothing",)}, "configuration", "beds: found nothing", "--check"),
    ({"store_problem": "events.db is damaged: x"}, "store", "damaged", "mended at start"),
]


@pytest.mark.parametrize(("change", "topic", "found", "advice"), SICK)
def test_what_fails_is_named_with_what_to_do(change: dict[str, object], topic: str, found: str, advice: str) -> None:
    [finding] = [each for each in of(replace(GOOD, **change), topic) if each.level == "fail"]  # type: ignore[arg-type]
    assert found in finding.found
    assert advice in finding.advice


DOUBTFUL = [
    ({"belt_update": BeltUpdateFact("0.2.0", given_up=("45",))}, "update", "did not get to belt 45"),
    ({"adapters": (AdapterFact("hci0", powered=True, on_chip_of_wifi=True),)}, "adapters", "shares its chip"),
    ({"bluez_version": (5, 55)}, "BlueZ", "tested from 5.66"),
    ({"auto_enable": False}, "BlueZ", "stays off"),
    ({"recovery": "daemon", "polkit": False}, "BlueZ", "may not restart bluetoothd"),
    ({"disks": (DiskFact("/data", 2**27, 2**34),)}, "disk", "128 of"),
    ({"disks": (DiskFact("/data", 2**30, 2**34, 10),)}, "disk", "10 files"),
    ({"written_bytes": 2**40}, "wear", "MiB a day"),
    ({"certificates": (CertificateFact("web", "gw.pem", 5),)}, "certificates", "ends in 5 days"),
    ({"channels": (ChannelFact("light", True),)}, "channels", "never tested"),
    ({"channels": (ChannelFact("light", True, "", 40, True),)}, "channels", "40 days ago"),
    ({"channels": ()}, "channels", "no channel reaches staff"),
    ({"belts": (BeltFact("A", "00", None),)}, "belts", "never heard"),
    ({"gateway_state": None}, "gateway", "does not run"),
    ({"restarts": 4}, "gateway", "4 times"),
    ({"failed_updates": ("1.2",)}, "update", "taken back"),
    ({"memory_available_bytes": 2**24}, "memory", "16 MiB"),
    ({"store_problem": "holds no events.db"}, "store", "no events.db"),
]


@pytest.mark.parametrize(("change", "topic", "found"), DOUBTFUL)
def test_what_will_fail_is_a_warning_with_what_to_do(change: dict[str, object], topic: str, found: str) -> None:
    [finding] = [each for each in of(replace(GOOD, **change), topic) if each.level == "warn"]  # type: ignore[arg-type]
    assert found in finding.found
    assert finding.advice


@pytest.mark.parametrize("change", [{}, *(change for change, *_ in [*SICK, *DOUBTFUL])])
def test_every_finding_is_said_in_chinese_with_what_to_do(change: dict[str, object]) -> None:
    t = Words("zh")
    for finding in checkup(replace(GOOD, **change)):  # type: ignore[arg-type]
        texts = [finding.found, finding.advice] if finding.advice else [finding.found]
        # What the configuration's and the store's own errors say has its Chinese where they are made (test_phrases).
        if finding.topic in ("configuration", "store") and finding.level != "ok":
            texts = texts[1:]
        for text in texts:
            assert re.search("[\u4e00-\u9fff]", t(text)), text


def test_a_gateway_on_another_radio_needs_no_adapter() -> None:
    facts = replace(GOOD, backend="bumble", adapters=(), bluez_answers=False)
    assert [finding.level for finding in [*of(facts, "adapters"), *of(facts, "BlueZ")]] == ["hint"]


def test_only_what_is_well_has_no_advice() -> None:
    for change, *_ in [*SICK, *DOUBTFUL]:
        for finding in checkup(replace(GOOD, **change)):  # type: ignore[arg-type]
            assert bool(finding.advice) == (finding.level in ("warn", "fail")) or finding.level == "hint"
