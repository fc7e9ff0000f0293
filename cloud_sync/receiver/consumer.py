"""From the broker into the store and back: shared subscription, group commit, ack after the commit.

Any number of these may run beside each other on one broker and one database: none keeps anything but what it was just
given, sessions are clean, and a message that dies with one of them is sent again by its gateway.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cloud_sync.clock import Clock
from cloud_sync.ingest import Arrival, ack_of, address_of, examine
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect
from cloud_sync.receiver.stores.base import Committed, StoreError, StoreWrites, UnstorableError
from cloud_sync.receiver.threads import StoreThread
from protocol.batch import (
    LANE_ALARM,
    LANE_VITALS,
    TOPIC_ROOT,
    BatchError,
    LiveSnapshot,
    decode_live,
    encode_ack,
    topic,
)

__all__ = ["Consumer"]

log = logging.getLogger(__name__)

# A share name of its own for each lane: rumqttd passes the turn among all members of a name, whatever they subscribed.
SHARE = "$share/receivers-{lane}/{root}/+/{lane}"
GROUP_S = 0.015  # how long a commit waits for company: facts/SYNC.md "Receiver", 10-20 ms
GROUP_MESSAGES_MAX = 256
QUEUE_MAX = 2_000  # messages waiting for a commit; beyond it they are dropped unacked and come again
RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 10.0
COMMIT_RETRY_S = 1.0


class _Way(Protocol):
    """Where the ack goes."""

    def send(self, topic: str, payload: bytes, on_refused: Callable[[str], None]) -> None: ...


class _Answer:
    """The way back to somebody who waits for this one ack."""

    def __init__(self) -> None:
        self.ack: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, topic: str, payload: bytes, on_refused: Callable[[str], None]) -> None:
        if not self.ack.done():
            self.ack.set_result(payload)


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    payload: bytes
    link: _Way


class Consumer:
    """Runs both lanes' subscriptions. `on_committed` and `on_live` are called on the loop, in order."""

    def __init__(
        self,
        address: BrokerAddress,
        writes: StoreThread[StoreWrites],
        clock: Clock,
        on_committed: Callable[[Committed], None],
        on_live: Callable[[LiveSnapshot], None],
    ) -> None:
        self._address, self._writes, self._clock = address, writes, clock
        self._on_committed, self._on_live = on_committed, on_live
        self._connected: set[str] = set()
        self._said_up: bool | None = None
        self._said_failing = False
        self._queues = {lane: asyncio.Queue[_Message](QUEUE_MAX) for lane in (LANE_ALARM, LANE_VITALS)}
        self._arrived = asyncio.Event()
        self.dropped_messages = 0  # for want of room: not acked, so not lost

    @property
    def is_connected(self) -> bool:
        """True while both lanes are subscribed."""
        return len(self._connected) == len(self._queues)

    @property
    def is_committing(self) -> bool:
        """False while the database takes nothing; what arrives is then not acked and comes again."""
        return not self._said_failing

    async def take(self, name: str, payload: bytes) -> bytes:
        """Commit a message that came another way; its ack. asyncio.QueueFull if there is no room."""
        answer = _Answer()
        address = address_of(name)
        assert address is not None
        self._queues[address[1]].put_nowait(_Message(name, payload, answer))
        self._arrived.set()
        return await answer.ack

    async def run(self) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._queues:
                tasks.create_task(self._stay_subscribed(lane))
            tasks.create_task(self._commit())

    async def _stay_subscribed(self, lane: str) -> None:
        retry_s = RECONNECT_S_MIN
        while True:
            try:
                async with connect(self._address, f"receiver-{lane}-{random.getrandbits(48):012x}") as link:
                    await link.subscribe(SHARE.format(lane=lane, root=TOPIC_ROOT))
                    if lane == LANE_VITALS:
                        await link.subscribe(f"{TOPIC_ROOT}/+/live", qos=0)  # every worker shows every bed
                    self._connected.add(lane)
                    self._say_up("subscribed")
                    retry_s = RECONNECT_S_MIN
                    await self._take(lane, link)
            except BrokerError as error:
                self._connected.discard(lane)
                self._say_up(str(error))
            finally:
                self._connected.discard(lane)
            await asyncio.sleep(retry_s * (0.75 + 0.5 * random.random()))
            retry_s = min(2 * retry_s, RECONNECT_S_MAX)

    async def _take(self, lane: str, link: Link) -> None:
        queue = self._queues[lane]
        async for name, payload in link.messages():
            address = address_of(name)
            if address is not None and address[1] == "live":
                self._take_live(address[0], payload)
                continue
            try:
                queue.put_nowait(_Message(name, payload, link))
            except asyncio.QueueFull:
                self.dropped_messages += 1
                if self.dropped_messages == 1:
                    log.warning("more batches arrive than can be committed; those dropped come again")
            self._arrived.set()

    def _take_live(self, gateway: str, payload: bytes) -> None:
        if not payload:
            return  # a cleared retained message
        try:
            snapshot = decode_live(payload)
        except BatchError as error:
            log.warning("%s: a live snapshot that is none was dropped: %s", gateway, error)
            return
        if snapshot.gateway == gateway:
            self._on_live(snapshot)

    async def _commit(self) -> None:
        while True:
            await self._arrived.wait()
            if self._queues[LANE_ALARM].empty():
                await asyncio.sleep(GROUP_S)  # alarms do not wait for company
            messages = self._next_group()
            while messages:
                committed = await self._commit_group(messages)
                if committed is not None:
                    self._answer(*committed, messages)
                    self._on_committed(committed[1])
                messages = self._next_group()

    def _next_group(self) -> list[_Message]:
        self._arrived.clear()
        messages: list[_Message] = []
        for lane in (LANE_ALARM, LANE_VITALS):
            while len(messages) < GROUP_MESSAGES_MAX and not self._queues[lane].empty():
                messages.append(self._queues[lane].get_nowait())
        return messages

    async def _commit_group(self, messages: Sequence[_Message]) -> tuple[list[Arrival | None], Committed] | None:
        now_utc_ms = self._clock.utc_ms()
        raw = [(message.topic, message.payload) for message in messages]
        try:
            result = await self._writes.call(lambda store: _examine_and_commit(store, raw, now_utc_ms))
        except StoreError as error:
            # Nothing is acked, so nothing is lost: the gateways send it again.
            if not self._said_failing:
                log.error("%s", error)
            self._said_failing = True
            await asyncio.sleep(COMMIT_RETRY_S)
            return None
        if self._said_failing:
            log.info("commits succeed again")
            self._said_failing = False
        return result

    def _answer(self, arrivals: Sequence[Arrival | None], committed: Committed, messages: Sequence[_Message]) -> None:
        for gap in committed.new_gaps:
            log.error(
                "%s %s: seqs %d to %d of epoch %s are missing: %s",
                gap.gateway, gap.lane, gap.first_seq, gap.last_seq, gap.epoch, gap.reason,
            )  # fmt: skip
        answers = iter(zip(committed.outcomes, committed.rewinds, strict=True))
        for arrival, message in zip(arrivals, messages, strict=True):
            if arrival is None:
                continue
            ack = ack_of(arrival, *next(answers))
            # A connection that broke meanwhile takes no ack: the batch comes again and is then a repetition.
            with suppress(BrokerError):
                message.link.send(topic(arrival.gateway, "ack"), encode_ack(ack), _refused(arrival.gateway))

    def _say_up(self, why: str) -> None:
        is_up = self.is_connected
        if is_up is self._said_up or (is_up is False and self._said_up is None and why == "subscribed"):
            return
        self._said_up = is_up
        if is_up:
            log.info("connected to %s", self._address)
        else:
            log.warning("not connected, trying again: %s", why)


