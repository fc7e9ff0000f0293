"""What the uplink needs of the gateway's store: items waiting for the cloud, in two lanes, freed only by its ack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.batch import LANE_ALARM, LANE_VITALS

__all__ = ["LANES", "LANE_ALARM", "LANE_VITALS", "Outbox", "OutboxItem"]

LANES = (LANE_ALARM, LANE_VITALS)


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One committed item: `seq` counts from 1 without holes in its (epoch, lane); `body` is `encode_item`'s bytes."""

    seq: int
    lane: str
    body: bytes


class Outbox(Protocol):
    """Durable queue of both lanes. Every method may be slow (a store thread); none may block the loop.

    Any method may raise OSError or sqlite3.Error while the disk fails: the uplink waits and tries again.

    `epoch` is a random text of at most 32 characters made with each new outbox: seqs start again at 1 only together
    with a new epoch. An item is durable before `pending` shows it.
    """

    @property
    def epoch(self) -> str: ...

    async def pending(self, lane: str, after_seq: int, limit_bytes: int) -> Sequence[OutboxItem]:
        """Unacked items with seq > after_seq, ascending, together at most limit_bytes but at least one if any."""
        ...

    async def acked(self, lane: str, seqs: Sequence[int]) -> None:
        """The cloud has committed these: free them. Unknown or already freed seqs are ignored."""
        ...

    async def rejected(self, lane: str, reasons: Mapping[int, str]) -> None:
        """The cloud keeps these in quarantine and will never take them: free them from the queue, and record why."""
        ...

    async def rewind(self, lane: str, from_seq: int) -> None:
        """The cloud lacks acked seqs from from_seq on: what is kept of them is pending again, the rest is reported."""
        ...

    async def floor(self, lane: str) -> int:
        """The lowest unacked seq; the next seq to be given if everything is acked (1 in a new outbox)."""
        ...

    async def wait(self, lane: str, after_seq: int) -> None:
        """Returns once an unacked item with seq > after_seq exists, at once if it does already."""
        ...
