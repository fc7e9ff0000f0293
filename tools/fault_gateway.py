"""A gateway's store and uplink without a radio, to be killed: puts minutes and alarms up to a number, then drains.

    python -m tools.fault_gateway FOLDER BROKER_URL MINUTES     (prints "done" when the cloud has all of it)
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cloud_sync.clock import Clock
from cloud_sync.uplink import Uplink, UplinkSettings
from gateway.store import Store, StoreOutbox
from gateway.store_files import Chunk, Writes
from protocol.batch import encode_item
from protocol.clock_scale import REAL_TIME
from tests.cloud_sync.samples import alarm, minute

BEDS = 8
GATEWAY = "gw-01"
PACE_S = 0.2


async def run(folder: Path, url: str, minutes: int) -> None:
    store = await Store.open(folder)
    if store.repairs:
        sys.exit(f"the store was damaged: {store.repairs}")
    writing = asyncio.create_task(store.run())
    settings = UplinkSettings(url, GATEWAY, flush_s=0.1, flush_real_s_min=0.05, reconnect_s_max=1.0)
    uplink = Uplink(StoreOutbox(store), settings, Clock(REAL_TIME))
    sending = asyncio.create_task(uplink.run())
    state = await store.call(lambda files: files.state())
    for number in range(state["n"] if state else 0, minutes):
        chunks = [minute(f"bed-{bed}", number) for bed in range(BEDS)]
        store.put(Writes(
            state={"n": number + 1},
            alarm_items=[encode_item(alarm(alarm_id=f"a-{number}", at_s=number))],
            chunks=[Chunk(chunk.bed, chunk.start_utc_ms, encode_item(chunk)) for chunk in chunks],
        ))  # fmt: skip
        await store.flushed()
        await asyncio.sleep(PACE_S)
    while not await uplink.flush(10.0):
        pass
    print("done", flush=True)
    sending.cancel()
    writing.cancel()
    await asyncio.gather(sending, writing, return_exceptions=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
