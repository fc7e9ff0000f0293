"""Gathers what `sleepbelt doctor` looks at: the kernel's files, BlueZ over D-Bus, the store, the gateway's own word.

Each part answers with nothing rather than an error: a doctor that fails on a sick machine is of no use. `root` stands
in for `/` in tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.clock import wall_time_trusted
from gateway.config import Config, ConfigError, load_config
from gateway.cores.belt_updates import KEPT, BeltUpdates
from gateway.cores.checkup import AdapterFact, BeltFact, BeltUpdateFact, CertificateFact, ChannelFact, DiskFact, Facts
from gateway.cores.provisioning import Site
from gateway.site_file import SITE_FILE
from gateway.update import Places, read_health
from protocol.phrase import Phrase

__all__ = ["gather", "journal"]

CALL_S = 5.0
SYNC_SERVICES = ("systemd-timesyncd", "chrony", "chronyd", "ntpsec", "ntp")
SECTOR_BYTES = 512
POLKIT = ("usr/lib/polkit-1/polkitd", "usr/libexec/polkitd")


def gather(config_file: Path, root: Path = Path("/"), places: Places | None = None) -> tuple[Facts, Config | None]:
    """The facts, and the configuration if it can be used."""
    config: Config | None = None
    problems: tuple[str, ...] = ()
    try:
        config = load_config(config_file)
    except ConfigError as error:
        problems = tuple(problem.phrase() for problem in error.problems)
    where = Places() if places is None else places
    health = read_health(where)
    is_fresh = health is not None and health.age_ms <= 30_000
    slots = where.load()
    bluez = _bluez(root)
    adapters = tuple(_adapters(root, bluez["powered"]))
    disks = _disks([config.gateway.data_dir] if config else [], root)
    state, store_problem, waiting = _store(config.gateway.data_dir) if config else (None, "", None)
    facts = Facts(
        configuration_problems=problems,
        configuration_warnings=() if config is None else config.warnings,
        configuration_file=str(config_file),
        backend="bluez" if config is None else config.radio.backend,
        adapters=adapters,
        wanted_adapter="" if config is None else config.radio.adapter,
        bluez_version=bluez["version"],
        bluez_answers=bluez["answers"],
        bluez_problem=bluez["problem"],
        auto_enable=_auto_enable(root),
        recovery="power" if config is None else config.radio.recovery,
        polkit=any((root / path).exists() for path in POLKIT),
        time_trusted=wall_time_trusted(),
        time_service=_first(SYNC_SERVICES, lambda name: _systemctl("is-active", name) == "active"),
        has_rtc=any((root / "sys/class/rtc").glob("rtc*")),
        utc_year=datetime.now(UTC).year,
        disks=disks,
        wear_percent=_wear(root),
        written_bytes=_written(root),
        uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        disk_errors=_disk_errors(root),
        under_voltage=_under_voltage(root),
        certificates=tuple(_certificates(config)) if config else (),
        channels=tuple(_channels(config, state, root)) if config else (),
        belts=tuple(_belts(config, state, is_fresh)) if config else (),
        store_problem=store_problem,
        waiting_items=waiting,
        gateway_state=health.state if health is not None and is_fresh else None,
        gateway_status=_status(where),
        restarts=_restarts(),
        memory_available_bytes=_memory(root),
        hardware_watchdog=any((root / "dev").glob("watchdog*")),
        trial=slots.trial,
        failed_updates=slots.failed,
        belt_update=_belt_update(state),
    )
    return facts, config


def journal(lines: int) -> str:
    """The newest lines of our units in the journal; "" where there is none."""
    command = ["journalctl", "--no-pager", "--no-hostname", "-o", "short-iso", "-n", str(lines), "-u", "sleepbelt*"]
    return _output([*command, "-u", "bluetooth"])


# -- the machine -----------------------------------------------------------------------------------------------------


def _adapters(root: Path, powered: dict[str, bool]) -> list[AdapterFact]:
    found = []
    wifi_is_up = any(_text(file) == "up" for file in (root / "sys/class/net").glob("wlan*/operstate"))
    for folder in sorted((root / "sys/class/bluetooth").glob("hci*")):
        if ":" in folder.name:
            continue  # a connection, not an adapter
        blocked = ""
        for switch in folder.glob("rfkill*"):
            blocked = "hard" if _text(switch / "hard") == "1" else "soft" if _text(switch / "soft") == "1" else blocked
        # On a board the chip hangs on a serial line and serves Wi-Fi too; a USB adapter does not.
        is_on_serial = "tty" in os.path.realpath(folder) or "serial" in os.path.realpath(folder)
        found.append(AdapterFact(folder.name, _text(folder / "address") or "", powered.get(folder.name), blocked,
                                 is_on_serial and wifi_is_up))  # fmt: skip
    return found


def _bluez(root: Path) -> dict[str, Any]:
    said: dict[str, Any] = {"version": None, "answers": None, "problem": "", "powered": {}}
    for program in ("usr/libexec/bluetooth/bluetoothd", "usr/lib/bluetooth/bluetoothd"):
        if (root / program).exists():
            found = re.match(r"(\d+)\.(\d+)", _output([str(root / program), "--version"]))
            said["version"] = (int(found[1]), int(found[2])) if found else None
    try:
        said["powered"] = asyncio.run(_powered())
        said["answers"] = True
    # What D-Bus libraries raise has no common base below Exception but these.
    except (OSError, EOFError, TimeoutError, ValueError, RuntimeError) as error:
        said["answers"] = False
        text = str(error) or type(error).__name__
        said["problem"] = Phrase("bluetoothd does not answer on the system's D-Bus ({why})", why=text)
    return said


async def _powered() -> dict[str, bool]:
    """Adapter -> switched on, as bluetoothd says; RuntimeError or OSError without it."""
    from bleak.backends.bluezdbus.utils import get_dbus_authenticator
    from dbus_fast import AuthError, BusType, DBusError, Message, MessageType
    from dbus_fast.aio import MessageBus

    bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
    try:
        async with asyncio.timeout(CALL_S):
            await bus.connect()
            ask = Message("org.bluez", "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
            answer = await bus.call(ask)
    except (AuthError, DBusError) as error:
        raise RuntimeError(str(error)) from error
    finally:
        bus.disconnect()
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN:
        said = "" if answer is None or not answer.body else str(answer.body[0])
        raise RuntimeError(said or "no answer")
    adapters = {path: faces.get("org.bluez.Adapter1") for path, faces in answer.body[0].items()}
    return {path.rpartition("/")[2]: bool(face["Powered"].value) for path, face in adapters.items() if face}


def _auto_enable(root: Path) -> bool | None:
    text = _text(root / "etc/bluetooth/main.conf")
    found = re.search(r"(?mi)^\s*AutoEnable\s*=\s*(true|false)", text or "")
    return None if found is None else found[1].lower() == "true"


def _disks(folders: list[Path], root: Path) -> tuple[DiskFact, ...]:
    found = []
    for folder in folders:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        with suppress(OSError):
            usage, files = shutil.disk_usage(there), os.statvfs(there)
            why = _why_not_writable(there)
            inodes = files.f_favail if files.f_files else None
            found.append(DiskFact(str(folder), usage.free, usage.total, inodes, not why, why))
    return tuple(found)


def _why_not_writable(folder: Path) -> str:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only"
    # As root everything may be written; who runs the gateway is the folder's owner.
    return "" if os.access(folder, os.W_OK) else "this user may not; run the doctor with sudo"


def _wear(root: Path) -> int | None:
    """Percent of its life that a flash chip (eMMC) says is used; SD cards do not say."""
    used = []
    for file in (root / "sys/block").glob("mmcblk*/device/life_time"):
        # Two estimates in steps of 10 %, 0x0B: exceeded (JEDEC eMMC 5.0).
        used += [int(word, 16) * 10 for word in (_text(file) or "").split() if re.fullmatch(r"0x[0-9a-fA-F]{2}", word)]
    return max(used) if used else None


def _written(root: Path) -> int | None:
    """Bytes written to disks since boot."""
    total, is_known = 0, False
    for file in (root / "sys/block").glob("*/stat"):
        fields = (_text(file) or "").split()
        if re.fullmatch(r"mmcblk\d+|sd[a-z]|nvme\d+n\d+|vd[a-z]", file.parent.name) and len(fields) > 6:
            total, is_known = total + int(fields[6]) * SECTOR_BYTES, True
    return total if is_known else None


def _disk_errors(root: Path) -> int | None:
    counts = [_text(file) or "" for file in (root / "sys/fs/ext4").glob("*/errors_count")]
    return sum(int(count) for count in counts if count.isdigit()) if counts else None


def _under_voltage(root: Path) -> bool | None:
    """A Raspberry Pi's own record: bit 0 now, bit 16 since boot."""
    text = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    return None if not text else bool(int(text, 16) & 0x10001)


