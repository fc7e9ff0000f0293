"""The embedded broker of demo and tests: iotcore (rumqttd) as a child process, speaking MQTT 5.

It keeps nothing on disk and needs nothing: the gateway frees data only on the receiver's ack, so a broker that dies
loses nothing. In production any MQTT 5 broker takes its place by URL.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from protocol.packing import MESSAGE_BYTES_MAX

__all__ = ["BrokerStartError", "embedded_broker"]

_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "{listen}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 500
dynamic_filters = true
"""


class BrokerStartError(OSError):
    """The embedded broker cannot run; the message says why and what to do."""


@contextlib.contextmanager
def embedded_broker(host: str, port: int) -> Iterator[None]:
    """A broker on host:port for the duration of the block; BrokerStartError if it cannot be started."""
    try:
        import iotcore  # only demo and tests need it: the extra `hil`
    except ImportError as error:
        raise BrokerStartError(
            "the embedded broker needs the package iotcore: install sleepbelt[hil], or give --broker URL"
        ) from error
    with tempfile.TemporaryDirectory(prefix="sleepbelt-broker-") as folder:
        config = Path(folder) / "rumqttd.toml"
        config.write_text(_CONFIG.format(listen=f"{host}:{port}", payload=MESSAGE_BYTES_MAX + 4096), encoding="utf-8")
        broker = iotcore.Broker(config_path=str(config))
        try:
            broker.start()
        except (OSError, RuntimeError, ValueError) as error:
            raise BrokerStartError(f"the embedded broker cannot listen on {host}:{port}: {error}") from error
        try:
            yield
        finally:
            broker.stop()
