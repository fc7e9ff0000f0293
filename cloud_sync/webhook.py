"""What webhooks of gateway and platform share: addresses, the signed request, what an answer's status means.

`X-Sleepbelt-Signature: t=<unix s>,v1=<hex>` proves sender and body: HMAC-SHA256 of `<t>.<body>` by the secret. While
secrets are being changed there is one `v1` for each. Whoever is told refuses an old `t`, so that no recording counts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Request", "WebhookUrlError", "check_url", "headers_of", "host_of", "shown_url", "signed_request"]


class WebhookUrlError(ValueError):
    """A URL that no webhook can go to; the message names it, without what may be secret in it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def check_url(url: Any, where: str = "url") -> str:
    """The URL, if a webhook can go there; WebhookUrlError."""
    shown = shown_url(url) if isinstance(url, str) else repr(url)
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        good = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or any(c.isspace() for c in url):
        raise WebhookUrlError(f"{where}: {shown} is no webhook's address; write it as https://host/path")
    return str(url)


def shown_url(url: str) -> str:
    """The URL without user, password and query, which may be keys."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return repr(url.partition("?")[0])
    return urlunsplit((parts.scheme, f"{parts.hostname or ''}{port}", parts.path, "...=" if parts.query else "", ""))


def host_of(url: str) -> str:
    """Where it goes, without anything that may be a key."""
    return urlsplit(url).hostname or ""


def headers_of(key: str) -> dict[str, str]:
    """The headers of every webhook; `key` is the same at each try of one event."""
    return {"Content-Type": "application/json; charset=utf-8", "User-Agent": "sleepbelt", "Idempotency-Key": key}


def signed_request(url: str, key: str, body: bytes, secrets: Sequence[bytes], at_utc_s: int) -> Request:
    """The request of one try at `at_utc_s`; without secrets there is no signature."""
    headers = headers_of(key)
    if secrets:
        proofs = (hmac.new(secret, f"{at_utc_s}.".encode() + body, hashlib.sha256).hexdigest() for secret in secrets)
        headers["X-Sleepbelt-Signature"] = ",".join([f"t={at_utc_s}", *(f"v1={proof}" for proof in proofs)])
    return Request(url, headers, body)
