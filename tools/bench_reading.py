"""CPU of one reading in the gateway itself: from the notified bytes to rules, page and store, without a radio stack."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from gateway.aes import aes
from protocol import messages
from protocol.wire import fragments, frames, session
from tests.gateway.cores.belt_talk import report
from tests.gateway.small_gateway import Talk, configuration, running
from tools.bench_rows import Row, print_rows, row

READINGS = 3000
PEERS = "facts/PEERS.md"
VALUES = (2, 0, 7200, 3, 1234, 7, 86_400_000, 623, 88, 0, 142, 90, 0, 0, 11, 254, 8)


def _decode_ms() -> float:
    """One notification to a LiveReport: join, unseal, decode, believe."""
    block = aes(bytes(16))
    packets = [session.seal(block, n, frames.encode(frames.REPORT, VALUES)) for n in range(1, READINGS + 1)]
    values = [fragments.split(packet, 244, 0)[0][0] for packet in packets]
    began, counter = time.process_time(), 0
    for value in values:
        _, packet = fragments.join(fragments.IDLE, value)
        assert packet is not None
        counter, frame = session.unseal(block, counter, packet)
        _, fields, _ = frames.decode(frame)
        assert fields is not None
        messages.report_from(fields)
    return 1000 * (time.process_time() - began) / READINGS


async def _handle_ms(talk: Talk) -> float:
    """One LiveReport through session, rules, alerter, page state and the store's queue and thread."""
    talk.open()
    await asyncio.sleep(0.5)
    began = time.process_time()
    for number in range(READINGS):
        talk.hear(report(talk.uptime_s + number, "occupied", 100 + number))
        if number % 50 == 0:
            await asyncio.sleep(0)
    while talk.gateway.room.counters["readings_received"] < READINGS:  # noqa: ASYNC110 - a figure, polled
        await asyncio.sleep(0.01)
    return 1000 * (time.process_time() - began) / READINGS


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sleepbelt-bench-") as name:
        async with running(configuration(Path(name))) as talk:
            handle = await _handle_ms(talk)
    decode = _decode_ms()
    return [
        row("reading_decode_cpu", decode, "ms"),
        row("reading_handle_cpu", handle, "ms"),
        row("reading_cpu", decode + handle, "ms", limit=1, source=PEERS),
    ]


if __name__ == "__main__":
    print_rows(asyncio.run(_measure()))
