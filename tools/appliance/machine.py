"""One virtual machine under QEMU's own processor (TCG): no root, no KVM, 512 MB like a Pi Zero 2 W."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

__all__ = ["Machine", "MachineError"]

KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=5 mitigations=off no_timer_check random.trust_cpu=on"
BOOT_S = 600.0
COMMAND_S = 300.0
SHUTDOWN_S = 120.0
KEPT_CLOCK = "/var/lib/systemd/timesync/clock"
_MARK = "appliance-command-done"


class MachineError(Exception):
    """The machine did not do what it was told; the message has what it said."""


class Machine:
    """Start it, `run` commands in it as root, `cut` its power; the disks are copies that may be ruined."""

    def __init__(self, kernel: Path, initramfs: Path, folder: Path, patience: float = 1.0) -> None:
        """`patience`: factor on every time limit, for a host that does much else."""
        self.patience = patience
        self.folder = folder
        self.disks = [folder / "disk.ext4"]
        self.adapter = folder / "hci0.sock"
        self.clock = "utc"
        """What its hardware clock says at the start: "utc", or an instant as QEMU's -rtc base= takes it."""
        self.is_read_only = False
        """Whether the first disk is mounted read-only from the first moment on."""
        self._kernel, self._initramfs = kernel, initramfs
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._page_port = 0

    def start(self) -> float:
        """Boot; seconds until the shell answers."""
        self._port, self._page_port = _free_port(), _free_port()
        forwards = f"hostfwd=tcp:127.0.0.1:{self._port}-:5556,hostfwd=tcp:127.0.0.1:{self._page_port}-:8080"
        # cache=unsafe: what the machine has not flushed is lost with it all the same, which is what a power cut is.
        disks = [part for disk in self.disks
                 for part in ("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe")]  # fmt: skip
        command = [
            "nice", "-n", str(max(0, 10 - os.nice(0))),
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "512",
            "-nodefaults", "-nographic", "-kernel", str(self._kernel), "-initrd", str(self._initramfs),
            "-append", KERNEL_ARGUMENTS + (" ro" if self.is_read_only else ""), "-rtc", f"base={self.clock}",
            "-serial", f"file:{self.folder / 'console.log'}", *disks,
            "-netdev", f"user,id=net,restrict=on,{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=hci0,path={self.adapter},server=off,reconnect=1",
            "-device", "virtconsole,chardev=hci0",
        ]  # fmt: skip
        began = time.monotonic()
        log = (self.folder / "qemu.log").open("ab")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_shell()
        return time.monotonic() - began

    def wait_shell(self) -> None:
        """Until it answers, also after it was reset."""
        until = time.monotonic() + BOOT_S * self.patience
        while True:
            try:
                self.run("true", 20)
                return
            except MachineError as error:
                if time.monotonic() > until or (self._process is not None and self._process.poll() is not None):
                    raise MachineError(f"it does not answer: {error}; see {self.folder}") from None
                time.sleep(1.0)

    def run(self, command: str, patience_s: float = COMMAND_S, check: bool = True) -> str:
        """What a shell command printed (both streams); MachineError if it failed, unless `check` is off."""
        said = b""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=patience_s * self.patience) as link:
                link.sendall(f"( {command}\n) </dev/null; echo {_MARK} $?\nexit\n".encode())
                while _MARK.encode() not in said or not said.rstrip(b" ").endswith(b"\n"):
                    part = link.recv(65536)
                    if not part:
                        break
                    said += part
        except OSError as error:
            raise MachineError(f"{command}: {error}") from None
        text, mark, code = said.decode(errors="replace").rpartition(_MARK)
        if not mark:
            raise MachineError(f"{command}: no answer ({text[-500:]})")
        if check and code.strip() != "0":
            raise MachineError(f"{command}: code {code.strip()}: {text[-2000:]}")
        return text.strip()

    def forget_time(self) -> None:
        """While it is off: the time that timesyncd keeps over a boot is that of 2020."""
        debugfs = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin") or "debugfs"
        command = f"set_inode_field {KEPT_CLOCK} mtime 20200101000000"
        subprocess.run([debugfs, "-w", "-R", command, str(self.disks[0])], check=True, capture_output=True)

    def put(self, file: Path, target: str) -> None:
        """Copy a file into it."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=COMMAND_S * self.patience) as link:
            link.sendall(f"head -c {file.stat().st_size} >{shlex.quote(target)}; sync; echo {_MARK}; exit\n".encode())
            with file.open("rb") as source:
                link.sendfile(source)
            said = b""
            while _MARK.encode() not in said:
                part = link.recv(4096)
                if not part:
                    raise MachineError(f"{target}: {said.decode(errors='replace')}")
                said += part

    def write(self, target: str, text: str) -> None:
        """Make a text file in it."""
        folder, file = shlex.quote(os.path.dirname(target)), shlex.quote(target)
        self.run(f"mkdir -p {folder}; printf %s {shlex.quote(text)} >{file}")

    def page(self, path: str) -> int:
        """The status with which the gateway answers a browser that is not in this machine."""
        try:
            address = f"http://127.0.0.1:{self._page_port}{path}"
            with urllib.request.urlopen(address, timeout=60 * self.patience) as said:
                return int(said.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError as error:
            raise MachineError(f"{path}: {error}") from None

    def shut_down(self) -> None:
        """Switch it off as its users should: everything is on the disk when this returns."""
        assert self._process is not None
        self.run("systemctl poweroff", check=False)
        try:
            self._process.wait(SHUTDOWN_S * self.patience)
        except subprocess.TimeoutExpired:
            raise MachineError(f"it does not switch itself off; see {self.folder}") from None
        self._process = None

    def cut(self) -> None:
        """The power fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
