"""A Debian root in an ext4 image, and the kernel with a small first root file system that mounts it.

The root is made by mmdebstrap from the distribution's own packages (systemd, dbus, bluez, python3); nothing of ours is
in it. Making it needs root; running it does not.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from hil.radio.box_build import BOX_DIRECTORY, MODULES, Cpio, kernel_package, unpack_kernel

__all__ = ["build_image", "build_kernel", "make_ext4"]

PACKAGES = ("systemd-sysv", "systemd-timesyncd", "dbus", "udev", "bluez", "polkitd", "python3", "socat", "kmod")
SUITE = "bookworm"
SIZE = "2G"  # sparse: what is used is some 300 MB
KERNEL_MODULES = (*MODULES, "virtio_blk", "virtio_rng", "ext4", "crc32c_generic", "i6300esb", "autofs4")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev 2>/dev/null
for module in $(cat /modules/order); do insmod /modules/$module 2>/dev/null; done
mode=rw; grep -qw ro /proc/cmdline && mode=ro
until mount -t ext4 -o $mode /dev/vda /root; do sleep .2; done
mount --move /dev /root/dev; mount --move /proc /root/proc; mount --move /sys /root/sys
exec switch_root /root /lib/systemd/systemd
"""
# What only the test needs: a shell for it, a network, the adapter that QEMU brings, and no other ways in.
FILES = {
    "etc/hostname": "appliance\n",
    "etc/fstab": "/dev/vda / ext4 rw,noatime 0 1\n",
    "etc/systemd/network/10-test.network": (
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n"
    ),
    "etc/systemd/system/test-shell.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=systemd-networkd.service basic.target\n[Service]\n"
        "ExecStart=/usr/bin/socat TCP-LISTEN:5556,fork,reuseaddr,nodelay EXEC:/bin/bash,stderr\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
    "etc/systemd/system/test-attach@.service": (
        "[Service]\nExecStart=/usr/bin/btattach -B /dev/%i -P h4\n[Install]\nWantedBy=multi-user.target\n"
    ),
}
ENABLED = {"multi-user.target.wants": ("test-shell.service", "systemd-networkd.service")}
MASKED = ("serial-getty@hvc0.service", "serial-getty@hvc1.service", "getty.target", "apt-daily.timer",
          "apt-daily-upgrade.timer", "systemd-networkd-wait-online.service")  # fmt: skip


def build_kernel(folder: Path) -> tuple[Path, Path]:
    """(vmlinuz, initramfs) in `folder`; the kernel's package is shared with BlueZ in a box."""
    BOX_DIRECTORY.mkdir(parents=True, exist_ok=True)
    package = kernel_package(BOX_DIRECTORY)
    kernel, initramfs = folder / "vmlinuz", folder / "initramfs"
    stamp = hashlib.sha256(f"{package} {KERNEL_MODULES} {INIT}".encode()).hexdigest()
    stamp_file = folder / "kernel.stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp:
        return kernel, initramfs
    image, modules = unpack_kernel(package, KERNEL_MODULES)
    archive = Cpio()
    archive.file("bin/busybox", Path("/usr/bin/busybox").resolve().read_bytes(), executable=True)
    archive.file("init", INIT.encode(), executable=True)
    archive.file("modules/order", "\n".join(f"{name}.ko" for name in modules).encode())
    for name, data in modules.items():
        archive.file(f"modules/{name}.ko", data)
    for name in ("proc", "sys", "dev", "root"):
        archive.folder(name)
    kernel.write_bytes(image)
    initramfs.write_bytes(archive.close())
    stamp_file.write_text(stamp)
    return kernel, initramfs


def build_image(folder: Path) -> Path:
    """The ext4 image of a fresh Debian; the downloaded part is kept in `folder`."""
    base, image = folder / "base.tar", folder / "base.ext4"
    stamp = hashlib.sha256(f"{PACKAGES} {SUITE} {SIZE} {FILES} {ENABLED} {MASKED}".encode()).hexdigest()
    stamp_file = folder / "image.stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp and image.exists():
        return image
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale")]
    _run("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *excluded, SUITE, str(base))
    with tempfile.TemporaryDirectory(prefix="sleepbelt-root-", dir=folder) as name:
        root = Path(name)
        _run("tar", "-C", str(root), "-xf", str(base))
        root.chmod(0o755)
        _configure(root)
        image.unlink(missing_ok=True)
        make_ext4(image, SIZE, "-d", str(root))
    stamp_file.write_text(stamp)
    return image


def make_ext4(file: Path, size: str, *options: str, label: str = "root") -> None:
    """An ext4 file system in a new file; `size` as mke2fs takes it."""
    mke2fs = shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin") or "mke2fs"
    _run(mke2fs, "-q", "-t", "ext4", "-L", label, *options, str(file), size)


def _configure(root: Path) -> None:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    system = root / "etc/systemd/system"
    for target, units in ENABLED.items():
        (system / target).mkdir(exist_ok=True)
        for unit in units:
            folder = "/etc/systemd/system" if (system / unit).exists() else "/lib/systemd/system"
            (system / target / unit).symlink_to(f"{folder}/{unit}")
    for unit in MASKED:
        (system / unit).symlink_to("/dev/null")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"appliance: {command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
