"""update: only what a trusted key has signed gets in, whole or not at all; a trial ends well or where it began."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.commands.update import main
from gateway.cores.update_slots import SETTLE_MS, TRIAL_MS, Slots
from gateway.update import MACHINES, Places, UpdateError, apply, point, read_bundle, stage, watch_trial
from gateway.update_boot import main as boot


@pytest.fixture
def places(tmp_path: Path) -> Places:
    packaged = tmp_path / "opt"
    (packaged / "bin").mkdir(parents=True)
    (packaged / "bin/sleepbelt").write_text("#!/bin/sh\n")
    (packaged / "VERSION").write_text("1.0.0\n")
    run = tmp_path / "run"
    run.mkdir()
    return Places(packaged, tmp_path / "state", run / "current", run / "health.json", tmp_path / "keys")


@pytest.fixture
def keys(tmp_path: Path, places: Places) -> Path:
    """A key pair that the gateway trusts; the private one."""
    assert main(["keygen", "--out", str(tmp_path / "made")]) == 0
    places.keys.mkdir()
    shutil.copy(tmp_path / "made/public.pem", places.keys / "site.pem")
    return tmp_path / "made/private.pem"


def deb(folder: Path, version: str = "1.1.0", name: str = "sleepbelt") -> Path:
    """A package that looks like the gateway's and holds next to nothing."""
    import platform

    tree = folder / f"tree-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "opt/sleepbelt/bin").mkdir(parents=True)
    (tree / "opt/sleepbelt/lib").mkdir()
    (tree / "opt/sleepbelt/bin/sleepbelt").write_text("#!/bin/sh\n")
    (tree / "opt/sleepbelt/bin/python").symlink_to("/bin/true")
    architecture = MACHINES.get(platform.machine(), platform.machine())
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: x <x@x.invalid>\nDescription: x\n"
    )
    package = folder / f"{name}_{version}.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(command, check=True, capture_output=True)
    return package


def signed(folder: Path, key: Path, version: str = "1.1.0") -> Path:
    package = deb(folder, version)
    assert main(["sign", str(package), "--key", str(key)]) == 0
    return package.with_suffix(".update")


def say_health(places: Places, version: str, state: str = "ok", open_beds: tuple[str, ...] = ()) -> None:
    boottime_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    said = {"version": version, "state": state, "reasons": [], "open_beds": open_beds, "boottime_ms": boottime_ms}
    places.health.write_text(json.dumps(said))


def test_a_signed_update_is_unpacked_beside_what_runs(tmp_path: Path, places: Places, keys: Path) -> None:
    manifest = stage(signed(tmp_path, keys), places)
    assert manifest.version == "1.1.0"
    assert (places.slot("1.1.0") / "bin/sleepbelt").is_file()
    assert places.load() == Slots()
    assert not (places.state / "staging").exists()


@pytest.mark.parametrize("at", [3, 40, 150, -1])
def test_a_changed_byte_is_noticed_and_nothing_is_left(tmp_path: Path, places: Places, keys: Path, at: int) -> None:
    bundle = signed(tmp_path, keys)
    content = bytearray(bundle.read_bytes())
    content[at] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(UpdateError):
        stage(bundle, places)
    assert not places.slot("1.1.0").exists()


def test_an_update_cut_short_is_damaged(tmp_path: Path, places: Places, keys: Path) -> None:
    bundle = signed(tmp_path, keys)
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(UpdateError, match="damaged"):
        stage(bundle, places)


def test_another_key_is_not_trusted(tmp_path: Path, places: Places, keys: Path) -> None:
    assert main(["keygen", "--out", str(tmp_path / "stranger")]) == 0
    with pytest.raises(UpdateError, match="no key that is trusted here"):
        stage(signed(tmp_path, tmp_path / "stranger/private.pem"), places)


def test_without_a_key_nothing_is_taken_and_where_keys_go_is_said(tmp_path: Path, places: Places, keys: Path) -> None:
    (places.keys / "site.pem").unlink()
    with pytest.raises(UpdateError, match=r"update-keys\.d"):
        stage(signed(tmp_path, keys), places)


def test_an_unsigned_package_is_no_update(tmp_path: Path, places: Places, keys: Path) -> None:
    with pytest.raises(UpdateError, match="no sleepbelt update"):
        stage(deb(tmp_path), places)


def test_another_machines_update_is_refused(
    tmp_path: Path, places: Places, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = signed(tmp_path, keys)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UpdateError, match="this machine is riscv64"):
        stage(bundle, places)


def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, places: Places, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = signed(tmp_path, keys)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert main(["stage", str(bundle)], places) == 2
    assert "0 MiB free" in capsys.readouterr().err


