"""Builds "BlueZ in a box": a Debian kernel and an initramfs with dbus-daemon and bluetoothd (RADIO.md tier T2).

Nothing here needs root: the kernel's package is downloaded and read as an archive, programs and their libraries are
those installed on this machine. The result is kept in build/box and made anew when what it comes from has changed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BOX_DIRECTORY", "MODULES", "BoxError", "Cpio", "build_box", "kernel_package", "unpack_kernel"]

BOX_DIRECTORY = Path(__file__).resolve().parent.parent.parent / "build" / "box"
PACKAGES = "qemu-system-x86 bluez dbus socat busybox-static"
PROGRAMS = {
    "bluetoothd": ("/usr/libexec/bluetooth/bluetoothd", "/usr/lib/bluetooth/bluetoothd"),
    "btattach": ("/usr/bin/btattach",),
    "btmgmt": ("/usr/bin/btmgmt",),
    "busybox": ("/usr/bin/busybox", "/bin/busybox"),
    "dbus-daemon": ("/usr/bin/dbus-daemon",),
    "qemu-system-x86_64": ("/usr/bin/qemu-system-x86_64",),
    "socat": ("/usr/bin/socat",),
}
MODULES = (
    "virtio_pci", "virtio_net", "virtio_console", "cmac", "ecb", "ctr", "sha512_generic", "drbg", "jitterentropy_rng",
    "hid", "uhid", "algif_hash", "algif_skcipher", "bluetooth", "hci_uart", "hci_vhci",
)  # fmt: skip
TOOL_TIMEOUT_S = 300

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmpfs /run; mkdir -p /run/dbus /tmp /var/lib/bluetooth /var/lib/dbus
for module in $(cat /modules/order); do insmod /modules/$module; done
hostname box; ifconfig lo 127.0.0.1 up; ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
dbus-daemon --config-file=/etc/dbus-1/system.conf --fork --nopidfile
socat TCP-LISTEN:5555,fork,reuseaddr,nodelay UNIX-CONNECT:/run/dbus/system_bus_socket &
/start-bluetoothd
until grep -q "management interface" /run/bluetoothd.log; do sleep .1; done
echo box-ready
exec socat TCP-LISTEN:5556,fork,reuseaddr,nodelay EXEC:/bin/sh,stderr
"""
START_BLUETOOTHD = """#!/bin/busybox sh
bluetoothd --nodetach --experimental >/run/bluetoothd.log 2>&1 &
"""
DBUS_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_type="method_call"/> <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="method_return"/>
    <allow receive_type="error"/> <allow receive_type="signal"/>
  </policy>
  <limit name="max_connections_per_user">256</limit>
</busconfig>
"""


class BoxError(RuntimeError):
    """The box cannot be built or started here; the text says why and what to do."""


def build_box(folder: Path = BOX_DIRECTORY) -> Path:
    """Folder with `vmlinuz` and `initramfs` of a box that fits this machine; BoxError if one cannot be made."""
    if platform.machine() != "x86_64":
        raise BoxError("BlueZ in a box needs an x86-64 machine; here use --radio bumble, or usb:N with a dongle")
    programs = {name: _program(name, paths) for name, paths in PROGRAMS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    package = kernel_package(folder)
    sources = [Path(__file__), package, *programs.values()]
    stamp = hashlib.sha256("\n".join(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in sources).encode())
    stamp_file = folder / "stamp"
    if stamp_file.exists() and stamp_file.read_text() == stamp.hexdigest():
        return folder
    for leftover in ("stamp", "snapshot"):
        (folder / leftover).unlink(missing_ok=True)
    kernel, modules = unpack_kernel(package)
    (folder / "vmlinuz").write_bytes(kernel)
    (folder / "initramfs").write_bytes(_initramfs(programs, modules))
    stamp_file.write_text(stamp.hexdigest())
    return folder


def _program(name: str, paths: tuple[str, ...]) -> Path:
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    for path in (*paths, *([found] if found else [])):
        if os.access(path, os.X_OK):
            return Path(path).resolve()
    raise BoxError(
        f"{name} is not installed, the box needs it: sudo apt-get install --no-install-recommends {PACKAGES}"
    )


def kernel_package(folder: Path) -> Path:
    """The .deb of Debian's kernel; `linux-image-cloud-amd64` will not do, it has no Bluetooth."""
    found = sorted(folder.glob("linux-image-*_amd64.deb"))
    if found:
        return found[-1]
    depends = _output("apt-cache", "depends", "linux-image-amd64")
    name = re.search(r"Depends: (linux-image-\S+)", depends)
    if name is None:
        raise BoxError("apt knows no linux-image-amd64; is this Debian, and was `apt-get update` run?")
    _output("apt-get", "download", "-q", name[1], folder=folder)
    return sorted(folder.glob("linux-image-*_amd64.deb"))[-1]


