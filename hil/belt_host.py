"""Runs one belt: the unmodified firmware in its own MicroPython process, with time, samples and radio from here."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_py.boot.boot import choose
from hil.channel import HEADER, FromBelt, ToBelt, message
from hil.runtime import HEAP, find_interpreter, firmware_command, firmware_environment

__all__ = ["BeltDiedError", "BeltHost", "Identity", "Samples", "SilentRadio", "StateError"]

RATE_HZ = 50
BITS = 10
RUN_S_MAX = 20
RESET_POWER_ON, RESET_WATCHDOG = 1, 3


class BeltDiedError(RuntimeError):
    """The firmware's process ended by itself; carries what it printed."""


class StateError(ValueError):
    """A belt's state directory cannot be used; the message names the file."""


class Samples(Protocol):
    """What lies on the belt's ADC: hil.synth.Synth or anything with its block()."""

    def block(self, start: int, count: int) -> NDArray[np.int16]: ...


class BeltRadio(Protocol):
    """Where the belt's radio operations go."""

    async def services(self, table: dict[str, object]) -> None: ...
    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None: ...
    def silence(self) -> None: ...
    def value(self, handle: int, value: bytes) -> None: ...
    def notify(self, connection: int, handle: int, value: bytes) -> None: ...
    def hang_up(self, connection: int) -> None: ...
    async def power_off(self) -> None: ...


class SilentRadio:
    """A radio that nobody hears; keeps the last advertisement and counts."""

    def __init__(self) -> None:
        self.advertisement = b""
        self.advertisements = 0

    async def services(self, table: dict[str, object]) -> None:
        """Nobody connects."""

    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        """Keep the payload."""
        self.advertisement = data
        self.advertisements += 1

    def silence(self) -> None:
        """Stop advertising."""
        self.advertisement = b""

    def value(self, handle: int, value: bytes) -> None:
        """Nobody reads."""

    def notify(self, connection: int, handle: int, value: bytes) -> None:
        """Nobody listens."""

    def hang_up(self, connection: int) -> None:
        """Nobody is connected."""

    async def power_off(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True)
