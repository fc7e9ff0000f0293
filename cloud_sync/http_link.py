"""The uplink's second way, where only HTTPS gets out: the same batches by HTTP POST, each answered with its ack.

    POST {url}/uplink/{gateway}/{lane}   Authorization: Bearer <token>   body: the batch   ->   200, body: the ack
"""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

from cloud_sync.mqtt import BrokerError
from protocol.packing import MESSAGE_BYTES_MAX

__all__ = ["HttpAddress", "HttpLink", "http_link", "is_let_in"]

TIMEOUT_S = 20.0
POSTS_MAX = 4  # the window bounds bytes; this bounds threads
PROBED_LANE = "none"
_ADVICE = {401: " (not this gateway's token, or it was revoked)"}


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where a receiver takes batches by HTTP: https://host[:port][/prefix], and the token it was given."""

    url: str
    token: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url!r}: the receiver's address is given as https://host")

    def __str__(self) -> str:
        return self.url


class HttpLink:
    """What cloud_sync.mqtt.Link is, over HTTP; acks come as the answers. BrokerError once a POST fails."""

    def __init__(self, address: HttpAddress) -> None:
        self._address = address
        self._acks: asyncio.Queue[bytes | BrokerError] = asyncio.Queue()
        self._posts: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(POSTS_MAX)

    def send(
        self, topic: str, payload: bytes, on_refused: Callable[[str], None], qos: int = 1, retain: bool = False
    ) -> None:
        """Post a batch; live snapshots (QoS 0) are not for this way."""
        if qos:
            task = asyncio.create_task(self._deliver(topic, payload, on_refused))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)

    async def subscribe(self, topic: str, qos: int = 1) -> None:
        """Nothing to do: answers come by themselves."""

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            answer = await self._acks.get()
            if isinstance(answer, BrokerError):
                raise answer
            yield "ack", answer

    async def close(self) -> None:
        for task in list(self._posts):
            task.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)

    async def _deliver(self, topic: str, payload: bytes, on_refused: Callable[[str], None]) -> None:
        gateway, lane = topic.split("/")[-2:]
        async with self._room:
            try:
                ack = await asyncio.to_thread(_post, self._address, gateway, lane, payload)
            except urllib.error.HTTPError as error:
                if error.code in (401, 403, 404):
                    on_refused(f"{self._address} answers HTTP {error.code}{_ADVICE.get(error.code, '')}")
                self._acks.put_nowait(BrokerError(f"{self._address} answers HTTP {error.code}"))
            except (OSError, http.client.HTTPException) as error:
                self._acks.put_nowait(BrokerError(f"{self._address} does not answer: {error or type(error).__name__}"))
            else:
                self._acks.put_nowait(ack)


@asynccontextmanager
async def http_link(address: HttpAddress) -> AsyncIterator[HttpLink]:
    """A link for the duration of the block; whether anybody answers shows at the first batch."""
    link = HttpLink(address)
    try:
        yield link
    finally:
        await link.close()


async def is_let_in(address: HttpAddress, gateway: str) -> bool:
    """Whether a receiver is there and takes this gateway's token; nothing is sent. BrokerError: nobody answers so."""
    try:
        await asyncio.to_thread(_post, address, gateway, PROBED_LANE, b"")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return False
        # Asked with a good token, it knows no such lane.
        if error.code == 404 and b"no_such_lane" in error.read(1000):
            return True
        raise BrokerError(f"{address} answers HTTP {error.code}: it takes no batches") from None
    except (OSError, http.client.HTTPException) as error:
        raise BrokerError(f"{address} does not answer: {error or type(error).__name__}") from error
    raise BrokerError(f"{address} is no receiver")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to whoever it names."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def _post(address: HttpAddress, gateway: str, lane: str, payload: bytes) -> bytes:
    request = urllib.request.Request(
        f"{address.url.rstrip('/')}/uplink/{quote(gateway, safe='')}/{lane}",
        payload,
        {"Authorization": f"Bearer {address.token}", "Content-Type": "application/octet-stream"},
    )
    with _opener.open(request, timeout=TIMEOUT_S) as answer:
        ack: bytes = answer.read(MESSAGE_BYTES_MAX)
        return ack