def test_only_the_gateways_own_package_is_signed(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sign", str(deb(tmp_path, name="other")), "--key", str(keys)]) == 2
    assert "not sleepbelt" in capsys.readouterr().err


def test_nothing_is_tried_while_a_bed_is_open(
    tmp_path: Path, places: Places, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage(signed(tmp_path, keys), places)
    say_health(places, "1.0.0", open_beds=("201-1",))
    assert main(["apply", "1.1.0"], places, lambda: pytest.fail("restarted")) == 1
    assert "bed 201-1 has an alarm or an absence open" in capsys.readouterr().err
    assert places.load() == Slots()


def test_a_version_that_is_not_staged_cannot_be_tried(places: Places) -> None:
    places.state.mkdir()
    assert main(["apply", "1.1.0"], places, lambda: pytest.fail("restarted")) == 2


def follow(places: Places, health: Callable[[int], None]) -> tuple[bool, list[str], int]:
    """The trial as the watcher sees it, with a second taking no time; (kept, what was said, restarts)."""
    said: list[str] = []
    second, restarts = 0, 0

    def wait(_: float) -> None:
        nonlocal second
        second += 1
        health(second)

    def restart() -> None:
        nonlocal restarts
        restarts += 1

    kept = watch_trial(places, restart, said.append, lambda: second * 1000, wait)
    return kept, said, restarts


def test_a_version_that_runs_well_stays_and_the_older_ones_go(tmp_path: Path, places: Places, keys: Path) -> None:
    stage(signed(tmp_path, keys), places)
    (places.state / "slots/0.9.0").mkdir()
    apply("1.1.0", places, lambda: None)
    assert boot(["choose"], places) == 0
    assert places.link.resolve() == places.slot("1.1.0").resolve()
    kept, _, restarts = follow(places, lambda _: say_health(places, "1.1.0"))
    assert (kept, restarts, places.load()) == (True, 0, Slots(current="1.1.0"))
    assert not (places.state / "slots/0.9.0").exists()


def test_a_version_that_does_not_run_well_goes_back_by_itself(tmp_path: Path, places: Places, keys: Path) -> None:
    stage(signed(tmp_path, keys), places)
    say_health(places, "1.0.0")
    apply("1.1.0", places, lambda: None)
    boot(["choose"], places)
    kept, said, restarts = follow(places, lambda _: places.health.unlink(missing_ok=True))
    assert (kept, restarts, places.load().failed) == (False, 1, ("1.1.0",))
    assert "back to 1.0.0" in said[-1]
    boot(["choose"], places)
    assert places.link.resolve() == places.packaged.resolve()


def test_a_version_that_crashes_at_each_start_has_used_them_up(tmp_path: Path, places: Places, keys: Path) -> None:
    stage(signed(tmp_path, keys), places)
    apply("1.1.0", places, lambda: None)
    started = []
    for _ in range(4):
        boot(["choose"], places)
        started.append(places.link.resolve().name)
    assert started == ["1.1.0", "1.1.0", "opt", "opt"]
    assert boot(["watch"], places) == 0  # nothing to follow any longer


def test_a_damaged_state_starts_the_packaged_version(places: Places) -> None:
    places.state.mkdir()
    (places.state / "state.json").write_text('{"current": "../../bin", "trial": null, "starts_left": 0, "failed": []}')
    assert boot(["choose"], places) == 0
    assert places.link.resolve() == places.packaged.resolve()


def test_a_slot_that_is_gone_starts_the_packaged_version(places: Places) -> None:
    places.keep(Slots(current="1.1.0"))
    assert boot(["choose"], places) == 0
    assert places.link.resolve() == places.packaged.resolve()


def test_a_newer_package_takes_over(places: Places, keys: Path, tmp_path: Path) -> None:
    stage(signed(tmp_path, keys), places)
    places.keep(Slots(current="1.1.0"))
    assert boot(["packaged", "1.2.0"], places) == 0
    assert places.load() == Slots()
    assert not places.slot("1.1.0").exists()


def test_quiet_is_asked_by_the_package(places: Places) -> None:
    assert boot(["quiet"], places) == 0
    say_health(places, "1.0.0", open_beds=("201-1",))
    assert boot(["quiet"], places) == 1


def test_status_says_what_runs_and_what_hinders(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    say_health(places, "1.0.0", open_beds=("201-1",))
    assert main(["status", "--json"], places) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["installed"], said["running"], said["trial"]) == ("1.0.0", "1.0.0", None)
    assert said["not_now"] == ["bed 201-1 has an alarm or an absence open"]


def test_rollback_leaves_an_update_for_the_package(places: Places) -> None:
    restarts: list[int] = []
    places.keep(Slots(current="1.1.0"))
    assert main(["rollback"], places, lambda: restarts.append(1)) == 0
    assert (places.load(), restarts) == (Slots(failed=("1.1.0",)), [1])


def test_limits_of_a_trial_leave_room_for_a_slow_board() -> None:
    assert SETTLE_MS < TRIAL_MS


def test_a_bundle_that_names_no_size_is_refused(tmp_path: Path, places: Places, keys: Path) -> None:
    import base64

    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from gateway.update import MAGIC, trusted_keys

    head = MAGIC + b'{"version": "1.1", "architecture": "amd64", "size": 999999999999, "sha256": ""}\n'
    key = load_pem_private_key(keys.read_bytes(), None)
    file = tmp_path / "big.update"
    file.write_bytes(head + base64.b64encode(key.sign(head)) + b"\n")  # type: ignore[union-attr,call-arg]
    with file.open("rb") as opened, pytest.raises(UpdateError, match="bytes"):
        read_bundle(opened, trusted_keys(places.keys))


def test_the_link_is_changed_in_one_step(places: Places) -> None:
    point(places, "")
    point(places, "1.1.0")
    assert places.link.readlink() == places.slot("1.1.0")