def _memory(root: Path) -> int | None:
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo") or "")
    return None if found is None else int(found[1]) * 1024


def _restarts() -> int | None:
    text = _systemctl("show", "sleepbelt.service", "--property=NRestarts", "--value")
    return int(text) if text.isdigit() else None


# -- the gateway -----------------------------------------------------------------------------------------------------


def _store(folder: Path) -> tuple[dict[str, Any] | None, str, int | None]:
    """(state, problem, items that wait for the platform)."""
    from gateway.store_copy import events_copy
    from gateway.store_repair import StoreError
    from gateway.store_schema import unpack_state

    try:
        with events_copy(folder) as db:
            row = db.execute("SELECT body FROM state WHERE id = 1").fetchone()
            state: dict[str, Any] = {} if row is None else unpack_state(row[0])
            state["belts"] = {name: json.loads(body) for name, body in db.execute("SELECT belt, body FROM belts")}
            waiting = db.execute("SELECT coalesce(sum(next_seq - floor), 0) FROM lanes").fetchone()[0]
        return state, "", int(waiting)
    except (StoreError, OSError) as error:
        return None, error.args[0] if isinstance(error, StoreError) else str(error), None
    except (sqlite3.Error, ValueError) as error:
        return None, Phrase("{file} is damaged: {error}", file=folder / "events.db", error=error), None


