"""The gateway's way to the cloud: two lanes on two connections, fed by the outbox, freed by the receiver's acks.

The local alarm path never waits for anything here: without a broker, or with one that refuses, the lanes try again
for ever and the outbox keeps. Each change of state is one log line.
"""

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from cloud_sync.clock import Clock
from cloud_sync.delivery import ALARM_POLICY, VITALS_POLICY, Batch, Freed, LaneDelivery, LanePolicy
from cloud_sync.enrol_files import AUTHORITY_FILE, IDENTITY_FILE
from cloud_sync.http_link import HttpAddress, HttpLink, http_link
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect, parse_broker_url
from cloud_sync.outbox import Outbox
from protocol.batch import (
    LANE_ALARM,
    LANE_VITALS,
    BatchError,
    Envelope,
    LiveSnapshot,
    batch_digest,
    decode_ack,
    encode_envelope,
    encode_live,
    topic,
)
from protocol.command import ANSWER_LEAF, COMMAND_LEAF

__all__ = ["Uplink", "UplinkSettings", "UplinkStatus", "enrolled_address"]

log = logging.getLogger(__name__)
T = TypeVar("T")

RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 15.0
FLUSH_REAL_S_MIN = 1.0
LIVE_REAL_S_MIN = 0.5
STORE_RETRY_S = 1.0
COMMANDS_WAITING_MAX = 32  # beyond it they are dropped: whoever asked is told "not delivered"
HTTP_TURN_S = 30.0
STORE_FAILURES = (OSError, sqlite3.Error)


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """`[uplink]` of the gateway's configuration; BrokerUrlError and ValueError say which value is wrong."""

    url: str
    gateway: str
    flush_s: float = 300.0  # virtual seconds that vitals wait for company: five minutes halve the bytes
    flush_real_s_min: float = FLUSH_REAL_S_MIN
    reconnect_s_max: float = RECONNECT_S_MAX
    http: HttpAddress | None = None  # the same batches by POST while the broker is out of reach
    identity_folder: Path | None = None  # what enrolment wrote, if this gateway was enrolled

    def address(self) -> BrokerAddress:
        """The broker's address, checked."""
        return enrolled_address(self.url, self.identity_folder)


def enrolled_address(url: str, folder: Path | None) -> BrokerAddress:
    """The broker of `url`, with the certificates of an enrolment where `folder` has them and the way is TLS."""
    address = parse_broker_url(url)
    if folder is None or not address.tls or not (folder / IDENTITY_FILE).exists():
        return address
    return replace(address, ca_file=folder / AUTHORITY_FILE, identity_file=folder / IDENTITY_FILE)


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """`state` is ok while both lanes are connected and the receiver commits what is sent, else down."""

    state: str  # ok | down
    sent_messages: int
    sent_bytes: int
    resent_messages: int
    freed_items: int
    rejected_items: int
    refused_publishes: int