class Identity:
    """What the factory wrote into a belt: serial (8 bytes) and claim secret (16 bytes)."""

    serial: bytes
    claim_secret: bytes

    @classmethod
    def fresh(cls, number: int, seed: int | None = None) -> Identity:
        """Identity of emulated belt `number`: random, or always the same under a seed."""
        if seed is None:
            return cls(b"EMU" + secrets.token_bytes(3) + number.to_bytes(2, "big"), secrets.token_bytes(16))
        rng = np.random.default_rng([seed, number])
        return cls(b"EMU" + rng.bytes(3) + number.to_bytes(2, "big"), rng.bytes(16))

    def write(self, directory: Path) -> None:
        """Put the identity into a belt's state directory, if it has none yet."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "identity.json"
        if not path.exists():
            path.write_text(json.dumps({"serial": self.serial.hex(), "claim_secret": self.claim_secret.hex()}))

    @classmethod
    def read(cls, directory: Path) -> Identity:
        """The identity in a belt's state directory; StateError if there is none or it is damaged."""
        path = directory / "identity.json"
        try:
            values = json.loads(path.read_text())
            identity = cls(bytes.fromhex(values["serial"]), bytes.fromhex(values["claim_secret"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path}: {error}; remove the directory to make a new belt") from None
        if (len(identity.serial), len(identity.claim_secret)) != (8, 16):
            raise StateError(f"{path}: serial of 8 and claim_secret of 16 bytes belong there")
        return identity


def _slot(state_directory: Path) -> Path | None:
    """The slot that boot.py starts, if an update has filled one; a new emulated belt runs the project's own sources."""
    slot = Path(choose(str(state_directory)))
    return slot if (slot / "firmware_py").is_dir() else None


@dataclass
class BeltHost:
    """One belt. start(), then run_until(ms) as often as wished, post() radio events in between, stop() or kill()."""

    state_directory: Path
    samples: Samples
    radio: BeltRadio = field(default_factory=SilentRadio)
    rate_hz: int = RATE_HZ
    bits: int = BITS
    heap: str = HEAP
    ticks_start: int = 0
    on_reset: Callable[[int], None] = lambda cause: None

    now_ms: int = 0  # the belt's time since its boot
    boot_at_ms: int = 0  # on the axis of the samples
    reset_cause: int | None = None  # set when the firmware has reset itself
    heap_bytes: int = 0
    notifications: int = 0

    def __post_init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: list[bytes] = []
        self._sampled = 0
        self.wake = asyncio.Event()

    async def start(self, boot_at_ms: int = 0, cause: int = RESET_POWER_ON) -> None:
        """Power on at boot_at_ms of the samples' axis; on return the firmware waits for its first RUN."""
        here, there = socket.socketpair()
        os.set_inheritable(there.fileno(), True)
        state = self.state_directory.resolve()
        environment = firmware_environment(_slot(state)) | {
            "SLEEPBELT_EMULATION_FD": str(there.fileno()),
            "SLEEPBELT_STATE_DIR": str(state),
            "SLEEPBELT_RATE_HZ": str(self.rate_hz),
            "SLEEPBELT_BITS": str(self.bits),
            "SLEEPBELT_RESET_CAUSE": str(cause),
            "SLEEPBELT_TICKS_START": str(self.ticks_start),
        }
        command = firmware_command(find_interpreter(), self.heap)
        # The interpreter looks into its working directory before any other: there must be no firmware in it.
        self._process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=state, pass_fds=(there.fileno(),), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        there.close()
        self._reader, self._writer = await asyncio.open_connection(sock=here)
        self.boot_at_ms = boot_at_ms
        self.now_ms = 0
        self.reset_cause = None
        self._sampled = 0
        self._pending.clear()
        await self._until_idle()

    def post(self, kind: ToBelt, payload: bytes) -> None:
        """Radio event for the belt, delivered before it runs on."""
        self._pending.append(message(kind, payload))
        if kind != ToBelt.SENT:  # room in the queue is no reason to wake up for
            self.wake.set()

    async def run_until(self, until_ms: int) -> None:
        """Let the belt live until `until_ms` after its boot; stops early when the firmware resets itself."""
        while self.reset_cause is None and self.now_ms < until_ms:
            await self._run(min(until_ms, self.now_ms + RUN_S_MAX * 1000))

    async def deliver(self) -> None:
        """Let the belt handle posted events now, one millisecond on."""
        await self._run(self.now_ms + 1)

    async def measure_heap(self) -> int:
        """Bytes of heap in use after a collection, on the interpreter's own word size."""
        self.post(ToBelt.MEASURE, b"")
        await self.deliver()
        return self.heap_bytes

    async def kill(self) -> None:
        """Power cut: SIGKILL, at whatever the firmware was doing."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._close()
        await self.radio.power_off()

    async def stop(self) -> None:
        """End the process; the belt's flash stays as it is."""
        await self.kill()

    async def _run(self, until_ms: int) -> None:
        assert self._writer is not None
        end = until_ms * self.rate_hz // 1000
        base = self.boot_at_ms * self.rate_hz // 1000
        counts = self.samples.block(base + self._sampled, end - self._sampled).astype("<i2").tobytes()
        head = struct.pack("<QQ", until_ms, self._sampled)
        self.wake.clear()
        events, self._pending = self._pending, []
        self._writer.write(b"".join(events) + message(ToBelt.RUN, head + counts))
        self._sampled = end
        await self._until_idle()

    async def _until_idle(self) -> None:
        assert self._reader is not None
        try:
            while True:
                length, kind = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                payload = await self._reader.readexactly(length) if length else b""
                if kind == FromBelt.IDLE:
                    (self.now_ms,) = struct.unpack("<Q", payload)
                    return
                if kind == FromBelt.RESET:
                    await self._has_reset(payload[0])
                    return
                await self._handle(kind, payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise BeltDiedError(await self._last_words()) from None

    async def _handle(self, kind: int, payload: bytes) -> None:
        radio = self.radio
        if kind == FromBelt.NOTIFY:
            connection, handle = struct.unpack_from("<HH", payload)
            self.notifications += 1
            radio.notify(connection, handle, payload[4:])
        elif kind == FromBelt.ADVERTISE:
            interval_us, mode, length = struct.unpack_from("<IBB", payload)
            if mode:
                radio.advertise(interval_us / 1000, mode == 1, payload[6 : 6 + length], payload[6 + length :])
            else:
                radio.silence()
        elif kind == FromBelt.SERVICES:
            await radio.services(json.loads(payload))
        elif kind == FromBelt.VALUE:
            radio.value(struct.unpack_from("<H", payload)[0], payload[2:])
        elif kind == FromBelt.HANG_UP:
            radio.hang_up(struct.unpack("<H", payload)[0])
        elif kind == FromBelt.HEAP:
            (self.heap_bytes,) = struct.unpack("<I", payload)

    async def _has_reset(self, cause: int) -> None:
        self.reset_cause = cause
        await self._close()
        await self.radio.power_off()
        self.on_reset(cause)

    async def _last_words(self) -> str:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        text = (await process.stdout.read()).decode(errors="replace").strip()
        await self._close()
        await self.radio.power_off()
        return f"the belt in {self.state_directory} ended with code {process.returncode}: {text or 'no output'}"

    async def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._process is not None:
            await self._process.wait()
