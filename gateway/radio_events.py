"""What a radio tells and takes: events with the elapsed time they were received, and the interface the app needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.cores.air import BeltAir
from gateway.radio_link import Message
from protocol.messages import BeaconReport, Hello

__all__ = [
    "BeaconHeard", "Belt", "Closed", "Heard", "NoSession", "Opened", "Radio", "RadioError", "RadioEvent", "Sighting",
]  # fmt: skip


class RadioError(Exception):
    """The radio named in the configuration cannot be used here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Belt:
    """A belt this gateway serves: who it is, its key, the last beacon counter heard before the restart."""

    serial: bytes
    key: bytes
    beacon_counter: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    serial: bytes
    received_ms: int
    hello: Hello


@dataclass(frozen=True, slots=True)
class Closed:
    serial: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a session; `received_ms` is when its last byte arrived."""

    serial: bytes
    received_ms: int
    message: Message


@dataclass(frozen=True, slots=True)
class BeaconHeard:
    """An authentic, fresh beacon."""

    serial: bytes
    received_ms: int
    counter: int
    beacon: BeaconReport
    rssi_dbm: int | None


@dataclass(frozen=True, slots=True)
class NoSession:
    """An attempt at a session failed; `code` is that of its LinkError."""

    serial: bytes
    received_ms: int
    code: str
    text: str


RadioEvent = Opened | Closed | Heard | BeaconHeard | NoSession


@dataclass(frozen=True, slots=True)
class Sighting:
    """Any belt that advertises, ours or not; `heard_ms` on the elapsed clock."""

    serial: bytes
    heard_ms: int
    rssi_dbm: int | None


class Radio(Protocol):
    """What the app needs of a radio; tests give their own."""

    @property
    def counters(self) -> Counter[str]:
        """What was counted since the start."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing can be heard at present, "" while the scan runs."""
        ...

    @property
    def scan_turn_ms(self) -> int | None:
        """When the scan last showed life (real monotonic ms), None before the first time."""
        ...

    on_event: Callable[[RadioEvent], None]
    """Told at once of everything that is heard, in order of arrival, while `run` runs; to be set before."""

    async def run(self) -> None:
        """Hear and connect until cancelled; raises what `on_event` raised, after which it is told nothing more."""
        ...

    def send(self, serial: bytes, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bool:
        """Queue a frame to a connected belt; False if there is no session to take it."""
        ...

    def put(self, belt: Belt, *, hurry: bool = False) -> None:
        """Serve one more belt, or a known one under another key (its session goes on); `hurry`: connect it first."""
        ...

    def drop(self, serial: bytes) -> None:
        """Serve a belt no longer; its session ends without a `Closed`."""
        ...

    def sightings(self) -> list[Sighting]:
        """Every belt that advertised lately, whoever it belongs to."""
        ...

    def air(self) -> dict[bytes, BeltAir]:
        """Strength, loss and age of each belt that is served."""
        ...
