"""What the boards have in common: MicroPython's own modules behind the Board interface."""

import time

import bluetooth  # type: ignore[import-not-found]
import cryptolib  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]

from protocol.wire import frames

from .supervisor import WATCHDOG_MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MODE_ECB = 1


class CommonBoard:
    """Radio, clock, cipher and watchdog are the same module calls everywhere."""

    def __init__(self) -> None:
        self.ble = bluetooth.BLE()
        self.uuid = bluetooth.UUID
        self.reset_cause: int = machine.reset_cause()
        self._watchdog = machine.WDT(timeout=WATCHDOG_MS)

    def ticks_ms(self) -> int:
        """Milliseconds modulo 2^30."""
        ticks: int = time.ticks_ms()  # type: ignore[attr-defined]
        return ticks

    def aes(self, key: bytes) -> "Callable[[bytes], bytes]":
        """encrypt_block(16 bytes) -> 16 bytes under this key."""
        block: "Callable[[bytes], bytes]" = cryptolib.aes(key, _MODE_ECB).encrypt
        return block

    def feed_watchdog(self) -> None:
        """The supervisor has heard from every task."""
        self._watchdog.feed()

    def battery_percent(self) -> int:
        """Mains powered: light sleep breaks BLE, so a belt has no battery (facts/FIRMWARE.md)."""
        return int(frames.MAINS_POWERED)

    def reset(self) -> None:
        """Start anew."""
        machine.reset()
