"""Where a broker is, as a URL says it; apart from cloud_sync/mqtt.py, whose libraries only who connects should load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["BrokerAddress", "BrokerUrlError", "parse_broker_url"]


class BrokerUrlError(ValueError):
    """A broker URL that cannot work; the message says what belongs there."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is and how to get in."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None  # whose certificates are believed in place of the public authorities'
    identity_file: Path | None = None  # key and certificate by which the broker knows us

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"  # never the password


def parse_broker_url(url: str) -> BrokerAddress:
    """mqtt://[user:password@]host[:1883] or mqtts://...[:8883]; BrokerUrlError otherwise."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BrokerUrlError(f"{_without_password(url)!r}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/") or port == 0:
        shown = _without_password(url)
        raise BrokerUrlError(f"{shown!r}: a broker is given as mqtt://host:port or mqtts://host:port")
    tls = parts.scheme == "mqtts"
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return BrokerAddress(parts.hostname, port or (8883 if tls else 1883), tls, username, password)


def _without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//...@", url)
