"""checkup_facts: what is read from a machine's files; a machine that has nothing gives no error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.checkup_facts import gather
from gateway.cores.provisioning import Site
from gateway.site_file import SiteFile
from gateway.store_files import StoreFiles, Writes
from gateway.update import Places


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def config(folder: Path, more: str = "") -> Path:
    file = folder / "gateway.toml"
    file.write_text('[gateway]\nid = "gw-01"\ndata_dir = "data"\n[[beds]]\nlabel = "A"\n'
                    f'serial = "0011223344556677"\nkey = "{"11" * 16}"\n{more}')  # fmt: skip
    file.chmod(0o600)
    return file


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, tmp_path / "update", tmp_path / "current", tmp_path / "health.json", tmp_path / "keys")


def test_a_machine_with_nothing_on_it_gives_facts_all_the_same(tmp_path: Path, places: Places) -> None:
    facts, configuration = gather(tmp_path / "none.toml", tmp_path / "empty", places)
    assert configuration is None
    assert "write one" in facts.configuration_problems[0]
    assert (facts.adapters, facts.bluez_version, facts.wear_percent, facts.gateway_state) == ((), None, None, None)


def test_a_boards_files_are_read(tmp_path: Path, places: Places) -> None:
    root = tmp_path / "root"
    write(root, "sys/class/bluetooth/hci0/address", "DC:A6:32:00:00:01\n")
    write(root, "sys/class/bluetooth/hci0/rfkill1/soft", "1\n")
    write(root, "sys/class/rtc/rtc0/name", "ds3231")
    write(root, "sys/block/mmcblk0/device/life_time", "0x02 0x08\n")
    write(root, "sys/block/mmcblk0/stat", "1 2 3 4 5 6 2048 8 9 10 11\n")
    write(root, "sys/block/loop0/stat", "1 2 3 4 5 6 999999 8 9 10 11\n")
    write(root, "sys/fs/ext4/mmcblk0p2/errors_count", "2\n")
    write(root, "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")
    write(root, "etc/bluetooth/main.conf", "[Policy]\n#AutoEnable=true\nAutoEnable=false\n")
    write(root, "proc/meminfo", "MemTotal: 500 kB\nMemAvailable:      40960 kB\n")
    write(root, "dev/watchdog0", "")
    facts, _ = gather(config(tmp_path), root, places)
    [adapter] = facts.adapters
    assert (adapter.name, adapter.address, adapter.blocked) == ("hci0", "DC:A6:32:00:00:01", "soft")
    assert (facts.has_rtc, facts.wear_percent, facts.written_bytes, facts.disk_errors) == (True, 80, 2048 * 512, 2)
    assert (facts.under_voltage, facts.auto_enable, facts.hardware_watchdog) == (True, False, True)
    assert facts.memory_available_bytes == 40960 * 1024


def test_the_stores_belts_and_self_tests_are_read(tmp_path: Path, places: Places) -> None:
    file = config(tmp_path, "[alerter]\nlight_pin = 27\nmock_pins = true\n")
    files = StoreFiles(tmp_path / "data")
    result = {"at_ms": 1, "at_utc_ms": 1_000, "passed": False, "error": "pin 27 stays low", "passed_ms": None}
    state = {"anchor": {"boottime_ms": 0, "elapsed_ms": 100_000, "utc_ms": 0, "boot_id": "x", "trusted": True},
             "kept": {"self_tests": {"since_ms": 0, "results": {"light": result}}}}  # fmt: skip
    files.commit(Writes(state=state, belts={"0011223344556677": {"last_heard_ms": 40_000}}, alarm_items=[b"1"]))
    files.close()
    facts, _ = gather(file, tmp_path, places)
    assert facts.belts[0].heard_ago_ms is not None
    assert facts.belts[0].heard_ago_ms >= 60_000
    assert (facts.channels[0].passed, facts.channels[0].error) == (False, "pin 27 stays low")
    assert (facts.store_problem, facts.waiting_items) == ("", 1)


def test_a_damaged_store_is_said(tmp_path: Path, places: Places) -> None:
    file = config(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/events.db").write_bytes(b"no database at all " * 300)
    facts, _ = gather(file, tmp_path, places)
    assert "damaged" in facts.store_problem


def test_a_disk_without_room_for_a_copy_of_the_store_is_no_error(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path)
    StoreFiles(tmp_path / "data").close()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    facts, _ = gather(file, tmp_path, places)
    assert "No space left" in facts.store_problem


def test_a_belt_that_was_provisioned_stands_above_the_configuration(tmp_path: Path, places: Places) -> None:
    file = config(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    site = Site("gw-01", {"A": bytes.fromhex("0011223344556677")})
    site.adopt(bytes.fromhex("8899aabbccddeeff"), bytes(16), "A")
    SiteFile(data).save(site.to_state())
    (data / "site.json.part").write_text("a gateway is writing")
    facts, _ = gather(file, tmp_path, places)
    assert [belt.serial for belt in facts.belts] == ["8899aabbccddeeff"]
    assert (data / "site.json.part").exists()
