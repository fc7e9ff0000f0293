"""The scan of one adapter: it runs for ever, starts anew when it has died, and tells the recovery ladder what failed.

It notices that bluetoothd went or came by a signal of the bus (at once) or by asking (every `WATCH_S` of silence), that
the scan ended by itself by asking, and that the whole adapter is deaf by hearing nothing at all, of nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

from bleak import BleakAdapter, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from cloud_sync.clock import until_tick_s
from gateway.radio_bluez import ABSENT, DEAD, BluezWatch
from gateway.radio_recovery import Recovery
from protocol.wire import gatt

__all__ = ["AdapterScan", "Listener", "cancelled", "real_ms"]

log = logging.getLogger(__name__)

TURN_S = 1.0
RETRY_S_MIN = 0.5
RETRY_S_MAX = 15.0
RETRY_S_NEW = 1.0
START_TIMEOUT_S = 10.0
SILENT_S = 15.0
SILENT_S_MAX = 600.0  # doubled while starting anew changes nothing: a bed's only belt may be away for days
WATCH_S = 3.0
GONE_GRACE_S = 5.0  # after bluetoothd went: whoever watches over it starts it again
NEW_GRACE_S = 12.0  # after it came: what starts is not stuck; the kernel may scan on for its predecessor, up to 10.24 s


class Listener(Protocol):
    """Who the scan is for."""

    def advertised(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        """Something was heard."""

    def held(self, device: BLEDevice) -> None:
        """BlueZ has a link with it from before this scan."""

    def links_died(self) -> None:
        """bluetoothd went, and with it every link and all that it knew of belts; bleak does not say so."""

    def census(self) -> tuple[int, int]:
        """(belts that are served, sessions that are up)."""
        ...


class AdapterScan:
    """`run()` until cancelled. `trouble` says why nothing can be heard, "" while it scans."""

    def __init__(
        self, options: dict[str, Any], watch: BluezWatch | None, recovery: Recovery, listener: Listener
    ) -> None:
        self.trouble = ""
        self.turn_ms: int | None = None
        self._options = options
        self._watch = watch
        self._recovery = recovery
        self._listener = listener
        self._is_stale = False
        self._bluez_changed = asyncio.Event()
        self._grace_until_ms = 0
        self._bluez_died = False
        self._heard_any_ms = self._advertised_ms = real_ms()
        self._silent_s = SILENT_S
        self._said: str | None = None

    async def run(self) -> None:
        """Scan, and follow bluetoothd's comings and goings."""
        if self._watch is not None:
            from gateway.radio_quiet import quiet_bluez

            quiet_bluez()
        async with asyncio.TaskGroup() as tasks:
            if self._watch is not None:
                tasks.create_task(self._follow(self._watch))
            tasks.create_task(self._scan())

    def heard_any(self) -> int:
        """The adapter hears something, so it is not deaf; now."""
        self._silent_s = SILENT_S
        self._heard_any_ms = real_ms()
        return self._heard_any_ms

    async def recover_if_due(self) -> None:
        """Take the rung of the ladder that is due; the scan starts anew after one."""
        _, sessions = self._listener.census()
        if await self._recovery.act_if_due(sessions, real_ms()):
            self._is_stale = True

    async def _scan(self) -> None:
        retry_s = RETRY_S_MIN
        while not cancelled():
            scanner = None
            await self._reattach()
            try:
                scanner = BleakScanner(self._advertised, **self._options)
                async with asyncio.timeout(START_TIMEOUT_S):
                    await scanner.start()
                self._recovery.ladder.scan_started()
                self._is_stale = False
                self._say("")
                retry_s = RETRY_S_MIN
                self._heard_any_ms = real_ms()
                await self._until_over()
            except (BleakError, OSError, EOFError, TimeoutError) as error:
                self._say(await self._why_not(error))
            finally:
                if scanner is not None:
                    with contextlib.suppress(BleakError, OSError, EOFError, TimeoutError):
                        async with asyncio.timeout(START_TIMEOUT_S):
                            await scanner.stop()
            await self.recover_if_due()
            if await self._changed_within(retry_s):
                retry_s = RETRY_S_MIN
                await self.recover_if_due()
            else:
                retry_s = min(retry_s * 2, RETRY_S_NEW if self._is_in_grace() else RETRY_S_MAX)

    async def _until_over(self) -> None:
        """Returns when the scan has ended, or nothing at all was heard for a while though belts should be there."""
        watched_ms = real_ms()
        while not cancelled():
            if await self._changed_within(until_tick_s(TURN_S)):
                self._say_anew("bluetoothd went away or came back")
                return
            self.turn_ms = real_ms()
            if self._is_stale:
                # bluetoothd may go on saying that it scans though switching off has ended that.
                self._say("the adapter was switched off and on; the scan starts anew")
                return
            # What is heard needs no question: a bluetoothd with much to do may be late with the answer.
            quiet_since_ms = max(watched_ms, self._advertised_ms)
            if self._watch is not None and real_ms() - quiet_since_ms >= WATCH_S * 1000:
                trouble = await self._watch.trouble()
                watched_ms = real_ms()
                if trouble:
                    self._say_anew(trouble)
                    return
            # A controller that has locked up scans for ever, by BlueZ' word.
            belts, _ = self._listener.census()
            if belts and real_ms() - self._heard_any_ms > self._silent_s * 1000:
                self._say(f"nothing was heard for {self._silent_s:g} s; the scan starts anew")
                self._silent_s = min(2 * self._silent_s, SILENT_S_MAX)
                return

    async def _follow(self, watch: BluezWatch) -> None:
        while not cancelled():
            await watch.follow(self._bluez_is)
            # No bus, or it was restarted: until it can be followed again, asking has to do.
            await asyncio.sleep(RETRY_S_MAX)

    def _bluez_is(self, owner: str) -> None:
        """bluetoothd has come ("" it has gone)."""
        self._grace_until_ms = real_ms() + round(1000 * (NEW_GRACE_S if owner else GONE_GRACE_S))
        if not owner:
            self._bluez_died = True
            self._listener.links_died()
        elif self._bluez_died:
            self._recovery.ladder.daemon_is_new()
        self._bluez_changed.set()

    async def _changed_within(self, wait_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._bluez_changed.wait()
        changed = self._bluez_changed.is_set()
        self._bluez_changed.clear()
        return changed

    async def _reattach(self) -> None:
        """Belts that BlueZ still holds from before a kill do not advertise: take them as seen (failure 1)."""
        if self._watch is None:
            return
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                adapter = await BleakAdapter.get(bluez=self._options.get("bluez", {}))
                for device in await adapter.get_connected_devices([gatt.SERVICE]):
                    self._listener.held(device)
        except (BleakError, OSError, EOFError, TimeoutError, NotImplementedError) as error:
            log.debug("no list of connected devices: %s", error)

    def _advertised(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self._advertised_ms = self.heard_any()
        self._listener.advertised(device, advertisement)

    async def _why_not(self, error: Exception) -> str:
        """Why the scan does not run; tells the ladder, unless there is nothing that could be stuck."""
        state, said = ("", "") if self._watch is None else await self._watch.look()
        if state != ABSENT and not self._is_in_grace():
            self._recovery.ladder.scan_failed(daemon_is_dead=state == DEAD)
        if said and state in (ABSENT, DEAD):
            return f"{said}. Trying again"
        return f"{str(error) or 'the adapter does not answer'}. Trying again"

    def _is_in_grace(self) -> bool:
        return real_ms() < self._grace_until_ms

    def _say_anew(self, trouble: str) -> None:
        self._recovery.counters["scan_restarts"] += 1
        self._say(f"{trouble}; the scan starts anew")

    def _say(self, trouble: str) -> None:
        """Log changes, not states."""
        self.trouble = trouble
        self.turn_ms = real_ms()
        if trouble == self._said:
            return
        if trouble:
            log.error("radio: %s", trouble)
        else:
            log.info("radio: scanning")
        self._said = trouble


def cancelled() -> bool:
    """True if this task was told to end.

    `wait_for` of Python 3.11 keeps that to itself if its answer comes at that moment; a library may raise its own error
    in place of it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def real_ms() -> int:
    """Monotonic ms that no clock scale touches."""
    return round(asyncio.get_running_loop().time() * 1000)
