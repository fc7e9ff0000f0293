"""Asks a gateway to do something, signed, and says within two seconds whether it did: never more than it knows.

`not_delivered` means that no answer came in time: the gateway may be cut off, or its answer lost. What the gateway then
still did shows in the alarm's own state, as everything a gateway does.
"""

import asyncio
import logging
import os
import random
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync.clock import Clock
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect
from cloud_sync.receiver.names import KeyFileError
from protocol.batch import TOPIC_ROOT, BatchError, topic
from protocol.command import ANSWER_LEAF, COMMAND_LEAF, REPLAYED, Answer, Command, decode_answer, encode_command

__all__ = ["NOT_DELIVERED", "Commander", "open_command_key"]

log = logging.getLogger(__name__)

NOT_DELIVERED = "not_delivered"
ANSWER_S = 2.0
RECONNECT_S_MIN, RECONNECT_S_MAX = 0.5, 10.0
WAITING_MAX = 256


class Commander:
    """`run` holds the connection; `ask` from anywhere on the same loop."""

    def __init__(self, address: BrokerAddress, key: Ed25519PrivateKey, clock: Clock) -> None:
        self._address, self._key, self._clock = address, key, clock
        self._link: Link | None = None
        self._waiting: dict[tuple[str, int], asyncio.Future[Answer]] = {}
        self._counter = 0

    @property
    def public_key(self) -> str:
        """What a gateway's `uplink.platform_key` has to hold."""
        return self._key.public_key().public_bytes_raw().hex()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        retry_s = RECONNECT_S_MIN
        while True:
            with suppress(BrokerError):  # the consumer beside us tells whether the broker is there
                async with connect(self._address, f"receiver-command-{random.getrandbits(48):012x}") as link:
                    await link.subscribe(f"{TOPIC_ROOT}/+/{ANSWER_LEAF}")
                    self._link, retry_s = link, RECONNECT_S_MIN
                    async for name, payload in link.messages():
                        self._answered(name, payload)
            self._link = None
            await asyncio.sleep(retry_s * (0.75 + 0.5 * random.random()))
            retry_s = min(2 * retry_s, RECONNECT_S_MAX)

    async def ask(self, gateway: str, kind: str, bed: str, who: str, argument: Mapping[str, str]) -> Answer:
        """The gateway's answer, or one with code `not_delivered` after two seconds (or at once without a broker)."""
        until_s = asyncio.get_running_loop().time() + ANSWER_S
        answer = await self._once(gateway, kind, bed, who, argument, until_s)
        if answer.code == REPLAYED:
            # Our clock stands behind what the gateway has seen from us, as after a restore: count on from there.
            self._counter = max(self._counter, answer.last_counter)
            answer = await self._once(gateway, kind, bed, who, argument, until_s)
        return answer

    async def _once(
        self, gateway: str, kind: str, bed: str, who: str, argument: Mapping[str, str], until_s: float
    ) -> Answer:
        now_ms = self._clock.utc_ms()
        self._counter = max(self._counter + 1, now_ms)
        key = (gateway, self._counter)
        lost = Answer(self._counter, NOT_DELIVERED)
        if self._link is None or len(self._waiting) >= WAITING_MAX:
            return lost
        message = encode_command(Command(gateway, self._counter, now_ms, kind, bed, who, argument), self._key.sign)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        try:
            self._link.send(topic(gateway, COMMAND_LEAF), message, lambda reason: log.error(
                "the broker refuses a command to %s: %s", gateway, reason))
            async with asyncio.timeout_at(until_s):
                return await future
        except (TimeoutError, BrokerError):
            return lost
        finally:
            del self._waiting[key]

    def _answered(self, name: str, payload: bytes) -> None:
        gateway = name.split("/")[-2]
        try:
            answer = decode_answer(payload)
        except BatchError as error:
            log.warning("%s: an answer that is none was dropped: %s", gateway, error)
            return
        future = self._waiting.get((gateway, answer.counter))
        if future is not None and not future.done():
            future.set_result(answer)


def open_command_key(path: Path) -> Ed25519PrivateKey:
    """The platform's key, made (mode 600) if the file is not there; KeyFileError if it cannot be used."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(Ed25519PrivateKey.generate().private_bytes_raw())
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # of two receivers that start at once both go on with the same key
                    os.link(fresh, path)
            finally:
                fresh.unlink()
        raw = path.read_bytes()
        if len(raw) != 32:
            raise KeyFileError(f"{path} holds {len(raw)} bytes where a key has 32: restore it from a backup, or remove "
                               "it and give the gateways the new platform_key")
        return Ed25519PrivateKey.from_private_bytes(raw)
    except OSError as error:
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError(f"cannot use the command key {path}: {error.strerror or error}") from error
