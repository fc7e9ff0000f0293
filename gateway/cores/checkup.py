"""What `sleepbelt doctor` makes of the facts it found: findings, each with what to do. Thresholds and advice are here.

The facts are gathered in gateway/checkup_facts.py; None means that a fact could not be had (not that it is bad).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["AdapterFact", "BeltFact", "CertificateFact", "ChannelFact", "DiskFact", "Facts", "Finding", "checkup"]

Level = Literal["ok", "hint", "warn", "fail"]

DISK_FAIL_BYTES = 32 * 2**20
DISK_WARN_BYTES = 256 * 2**20
INODES_WARN = 1_000
WEAR_WARN_PERCENT, WEAR_FAIL_PERCENT = 70, 90
CERTIFICATE_WARN_DAYS = 30
WRITTEN_WARN_BYTES_PER_DAY = 2 * 2**30
BLUEZ_MIN = (5, 66)
BELT_SILENT_MS = 90_000
PROOF_DAYS = 30
MEMORY_WARN_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class AdapterFact:
    name: str  # hci0
    address: str = ""
    powered: bool | None = None
    blocked: str = ""  # "soft" or "hard" by rfkill
    on_chip_of_wifi: bool = False


@dataclass(frozen=True, slots=True)
class DiskFact:
    path: str
    free_bytes: int
    total_bytes: int
    free_inodes: int | None = None
    is_writable: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class CertificateFact:
    what: str  # web
    file: str
    days_left: int | None  # None: cannot be read
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChannelFact:
    name: str
    reaches_staff: bool
    problem: str = ""  # why it cannot work as things stand
    tested_days_ago: int | None = None
    passed: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class BeltFact:
    bed: str
    serial: str  # "" : no belt bound
    heard_ago_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BeltUpdateFact:
    """The roll-out of firmware to the belts; `stopped_by` "" unless a belt stopped it."""

    target: str
    stopped_by: str = ""
    stopped_why: str = ""
    given_up: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out about one machine."""

    configuration_problems: tuple[str, ...] = ()
    configuration_warnings: tuple[str, ...] = ()
    configuration_file: str = ""
    backend: str = "bluez"
    adapters: tuple[AdapterFact, ...] = ()
    wanted_adapter: str = ""
    bluez_version: tuple[int, int] | None = None
    bluez_answers: bool | None = None
    bluez_problem: str = ""
    auto_enable: bool | None = None
    recovery: str = "power"  # radio.recovery
    polkit: bool = True  # polkitd is installed
    time_trusted: bool = False
    time_service: str = ""  # the synchronisation service that is active, "" none
    has_rtc: bool = False
    utc_year: int = 0
    disks: tuple[DiskFact, ...] = ()
    wear_percent: int | None = None
    written_bytes: int | None = None
    uptime_s: int = 0
    disk_errors: int | None = None
    under_voltage: bool | None = None
    certificates: tuple[CertificateFact, ...] = ()
    channels: tuple[ChannelFact, ...] = ()
    belts: tuple[BeltFact, ...] = ()
    store_problem: str = ""
    waiting_items: int | None = None
    gateway_state: str | None = None  # None: does not run
    gateway_status: str = ""
    restarts: int | None = None
    memory_available_bytes: int | None = None
    hardware_watchdog: bool | None = None
    trial: str | None = None
    failed_updates: tuple[str, ...] = field(default=())
    belt_update: BeltUpdateFact | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `found` is what is so, `advice` what to do about it ("" where nothing is to be done)."""

    topic: str
    level: Level
    found: str
    advice: str = ""


def checkup(facts: Facts) -> list[Finding]:
    """All findings, in the order in which one would look."""
    parts = (_configuration, _gateway, _adapters, _bluez, _time, _disk, _wear, _power, _certificates, _channels, _belts)
    return [finding for part in parts for finding in part(facts)]


def _configuration(facts: Facts) -> Iterator[Finding]:
    for problem in facts.configuration_problems:
        yield Finding(
            "configuration",
            "fail",
            f"{facts.configuration_file}: {problem}",
            f"mend it, then: sleepbelt run --check --config {facts.configuration_file}",
        )
    for warning in facts.configuration_warnings:
        yield Finding("configuration", "warn", warning, "see docs/configuration.md")
    if not facts.configuration_problems and not facts.configuration_warnings:
        yield Finding("configuration", "ok", f"{facts.configuration_file} is good")


def _gateway(facts: Facts) -> Iterator[Finding]:
    if facts.gateway_state is None:
        yield Finding(
            "gateway",
            "warn",
            "it does not run",
            "sudo systemctl start sleepbelt; why it ended: journalctl -u sleepbelt",
        )
    elif facts.gateway_state in ("degraded", "dead"):
        yield Finding(
            "gateway",
            "fail",
            f"it runs, {facts.gateway_status}",
            "the findings below say why; else: journalctl -u sleepbelt",
        )
    else:
        yield Finding("gateway", "ok", f"it runs: {facts.gateway_status or facts.gateway_state}")
    if facts.restarts:
        yield Finding(
            "gateway",
            "warn",
            f"the supervisor has started it anew {facts.restarts} times since boot",
            "journalctl -u sleepbelt -p warning; send a bundle: sleepbelt doctor --bundle FILE",
        )
    if facts.trial is not None:
        yield Finding(
            "update", "hint", f"version {facts.trial} is on trial", "wait 5 min, then: sleepbelt update status"
        )
    if facts.belt_update is not None:
        yield _belt_update(facts.belt_update)
    for version in facts.failed_updates:
        yield Finding(
            "update",
            "warn",
            f"version {version} was tried and taken back",
            "journalctl -u sleepbelt-update-watch; later versions may be tried",
        )
    available = facts.memory_available_bytes
    if available is not None and available < MEMORY_WARN_BYTES:
        yield Finding("memory", "warn", f"{available >> 20} MiB available", "end other programs on this machine")


def _belt_update(update: BeltUpdateFact) -> Finding:
    if update.stopped_by:
        return Finding(
            "update",
            "fail",
            f"belt {update.stopped_by} did not take version {update.target} ({update.stopped_why}); "
            "the update of all belts is stopped",
            "sleepbelt update belts stop; stage another version",
        )
    if update.given_up:
        return Finding(
            "update",
            "warn",
            f"version {update.target} did not get to belt {', '.join(update.given_up)}",
            "see its power and the radio survey, then: sleepbelt update belts start",
        )
    return Finding(
        "update", "hint", f"belts are being updated to {update.target}", "sleepbelt update belts status says how far"
    )


def _adapters(facts: Facts) -> Iterator[Finding]:
    if facts.backend != "bluez":
        yield Finding("adapters", "hint", f"the radio is {facts.backend!r}, not an adapter of this machine")
        return
    if not facts.adapters:
        yield Finding(
            "adapters",
            "fail",
            "this machine has no Bluetooth adapter, so no belt can be heard",
            "plug in a USB adapter, or on a Raspberry Pi remove dtoverlay=disable-bt from config.txt; "
            "then: bluetoothctl list",
        )
        return
    wanted = facts.wanted_adapter.lower()
    if wanted and not any(wanted in (adapter.name, adapter.address.lower()) for adapter in facts.adapters):
        there = ", ".join(f"{adapter.name} {adapter.address}".strip() for adapter in facts.adapters)
        yield Finding(
            "adapters",
            "fail",
            f"radio.adapter is {facts.wanted_adapter}, and there is only {there}",
            "set radio.adapter to an address of these, or leave it out",
        )
    for adapter in facts.adapters:
        level, found, advice = _adapter(adapter)
        yield Finding("adapters", level, f"{adapter.name} {adapter.address}".strip() + f" {found}", advice)


def _adapter(adapter: AdapterFact) -> tuple[Level, str, str]:
    """(level, what is so, what to do) of one adapter, the worst first."""
    if adapter.blocked:
        advice = "a switch on the machine blocks it" if adapter.blocked == "hard" else "sudo rfkill unblock bluetooth"
        return "fail", f"is blocked ({adapter.blocked})", advice
    if adapter.powered is False:
        return "fail", "is switched off", (
            "bluetoothctl power on; for every boot: AutoEnable=true under [Policy] in /etc/bluetooth/main.conf")
    if adapter.on_chip_of_wifi:
        return "warn", "shares its chip with Wi-Fi that is in use, which breaks connections", (
            "use Ethernet, Wi-Fi at 5 GHz, or a USB adapter")
    return "ok", "is there" + (" and switched on" if adapter.powered else ""), ""


def _bluez(facts: Facts) -> Iterator[Finding]:
    if facts.backend != "bluez":
        return
    if facts.bluez_answers is False:
        yield Finding(
            "BlueZ",
            "fail",
            facts.bluez_problem or "bluetoothd does not answer on the system's D-Bus",
            "sudo apt install bluez; sudo systemctl enable --now bluetooth",
        )
    if facts.bluez_version is not None:
        shown = ".".join(map(str, facts.bluez_version))
        if facts.bluez_version < BLUEZ_MIN:
            yield Finding(
                "BlueZ",
                "warn",
                f"version {shown}; tested from {BLUEZ_MIN[0]}.{BLUEZ_MIN[1]} on",
                "use Debian 12, Raspberry Pi OS of 2023-10 or later",
            )
        else:
            yield Finding("BlueZ", "ok", f"version {shown}")
    if facts.auto_enable is False:
        yield Finding(
            "BlueZ",
            "warn",
            "AutoEnable=false: after a boot the adapter stays off",
            "AutoEnable=true under [Policy] in /etc/bluetooth/main.conf",
        )
    if facts.recovery != "power" and not facts.polkit:
        yield Finding(
            "BlueZ",
            "warn",
            f"radio.recovery is {facts.recovery}, and without polkit the gateway may not restart bluetoothd",
            'sudo apt install polkitd; or radio.recovery = "power"',
        )


def _time(facts: Facts) -> Iterator[Finding]:
    if facts.time_trusted:
        yield Finding("time", "ok", "wall time was synchronised since boot")
    else:
        service = facts.time_service or "no synchronisation service is active"
        yield Finding(
            "time",
            "fail",
            f"wall time is not synchronised ({service}; the clock says {facts.utc_year}); windows "
            "count as open and reports wait",
            "connect the gateway to a time server: timedatectl timesync-status; "
            "sudo apt install systemd-timesyncd && sudo timedatectl set-ntp true",
        )
    if not facts.has_rtc:
        yield Finding(
            "clock",
            "hint",
            "no real-time clock: after a power cut time is unknown until it is synchronised",
            "leave-bed timers do not need it; a DS3231 module keeps time without a network",
        )
    else:
        yield Finding("clock", "ok", "there is a real-time clock")


def _disk(facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        shown = f"{disk.path}: {disk.free_bytes >> 20} of {disk.total_bytes >> 20} MiB free"
        if not disk.is_writable:
            yield Finding(
                "disk",
                "fail",
                f"{disk.path} cannot be written ({disk.why_not})",
                "check its owner (sleepbelt) and the card: dmesg | grep -i -e ext4 -e mmc",
            )
        elif disk.free_bytes < DISK_FAIL_BYTES:
            yield Finding(
                "disk",
                "fail",
                f"{shown}: it is full; alarms go on, vitals are not recorded",
                "sudo journalctl --vacuum-size=16M; sudo apt clean; lower gateway.retention_days",
            )
        elif disk.free_bytes < DISK_WARN_BYTES:
            yield Finding("disk", "warn", shown, "sudo journalctl --vacuum-size=16M; sudo apt clean")
        elif disk.free_inodes is not None and disk.free_inodes < INODES_WARN:
            yield Finding(
                "disk",
                "warn",
                f"{disk.path}: {disk.free_inodes} files can still be made",
                "remove what is not needed; many small files lie somewhere",
            )
        else:
            yield Finding("disk", "ok", shown)
    if facts.store_problem:
        yield Finding(
            "store",
            "fail" if "damaged" in facts.store_problem else "warn",
            facts.store_problem,
            "start the gateway once, or check gateway.data_dir and its owner; a damaged store is mended at start",
        )
    elif facts.waiting_items is not None:
        yield Finding("store", "ok", f"{facts.waiting_items} items wait for the platform's ack")


def _wear(facts: Facts) -> Iterator[Finding]:
    if facts.disk_errors:
        yield Finding(
            "wear",
            "fail",
            f"the file system counts {facts.disk_errors} errors",
            "the card is failing: back up (sleepbelt provision backup) and replace it",
        )
    if facts.wear_percent is not None:
        level: Level = "ok"
        if facts.wear_percent >= WEAR_WARN_PERCENT:
            level = "fail" if facts.wear_percent >= WEAR_FAIL_PERCENT else "warn"
        yield Finding(
            "wear",
            level,
            f"{facts.wear_percent} % of the flash's life is used",
            "" if level == "ok" else "plan to replace it",
        )
    if facts.written_bytes is not None and facts.uptime_s >= 3600:
        per_day = facts.written_bytes * 86_400 // facts.uptime_s
        shown = f"{per_day >> 20} MiB a day are written since boot"
        if per_day > WRITTEN_WARN_BYTES_PER_DAY:
            yield Finding(
                "wear", "warn", shown, "something writes a lot: sudo iotop -ao; the gateway itself needs some 100 MiB"
            )
        else:
            yield Finding("wear", "ok", shown)


def _power(facts: Facts) -> Iterator[Finding]:
    if facts.under_voltage:
        yield Finding(
            "power",
            "fail",
            "the voltage was too low since boot: adapters fail and cards get damaged",
            "use the board's own power supply and a short cable",
        )
    if facts.hardware_watchdog is False:
        yield Finding(
            "power",
            "hint",
            "no hardware watchdog: a kernel that hangs stays so",
            "on a Raspberry Pi it is built in (dtparam=watchdog=on)",
        )


def _certificates(facts: Facts) -> Iterator[Finding]:
    for certificate in facts.certificates:
        name = f"{certificate.what} certificate {certificate.file}"
        renew = "sleepbelt certificate makes a new one (docs/configuration.md); then: systemctl restart sleepbelt"
        if certificate.problem or certificate.days_left is None:
            yield Finding("certificates", "fail", f"{name}: {certificate.problem or 'cannot be read'}", renew)
        elif certificate.days_left < 0:
            yield Finding("certificates", "fail", f"{name} ended {-certificate.days_left} days ago", renew)
        elif certificate.days_left < CERTIFICATE_WARN_DAYS:
            yield Finding("certificates", "warn", f"{name} ends in {certificate.days_left} days", renew)
        else:
            yield Finding("certificates", "ok", f"{name} is good for {certificate.days_left} days")


def _channels(facts: Facts) -> Iterator[Finding]:
    for channel in facts.channels:
        if channel.problem:
            yield Finding(
                "channels", "fail", f"{channel.name}: {channel.problem}", "docs/alerting.md says how to connect it"
            )
        elif channel.passed is False:
            yield Finding(
                "channels",
                "fail",
                f"{channel.name}: its last self-test failed ({channel.error})",
                "check cable and power, then test it on the page /alerts",
            )
        elif channel.tested_days_ago is None:
            yield Finding(
                "channels",
                "warn",
                f"{channel.name} was never tested",
                "test it on the page /alerts, or in the walk test",
            )
        elif channel.tested_days_ago > PROOF_DAYS:
            yield Finding(
                "channels",
                "warn",
                f"{channel.name}: last tested {channel.tested_days_ago} days ago",
                "test it on the page /alerts",
            )
        else:
            yield Finding("channels", "ok", f"{channel.name}: passed its self-test {channel.tested_days_ago} days ago")
    if (
        facts.configuration_file
        and not facts.configuration_problems
        and not any(x.reaches_staff for x in facts.channels)
    ):
        yield Finding(
            "channels",
            "warn",
            "no channel reaches staff outside the room without a network",
            "connect a light, buzzer, tone or relay (docs/alerting.md)",
        )


def _belts(facts: Facts) -> Iterator[Finding]:
    for belt in facts.belts:
        if not belt.serial:
            yield Finding("belts", "hint", f"bed {belt.bed} has no belt", "sleepbelt provision binds one")
        elif belt.heard_ago_ms is None:
            yield Finding(
                "belts",
                "warn",
                f"bed {belt.bed}: belt {belt.serial} was never heard",
                "check its power, its key in the configuration, and the distance",
            )
        elif belt.heard_ago_ms > BELT_SILENT_MS:
            yield Finding(
                "belts",
                "fail",
                f"bed {belt.bed}: belt {belt.serial} was last heard {_ago(belt.heard_ago_ms)} ago",
                "check its power and the distance; another bed's belt may be in its place",
            )
        else:
            yield Finding("belts", "ok", f"bed {belt.bed}: belt {belt.serial} is heard")


def _ago(ms: int) -> str:
    minutes = ms // 60_000
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