def _examine_and_commit(
    store: StoreWrites, raw: Sequence[tuple[str, bytes]], now_utc_ms: int
) -> tuple[list[Arrival | None], Committed]:
    arrivals = [examine(name, payload) for name, payload in raw]
    group = [arrival for arrival in arrivals if arrival is not None]
    try:
        return arrivals, store.commit(group, now_utc_ms)
    except UnstorableError as error:
        log.error("%s; each batch of the group goes by itself", error)
    # One batch that the database cannot take must not hold up those of others.
    alone = [_commit_alone(store, arrival, payload, now_utc_ms) if arrival is not None else None
             for arrival, (_, payload) in zip(arrivals, raw, strict=True)]  # fmt: skip
    committed = [pair[1] for pair in alone if pair is not None]
    return [pair and pair[0] for pair in alone], Committed(
        tuple(outcomes for one in committed for outcomes in one.outcomes),
        frozenset(bed for one in committed for bed in one.beds),
        tuple(gap for one in committed for gap in one.new_gaps),
        tuple(rewind for one in committed for rewind in one.rewinds),
    )


def _commit_alone(
    store: StoreWrites, arrival: Arrival, payload: bytes, now_utc_ms: int
) -> tuple[Arrival, Committed]:
    """The arrival committed, or put into quarantine whole: its gateway then sends each item by itself."""
    try:
        return arrival, store.commit([arrival], now_utc_ms)
    except UnstorableError as error:
        poison = Arrival(arrival.gateway, arrival.lane, digest=arrival.digest, payload=payload, code="unstorable",
                         message=str(error))  # fmt: skip
        return poison, store.commit([poison], now_utc_ms)


def _refused(gateway: str) -> Callable[[str], None]:
    return lambda reason: log.error("the broker refuses the ack to %s: %s", gateway, reason)
