"""The thin module over aiomqtt: addresses, refusals that are seen, and a canary for what it borrows."""

from __future__ import annotations

import asyncio
import inspect
import socket

import aiomqtt
import pytest

from cloud_sync.mqtt import CONNECT_TIMEOUT_S, BrokerAddress, BrokerError, BrokerUrlError, connect, parse_broker_url
from tests.cloud_sync.refusing_broker import NOT_AUTHORIZED, refusing_broker


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1", BrokerAddress("127.0.0.1", 1883)),
        ("mqtts://broker.example", BrokerAddress("broker.example", 8883, tls=True)),
        ("mqtt://gw:p%40ss@host:77/", BrokerAddress("host", 77, False, "gw", "p@ss")),
        ("mqtt://[::1]:1884", BrokerAddress("::1", 1884)),
    ],
)
def test_a_broker_url_gives_its_address(url: str, address: BrokerAddress) -> None:
    assert parse_broker_url(url) == address


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://host", "mqtt://", "mqtt://host:0", "mqtt://host:99999", "mqtt://h/x"]
)
def test_a_url_that_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(BrokerUrlError):
        parse_broker_url(url)


def test_a_password_is_never_shown() -> None:
    assert str(parse_broker_url("mqtt://gw:secret@host")) == "mqtt://host:1883"


async def test_a_publish_that_the_broker_refuses_is_seen() -> None:
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with refusing_broker() as url, connect(parse_broker_url(url), "gw-01-alarm") as link:
        link.send("sb/v1/gw-01/alarm", b"x", refused.set_result)
        assert await asyncio.wait_for(refused, 5) == "Not authorized"


async def test_an_alarm_does_not_wait_for_the_confirmation_of_what_was_sent_before_it() -> None:
    async with refusing_broker() as url, connect(parse_broker_url(url), "gw-01-alarm") as link:
        connection = link._client._client.socket()  # a canary: aiomqtt's own option must reach the socket
        assert isinstance(connection, socket.socket)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_publish_that_nobody_listens_to_is_no_refusal() -> None:
    refused: list[str] = []
    async with refusing_broker(puback=0x10) as url, connect(parse_broker_url(url), "gw-01-alarm") as link:
        link.send("sb/v1/gw-01/alarm", b"x", refused.append)
        await link.subscribe("sb/v1/gw-01/ack")  # answered after the publish
    assert refused == []


async def test_a_refused_subscription_is_an_error() -> None:
    async with refusing_broker(suback=NOT_AUTHORIZED) as url, connect(parse_broker_url(url), "gw-01-alarm") as link:
        with pytest.raises(BrokerError, match="refuses the subscription"):
            await link.subscribe("sb/v1/gw-01/ack")


async def test_a_refused_connection_is_an_error() -> None:
    async with refusing_broker(connack=NOT_AUTHORIZED) as url:
        with pytest.raises(BrokerError, match="does not answer"):
            async with connect(parse_broker_url(url), "gw-01-alarm"):
                pass


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BrokerError, match="refused"):
        async with connect(BrokerAddress("127.0.0.1", 1), "gw-01-alarm"):
            pass


async def test_a_peer_that_hangs_up_at_once_is_an_error_at_once() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, asyncio.timeout(CONNECT_TIMEOUT_S / 2):
        with pytest.raises(BrokerError, match="closed the connection"):
            async with connect(BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1]), "gw-01-alarm"):
                pass


def test_canary_aiomqtt_still_has_the_hooks_that_are_borrowed() -> None:
    parameters = list(inspect.signature(aiomqtt.Client._on_publish).parameters)
    assert parameters == ["self", "client", "userdata", "mid", "reason_code", "properties"]
    source = inspect.getsource(aiomqtt.Client.__init__)
    assert "self._client.on_publish = self._on_publish" in source
    assert "self._client.on_disconnect = self._on_disconnect" in source
    assert "self._connected: asyncio.Future[None]" in source
    assert "self._disconnected: asyncio.Future[None]" in source
