"""One session with one belt over a bleak client: handshake, sealed frames, fragments; typed messages come out.

Every GATT call has a timeout (bleak has none, facts/RADIO.md failure 4), the client is always disconnected (failure 2),
and a link without fresh data is dead whatever bleak says (failure 3). A bad frame is counted and dropped whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakError

from cloud_sync.clock import until_tick_s
from gateway.aes import aes
from gateway.radio_scan import cancelled
from protocol.messages import AnyRecord, Hello, LiveReport, hello_from, record_from, report_from
from protocol.wire import ccm, fragments, frames, gatt, session

__all__ = ["Absences", "BeltLink", "HistoryEnd", "LinkError", "Message", "RefusedError", "Result", "UnreachableError"]

GATT_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
DISCONNECT_TIMEOUT_S = 3.0
HELLO_TIMEOUT_S = 5.0
FRESH_S = 5.0  # reports come each second
TICK_S = 0.5  # at most so much later it is noticed
SEND_QUEUE_MAX = 256
UPTIME_MS_MAX = 10 * 366 * 86_400_000  # ten years in one boot: beyond it the belt's clock is broken
VALUE_BYTES_MIN = 20

REFUSALS = {
    frames.REFUSED_PROOF: "the belt does not know this key; check key or key_file of its bed",
    frames.REFUSED_VERSION: "the belt speaks another version of the protocol; update it or the gateway",
    frames.REFUSED_BUSY: "the belt is busy with another gateway",
    frames.REFUSED_DECOMMISSIONED: "the belt was taken out of service",
}
_CODES = {
    frames.REFUSED_PROOF: "wrong_key", frames.REFUSED_VERSION: "version", frames.REFUSED_BUSY: "busy",
    frames.REFUSED_DECOMMISSIONED: "decommissioned",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Absences:
    """Finished absences that the belt remembers, (ended_ago_s, duration_s), oldest first."""

    boot_id: int
    uptime_ms: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HistoryEnd:
    request_id: int
    first_seq: int
    last_seq: int
    oldest_seq: int
    record_seq: int


@dataclass(frozen=True, slots=True)
class Result:
    """Answer to a command."""

    request_id: int
    status: int
    value: int
    tail: bytes


Message = LiveReport | AnyRecord | Absences | HistoryEnd | Result


class LinkError(Exception):
    """The session could not be had or is over; try again later. The text says what happened, `code` names it."""

    code = "link"


class UnreachableError(LinkError):
    """Not even a connection came about; the adapter may be at fault."""

    code = "unreachable"


class RefusedError(LinkError):
    """The belt or we refuse each other: trying again helps only after somebody changed something.

    `code`: `wrong_key`, `claimed_elsewhere` (wrong key, and the belt says that somebody has claimed it), `version`,
    `busy`, `decommissioned`, `not_a_belt` or `refused`.
    """

    def __init__(self, text: str, code: str = "refused") -> None:
        super().__init__(text)
        self.code = code


class BeltLink:
    """One connection. `open()`, then `hold()` until LinkError; `send` any time in between; `close()` always."""

    def __init__(
        self,
        client: BleakClient,
        serial: bytes,
        key: bytes,
        gateway_identity: bytes,
        on_message: Callable[[Message], None],
        counters: Counter[str],
    ) -> None:
        self._client = client
        self._serial = serial
        self._key = key
        self._gateway_identity = gateway_identity
        self._on_message = on_message
        self._counters = counters
        self._join: tuple[bytes, int] = fragments.IDLE
        self._hello: asyncio.Future[tuple[int, tuple[Any, ...]]] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._fresh_s = 0.0  # loop time of the last authentic frame
        self._is_stale = False
        self._watching: asyncio.TimerHandle | None = None
        self._unseal_block: Callable[[bytes], bytes] | None = None
        self._seal_block: Callable[[bytes], bytes] | None = None
        self._received = 0
        self._sealed = 0
        self._fragment = 0
        self._sends: asyncio.Queue[tuple[int, tuple[Any, ...], bytes]] = asyncio.Queue(SEND_QUEUE_MAX)
        self._rx: BleakGATTCharacteristic | None = None

    def disconnected(self) -> None:
        """To be called by the client's disconnected callback (synchronous in bleak)."""
        self._closed.set()

    async def open(self) -> Hello:
        """Connect, subscribe, prove each other; LinkError if any of it fails."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.connect()
        except TimeoutError:
            raise UnreachableError("it did not answer in time") from None
        except (BleakError, OSError, EOFError) as error:
            raise UnreachableError(str(error) or type(error).__name__) from None
        try:
            rx = self._client.services.get_characteristic(gatt.RX)
            tx = self._client.services.get_characteristic(gatt.TX)
            if rx is None or tx is None:
                raise RefusedError("it has no belt service; is it a belt?", "not_a_belt")
            self._rx = rx
            async with asyncio.timeout(GATT_TIMEOUT_S):
                await self._client.start_notify(tx, self._notified)
            return await self._handshake()
        except TimeoutError:
            raise LinkError("it did not answer in time") from None
        except (BleakError, OSError, EOFError) as error:
            raise LinkError(str(error) or type(error).__name__) from None

    async def hold(self) -> None:
        """Write what is sent and watch that data keep coming, until the link is over (LinkError says how)."""
        writer = asyncio.ensure_future(self._write_sends())
        closed = asyncio.ensure_future(self._closed.wait())
        self._fresh_s = asyncio.get_running_loop().time()
        self._watch_freshness()
        try:
            done, _ = await asyncio.wait((writer, closed), return_when=asyncio.FIRST_COMPLETED)
            if writer in done:
                writer.result()
            raise LinkError(f"no data for {FRESH_S:g} s" if self._is_stale else "it disconnected")
        finally:
            if self._watching is not None:
                self._watching.cancel()
            writer.cancel()
            closed.cancel()
            await asyncio.gather(writer, closed, return_exceptions=True)

    async def close(self) -> None:
        """Disconnect, also a client that believes it is not connected: the other side may hold the link."""
        with contextlib.suppress(BleakError, OSError, EOFError, TimeoutError):
            async with asyncio.timeout(DISCONNECT_TIMEOUT_S):
                await self._client.disconnect()

    def send(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bool:
        """Queue one frame to the belt; False if the queue is full (the frame is dropped and counted)."""
        try:
            self._sends.put_nowait((kind, values, tail))
        except asyncio.QueueFull:
            self._counters["sends_dropped"] += 1
            return False
        return True

    # -- inside ------------------------------------------------------------------------------------------------------

    def _watch_freshness(self) -> None:
        # By a plain timer: a task that waits for it would go three times round the loop each time. All links look at
        # the same ticks, with whatever else looks around now and then: one wake-up for all.
        loop = asyncio.get_running_loop()
        left_s = self._fresh_s + FRESH_S - loop.time()
        if left_s > 0:
            self._watching = loop.call_later(until_tick_s(TICK_S, left_s), self._watch_freshness)
        else:
            self._is_stale = True
            self._closed.set()

    async def _handshake(self) -> Hello:
        nonce = os.urandom(session.NONCE_BYTES)
        await self._write(session.plain_packet(frames.encode(frames.HELLO_REQUEST, (self._gateway_identity, nonce))))
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            kind, values = await self._hello
        if kind == frames.REFUSED:
            raise RefusedError(
                REFUSALS.get(values[0], f"the belt refuses, reason {values[0]}"), _CODES.get(values[0], "refused")
            )
        hello = hello_from(values)
        if hello.serial != self._serial:
            raise RefusedError(f"it says it is belt {hello.serial.hex()}", "not_a_belt")
        script = session.transcript(hello.serial, self._gateway_identity, hello.belt_nonce, nonce)
        if not ccm.same(session.belt_proof(aes, self._key, script), hello.belt_proof):
            # What a stranger could say too; it only chooses the words for the person who reads them.
            raise RefusedError(REFUSALS[frames.REFUSED_PROOF], "claimed_elsewhere" if hello.claimed else "wrong_key")
        up, down = session.session_keys(aes, self._key, script)
        # Before the confirmation is written: the belt answers it with sealed frames at once.
        self._unseal_block, self._seal_block = aes(up), aes(down)
        proof = session.gateway_proof(aes, self._key, script)
        await self._write(session.plain_packet(frames.encode(frames.HELLO_CONFIRM, (proof,))))
        return hello

    async def _write_sends(self) -> None:
        while not cancelled():
            kind, values, tail = await self._sends.get()
            assert self._seal_block is not None
            self._sealed += 1
            try:
                await self._write(session.seal(self._seal_block, self._sealed, frames.encode(kind, values, tail)))
            except TimeoutError:
                raise LinkError("a write was not taken in time") from None
            except (BleakError, OSError, EOFError) as error:
                raise LinkError(str(error) or type(error).__name__) from None

    async def _write(self, packet: bytes) -> None:
        assert self._rx is not None
        # mtu_size is always 23 on BlueZ; the characteristic knows better.
        value_bytes = max(VALUE_BYTES_MIN, min(gatt.VALUE_BYTES_MAX, self._rx.max_write_without_response_size))
        pieces, self._fragment = fragments.split(packet, value_bytes, self._fragment)
        response = "write-without-response" not in self._rx.properties
        for piece in pieces:
            async with asyncio.timeout(GATT_TIMEOUT_S):
                await self._client.write_gatt_char(self._rx, piece, response=response)

    def _notified(self, _: BleakGATTCharacteristic, value: bytearray) -> None:
        try:
            self._join, packet = fragments.join(self._join, bytes(value))
            if packet is not None:
                self._packet(packet)
        # ValueError: FrameError, ReplayError and TagError alike.
        except ValueError as error:
            self._join = fragments.IDLE
            self._counters[f"bad_{type(error).__name__}"] += 1

    def _packet(self, packet: bytes) -> None:
        if not packet:
            raise frames.FrameError("empty packet")
        if packet[0] == session.PLAIN:
            kind, values, _ = frames.decode(packet[1:])
            # Only the handshake is plain, and only once: later a stranger in between could say it.
            if kind not in (frames.HELLO, frames.REFUSED) or values is None or self._hello.done():
                raise frames.FrameError("plain")
            self._hello.set_result((kind, values))
            return
        if self._unseal_block is None:
            raise frames.FrameError("sealed before the session")
        counter, frame = session.unseal(self._unseal_block, self._received, packet)
        self._received = counter
        self._fresh_s = asyncio.get_running_loop().time()
        message = _message(*frames.decode(frame))
        if getattr(message, "uptime_ms", 0) > UPTIME_MS_MAX:
            raise frames.FrameError("uptime")
        if message is None:
            self._counters["unknown_kinds"] += 1
        else:
            self._counters["frames"] += 1
            self._on_message(message)


def _message(kind: int, values: tuple[Any, ...] | None, tail: bytes) -> Message | None:
    """The typed message of a frame; None for a kind that a newer belt sends."""
    if values is None:
        return None
    if kind == frames.REPORT:
        return report_from(values)
    if kind == frames.RECORD:
        return record_from(values, tail)
    if kind == frames.ABSENCES:
        boot_id, uptime_ms = values
        return Absences(boot_id, uptime_ms, frames.decode_absences(tail))
    if kind == frames.HISTORY_END:
        return HistoryEnd(*values)
    if kind == frames.RESULT:
        request_id, status, value = values
        return Result(request_id, status, value, tail)
    return None
