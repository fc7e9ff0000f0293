"""The uplink's shell against brokers that are away or say no."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Sequence

import pytest

from cloud_sync.clock import Clock
from cloud_sync.mqtt import BrokerUrlError
from cloud_sync.outbox import LANE_ALARM, OutboxItem
from cloud_sync.uplink import Uplink, UplinkSettings
from protocol.batch import encode_item
from protocol.clock_scale import REAL_TIME
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.refusing_broker import refusing_broker
from tests.cloud_sync.samples import alarm


async def run_for(uplink: Uplink, seconds: float) -> None:
    task = asyncio.create_task(uplink.run())
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_url_that_is_no_broker_is_an_error_at_once() -> None:
    with pytest.raises(BrokerUrlError):
        Uplink(MemoryOutbox(), UplinkSettings("http://x", "gw-01"), Clock(REAL_TIME))


def test_a_gateway_label_that_is_no_topic_level_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="label"):
        Uplink(MemoryOutbox(), UplinkSettings("mqtt://x", "gw/01"), Clock(REAL_TIME))


async def test_an_absent_broker_is_said_once_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cloud_sync")
    outbox = MemoryOutbox()
    outbox.put(LANE_ALARM, encode_item(alarm()))
    uplink = Uplink(outbox, UplinkSettings("mqtt://127.0.0.1:1", "gw-01", reconnect_s_max=0.1), Clock(REAL_TIME))
    await run_for(uplink, 1.5)
    assert uplink.status().state == "down"
    assert outbox.left() == 1
    assert len(caplog.records) == 2  # one a lane


class _FailingOutbox(MemoryOutbox):
    """Its disk fails a few times at everything."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 1

    async def pending(self, lane: str, after_seq: int, limit_bytes: int) -> Sequence[OutboxItem]:
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return await super().pending(lane, after_seq, limit_bytes)


async def test_a_failing_disk_is_waited_out_and_ends_nothing() -> None:
    outbox = _FailingOutbox()
    outbox.put(LANE_ALARM, encode_item(alarm()))
    async with refusing_broker() as url:
        uplink = Uplink(outbox, UplinkSettings(url, "gw-01"), Clock(REAL_TIME))
        await run_for(uplink, 1.5)
    assert outbox.failures == 0
    assert uplink.status().sent_messages >= 1


async def test_a_broker_that_refuses_batches_is_seen_and_frees_nothing() -> None:
    outbox = MemoryOutbox()
    outbox.put(LANE_ALARM, encode_item(alarm()))
    async with refusing_broker() as url:
        uplink = Uplink(outbox, UplinkSettings(url, "gw-01"), Clock(REAL_TIME))
        await run_for(uplink, 0.5)
    assert uplink.status().refused_publishes >= 1
    assert uplink.status().state == "down"
    assert outbox.left() == 1
