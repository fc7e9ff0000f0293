"""Home Assistant's side of the broker: what it finds there, when it starts anew, and when the gateway is gone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloud_sync.broker import embedded_broker
from cloud_sync.mqtt import Link, connect, parse_broker_url
from gateway.outlets import HomeAssistantConfig
from gateway.outlets.home_assistant import HomeAssistant
from tests.gateway.web.small_ward import SmallWard, alarming, bed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    port = free_port()
    with embedded_broker("127.0.0.1", port):
        yield f"mqtt://127.0.0.1:{port}"


class Listener:
    """Keeps what arrives under a filter."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.got: list[tuple[str, bytes]] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.link.messages():
            self.got.append(message)

    async def until(self, wanted: Any) -> tuple[str, bytes]:
        async with asyncio.timeout(10):
            while True:
                found = [message for message in self.got if wanted(*message)]
                if found:
                    return found[-1]
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(url: str, *topics: str) -> AsyncIterator[Listener]:
    async with connect(parse_broker_url(url), f"listener-{free_port()}") as link:
        for topic in topics:
            await link.subscribe(topic)
        listener = Listener(link)
        yield listener
        listener._task.cancel()
        await asyncio.wait([listener._task])


@asynccontextmanager
async def telling(url: str, ward: SmallWard, gateway: str) -> AsyncIterator[HomeAssistant]:
    outlet = HomeAssistant(HomeAssistantConfig(url), gateway, "0.1.0", ward.snapshot)
    task = asyncio.create_task(outlet.run())
    try:
        yield outlet
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_late_home_assistant_finds_the_retained_discovery_and_gets_states(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    async with listening(broker, "sleepbelt/gw-a/#") as early, telling(broker, ward, "gw-a"):
        await early.until(lambda topic, _: topic.endswith("/state"))
        async with listening(broker, "homeassistant/device/#", "sleepbelt/gw-a/availability") as late:
            _, payload = await late.until(lambda topic, _: topic.endswith("/config"))
            assert json.loads(payload)["dev"]["name"] == "Bed 101-1"
            await late.until(lambda topic, payload: topic.endswith("/availability") and payload == b"online")


async def test_an_alarm_is_told_at_once(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    async with listening(broker, "sleepbelt/gw-b/+/state") as listener, telling(broker, ward, "gw-b"):
        await listener.until(lambda _, payload: json.loads(payload)["alarm"] == "OFF")
        began = asyncio.get_running_loop().time()
        await ward.put(alarming("101-1"))
        await listener.until(lambda _, payload: json.loads(payload)["alarm"] == "ON")
        assert asyncio.get_running_loop().time() - began < 2


async def test_a_home_assistant_that_starts_anew_is_told_everything_again(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    async with listening(broker, "homeassistant/device/#") as listener, telling(broker, ward, "gw-c"):
        await listener.until(lambda topic, _: "gw-c" in topic)
        listener.got.clear()
        listener.link.send("homeassistant/status", b"online", lambda reason: None)
        await listener.until(lambda topic, _: "gw-c" in topic)


async def test_a_bed_that_left_the_configuration_leaves_home_assistant(broker: str) -> None:
    async with listening(broker, "homeassistant/device/#") as listener:
        async with telling(broker, SmallWard(bed("101-1"), bed("101-2")), "gw-h"):
            topic, _ = await listener.until(lambda topic, _: "gw-h_101-2" in topic)
        async with telling(broker, SmallWard(bed("101-1")), "gw-h"):
            await listener.until(lambda at, payload: at == topic and not payload)


async def test_a_gateway_that_ends_says_so(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    async with listening(broker, "sleepbelt/gw-d/availability") as listener:
        async with telling(broker, ward, "gw-d"):
            await listener.until(lambda _, payload: payload == b"online")
        await listener.until(lambda _, payload: payload == b"offline")


async def test_a_gateway_that_dies_without_a_word_is_given_out_by_its_last_will(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    async with listening(broker, "sleepbelt/gw-e/availability") as listener:
        pipe = await Pipe.open(broker)
        async with telling(pipe.url, ward, "gw-e"):
            await listener.until(lambda _, payload: payload == b"online")
            await pipe.cut()
            await listener.until(lambda _, payload: payload == b"offline")


async def test_a_broker_that_comes_back_is_told_again(broker: str) -> None:
    ward = SmallWard(bed("101-1"))
    pipe = await Pipe.open(broker)
    async with listening(broker, "sleepbelt/gw-f/+/state") as listener, telling(pipe.url, ward, "gw-f") as outlet:
        await listener.until(lambda *_: True)
        await pipe.cut()
        async with asyncio.timeout(10):
            while not outlet.failing:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        listener.got.clear()
        await pipe.serve()
        await listener.until(lambda *_: True)
        assert outlet.failing == ""
        await pipe.cut()


async def test_a_broker_that_never_answers_is_waited_for_alone() -> None:
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    loop = asyncio.get_running_loop()
    async with telling(url, SmallWard(bed("101-1")), "gw-g") as outlet:
        longest_s = 0.0
        for _ in range(40):
            began = loop.time()
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, loop.time() - began)
        assert outlet.failing
        assert longest_s < 0.5
    silent.close()


class Pipe:
    """A TCP way to the broker that can be cut."""

    def __init__(self, target: str) -> None:
        self._target = parse_broker_url(target)
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    async def open(cls, target: str) -> Pipe:
        pipe = cls(target)
        await pipe.serve()
        return pipe

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._port}"

    async def serve(self) -> None:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", self._port)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers += [writer, there[1]]
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_a_test_alarm_switches_the_beds_alarm_on_and_the_broker_gives_a_receipt(broker: str) -> None:
    ward = SmallWard(bed("101-1"), bed("101-2"))
    async with listening(broker, "sleepbelt/gw-t/+/state") as listener, telling(broker, ward, "gw-t") as outlet:
        await listener.until(lambda _, payload: json.loads(payload)["alarm"] == "OFF")
        receipts: list[str] = []
        outlet.on_try = receipts.append
        outlet.test("101-1")
        topic, payload = await listener.until(lambda _, payload: json.loads(payload)["alarm"] == "ON")
        assert "101-1" in topic
        assert json.loads(payload)["alarm_state"] == "test"
        async with asyncio.timeout(5):
            while not receipts:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert receipts == [""]
        outlet.test("")
        listener.got.clear()
        await listener.until(lambda at, payload: at == topic and json.loads(payload)["alarm"] == "OFF")


async def test_a_test_alarm_without_a_broker_says_why_it_is_not_told() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    async with telling(url, SmallWard(bed("101-1")), "gw-u") as outlet:
        receipts: list[str] = []
        outlet.on_try = receipts.append
        outlet.test("101-1")
        assert receipts == [outlet.failing]
        assert receipts[0]
