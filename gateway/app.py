"""The gateway process: the only place where its parts are put together and where tasks live and die.

Start: configuration -> store -> clock carried on from the last anchor -> ward as it was -> page -> radio -> uplink.
A part that dies by an unforeseen error brings the whole process down at once, loudly: a supervisor starts it again, and
a running absence goes on from the store. Nothing here is a zombie that says "online".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_sync.clock import until_tick_s
from gateway.alerter.signal import Signal
from gateway.alerting import DEADLINES, RADIO, Alerting
from gateway.bed_records import erase_bed
from gateway.belt_rollout import BeltRollout
from gateway.board_port import BoardPort
from gateway.clock import Anchor, GatewayClock
from gateway.config import Config, gateway_identity
from gateway.cores.audit import ERASURE, AuditEntry
from gateway.cores.provisioning import Site
from gateway.deadlines import meet_deadlines
from gateway.live import live_snapshot
from gateway.management import Management, Saved, load_saved, with_saved
from gateway.metrics import metric_routes, rss_bytes
from gateway.night_job import NightJob
from gateway.outlets.outlets import Outlets
from gateway.provision import Provisioner, with_site
from gateway.provision_ops import Operations
from gateway.provision_socket import serve_operations
from gateway.radio import BeaconHeard, Belt, Heard, Radio, RadioEvent, bleak_radio
from gateway.room import Room
from gateway.site_file import SiteFile
from gateway.site_upload import SiteUpload
from gateway.store import GATHER_S, Store, StoreOutbox
from gateway.store_files import StoreFiles, Writes
from gateway.time_sync import watch_time
from gateway.watch import Watch
from gateway.web.port import UplinkWord
from protocol.batch import GapReport, Stamp, encode_item

if TYPE_CHECKING:
    from cloud_sync.uplink import Uplink

__all__ = ["Gateway", "GatewayError"]

log = logging.getLogger(__name__)

PUBLISH_S = 1.0
TURN_S = 1.0
FLUSH_S = 10.0
NIGHT_EVERY_S = 30.0
RETENTION_EVERY_S = 6 * 3600.0
MS_PER_DAY = 86_400_000

RadioFactory = Callable[[Config, list[Belt], GatewayClock], Radio]


class GatewayError(Exception):
    """The gateway cannot start; the text says what, where and what to do."""


class Gateway:
    """One gateway. `await Gateway.start(config)`, then `run()` until `stop()` or a signal, then `summary()`."""

    def __init__(
        self, file_config: Config, kept: Saved, clock: GatewayClock, store: Store, saved: dict[str, Any] | None
    ) -> None:
        """`kept`: what was saved on the pages, above the file; `saved`: the state before the restart. SiteFileError."""
        site = Site(file_config.gateway.id, {bed.label: bed.serial for bed in file_config.beds})
        self._site_file = SiteFile(file_config.gateway.data_dir)
        self._site_file.load(site)
        config = with_site(with_saved(file_config, kept), site.beds(), site)
        self.config = config
        self.clock = clock
        self._store = store
        self._stopping = asyncio.Event()
        self._due = asyncio.Event()
        self._dirty = False
        self._radio: Radio | None = None
        self._uplink: Uplink | None = None
        self._alerting = Alerting(config, clock, store.put, self._page_alert)
        self._state_lost = False
        self.room = self._room(saved)
        self._alerting.bind(self.room)
        self.port = BoardPort(self.room, clock, self._uplink_word, self._troubles)
        self._nights = NightJob(config, store, clock)
        self.management = Management(file_config, kept, clock, store, self.room)
        self.management.on_settings = self._nights.use
        self.outlets = Outlets(config, clock, self.port.snapshot, self.management.note)
        self.room.on_decision = self.outlets.decided
        self.provisioner = Provisioner(
            file_config, site, self._site_file, clock, self.room,
            lambda kind, who, bed, detail: self.management.note(kind, who, bed, detail),
        )  # fmt: skip
        self.rollout = BeltRollout(
            config.gateway.data_dir, config.gateway.update_keys, self.provisioner.talk, self.room, clock,
            lambda kind, who, bed, detail: self.management.note(kind, who, bed, detail),
        )  # fmt: skip
        self.operations = Operations(config, self.provisioner, self._alerting, self.outlets, SiteUpload(
            file_config, self._open_beds, self.restart, self.management.note,
            lambda: len(self.management.accounts())), self.rollout, self._erase_bed)
        self.operations.on_test_alarm = partial(self._changed, True)
        self.watch = Watch(sum(bed.serial is not None for bed in config.beds), version("sleepbelt"))
        self._server: Any = None
        self._placed_all = False
        self._waiting_clocks: set[tuple[str, int]] | None = None
        self.page = ""
        self.restarting = False
        """Ended to begin anew with a configuration that was changed."""

    @classmethod
    async def start(cls, config: Config, radio_factory: RadioFactory | None = None) -> Gateway:
        """Open everything; StoreError, RadioError, ListenError or GatewayError if something cannot be opened."""
        store = await Store.open(config.gateway.data_dir)
        gateway = None
        try:
            saved = await store.call(lambda files: files.state())
            clock = GatewayClock(_anchor(saved), config.gateway.time_trust)
            if not clock.trusted():
                await store.call(lambda files: files.begin_provisional())
            gateway = cls(config, await load_saved(store), clock, store, saved)
            gateway._open_page()
            belts = gateway._belts(saved)
            gateway._radio = (radio_factory or _bleak_radio)(config, belts, clock)
            gateway._radio.on_event = gateway._heard
            gateway.provisioner.start(gateway._radio)
            gateway._open_uplink()
        except BaseException:
            if gateway is not None:
                gateway._alerting.close()
            await store.close()
            raise
        return gateway

    async def run(self) -> None:
        """Serve until told to stop; an ExceptionGroup if a part died."""
        assert self._radio is not None
        self._store.on_committed = self._committed
        self._store.gather_s = partial(self.clock.real_delay_s, GATHER_S)
        try:
            async with asyncio.TaskGroup() as tasks:
                # The store outlives the others by a little: what they hand over at the end is still committed.
                writer = tasks.create_task(self._store.run())
                believing = tasks.create_task(watch_time(self.clock))
                parts = [tasks.create_task(part) for part in (
                    self._alerting.run(), self._take_turns(self._radio), self._wait_deadlines(), self._publish(),
                    self._keep_house(), self._radio.run(), self.outlets.run(), self.operations.run(),
                    self.rollout.run(),
                    serve_operations(self.operations, self.config.gateway.data_dir), self._server.serve_pages(),
                )]
                uplink = tasks.create_task(self._uplink.run()) if self._uplink is not None else None
                self._report_repairs()
                self.room.start()
                self.watch.ready()
                await self._stopping.wait()
                self.watch.stopping()
                believing.cancel()
                await self._end(parts, uplink, writer)
        finally:
            self._alerting.close()
            await self._store.close()

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT mean `stop()` from now on; to be called before anybody is told that we are ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """End in order: readings that are here are stored and offered to the cloud once more."""
        self._stopping.set()

    def restart(self) -> None:
        """End in order, to be started anew by whoever runs us."""
        self.restarting = True
        self.stop()

    def ready(self) -> dict[str, Any]:
        """The ready line: where to look."""
        return {
            "event": "ready",
            "gateway": self.config.gateway.id,
            "page": self.page,
            "beds": [bed.label for bed in self.config.beds],
            "radio": {"backend": self.config.radio.backend, "adapter": self.config.radio.adapter},
            "uplink": None if self.config.uplink is None else self._uplink_address(),
            "data_dir": str(self.config.gateway.data_dir),
            **({} if self.management.setup is None else {"setup_token": self.management.setup.text}),
        }

    def summary(self) -> dict[str, Any]:
        """The closing line: what passed through."""
        return {"event": "summary", "gateway": self.config.gateway.id, **self._figures()}

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _heard(self, event: RadioEvent) -> None:
        """Everything that the radio hears, at once: rules and alerter first, in `Room`."""
        self.provisioner.heard(event)
        self.room.radio_event(event)
        if isinstance(event, BeaconHeard | Heard):
            self.watch.reading()

    async def _take_turns(self, radio: Radio) -> None:
        """A turn not taken is what ends the relay's heartbeats."""
        while True:
            self._alerting.turn(RADIO)
            self.watch.bound(self.room.belts_bound)
            self.watch.beat(radio, self._alerting.hanging, self._other_troubles, self._open_beds)
            await asyncio.sleep(until_tick_s(TURN_S))

    async def _wait_deadlines(self) -> None:
        await meet_deadlines(self.room, self.clock, self._due, lambda: self._alerting.turn(DEADLINES))

    async def _publish(self) -> None:
        """Vitals reach the pages once a second; decisions do not wait for this."""
        while True:
            await asyncio.sleep(until_tick_s(PUBLISH_S))
            if self._dirty:
                self._dirty = False
                self.port.publish()
                self._send_live()

    async def _keep_house(self) -> None:
        """Nights that ended, and what retention drops."""
        drop_due_s = 0.0
        while True:
            try:
                await self._place_times()
                await self._nights.run_once()
                drop_due_s -= NIGHT_EVERY_S
                if drop_due_s <= 0 and self.clock.trusted():
                    drop_due_s = RETENTION_EVERY_S
                    await self._store.call(self._forget_old)
            except (sqlite3.Error, OSError) as error:
                # A disk that fails stops reports and retention, never the alarms.
                log.warning("housekeeping waits for the store: %s", error)
            await asyncio.sleep(min(NIGHT_EVERY_S, self.clock.real_delay_s(600.0)))

    async def _place_times(self) -> None:
        """What was told before the clock was set gets its time; its nights are looked at again."""
        if self._placed_all or not self.clock.trusted():
            return
        zeros = self.room.zeros()
        if self._waiting_clocks is not None and not self._waiting_clocks & zeros.belts.keys():
            return
        rows, placed = 0, await self._store.call(lambda files: files.place(zeros))
        while placed is not None:
            rows += len(placed.moved)
            self._nights.look_at(placed.moved)
            if placed.after is None:
                break
            placed = await self._store.call(partial(StoreFiles.place, zeros=zeros, so_far=placed))
        self._placed_all = placed is None or not placed.left
        if placed is not None:
            self._waiting_clocks = placed.left
            log.info("the clock is set: %d rows got their time, %d boots of belts still wait", rows, len(placed.left))

    def _forget_old(self, files: StoreFiles) -> None:
        days, now_ms = self.config.gateway.retention, self.clock.utc_ms()
        nights_from = datetime.fromtimestamp(now_ms / 1000 - days["nights"] * 86_400, UTC).date()
        files.drop_before(
            now_ms - days["presence"] * MS_PER_DAY, now_ms - days["vitals"] * MS_PER_DAY, nights_from.isoformat()
        )

    async def _erase_bed(self, bed: str, from_utc_ms: int, to_utc_ms: int, who: str) -> dict[str, Any]:
        now = self.room.now()
        entry = AuditEntry(now.utc_ms, now.now_ms, now.trusted, ERASURE, bed, who)
        await self._store.flushed()
        done = await self._store.call(lambda files: erase_bed(files, bed, from_utc_ms, to_utc_ms, entry))
        return {"bed": bed, "rows": done.rows, "audit_records": done.redacted}

    async def _end(
        self, parts: list[asyncio.Task[None]], uplink: asyncio.Task[None] | None, writer: asyncio.Task[None]
    ) -> None:
        self.port.close()
        await self._server.stop()
        for part in parts[:-1]:
            part.cancel()
        await asyncio.wait(parts)
        self.room.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._store.flushed()
                with contextlib.suppress(sqlite3.Error):  # told already, by the store itself
                    await self._nights.run_once()
                await self._store.flushed()
        if self._uplink is not None and uplink is not None:
            if self._uplink.status().state == "ok":
                await self._uplink.flush(FLUSH_S)
            uplink.cancel()
            await asyncio.wait([uplink])
        writer.cancel()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _room(self, saved: dict[str, Any] | None) -> Room:
        def build(state: dict[str, Any] | None) -> Room:
            return Room(self.config, self.clock, state, self._store.put, self._send, self._alerting.hand, self._changed)

        try:
            return build(saved)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A state of another version, or one that damage has changed: watching from now on beats not watching.
            log.error("the saved state cannot be used (%r); every bed starts unknown", error)
            self._state_lost = True
            return build(None)

    def _open_page(self) -> None:
        # Page server and templates: the largest imports after the radio, and `--check` needs none of them.
        from cloud_sync.pages.server import PageServer
        from gateway.web.alert_pages import alert_routes
        from gateway.web.board import build_app
        from gateway.web.manage import management_routes
        from gateway.web.provision_page import provision_routes

        app = build_app(self.port, self.config.web)
        air = self._radio.air if self._radio is not None else dict
        app.router.routes[:0] = [*metric_routes(self._figures, lambda: self.watch.verdict, air),
                                 *alert_routes(app.state.kit, self._alerting),
                                 *provision_routes(app.state.kit, self.operations),
                                 *management_routes(app.state.kit, self.management)]
        self._server = PageServer(app, self.config.web)
        self.page = self._server.address

    def _open_uplink(self) -> None:
        if self.config.uplink is None:
            return
        from cloud_sync.http_link import HttpAddress
        from cloud_sync.uplink import Uplink, UplinkSettings

        wanted = self.config.uplink
        http = HttpAddress(wanted.http_url, wanted.http_token) if wanted.http_url and wanted.http_token else None
        settings = UplinkSettings(wanted.url, self.config.gateway.id, wanted.flush_s, http=http,
                                  identity_folder=wanted.tls_dir)
        self._uplink = Uplink(StoreOutbox(self._store, self._report_not_kept), settings, self.clock)
        if wanted.platform_key is not None:
            from gateway.platform_commands import PlatformCommands

            commands = PlatformCommands(
                self.config.gateway.id, wanted.platform_key, self.config.gateway.data_dir, self.clock, self.room,
                self.management, self.operations,
            )  # fmt: skip
            self._uplink.take_commands(commands.take)

    def _uplink_address(self) -> str:
        from cloud_sync.broker_url import parse_broker_url

        assert self.config.uplink is not None
        return str(parse_broker_url(self.config.uplink.url))

    def _belts(self, saved: dict[str, Any] | None) -> list[Belt]:
        known = (saved or {}).get("belts", {})
        belts = []
        for bed in self.config.beds:
            if bed.serial is not None and bed.key is not None:
                belts.append(Belt(bed.serial, bed.key, known.get(bed.serial.hex(), {}).get("beacon_counter", 0)))
        return belts

    def _report_repairs(self) -> None:
        """Tell the cloud which seqs are gone for good; the belts are asked again by their rings."""
        told: set[tuple[str, str, int, int]] = set()
        for repair in self._store.repairs:
            log.error("%s was damaged (%s); it is kept as %s", repair.file, repair.reason, repair.aside.name)
            self.management.note("store_repaired", "", "", f"{repair.file.name}: {repair.reason}")
            told |= {(repair.epoch, lane, first, last) for lane, first, last in repair.lost}
        self._report_gaps(sorted(told), "the gateway's store was damaged")

    def _report_not_kept(self, lane: str, runs: Sequence[tuple[int, int]]) -> None:
        """Tell a restored cloud what it asked for and nobody keeps any more."""
        told = [(self._store.epoch, lane, first, last) for first, last in runs]
        self._report_gaps(told, "older than what the gateway keeps")

    def _report_gaps(self, told: Sequence[tuple[str, str, int, int]], reason: str) -> None:
        anchor = self.clock.anchor()
        boot = int(anchor.boot_id.replace("-", "")[:15], 16)
        at = Stamp(boot, max(0, anchor.elapsed_ms), max(0, anchor.utc_ms), anchor.trusted)
        items = [
            encode_item(GapReport(at, lane, epoch, first, last, reason)) for epoch, lane, first, last in told
        ]
        if items:
            self._store.put(Writes(alarm_items=items))

    def _committed(self, writes: Writes) -> None:
        self.room.committed(writes)
        self._nights.touched(writes)

    # -- outputs -----------------------------------------------------------------------------------------------------

    def _send(self, serial: bytes, kind: int, values: tuple[Any, ...]) -> bool:
        return self._radio is not None and self._radio.send(serial, kind, values)

    def _changed(self, urgent: bool) -> None:
        self._dirty = True
        if urgent:
            # A nearer deadline comes only with a change; each reading is judged as it is taken in.
            self._due.set()
            self.port.publish()
            self._send_live()

    async def _page_alert(self, _: Signal) -> None:
        self.port.publish()

    def _send_live(self) -> None:
        if self._uplink is not None:
            self._uplink.live(live_snapshot(self.port, self.config.gateway.id, self.operations.test_alarm))

    def _uplink_word(self) -> UplinkWord:
        if self._uplink is None:
            return "off"
        return "ok" if self._uplink.status().state == "ok" else "down"

    def _troubles(self) -> list[str]:
        troubles = [] if self.clock.trusted() else ["time_untrusted"]
        if self.room.radio_down or (self._radio is not None and self._radio.trouble):
            troubles.append("radio_down")
        return [*troubles, *self._other_troubles()]

    def _other_troubles(self) -> tuple[str, ...]:
        """Those of store and channels."""
        is_damaged = self._store.failing is not None or self._state_lost or bool(self._store.repairs)
        return (*(["storage"] if is_damaged else []), *self._alerting.troubles())

    def _open_beds(self) -> tuple[str, ...]:
        """Beds with an alarm or an absence open: no time for an update."""
        return tuple(label for label in self.room.beds if self.room.ward.is_busy(label))

    def _figures(self) -> dict[str, int | float]:
        counters = self.room.counters
        radio = self._radio.counters if self._radio is not None else {}
        views = self.room.views(self.room.now())
        return {
            **{name: counters[name] for name in (
                "readings_received", "readings_stored", "alarms_raised", "beacons", "records_received", "records_lost"
            )},
            "chunks_dropped": self._store.dropped_chunks,
            "store_failing": int(self._store.failing is not None),
            **self.outlets.figures(),
            **self.rollout.figures(),
            "belts_heard": sum(not view.silent for view in views.values()),
            "beds_alarming": sum(view.alarm == "unacknowledged" for view in views.values()),
            "beds_open": len(self._open_beds()),
            "healthy": int(self.watch.verdict.state == "ok"),
            "clock_trusted": int(self.clock.trusted()),
            "disk_free_bytes": _free_bytes(self.config.gateway.data_dir),
            "rss_bytes": rss_bytes(),
            **{f"radio_{name}": value for name, value in sorted(radio.items())},
            **({} if self._uplink is None else {
                f"uplink_{name}": value for name, value in asdict(self._uplink.status()).items()
                if isinstance(value, int)
            }),
        }


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _anchor(saved: dict[str, Any] | None) -> Anchor | None:
    try:
        return None if saved is None else Anchor(**saved["anchor"])
    except (KeyError, TypeError):
        return None


def _bleak_radio(config: Config, belts: list[Belt], clock: GatewayClock) -> Radio:
    return bleak_radio(config.radio, belts, gateway_identity(config.gateway.id), clock)
