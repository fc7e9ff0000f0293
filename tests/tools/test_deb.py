"""The .deb: what is in it, the same bytes each time, an environment that runs wherever it lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.deb.build import LOCK, ROOT, build, own_wheel

EPOCH = 1_767_225_600


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["SOURCE_DATE_EPOCH"] = str(EPOCH)
    try:
        return own_wheel(tmp_path_factory.mktemp("own"))
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of somebody else's, with what wheels may hold."""
    wheel = tmp_path_factory.mktemp("foreign") / "other-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/__init__.py", "X = 1\n")
        archive.writestr("other-1.data/platlib/other_native.py", "Y = 2\n")
        archive.writestr("other-1.data/scripts/other", "#!python\n")
    return wheel


@pytest.fixture(scope="module")
def package(own: Path, foreign: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deb")
    return build("arm64", "9.8.7", own, [foreign], folder / "tree", folder, EPOCH)


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-R", str(package), str(folder)], check=True)
    return folder


def test_the_same_source_gives_the_same_bytes(own: Path, foreign: Path, package: Path, tmp_path: Path) -> None:
    again = build("arm64", "9.8.7", own, [foreign], tmp_path / "elsewhere" / "tree", tmp_path, EPOCH)
    assert again.read_bytes() == package.read_bytes()


def test_everything_belongs_to_root_and_nobody_else_may_write(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, check=True).stdout
    import io

    with tarfile.open(fileobj=io.BytesIO(listed)) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert [member.name for member in members if member.mode & 0o022 and not member.issym()] == []
    assert {member.mtime for member in members} == {EPOCH}


def test_the_head_says_what_it_is_and_needs(tree: Path) -> None:
    control = (tree / "DEBIAN/control").read_text()
    assert "Version: 9.8.7\nArchitecture: arm64\n" in control
    assert "python3 (>= 3.11), python3 (<< 3.12)" in control
    assert "@" not in control.replace("maintainers@", "")
    assert (tree / "DEBIAN/conffiles").read_text().split() == ["/etc/default/sleepbelt"]
    assert (tree / "etc/default/sleepbelt").is_file()


def test_wheels_are_unpacked_without_what_only_an_installer_needs(tree: Path) -> None:
    site = tree / "opt/sleepbelt/lib/python3.11/site-packages"
    assert (site / "other/__init__.py").is_file()
    assert (site / "other_native.py").is_file()
    assert not list(site.rglob("scripts"))
    assert not list(tree.rglob("*.pyc"))


def test_the_environment_runs_from_wherever_it_lies(tree: Path, tmp_path: Path) -> None:
    """As an update's slot does; here with this Python in place of Debian's, and its packages in place of the wheels."""
    moved = tmp_path / "slot"
    shutil.copytree(tree / "opt/sleepbelt", moved, symlinks=True)
    (moved / "bin/python").unlink()
    (moved / "bin/python").symlink_to(Path(sys.executable).resolve())
    (moved / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    link = tmp_path / "current"
    link.symlink_to(moved)
    done = subprocess.run([str(link / "bin/sleepbelt"), "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == "sleepbelt 9.8.7\n", done.stderr


@pytest.mark.parametrize("script", ["DEBIAN/postinst", "DEBIAN/prerm", "DEBIAN/postrm", "usr/bin/sleepbelt",
                                    "usr/lib/sleepbelt/choose-slot", "usr/lib/sleepbelt/read-only-root",
                                    "opt/sleepbelt/bin/sleepbelt"])  # fmt: skip
def test_scripts_are_programs_that_a_plain_shell_reads(tree: Path, script: str) -> None:
    assert os.access(tree / script, os.X_OK)
    assert (tree / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(tree / script)], check=True)


def test_each_unit_of_the_scripts_is_in_the_package_and_the_other_way_round(tree: Path) -> None:
    shipped = {path.name for path in (tree / "usr/lib/systemd/system").iterdir() if "[Install]" in path.read_text()}
    for script in ("postinst", "postrm"):
        line = next(x for x in (tree / "DEBIAN" / script).read_text().splitlines() if x.startswith("units="))
        assert set(line.removeprefix("units=").strip('"').split()) == shipped


def test_an_upgrade_waits_for_the_end_of_alarms(tree: Path) -> None:
    assert "gateway.update_boot quiet" in (tree / "DEBIAN/postinst").read_text()


def test_the_lock_holds_all_that_the_gateway_needs_and_the_pins_library() -> None:
    names = {line.split("==")[0] for line in LOCK.read_text().splitlines() if "==" in line}
    runtime = (ROOT / "requirements/runtime.lock").read_text().splitlines()
    pinned = {line.split(" ")[0] for line in runtime if "==" in line and not line.startswith(" ")}
    assert "lgpio" in names
    assert pinned <= {line.split(" ")[0] for line in LOCK.read_text().splitlines()}


READ_ONLY = ROOT / "tools/deb/root/usr/lib/sleepbelt/read-only-root"


def shown(folder: Path, fstab: str) -> subprocess.CompletedProcess[str]:
    file = folder / "fstab"
    file.write_text(fstab)
    return subprocess.run(["sh", str(READ_ONLY), "show", str(file)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("before", "after"), [
    ("defaults,noatime", "ro,noatime"), ("defaults", "ro"), ("noatime,rw", "ro,noatime"),
    ("rw,errors=remount-ro", "ro,errors=remount-ro"),
])  # fmt: skip
def test_a_root_is_laid_out_to_be_read_only_and_other_lines_stay(tmp_path: Path, before: str, after: str) -> None:
    rest = "# / is on the card\nPARTUUID=a-01 /boot/firmware vfat defaults 0 2\n"
    lines = shown(tmp_path, f"{rest}PARTUUID=a-02 / ext4 {before} 0 1\n").stdout.splitlines()
    assert "\n".join(lines[:2]) + "\n" == rest
    assert lines[2] == f"PARTUUID=a-02 / ext4 {after} 0 1"
    # What must be writable, beside the partition itself: the scratch folders of services with PrivateTmp.
    assert {line.split()[1] for line in lines[3:]} >= {"/srv/sleepbelt", "/tmp", "/var/tmp", "/var/log"}


def test_a_root_that_is_laid_out_already_is_left_alone(tmp_path: Path) -> None:
    once = shown(tmp_path, "PARTUUID=a-02 / ext4 defaults 0 1\n").stdout
    again = shown(tmp_path, once)
    assert again.returncode == 1
    assert "already" in again.stderr
