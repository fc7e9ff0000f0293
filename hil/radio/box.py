"""Runs "BlueZ in a box": a small virtual machine with the real kernel Bluetooth, dbus-daemon and bluetoothd (tier T2).

The box is booted once and kept as a snapshot; each start restores it, so every user gets a bluetoothd that nobody has
used. Its adapters are QEMU character devices that connect to the socket of `hil.radio.hci_server`. A D-Bus client
on this machine reaches bluetoothd by `Box.environment()`. Everything listens on 127.0.0.1 only; the box has no other
network, and nothing that is worth protecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from dbus_fast import AuthError, DBusError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

from hil.radio.box_build import BoxError, build_box

__all__ = ["ADAPTERS", "INTERVAL_MS_MIN", "Box", "BoxError"]

ADAPTERS = 2
INTERVAL_MS_MIN = 100.0  # of each belt's advertisements: ten belts that each send 50 a second would be all it does
MEMORY_MB = 256
BOOT_TIMEOUT_S = 120.0  # 4 s on an idle machine; TCG on a crowded one takes long
START_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check random.trust_cpu=on"
_DONE = "box-command-done"


class Box:
    """One virtual machine. `await Box.start(sockets)`, then `attach` each adapter; `stop` always."""

    def __init__(self, process: asyncio.subprocess.Process, folder: tempfile.TemporaryDirectory[str]) -> None:
        self._process = process
        self._folder = folder
        self.dbus_port = 0
        self._shell_port = 0

    @classmethod
    async def start(cls, sockets: Sequence[Path]) -> Box:
        """A fresh box whose adapter number i talks to sockets[i]; BoxError if this machine cannot run one."""
        if not 1 <= len(sockets) <= ADAPTERS:
            raise ValueError(f"{len(sockets)} adapters: a box has 1 to {ADAPTERS}")
        built = await asyncio.to_thread(build_box)
        snapshot = built / "snapshot"
        if not snapshot.exists():
            await cls._make_snapshot(built, snapshot)
        box = await cls._launch(built, sockets, snapshot)
        try:
            await box._restored()
            await box.run("true")
        except BaseException:
            await box.stop()
            raise
        return box

    @classmethod
    async def _make_snapshot(cls, built: Path, snapshot: Path) -> None:
        box = await cls._launch(built, (), None)
        try:
            await box._boot()
            part = snapshot.with_suffix(f".{os.getpid()}")
            await box._save(part)
            part.rename(snapshot)
        finally:
            await box.stop()

    @classmethod
    async def _launch(cls, built: Path, sockets: Sequence[Path], snapshot: Path | None) -> Box:
        folder = tempfile.TemporaryDirectory(prefix="sleepbelt-box-")
        dbus_port, shell_port = _free_port(), _free_port()
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{inside}"
            for port, inside in ((dbus_port, 5555), (shell_port, 5556))
        )
        command = [
            # Never KVM because /dev/kvm is there: where it cannot be used it hangs rather than fails.
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB), "-nodefaults",
            "-nographic", "-no-reboot", "-kernel", str(built / "vmlinuz"), "-initrd", str(built / "initramfs"),
            "-append", KERNEL_ARGUMENTS, "-serial", "stdio", "-qmp", f"unix:{folder.name}/qmp,server=on,wait=off",
            "-netdev", f"user,id=net,restrict=on,{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
            "-device", "virtio-serial-pci",
        ]  # fmt: skip
        for i in range(ADAPTERS):
            path = str(sockets[i]) if i < len(sockets) else f"{folder.name}/nobody"
            command += ["-chardev", f"socket,id=hci{i},path={path},server=off,reconnect=1"]
            command += ["-device", f"virtconsole,chardev=hci{i}"]
        if snapshot is not None:
            command += ["-incoming", f"exec:cat {snapshot}"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        box = cls(process, folder)
        box.dbus_port, box._shell_port = dbus_port, shell_port
        return box

    def environment(self) -> dict[str, str]:
        """Environment in which bleak (and any D-Bus client that reads the address) uses the box."""
        # Who one is goes by the user number that D-Bus' EXTERNAL is told: root's, as socat has it in the box.
        return {
            "DBUS_SYSTEM_BUS_ADDRESS": f"tcp:host=127.0.0.1,port={self.dbus_port}",
            "BLEAK_DBUS_AUTH_UID": "0",
        }

    async def attach(self, number: int) -> None:
        """Plug adapter `number` in and wait until bluetoothd has powered it; its socket must be served by now."""
        log = f"/run/btattach{number}.log"
        before = await self._powered()
        await self.run(f"btattach -B /dev/hvc{number} -P h4 >{log} 2>&1 &")
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while True:
                    await asyncio.sleep(0.05)
                    if await self._powered() > before:
                        return
        except TimeoutError:
            said = await self.run(f"cat {log} /run/bluetoothd.log")
            raise BoxError(f"adapter {number} did not come up in {START_TIMEOUT_S:g} s: {said}") from None

    async def _powered(self) -> int:
        """How many adapters bluetoothd has powered."""
        bus = MessageBus(f"tcp:host=127.0.0.1,port={self.dbus_port}", auth=AuthExternal(uid=0))
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await bus.connect()
                answer = await bus.call(
                    Message("org.bluez", "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
                )
        except (OSError, EOFError, DBusError, AuthError) as error:
            raise BoxError(f"the box's D-Bus does not answer: {error}") from error
        finally:
            bus.disconnect()
        if answer is None or answer.message_type is not MessageType.METHOD_RETURN:
            return 0
        adapters = [interfaces.get("org.bluez.Adapter1") for interfaces in answer.body[0].values()]
        return sum(bool(adapter["Powered"].value) for adapter in adapters if adapter)

    async def kill_bluetoothd(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer or a crash would end it."""
        await self.run("killall -9 bluetoothd")

    async def start_bluetoothd(self) -> None:
        """Start it again after a kill."""
        await self.run("/start-bluetoothd")

    async def restart_bluetoothd(self) -> None:
        """What `systemctl restart bluetooth` does where there is a systemd."""
        await self.kill_bluetoothd()
        await self.start_bluetoothd()

    async def replug(self, number: int) -> None:
        """Take adapter `number` out and put it in again, as a reset of its USB port does; it comes up by itself."""
        find = f"ps | grep '[b]tattach -B /dev/hvc{number} ' | awk '{{print $1}}'"
        await self.run(f"kill $({find}); sleep 1")
        await self.run(f"btattach -B /dev/hvc{number} -P h4 >/run/btattach{number}.log 2>&1 &")

    async def run(self, command: str) -> str:
        """Run a shell command in the box; what it printed."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._shell_port)
                    writer.write(f"{command}\necho {_DONE}\nexit\n".encode())
                    async with asyncio.timeout(COMMAND_TIMEOUT_S):
                        said = await _until_done(reader)
                    writer.close()
                except (OSError, EOFError):
                    if self._process.returncode is not None:
                        raise BoxError(f"QEMU ended with code {self._process.returncode}") from None
                    await asyncio.sleep(0.05)
                else:
                    return said

    async def stop(self) -> None:
        """End the machine at once; nothing of it is kept."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._folder.cleanup()

    async def _boot(self) -> None:
        assert self._process.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(BOOT_TIMEOUT_S):
                while b"box-ready" not in said:
                    line = await self._process.stdout.readline()
                    if not line:
                        raise BoxError(f"QEMU ended: {said.decode(errors='replace').strip()}")
                    said += line
        except TimeoutError:
            raise BoxError(f"the box did not boot in {BOOT_TIMEOUT_S:g} s: {said.decode(errors='replace')}") from None
        await self.run("true")

    async def _save(self, path: Path) -> None:
        async with self._monitor() as say:
            await say("migrate", {"uri": f"exec:cat > {path}"})
            while True:
                await asyncio.sleep(0.05)
                status = (await say("query-migrate", {}))["status"]
                if status in ("completed", "failed"):
                    break
        if status == "failed":
            raise BoxError(f"the snapshot could not be written to {path}")

    async def _restored(self) -> None:
        """Wait for the snapshot to run: a connection before that would be tried again only after 6 s."""
        async with self._monitor() as say:
            while True:
                status = (await say("query-status", {}))["status"]
                if status == "running":
                    return
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def _monitor(self) -> AsyncIterator[Callable[[str, dict[str, str]], Awaitable[Any]]]:
        """QEMU's control socket, as a function that says a command."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    reader, writer = await asyncio.open_unix_connection(f"{self._folder.name}/qmp")
                    break
                except OSError:
                    if self._process.returncode is not None:
                        raise BoxError(f"QEMU ended with code {self._process.returncode}") from None
                    await asyncio.sleep(0.02)

            async def say(command: str, arguments: dict[str, str]) -> Any:
                writer.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                while True:
                    answer = json.loads(await reader.readline())
                    if "error" in answer:
                        raise BoxError(f"QEMU refuses {command}: {answer['error']['desc']}")
                    if "return" in answer:
                        return answer["return"]

            await reader.readline()  # its greeting
            await say("qmp_capabilities", {})
            try:
                yield say
            finally:
                writer.close()


async def _until_done(reader: asyncio.StreamReader) -> str:
    said = b""
    while _DONE.encode() not in said:
        part = await reader.read(65536)
        if not part:
            raise EOFError
        said += part
    return said.partition(_DONE.encode())[0].decode(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
