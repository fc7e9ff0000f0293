"""A receiver on bad ground: a disk that takes no more, one that may not be written, a value no column can take."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.sqlite_writes import SqliteWrites
from protocol.batch import encode_item
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.postgres_server import postgres_server
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute
from tests.integration.cloud.parts import Broker, Receiver, running
from tests.integration.cloud.test_delivery_end_to_end import fill, uplink_of

NOBODY = 65_534


async def test_a_full_disk_loses_nothing_and_ends_nothing(tmp_path: Path) -> None:
    broker = Broker()
    receiver = Receiver(tmp_path, broker.url)
    outbox = MemoryOutbox()
    with running(broker, receiver):
        assert receiver.process is not None
        async with uplink_of(outbox, broker.url) as uplink:
            readings = fill(outbox, 0, 2)
            assert await uplink.flush(20)
            # No file of the process may grow: each write then fails as on a full disk.
            resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            readings += fill(outbox, 2, 10)
            assert not await uplink.flush(3)
            assert receiver.get("api/stats")["readings"] < readings
            assert "sleepbelt_receiver_database_committing 0.0" in receiver.text("metrics")
            assert receiver.process.poll() is None
            resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            assert await uplink.flush(40)
            assert "sleepbelt_receiver_database_committing 1.0" in receiver.text("metrics")
        stats = receiver.get("api/stats")
    assert stats["readings"] == readings
    assert (stats["alarms"], stats["missing"], stats["conflicts"]) == (12, 0, 0)


@contextmanager
def not_ours(folder: Path) -> Iterator[None]:
    """The folder and its files may be read and not written, by whoever we are meanwhile."""
    paths = [folder, *folder.iterdir()]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_disk_that_may_not_be_written_is_named_and_left_as_it_is(is_new: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sleepbelt-read-only-"))  # pytest's own are closed to others
    try:
        path = folder / "receiver.db"
        if not is_new:
            SqliteWrites(path).close()
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        with not_ours(folder), pytest.raises(StoreError, match="check its folder, its owner and the disk"):
            SqliteWrites(path)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    finally:
        shutil.rmtree(folder)


async def test_a_value_no_column_can_take_is_given_up_alone(tmp_path: Path) -> None:
    broker = Broker()
    outbox = MemoryOutbox()
    with postgres_server("unstorable") as url:
        receiver = Receiver(tmp_path, broker.url, "--database", url)
        with running(broker, receiver):
            async with uplink_of(outbox, broker.url) as uplink:
                outbox.put(LANE_VITALS, encode_item(minute(number=1)))
                assert await uplink.flush(20)
                with psycopg.connect(url) as direct:  # no value that we can send is too large for its column
                    direct.execute(f"ALTER TABLE packs ADD CHECK (start_utc_ms <> {START_UTC_MS})".encode())
                outbox.put(LANE_VITALS, encode_item(minute(number=2)))
                poison = outbox.put(LANE_VITALS, encode_item(minute(number=0)))
                outbox.put(LANE_VITALS, encode_item(minute(number=3)))
                outbox.put(LANE_ALARM, encode_item(alarm()))
                async with asyncio.timeout(40):
                    assert await uplink.flush(30)
            stats = receiver.get("api/stats")
    assert list(outbox.refused[LANE_VITALS]) == [poison]
    assert (stats["readings"], stats["alarms"], stats["conflicts"]) == (180, 1, 0)
    assert stats["quarantined"] >= 1
