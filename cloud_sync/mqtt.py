"""The only module that knows aiomqtt: one MQTT 5 connection with a clean session, whose refusals are seen.

aiomqtt 2.5 drops PUBACK reason codes, so a publish that the broker refuses would look delivered; `Link.send` reports
them. Neither PUBACK nor SUBACK proves anything about the receiver (facts/SYNC.md, "Brokers and clients"): only the
application's own ack frees data.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sync.broker_url import BrokerAddress, BrokerUrlError, parse_broker_url

__all__ = ["BrokerAddress", "BrokerError", "BrokerUrlError", "Link", "Will", "connect", "parse_broker_url"]

KEEPALIVE_S = 10
CONNECT_TIMEOUT_S = 5.0
INCOMING_MAX = 20_000  # beyond it messages are dropped here; their senders get no ack and send them again
_QUIET = logging.getLogger("cloud_sync.mqtt.paho")
_QUIET.setLevel(logging.ERROR)


class BrokerError(OSError):
    """The broker cannot be reached, refuses us, or is gone; the message says which. Try again later."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our name when we are gone without a word."""

    topic: str
    payload: bytes
    retain: bool = False


class _ReasonedClient(aiomqtt.Client):
    """aiomqtt's client with the PUBACK's reason kept (canary: tests/cloud_sync/test_mqtt.py pins what is borrowed)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.on_answered: dict[int, Callable[[str], None]] = {}
        super().__init__(*args, **kwargs)

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answered = self.on_answered.pop(mid, None)
        # 0x10 "no matching subscribers" is a success that says nobody listens yet.
        if answered is not None:
            answered(str(reason_code) if reason_code.is_failure else "")
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        super()._on_disconnect(*args, **kwargs)
        if not self._connected.done():
            # Else aiomqtt would wait out its timeout for the answer of a peer that has hung up.
            self._connected.set_exception(aiomqtt.MqttError("it closed the connection"))

    def forget_disconnection(self) -> None:
        """The reason of a broken connection has been told; asyncio need not log it as never retrieved."""
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()

    def send(self, topic: str, payload: bytes, qos: int, retain: bool, on_answered: Callable[[str], None]) -> None:
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTT_ERR_SUCCESS:
            raise BrokerError(f"cannot publish: {info.rc!r}")
        if qos:
            self.on_answered[info.mid] = on_answered


class Link:
    """An open connection. Raises BrokerError from any method once it is gone."""

    def __init__(self, client: _ReasonedClient) -> None:
        self._client = client

    def send(
        self,
        topic: str,
        payload: bytes,
        on_refused: Callable[[str], None],
        qos: int = 1,
        retain: bool = False,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand a message to the socket; with `qos` 1 the broker's answer is `on_taken()` or `on_refused(reason)`."""
        self._client.send(topic, payload, qos, retain, lambda reason: on_refused(reason) if reason else on_taken())

    async def subscribe(self, topic: str, qos: int = 1) -> None:
        """Subscribe; BrokerError if the broker says no (that it says yes proves little: an ACL may still filter)."""
        try:
            codes = await self._client.subscribe(topic, qos)
        except aiomqtt.MqttError as error:
            raise BrokerError(f"cannot subscribe to {topic}: {error}") from error
        if any(isinstance(code, ReasonCode) and code.is_failure for code in codes):
            raise BrokerError(f"the broker refuses the subscription to {topic}: {codes[0]}")

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """(topic, payload) of every message; BrokerError when the connection ends."""
        try:
            async for message in self._client.messages:
                payload = message.payload
                yield str(message.topic), payload if isinstance(payload, bytes) else b""
        except aiomqtt.MqttError as error:
            raise BrokerError(f"connection lost: {error}") from error


@asynccontextmanager
async def connect(address: BrokerAddress, client_id: str, will: Will | None = None) -> AsyncIterator[Link]:
    """A connection for the duration of the block; BrokerError if it cannot be made or, from Link, when it breaks."""
    context = _tls_context(address)
    client = _ReasonedClient(
        address.host,
        address.port,
        identifier=client_id,
        username=address.username,
        password=address.password,
        protocol=aiomqtt.ProtocolVersion.V5,
        # A clean session on every connect: a broker must not keep batches for a receiver that died.
        clean_start=True,
        keepalive=KEEPALIVE_S,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, 1, will.retain),
        timeout=CONNECT_TIMEOUT_S,
        tls_context=context,
        max_queued_incoming_messages=INCOMING_MAX,
        # paho would queue behind a hidden window of 20 and break the lanes' order; our own windows bound this.
        max_inflight_messages=65_535,
        # Else an alarm waits in this machine until the peer has confirmed what was sent before it (Nagle).
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        logger=_QUIET,
    )
    try:
        async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
            await client.__aenter__()
    except (aiomqtt.MqttError, TimeoutError, OSError, ValueError) as error:
        raise BrokerError(
            f"{address} does not answer as an MQTT 5 broker: {error or 'timed out'}{_advice(str(error), address)}"
        ) from error
    try:
        yield Link(client)
    finally:
        # If it was gone already, the user of the link has been told.
        with suppress(aiomqtt.MqttError, OSError):
            await client.__aexit__(None, None, None)
        client.forget_disconnection()


def _tls_context(address: BrokerAddress) -> ssl.SSLContext | None:
    """Made anew for each connection, so that a renewed certificate is used from the next one on."""
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        if address.identity_file is not None:
            context.load_cert_chain(address.identity_file)
    except (OSError, ssl.SSLError) as error:
        file = address.identity_file if address.ca_file is None or address.ca_file.exists() else address.ca_file
        raise BrokerError(f"cannot use {file}: {error}; enrol this gateway anew (sleepbelt enrol)") from error
    return context


def _advice(error: str, address: BrokerAddress) -> str:
    """What to do about a certificate that was refused, for the words that OpenSSL has for it."""
    if "not yet valid" in error or "has expired" in error:
        return "; check this machine's clock first, then the broker's certificate"
    if any(words in error for words in ("self-signed", "self signed", "unable to get local issuer")):
        return f"; its certificate is not from the authority in {address.ca_file or 'this machine'}"
    if "mismatch" in error or "doesn't match" in error:
        return f"; its certificate is for another host than {address.host}"
    if address.identity_file is not None and ("closed the connection" in error or "alert" in error):
        return "; it may have refused our certificate: revoked, expired, or from another authority"
    return ""
