"""Sends a signed image to one belt over BLE: its own short session, resumed where an interrupted one ended."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from typing import Any

from bleak import BleakClient
from bleak.exc import BleakError
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol.wire import ccm, fragments, frames, gatt, session

__all__ = ["UpdateClient", "UpdateError"]

GATEWAY_ID = b"sb-updat"
WAIT_S = 15.0
INSTALL_S = 120.0
DATA_BYTES = 400
_WORDS = {
    frames.STATUS_REFUSED: "refused: its bed is empty, another update is on trial, or the image is not signed for it",
    frames.STATUS_FAILED: "the image is damaged",
    frames.STATUS_OUT_OF_RANGE: "the image is larger than a slot",
}


class UpdateError(RuntimeError):
    """The belt did not take the image; the message says why, sending it again goes on where it stopped."""


def _aes(key: bytes) -> Callable[[bytes], bytes]:
    # One block at a time under fresh keys: CCM builds on it (protocol/wire/ccm.py).
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update


class UpdateClient:
    """update() one belt over a bleak client that is not connected yet."""

    def __init__(self, client: BleakClient, key: bytes) -> None:
        self._client = client
        self._key = key
        self._join: tuple[bytes, int] = fragments.IDLE
        self._fragment = 0
        self._up: Callable[[bytes], bytes] | None = None
        self._down: Callable[[bytes], bytes] | None = None
        self._sent = 0
        self._received = 0
        self._request = 0
        self._frames: asyncio.Queue[tuple[int, tuple[Any, ...]]] = asyncio.Queue()

    async def update(self, image: bytes, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
        """Send and install; returns the offset it began at. UpdateError if the belt refuses or the link is lost."""
        try:
            await self._client.connect()
        except (BleakError, TimeoutError, OSError) as error:
            raise UpdateError(
                f"no connection to {self._client.address}: {error or type(error).__name__}; is Bluetooth on (or"
                " --adapter right), the belt in range and no gateway connected to it?"
            ) from None
        try:
            await self._client.start_notify(gatt.TX, lambda _, value: self._notified(bytes(value)))
            await self._handshake()
            return await self._transfer(image, progress)
        except (BleakError, TimeoutError, OSError) as error:
            raise UpdateError(
                f"the link was lost: {error or type(error).__name__}; run the same command again"
            ) from None
        finally:
            if self._client.is_connected:
                await self._client.disconnect()

    async def _transfer(self, image: bytes, progress: Callable[[int, int], None]) -> int:
        begun_at = at = await self._asked(frames.UPDATE_BEGIN, (len(image), hashlib.sha256(image).digest()))
        while at < len(image):
            progress(at, len(image))
            at = await self._asked(frames.UPDATE_DATA, (at,), image[at : at + DATA_BYTES])
        progress(at, len(image))
        await self._asked(frames.UPDATE_END, ())
        # Answered STARTED; the same request is answered once more when the slot is written.
        self._checked((await self._result(self._request, INSTALL_S))[0])
        return begun_at

    async def _handshake(self) -> None:
        nonce = os.urandom(session.NONCE_BYTES)
        await self._write(session.plain_packet(frames.encode(frames.HELLO_REQUEST, (GATEWAY_ID, nonce))))
        hello = await self._expect(frames.HELLO, WAIT_S)
        script = session.transcript(hello[0], GATEWAY_ID, hello[1], nonce)
        if not ccm.same(session.belt_proof(_aes, self._key, script), hello[2]):
            raise UpdateError("this belt has another key: give its bound key, or the claim secret of its label")
        up, down = session.session_keys(_aes, self._key, script)
        self._up, self._down = _aes(up), _aes(down)
        proof = session.gateway_proof(_aes, self._key, script)
        await self._write(session.plain_packet(frames.encode(frames.HELLO_CONFIRM, (proof,))))

    async def _asked(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> int:
        """The value of a request's RESULT; UpdateError unless it is done or started."""
        assert self._down is not None
        self._request += 1
        self._sent += 1
        frame = frames.encode(kind, (self._request, *values), tail)
        await self._write(session.seal(self._down, self._sent, frame))
        status, value = await self._result(self._request, WAIT_S)
        self._checked(status)
        return value

    def _checked(self, status: int) -> None:
        if status not in (frames.STATUS_DONE, frames.STATUS_STARTED):
            raise UpdateError(f"the belt says: {_WORDS.get(status, f'status {status}')}")

    async def _result(self, request: int, timeout_s: float) -> tuple[int, int]:
        while True:
            values = await self._expect(frames.RESULT, timeout_s)
            if values[0] == request:
                return values[1], values[2]

    async def _expect(self, kind: int, timeout_s: float) -> tuple[Any, ...]:
        async with asyncio.timeout(timeout_s):
            while True:
                found, values = await self._frames.get()
                if found == frames.REFUSED:
                    raise UpdateError("the belt refuses a session: wrong key or decommissioned")
                if found == kind:
                    return values

    async def _write(self, packet: bytes) -> None:
        parts, self._fragment = fragments.split(packet, self._client.mtu_size - 3, self._fragment)
        for part in parts:
            await self._client.write_gatt_char(gatt.RX, part, response=False)

    def _notified(self, value: bytes) -> None:
        try:
            self._join, packet = fragments.join(self._join, value)
            if packet is None:
                return
            if packet[0] == session.PLAIN:
                frame = packet[1:]
            elif self._up is not None:
                self._received, frame = session.unseal(self._up, self._received, packet)
            else:
                return
            kind, values, _ = frames.decode(frame)
        except (frames.FrameError, ccm.TagError):
            self._join = fragments.IDLE  # a report more or less: requests are repeated by running the command again
            return
        if values is not None:
            self._frames.put_nowait((kind, values))