class Uplink:
    """Runs both lanes for one outbox. `run()` until cancelled; all other methods are called on the same loop."""

    def __init__(self, outbox: Outbox, settings: UplinkSettings, clock: Clock) -> None:
        self._address = settings.address()
        topic(settings.gateway, "ack")  # a label that is no topic level is an error now, not at the first connection
        self._settings = settings
        self._lanes = [
            _Lane(policy, outbox, settings, self._address, clock) for policy in (ALARM_POLICY, VITALS_POLICY)
        ]

    async def run(self) -> None:
        """Deliver until cancelled; never returns by itself and never raises for anything a network can do."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(lane.run())
            if self._address.identity_file is not None:
                from cloud_sync.renewal import Renewal  # certificates are a large import

                tasks.create_task(Renewal(self._address, self._settings.gateway).run())

    def live(self, snapshot: LiveSnapshot) -> None:
        """Publish the state now: lossy, the newest replaces one that could not leave yet."""
        self._lanes[1].live(snapshot)

    def take_commands(self, take: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        """Hear the platform's commands from the next connection on; `take(message)` gives the answer to send."""
        self._lanes[0].take_command = take

    async def flush(self, timeout_s: float) -> bool:
        """Send what waits without delay; True once the cloud has committed all of it within timeout_s real seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for lane in self._lanes:
                    await lane.drained()
                return True
        return False

    def status(self) -> UplinkStatus:
        """Counters since start, and whether the cloud is reached."""
        lanes = self._lanes
        return UplinkStatus(
            state="ok" if all(lane.is_up for lane in lanes) else "down",
            sent_messages=sum(lane.sent_messages for lane in lanes),
            sent_bytes=sum(lane.sent_bytes for lane in lanes),
            resent_messages=sum(lane.resent_messages for lane in lanes),
            freed_items=sum(lane.freed_items for lane in lanes),
            rejected_items=sum(lane.rejected_items for lane in lanes),
            refused_publishes=sum(lane.refused_publishes for lane in lanes),
        )


class _Lane:
    """The shell of one LaneDelivery: loads, encodes, publishes, frees."""

    def __init__(
        self, policy: LanePolicy, outbox: Outbox, settings: UplinkSettings, address: BrokerAddress, clock: Clock
    ) -> None:
        self._policy, self._outbox, self._settings = policy, outbox, settings
        self._address, self._clock = address, clock
        self._core = LaneDelivery(policy, outbox.epoch)
        self._wake = asyncio.Event()
        self._idle_changed = asyncio.Event()
        self._live: LiveSnapshot | None = None
        self._live_changed = asyncio.Event()
        self.take_command: Callable[[bytes], Awaitable[bytes | None]] | None = None
        self._commands: asyncio.Queue[bytes] = asyncio.Queue(COMMANDS_WAITING_MAX)
        self._said_up: bool | None = None
        self._draining = 0
        self._to_free: asyncio.Queue[Freed | int] = asyncio.Queue()  # bounded by what the window lets fly; int: rewind
        self._was_rewound = asyncio.Event()
        self._said_store_failing = False
        self._is_refused = False
        self.sent_messages = self.sent_bytes = self.resent_messages = 0
        self.freed_items = self.rejected_items = self.refused_publishes = 0

    @property
    def is_up(self) -> bool:
        return self._core.is_connected and not self._core.is_overdue() and not self._is_refused

    def live(self, snapshot: LiveSnapshot) -> None:
        self._live = snapshot
        self._live_changed.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._load())
            tasks.create_task(self._free())
            tasks.create_task(self._stay_connected())

    async def drained(self) -> None:
        """Returns once the outbox holds nothing unacked of this lane."""
        self._draining += 1
        try:
            while await self._from_store(lambda: self._outbox.pending(self._policy.lane, 0, 1)):
                self._core.flush(_real_ms())
                self._wake.set()
                self._idle_changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._idle_changed.wait()
        finally:
            self._draining -= 1

    async def _load(self) -> None:
        lane = self._policy.lane
        while True:
            want = self._core.want()
            if want is None:
                self._idle_changed.clear()
                await self._idle_changed.wait()
                continue
            after_seq, limit_bytes = want
            items = await self._from_store(partial(self._outbox.pending, lane, after_seq, limit_bytes))
            if self._core.last_loaded_seq != after_seq:
                continue  # rewound meanwhile: what follows on the old place would leave a hole
            if not items:
                await self._grown(after_seq)
                continue
            self._core.loaded(items, _real_ms(), self._flush_delay_ms())
            self._wake.set()
            if self._core.want() is not None:
                await asyncio.sleep(0)

    async def _grown(self, after_seq: int) -> None:
        """Returns once there is more than after_seq, or the lane was rewound."""
        self._was_rewound.clear()
        growing = asyncio.ensure_future(self._from_store(partial(self._outbox.wait, self._policy.lane, after_seq)))
        rewinding = asyncio.ensure_future(self._was_rewound.wait())
        try:
            await asyncio.wait({growing, rewinding}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            growing.cancel()
            rewinding.cancel()

    def _flush_delay_ms(self) -> int:
        if self._policy.lane != LANE_VITALS or self._draining:
            return 0
        real_s = self._clock.real_delay_s(self._settings.flush_s)
        return round(1000 * max(real_s, self._settings.flush_real_s_min))

    async def _stay_connected(self) -> None:
        retry_s = RECONNECT_S_MIN
        while True:
            try:
                async with connect(self._address, f"{self._settings.gateway}-{self._policy.lane}") as link:
                    await link.subscribe(topic(self._settings.gateway, "ack"))
                    if self.take_command is not None:
                        await link.subscribe(topic(self._settings.gateway, COMMAND_LEAF))
                    self._core.connected()
                    self._say_up(True, "connected")
                    retry_s = RECONNECT_S_MIN
                    await self._serve(link)
            except BrokerError as error:
                self._say_up(False, str(error))
            finally:
                self._core.disconnected()
            if self._settings.http is not None:
                await self._serve_by_http(self._settings.http)
            await asyncio.sleep(retry_s * (0.75 + 0.5 * random.random()))
            retry_s = min(retry_s * 2, self._settings.reconnect_s_max)

    async def _serve_by_http(self, address: HttpAddress) -> None:
        """Go on by HTTP for a while, then give the broker another chance."""
        try:
            async with asyncio.timeout(HTTP_TURN_S), http_link(address) as link:
                self._core.connected()
                await self._serve(link)
        except TimeoutError:
            pass
        except BrokerError as error:
            self._say_up(False, str(error))
        finally:
            self._core.disconnected()

    async def _serve(self, link: Link | HttpLink) -> None:
        """Send and take acks on one connection until it breaks (BrokerError)."""
        jobs = [self._send(link), self._take_acks(link)]
        if self._policy.lane == LANE_VITALS:
            jobs.append(self._send_live(link))
        if self._policy.lane == LANE_ALARM and self.take_command is not None:
            jobs.append(self._obey(link, self.take_command))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, link: Link | HttpLink) -> None:
        while True:
            batch = self._core.next_batch(_real_ms())
            if batch is not None:
                await self._publish(link, batch)
                continue
            self._wake.clear()
            deadline_ms = self._core.deadline_ms()
            with suppress(TimeoutError):
                # The lane may have nothing to wait for but an event: None waits for that alone.
                async with asyncio.timeout(None if deadline_ms is None else max(1, deadline_ms - _real_ms()) / 1000):
                    await self._wake.wait()

    async def _publish(self, link: Link | HttpLink, batch: Batch) -> None:
        first = batch.items[0].seq
        items = tuple((item.seq - first, item.body) for item in batch.items)
        envelope = Envelope(self._settings.gateway, self._core.epoch, first, batch.floor, items)
        if self._policy.lane == LANE_VITALS:
            # Compression at level 19 takes tens of milliseconds for a full batch: not on the loop of the alarm path.
            message = await asyncio.to_thread(encode_envelope, envelope)
        else:
            message = encode_envelope(envelope)
        self._core.sent(batch, len(message), batch_digest(message), _real_ms(), random.random())
        link.send(topic(self._settings.gateway, self._policy.lane), message, self._refused)
        self.sent_messages += 1
        self.sent_bytes += len(message)
        self.resent_messages += batch.resend
        if self._core.is_overdue():
            self._say_up(False, "batches are not acknowledged: the receiver is away or cannot commit")

    def _refused(self, reason: str) -> None:
        self.refused_publishes += 1
        self._is_refused = True
        self._say_up(False, f"batches of {self._settings.gateway} are refused: {reason}")

    async def _take_acks(self, link: Link | HttpLink) -> None:
        commands = topic(self._settings.gateway, COMMAND_LEAF)
        async for name, payload in link.messages():
            if name == commands:
                with suppress(asyncio.QueueFull):
                    self._commands.put_nowait(payload)
                continue
            try:
                ack = decode_ack(payload)
            except BatchError as error:
                log.warning("uplink %s: an ack that is none was dropped: %s", self._policy.lane, error)
                continue
            freed = self._core.acked(ack, _real_ms())
            self._to_free.put_nowait(freed)
            if self._core.wants_rewind(ack):
                log.warning("uplink %s: the receiver lacks what it once acked, from seq %d on: sending it again",
                            self._policy.lane, ack.rewind)  # fmt: skip
                self._to_free.put_nowait(ack.rewind)
            if freed.accepted:
                self._is_refused = False
            if freed.rejected:
                log.error("uplink %s: the receiver rejects %s", self._policy.lane, freed.rejected)
            if freed.accepted and not self._core.is_overdue():
                self._say_up(True, "batches are acknowledged")
            self._wake.set()
            self._idle_changed.set()  # the loader may go on

    async def _obey(self, link: Link | HttpLink, take: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        """Do what the platform asks and answer; apart from the acks, which must not wait for a disk."""
        while True:
            answer = await take(await self._commands.get())
            if answer is not None:
                link.send(topic(self._settings.gateway, ANSWER_LEAF), answer, self._refused)

    async def _free(self) -> None:
        """Free in the outbox what was acked; apart from the connection, which may break while the disk is slow."""
        lane = self._policy.lane
        held: Freed | int | None = None
        while True:
            freed = await self._to_free.get() if held is None else held
            held = None
            if isinstance(freed, int):
                await self._from_store(partial(self._outbox.rewind, lane, freed))
                self._core.rewound(freed)
                self._was_rewound.set()
                self._idle_changed.set()
                continue
            accepted, rejected = list(freed.accepted), dict(freed.rejected)
            # What came meanwhile is one commit: an alarm's must not wait behind one for each message.
            while not self._to_free.empty():
                held = self._to_free.get_nowait()
                if isinstance(held, int):
                    break
                accepted += held.accepted
                rejected |= held.rejected
                held = None
            if accepted:
                await self._from_store(partial(self._outbox.acked, lane, accepted))
                self.freed_items += len(accepted)
            if rejected:
                await self._from_store(partial(self._outbox.rejected, lane, rejected))
                self.rejected_items += len(rejected)
            self._idle_changed.set()

    async def _from_store(self, call: Callable[[], Awaitable[T]]) -> T:
        """The outbox's answer, however long its disk fails: the gateway's alarms must not end with its disk."""
        while True:
            try:
                answer = await call()
            except STORE_FAILURES as error:
                if not self._said_store_failing:
                    log.error("uplink %s: the outbox fails, trying again: %s", self._policy.lane, error)
                self._said_store_failing = True
                await asyncio.sleep(STORE_RETRY_S)
                continue
            if self._said_store_failing:
                log.info("uplink %s: the outbox answers again", self._policy.lane)
                self._said_store_failing = False
            return answer

    async def _send_live(self, link: Link | HttpLink) -> None:
        name = topic(self._settings.gateway, "live")
        self._live_changed.set()  # a new broker has no retained snapshot
        while True:
            await self._live_changed.wait()
            self._live_changed.clear()
            if self._live is not None:
                link.send(name, encode_live(self._live), self._refused, qos=0, retain=True)
            await asyncio.sleep(LIVE_REAL_S_MIN)

    def _say_up(self, is_up: bool, why: str) -> None:
        if is_up is self._said_up:
            return
        self._said_up = is_up
        say: Callable[..., None] = log.info if is_up else log.warning
        say("uplink %s to %s is %s: %s", self._policy.lane, self._address, "up" if is_up else "down", why)


def _real_ms() -> int:
    return time.monotonic_ns() // 1_000_000
