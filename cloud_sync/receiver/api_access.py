"""Who may read what by the API: `Authorization: Bearer <token>`, the token's role against the endpoint's."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass

from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.tokens import ADMIN, valid_token
from cloud_sync.receiver.threads import StoreThread

__all__ = ["Access", "Asker"]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: `name` is a token's, as the audit has it."""

    name: str
    role: str


class Access:
    """Who asks what. `master` is receiver.api_token, an admin's; `is_open`: whoever offers no token is one too."""

    def __init__(self, reads: StoreThread[StoreReads], master: str | None, is_open: bool) -> None:
        self._reads, self._master, self._is_open = reads, master, is_open and master is None

    async def asker(self, authorization: str | None) -> Asker | None:
        """Who sends a request with this header; None: no valid token. StoreError if tokens cannot be read."""
        if authorization is None:
            return Asker("open access", ADMIN) if self._is_open else None
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        text = text.strip()
        if self._master is not None and hmac.compare_digest(_bytes(text), _bytes(self._master)):
            return Asker("receiver.api_token", ADMIN)
        # The real clock: a token's days are people's days, also where a demonstration's clock runs fast.
        now_utc_ms = time.time_ns() // 1_000_000
        token = await self._reads.call(lambda store: valid_token(store, text, now_utc_ms))
        return None if token is None else Asker(token.name, token.role)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
