"""What `sleepbelt doctor` makes of the facts it found: findings, each with what to do. Thresholds and advice are here.

The facts are gathered in gateway/checkup_facts.py; None means that a fact could not be had (not that it is bad).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from protocol.phrase import Phrase

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
            Phrase("{configuration_file}: {problem}", configuration_file=facts.configuration_file, problem=problem),
            Phrase(
                "mend it, then: sleepbelt run --check --config {configuration_file}",
                configuration_file=facts.configuration_file,
            ),
        )
    for warning in facts.configuration_warnings:
        yield Finding("configuration", "warn", warning, Phrase("see docs/configuration.md"))
    if not facts.configuration_problems and not facts.configuration_warnings:
        yield Finding(
            "configuration", "ok", Phrase("{configuration_file} is good", configuration_file=facts.configuration_file)
        )


def _gateway(facts: Facts) -> Iterator[Finding]:
    if facts.gateway_state is None:
        yield Finding(
            "gateway",
            "warn",
            Phrase("it does not run"),
            Phrase("sudo systemctl start sleepbelt; why it ended: journalctl -u sleepbelt"),
        )
    elif facts.gateway_state in ("degraded", "dead"):
        yield Finding(
            "gateway",
            "fail",
            Phrase("it runs, {gateway_status}", gateway_status=facts.gateway_status),
            Phrase("the findings below say why; else: journalctl -u sleepbelt"),
        )
    else:
        yield Finding(
            "gateway",
            "ok",
            Phrase("it runs: {gateway_status}", gateway_status=facts.gateway_status or facts.gateway_state),
        )
    if facts.restarts:
        yield Finding(
            "gateway",
            "warn",
            Phrase("the supervisor has started it anew {restarts} times since boot", restarts=facts.restarts),
            Phrase("journalctl -u sleepbelt -p warning; send a bundle: sleepbelt doctor --bundle FILE"),
        )
    if facts.trial is not None:
        yield Finding(
            "update",
            "hint",
            Phrase("version {trial} is on trial", trial=facts.trial),
            Phrase("wait 5 min, then: sleepbelt update status"),
        )
    if facts.belt_update is not None:
        yield _belt_update(facts.belt_update)
    for version in facts.failed_updates:
        yield Finding(
            "update",
            "warn",
            Phrase("version {version} was tried and taken back", version=version),
            Phrase("journalctl -u sleepbelt-update-watch; later versions may be tried"),
        )
    available = facts.memory_available_bytes
    if available is not None and available < MEMORY_WARN_BYTES:
        yield Finding(
            "memory",
            "warn",
            Phrase("{available} MiB available", available=available >> 20),
            Phrase("end other programs on this machine"),
        )


def _belt_update(update: BeltUpdateFact) -> Finding:
    if update.stopped_by:
        return Finding(
            "update",
            "fail",
            Phrase(
                "belt {stopped_by} did not take version {target} ({stopped_why}); the update of all belts is stopped",
                stopped_by=update.stopped_by,
                target=update.target,
                stopped_why=update.stopped_why,
            ),
            Phrase("sleepbelt update belts stop; stage another version"),
        )
    if update.given_up:
        return Finding(
            "update",
            "warn",
            Phrase(
                "version {target} did not get to belt {names}", target=update.target, names=", ".join(update.given_up)
            ),
            Phrase("see its power and the radio survey, then: sleepbelt update belts start"),
        )
    return Finding(
        "update",
        "hint",
        Phrase("belts are being updated to {target}", target=update.target),
        Phrase("sleepbelt update belts status says how far"),
    )


def _adapters(facts: Facts) -> Iterator[Finding]:
    if facts.backend != "bluez":
        yield Finding(
            "adapters",
            "hint",
            Phrase("the radio is {backend}, not an adapter of this machine", backend=repr(facts.backend)),
        )
        return
    if not facts.adapters:
        yield Finding(
            "adapters",
            "fail",
            Phrase("this machine has no Bluetooth adapter, so no belt can be heard"),
            Phrase(
                "plug in a USB adapter, or on a Raspberry Pi remove dtoverlay=disable-bt from config.txt; then: "
                "bluetoothctl list"
            ),
        )
        return
    wanted = facts.wanted_adapter.lower()
    if wanted and not any(wanted in (adapter.name, adapter.address.lower()) for adapter in facts.adapters):
        there = ", ".join(f"{adapter.name} {adapter.address}".strip() for adapter in facts.adapters)
        yield Finding(
            "adapters",
            "fail",
            Phrase(
                "radio.adapter is {wanted_adapter}, and there is only {there}",
                wanted_adapter=facts.wanted_adapter,
                there=there,
            ),
            Phrase("set radio.adapter to an address of these, or leave it out"),
        )
    for adapter in facts.adapters:
        level, found, advice = _adapter(adapter)
        name = f"{adapter.name} {adapter.address}".strip()
        yield Finding("adapters", level, Phrase("{name} {found}", name=name, found=found), advice)


def _adapter(adapter: AdapterFact) -> tuple[Level, str, str]:
    """(level, what is so, what to do) of one adapter, the worst first."""
    if adapter.blocked:
        switch = Phrase("a switch on the machine blocks it")
        advice = switch if adapter.blocked == "hard" else Phrase("switch it on: sudo rfkill unblock bluetooth")
        return "fail", Phrase("is blocked ({how})", how=adapter.blocked), advice
    if adapter.powered is False:
        return (
            "fail",
            Phrase("is switched off"),
            Phrase(
                "bluetoothctl power on; for every boot: AutoEnable=true under [Policy] in /etc/bluetooth/main.conf"
            ),
        )
    if adapter.on_chip_of_wifi:
        return (
            "warn",
            Phrase("shares its chip with Wi-Fi that is in use, which breaks connections"),
            Phrase("use Ethernet, Wi-Fi at 5 GHz, or a USB adapter"),
        )
    return "ok", Phrase("is there and switched on") if adapter.powered else Phrase("is there"), ""


def _bluez(facts: Facts) -> Iterator[Finding]:
    if facts.backend != "bluez":
        return
    if facts.bluez_answers is False:
        yield Finding(
            "BlueZ",
            "fail",
            facts.bluez_problem or Phrase("bluetoothd does not answer on the system's D-Bus"),
            Phrase("sudo apt install bluez; sudo systemctl enable --now bluetooth"),
        )
    if facts.bluez_version is not None:
        shown = ".".join(map(str, facts.bluez_version))
        if facts.bluez_version < BLUEZ_MIN:
            yield Finding(
                "BlueZ",
                "warn",
                Phrase(
                    "version {shown}; tested from {least} on",
                    shown=shown,
                    least=".".join(map(str, BLUEZ_MIN)),
                ),
                Phrase("use Debian 12, Raspberry Pi OS of 2023-10 or later"),
            )
        else:
            yield Finding("BlueZ", "ok", Phrase("version {shown}", shown=shown))
    if facts.auto_enable is False:
        yield Finding(
            "BlueZ",
            "warn",
            Phrase("AutoEnable=false: after a boot the adapter stays off"),
            Phrase("AutoEnable=true under [Policy] in /etc/bluetooth/main.conf"),
        )
    if facts.recovery != "power" and not facts.polkit:
        yield Finding(
            "BlueZ",
            "warn",
            Phrase(
                "radio.recovery is {recovery}, and without polkit the gateway may not restart bluetoothd",
                recovery=facts.recovery,
            ),
            Phrase('sudo apt install polkitd; or radio.recovery = "power"'),
        )


def _time(facts: Facts) -> Iterator[Finding]:
    if facts.time_trusted:
        yield Finding("time", "ok", Phrase("wall time was synchronised since boot"))
    else:
        service = facts.time_service or Phrase("no synchronisation service is active")
        yield Finding(
            "time",
            "fail",
            Phrase(
                "wall time is not synchronised ({service}; the clock says {utc_year}); windows count as open and "
                "reports wait",
                service=service,
                utc_year=facts.utc_year,
            ),
            Phrase(
                "connect the gateway to a time server: timedatectl timesync-status; sudo apt install "
                "systemd-timesyncd && sudo timedatectl set-ntp true"
            ),
        )
    if not facts.has_rtc:
        yield Finding(
            "clock",
            "hint",
            Phrase("no real-time clock: after a power cut time is unknown until it is synchronised"),
            Phrase("leave-bed timers do not need it; a DS3231 module keeps time without a network"),
        )
    else:
        yield Finding("clock", "ok", Phrase("there is a real-time clock"))


def _disk(facts: Facts) -> Iterator[Finding]:
    for disk in facts.disks:
        shown = Phrase(
            "{path}: {free} of {total} MiB free",
            path=disk.path,
            free=disk.free_bytes >> 20,
            total=disk.total_bytes >> 20,
        )
        if not disk.is_writable:
            yield Finding(
                "disk",
                "fail",
                Phrase("{path} cannot be written ({why_not})", path=disk.path, why_not=disk.why_not),
                Phrase("check its owner (sleepbelt) and the card: dmesg | grep -i -e ext4 -e mmc"),
            )
        elif disk.free_bytes < DISK_FAIL_BYTES:
            yield Finding(
                "disk",
                "fail",
                Phrase("{shown}: it is full; alarms go on, vitals are not recorded", shown=shown),
                Phrase("sudo journalctl --vacuum-size=16M; sudo apt clean; lower gateway.retention_days"),
            )
        elif disk.free_bytes < DISK_WARN_BYTES:
            yield Finding("disk", "warn", shown, Phrase("sudo journalctl --vacuum-size=16M; sudo apt clean"))
        elif disk.free_inodes is not None and disk.free_inodes < INODES_WARN:
            yield Finding(
                "disk",
                "warn",
                Phrase("{path}: {free_inodes} files can still be made", path=disk.path, free_inodes=disk.free_inodes),
                Phrase("remove what is not needed; many small files lie somewhere"),
            )
        else:
            yield Finding("disk", "ok", shown)
    if facts.store_problem:
        yield Finding(
            "store",
            "fail" if "damaged" in facts.store_problem else "warn",
            facts.store_problem,
            Phrase(
                "start the gateway once, or check gateway.data_dir and its owner; a damaged store is mended at start"
            ),
        )
    elif facts.waiting_items is not None:
        yield Finding(
            "store",
            "ok",
            Phrase("{waiting_items} items wait for the platform's ack", waiting_items=facts.waiting_items),
        )


def _wear(facts: Facts) -> Iterator[Finding]:
    if facts.disk_errors:
        yield Finding(
            "wear",
            "fail",
            Phrase("the file system counts {disk_errors} errors", disk_errors=facts.disk_errors),
            Phrase("the card is failing: back up (sleepbelt provision backup) and replace it"),
        )
    if facts.wear_percent is not None:
        level: Level = "ok"
        if facts.wear_percent >= WEAR_WARN_PERCENT:
            level = "fail" if facts.wear_percent >= WEAR_FAIL_PERCENT else "warn"
        yield Finding(
            "wear",
            level,
            Phrase("{wear_percent} % of the flash's life is used", wear_percent=facts.wear_percent),
            "" if level == "ok" else Phrase("plan to replace it"),
        )
    if facts.written_bytes is not None and facts.uptime_s >= 3600:
        per_day = facts.written_bytes * 86_400 // facts.uptime_s
        shown = Phrase("{per_day} MiB a day are written since boot", per_day=per_day >> 20)
        if per_day > WRITTEN_WARN_BYTES_PER_DAY:
            yield Finding(
                "wear",
                "warn",
                shown,
                Phrase("something writes a lot: sudo iotop -ao; the gateway itself needs some 100 MiB"),
            )
        else:
            yield Finding("wear", "ok", shown)


def _power(facts: Facts) -> Iterator[Finding]:
    if facts.under_voltage:
        yield Finding(
            "power",
            "fail",
            Phrase("the voltage was too low since boot: adapters fail and cards get damaged"),
            Phrase("use the board's own power supply and a short cable"),
        )
    if facts.hardware_watchdog is False:
        yield Finding(
            "power",
            "hint",
            Phrase("no hardware watchdog: a kernel that hangs stays so"),
            Phrase("on a Raspberry Pi it is built in (dtparam=watchdog=on)"),
        )


def _certificates(facts: Facts) -> Iterator[Finding]:
    for certificate in facts.certificates:
        name = Phrase("{what} certificate {file}", what=certificate.what, file=certificate.file)
        renew = Phrase(
            "sleepbelt certificate makes a new one (docs/configuration.md); then: systemctl restart sleepbelt"
        )
        if certificate.problem or certificate.days_left is None:
            yield Finding(
                "certificates",
                "fail",
                Phrase("{name}: {problem}", name=name, problem=certificate.problem or Phrase("cannot be read")),
                renew,
            )
        elif certificate.days_left < 0:
            yield Finding(
                "certificates",
                "fail",
                Phrase("{name} ended {days_left} days ago", name=name, days_left=-certificate.days_left),
                renew,
            )
        elif certificate.days_left < CERTIFICATE_WARN_DAYS:
            yield Finding(
                "certificates",
                "warn",
                Phrase("{name} ends in {days_left} days", name=name, days_left=certificate.days_left),
                renew,
            )
        else:
            yield Finding(
                "certificates",
                "ok",
                Phrase("{name} is good for {days_left} days", name=name, days_left=certificate.days_left),
            )


def _channels(facts: Facts) -> Iterator[Finding]:
    for channel in facts.channels:
        if channel.problem:
            yield Finding(
                "channels",
                "fail",
                Phrase("{name}: {problem}", name=channel.name, problem=channel.problem),
                Phrase("docs/alerting.md says how to connect it"),
            )
        elif channel.passed is False:
            yield Finding(
                "channels",
                "fail",
                Phrase("{name}: its last self-test failed ({error})", name=channel.name, error=channel.error),
                Phrase("check cable and power, then test it on the page /alerts"),
            )
        elif channel.tested_days_ago is None:
            yield Finding(
                "channels",
                "warn",
                Phrase("{name} was never tested", name=channel.name),
                Phrase("test it on the page /alerts, or in the walk test"),
            )
        elif channel.tested_days_ago > PROOF_DAYS:
            yield Finding(
                "channels",
                "warn",
                Phrase(
                    "{name}: last tested {tested_days_ago} days ago",
                    name=channel.name,
                    tested_days_ago=channel.tested_days_ago,
                ),
                Phrase("test it on the page /alerts"),
            )
        else:
            yield Finding(
                "channels",
                "ok",
                Phrase(
                    "{name}: passed its self-test {tested_days_ago} days ago",
                    name=channel.name,
                    tested_days_ago=channel.tested_days_ago,
                ),
            )
    if (
        facts.configuration_file
        and not facts.configuration_problems
        and not any(x.reaches_staff for x in facts.channels)
    ):
        yield Finding(
            "channels",
            "warn",
            Phrase("no channel reaches staff outside the room without a network"),
            Phrase("connect a light, buzzer, tone or relay (docs/alerting.md)"),
        )


def _belts(facts: Facts) -> Iterator[Finding]:
    for belt in facts.belts:
        if not belt.serial:
            yield Finding(
                "belts", "hint", Phrase("bed {bed} has no belt", bed=belt.bed), Phrase("sleepbelt provision binds one")
            )
        elif belt.heard_ago_ms is None:
            yield Finding(
                "belts",
                "warn",
                Phrase("bed {bed}: belt {serial} was never heard", bed=belt.bed, serial=belt.serial),
                Phrase("check its power, its key in the configuration, and the distance"),
            )
        elif belt.heard_ago_ms > BELT_SILENT_MS:
            yield Finding(
                "belts",
                "fail",
                Phrase(
                    "bed {bed}: belt {serial} was last heard {ago} ago",
                    bed=belt.bed,
                    serial=belt.serial,
                    ago=_ago(belt.heard_ago_ms),
                ),
                Phrase("check its power and the distance; another bed's belt may be in its place"),
            )
        else:
            yield Finding("belts", "ok", Phrase("bed {bed}: belt {serial} is heard", bed=belt.bed, serial=belt.serial))


def _ago(ms: int) -> Phrase:
    minutes = ms // 60_000
    if minutes < 120:
        return Phrase("{minutes} min", minutes=minutes)
    if minutes < 2880:
        return Phrase("{hours} h", hours=minutes // 60)
    return Phrase("{days} days", days=minutes // 1440)
