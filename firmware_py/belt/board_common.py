"""What the boards have in common: MicroPython's own modules behind the Board interface."""

import time as _time

import bluetooth
import cryptolib
import machine

from protocol.wire import frames

from .supervisor import WATCHDOG_MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .hx711 import Hx711

# Hosts' and boards' type stubs disagree on ticks (int, or types of their own): neither is asked.
time: "Any" = _time

_MODE_ECB = 1
IDLE_MS_MAX = 20


class CommonBoard:
    """Radio, clock, cipher and watchdog are the same module calls everywhere."""

    def __init__(self, noted: int) -> None:
        """noted: what the run before kept in memory that a watchdog's reset spares, -1 for nothing."""
        self.ble = bluetooth.BLE()
        self.uuid = bluetooth.UUID
        self.reset_cause: int = machine.reset_cause()
        self.noted = noted
        self._watchdog = machine.WDT(timeout=WATCHDOG_MS)

    def ticks_ms(self) -> int:
        """Milliseconds modulo 2^30."""
        ticks: int = time.ticks_ms()
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


class LitBoard(CommonBoard):
    """A real board: short sleeps, an LED (`led`) to be identified by, sensors that can be tested."""

    led: "Any"
    load: "Hx711 | None"
    _sensor_test: "Callable[[], int]"

    def __init__(self, noted: int) -> None:
        super().__init__(noted)
        self._led_off_at_ms = -1

    def idle(self, ms: int) -> None:
        """Sleep a little; the radio's callback cannot wake the loop, so never for long."""
        time.sleep_ms(min(ms, IDLE_MS_MAX))
        off_at = self._led_off_at_ms
        if off_at >= 0 and time.ticks_diff(self.ticks_ms(), off_at) >= 0:
            self.led.off()
            self._led_off_at_ms = -1

    def identify(self, seconds: int) -> None:
        """Light the LED for so long."""
        self.led.on()
        self._led_off_at_ms = time.ticks_add(self.ticks_ms(), seconds * 1000)

    def self_test(self) -> int:
        """0, or bits of what failed: the sensor's as its driver has them, the load cells' from bit 8 on."""
        failed = self._sensor_test()
        return failed | self.load.self_test() << 8 if self.load else failed