def _status(places: Places) -> str:
    try:
        return str(json.loads(places.health.read_text("utf-8"))["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _certificates(config: Config) -> list[CertificateFact]:
    if not config.web.https:
        return []
    from cryptography import x509

    file = Path(str(config.web.tls_certificate))
    key = Path(str(config.web.tls_key))
    try:
        certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
        days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
        problem = "" if key.is_file() else Phrase("its key {key} is not there", key=key)
    except (OSError, ValueError) as error:
        return [CertificateFact("web", str(file), None, str(error))]
    return [CertificateFact("web", str(file), days, problem)]


def _channels(config: Config, state: dict[str, Any] | None, root: Path) -> list[ChannelFact]:
    alerter = config.alerter
    has_pins = alerter.mock_pins or any((root / "dev").glob("gpiochip*"))
    no_pins = "" if has_pins else Phrase("this machine has no GPIO (/dev/gpiochip*)")
    channels: list[tuple[str, bool, str]] = []
    if alerter.buzzer_pin is not None:
        channels.append(("buzzer", alerter.buzzer_place != "room", no_pins))
    if alerter.light_pin is not None:
        channels.append(("light", alerter.light_place != "room", no_pins))
    if alerter.tone is not None:
        program = alerter.tone.command[0]
        missing = "" if shutil.which(program) else Phrase("the program {program} is not installed", program=program)
        channels.append(("tone", alerter.tone.place != "room", missing))
    if alerter.relay_serial is not None:
        missing = "" if alerter.relay_serial.exists() else Phrase("{file} is not there", file=alerter.relay_serial)
        channels.append(("relay", True, missing))
    elif alerter.relay_pin is not None:
        channels.append(("relay", True, no_pins))
    if alerter.relay_socket is not None and not alerter.relay_socket.exists():
        problem = Phrase(
            "its process does not serve {socket}; sudo systemctl status sleepbelt-relay", socket=alerter.relay_socket
        )
        channels = [(name, reach, problem if name == "relay" else why) for name, reach, why in channels]
    return [_tested(name, reach, why, state) for name, reach, why in channels]


def _tested(name: str, reaches_staff: bool, problem: str, state: dict[str, Any] | None) -> ChannelFact:
    try:
        result = (state or {})["kept"]["self_tests"]["results"][name]
        days = max(0, (int(time.time() * 1000) - int(result["at_utc_ms"])) // 86_400_000)
        return ChannelFact(name, reaches_staff, problem, days, bool(result["passed"]), str(result["error"]))
    except (KeyError, TypeError, ValueError):
        return ChannelFact(name, reaches_staff, problem)


def _belts(config: Config, state: dict[str, Any] | None, is_running: bool) -> list[BeltFact]:
    found = []
    bound = _bound(config)
    for bed in config.beds:
        belt = bound.get(bed.label)
        serial = "" if belt is None else belt.hex()
        ago_ms = None
        with suppress(KeyError, TypeError, ValueError):
            anchor, heard_ms = (state or {})["anchor"], (state or {})["belts"][serial]["last_heard_ms"]
            if heard_ms is not None:
                # Saved every 30 s while it runs; what has passed since the save is known by the boot's clock.
                since_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - int(anchor["boottime_ms"])
                ago_ms = max(0, int(anchor["elapsed_ms"]) - int(heard_ms))
                ago_ms += 0 if is_running and since_ms < 60_000 else max(0, since_ms)
        found.append(BeltFact(bed.label, serial, ago_ms))
    return found


def _belt_update(state: dict[str, Any] | None) -> BeltUpdateFact | None:
    try:
        plan = BeltUpdates(str((kept := (state or {})["kept"][KEPT])["target"]), kept)
    except (KeyError, TypeError, ValueError):
        return None
    belt, why = plan.stopped_by or ("", "")
    return BeltUpdateFact(plan.target, belt, why, plan.given_up())


def _bound(config: Config) -> dict[str, bytes | None]:
    """Bed -> serial of its belt: of the configuration, above which stands what was provisioned."""
    site = Site(config.gateway.id, {bed.label: bed.serial for bed in config.beds})
    with suppress(OSError, ValueError, KeyError, TypeError):
        # Not by SiteFile.load, which clears up behind a gateway that died: this one may be running.
        site.load(json.loads((config.gateway.data_dir / SITE_FILE).read_text("utf-8"))["site"])
    return site.beds()


# -- small -----------------------------------------------------------------------------------------------------------


def _text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None


def _systemctl(*arguments: str) -> str:
    return _output(["systemctl", *arguments])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _first(names: tuple[str, ...], wanted: Callable[[str], bool]) -> str:
    return next((name for name in names if wanted(name)), "")