def _output(*command: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    except OSError as error:
        raise BoxError(f"{command[0]} could not be run: {error}") from error
    if done.returncode != 0:
        raise BoxError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def unpack_kernel(package: Path, names: Sequence[str] = MODULES) -> tuple[bytes, dict[str, bytes]]:
    """(kernel image, the modules `names` and what they depend on, in the order to load them)."""
    kernel = b""
    found: dict[str, bytes] = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name
                if name.startswith("vmlinuz-"):
                    kernel = _content(archive, member)
                elif name.endswith(".ko"):
                    found[name.removesuffix(".ko").replace("-", "_")] = _content(archive, member)
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in ordered or name not in found:  # not found: built in
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", found[name])
        for other in depends[1].decode().split(",") if depends else ():
            add(other.replace("-", "_"))
        ordered[name] = found[name]

    for name in names:
        add(name)
    if not kernel or "bluetooth" not in ordered:
        raise BoxError(f"{package} holds no kernel with Bluetooth; delete it to download another")
    return kernel, ordered


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def _initramfs(programs: dict[str, Path], modules: dict[str, bytes]) -> bytes:
    archive = Cpio()
    for name, program in programs.items():
        if name.startswith("qemu"):
            continue
        archive.file(f"bin/{name}", program.read_bytes(), executable=True)
        for library in _libraries(program):
            archive.file(str(library)[1:], library.resolve().read_bytes(), executable=True)
    archive.file("init", INIT.encode(), executable=True)
    archive.file("start-bluetoothd", START_BLUETOOTHD.encode(), executable=True)
    archive.file("etc/dbus-1/system.conf", DBUS_CONFIGURATION.encode())
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    archive.file("etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    archive.file("etc/bluetooth/main.conf", b"[General]\nName = box\n[Policy]\nAutoEnable = true\n")
    archive.file("modules/order", "\n".join(f"{name}.ko" for name in modules).encode())
    for name, data in modules.items():
        archive.file(f"modules/{name}.ko", data)
    for folder in ("proc", "sys", "dev", "run", "tmp"):
        archive.folder(folder)
    return archive.close()


def _libraries(program: Path) -> list[Path]:
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]


class Cpio:
    """An archive in the "newc" format that the kernel unpacks as its first root file system."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names: set[str] = set()

    def file(self, name: str, data: bytes, executable: bool = False) -> None:
        """Add a file and the folders above it; a second one of that name is ignored."""
        self._add(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def folder(self, name: str) -> None:
        """Add an empty folder."""
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def close(self) -> bytes:
        """The whole archive."""
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, name: str, mode: int, data: bytes) -> None:
        if name in self._names:
            return
        if "/" in name:
            self._add(name.rpartition("/")[0], stat.S_IFDIR | 0o755, b"")
        self._names.add(name)
        self._entry(name, mode, data)

    def _entry(self, name: str, mode: int, data: bytes) -> None:
        path = name.encode() + b"\0"
        fields = (len(self._parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._parts.append(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
