"""Brings the staged firmware to the belts of this gateway; which belt, and when, cores/belt_updates.py decides.

An image goes through the session that is open anyway, one request at a time, between the belt's reports. A link that is
lost, a gateway that restarts and an absence that opens end the transfer, not the update: the belt keeps what it has and
says from where to go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.clock import GatewayClock
from gateway.cores.belt_updates import KEPT, BeltAt, BeltUpdates
from gateway.provision_error import ProvisionError
from gateway.provision_talk import BeltTalk
from gateway.room import Room
from protocol.messages import LiveReport
from protocol.phrase import Phrase
from protocol.wire import frames

if TYPE_CHECKING:
    from gateway.belt_bundle import BeltBundle

__all__ = ["BUNDLE_FILE", "BeltRollout"]

log = logging.getLogger(__name__)

BUNDLE_FILE = "belts.update"
"""In the gateway's data folder."""
TICK_S = 1.0
LOOK_S = 0.2
DATA_BYTES = 400
INSTALL_S = 120.0
SETTLED_S = 60.0  # a body that has just lain down is still moving: what the belt says then is not yet sure
FEATURE_UPDATE = 1


class BeltRollout:
    """One per gateway. `run` is its task; `start`, `stop` and `status` answer the operation `belt_update`."""

    def __init__(
        self, folder: Path, keys: Path, talk: BeltTalk, room: Room, clock: GatewayClock,
        note: Callable[[str, str, str, str], None],
    ) -> None:  # fmt: skip
        """`folder`: where the bundle was staged. `note(kind, who, bed, detail)` writes to the audit."""
        self._folder, self._keys = folder, keys
        self._talk, self._room, self._clock, self._note = talk, room, clock, note
        self._bundle: BeltBundle | None = None
        self._plan: BeltUpdates | None = None
        self._problem = ""
        self._begun = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Go on with the roll-out of before the restart, and look once a second whether a belt may begin."""
        try:
            if KEPT in self._room.kept:
                await self._resume()
            while True:
                await self._begun.wait()
                await asyncio.sleep(TICK_S)
                if self._plan is None:
                    self._begun.clear()
                else:
                    self._tick(self._plan)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def start(self, who: str) -> dict[str, Any]:
        """Begin with what is staged, or try again those that were given up; ProvisionError `belt_update`."""
        from gateway.update import UpdateError

        try:
            bundle = await self._opened()
        except (UpdateError, OSError) as error:
            raise ProvisionError("belt_update", why=_text(error)) from None
        self._end_tasks()
        self._bundle, self._plan, self._problem = bundle, BeltUpdates(bundle.version), ""
        self._begun.set()
        self._keep()
        self._note("belt_update_started", who, "", bundle.version)
        return self.status()

    def stop(self, who: str) -> dict[str, Any]:
        """No belt begins any more, transfers end; a belt that has its image whole installs it."""
        if self._plan is not None:
            self._note("belt_update_stopped", who, "", self._plan.target)
        self._end_tasks()
        self._plan, self._bundle, self._problem = None, None, ""
        self._room.kept.pop(KEPT, None)
        self._room.save()
        return self.status()

    def status(self) -> dict[str, Any]:
        """The target, and of each bed with a belt: its version, why it waits ("" it may begin), bytes sent and of."""
        belts = self._belts()
        now_ms = self._clock.elapsed_ms()
        shown = []
        for label, belt in belts.items():
            done, total = self._progress.get(belt.serial, (0, 0))
            why = "none" if self._plan is None else self._plan.why_not(belt, belts.values(), now_ms)
            shown.append({"bed": label, "belt": belt.serial, "version": belt.version, "state": why,
                          "sent_bytes": done, "image_bytes": total})  # fmt: skip
        stopped = None if self._plan is None else self._plan.stopped_by
        return {
            "target": "" if self._plan is None else self._plan.target,
            "stopped_by": "" if stopped is None else stopped[0],
            "stopped_why": "" if stopped is None else stopped[1],
            "problem": self._problem, "staged": self._plan is not None or (self._folder / BUNDLE_FILE).exists(),
            "beds": shown,
        }  # fmt: skip

    def figures(self) -> dict[str, int]:
        """For the metrics."""
        states = [bed["state"] for bed in self.status()["beds"]]
        return {
            "belts_update_done": states.count("done"),
            "belts_update_due": sum(state not in ("done", "none", "given_up") for state in states),
            "belts_update_failed": states.count("given_up"),
        }

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _opened(self) -> BeltBundle:
        # The signature's library only where there is something to check.
        from gateway.belt_bundle import open_bundle

        return await asyncio.to_thread(open_bundle, self._folder / BUNDLE_FILE, self._keys)

    async def _resume(self) -> None:
        from gateway.update import UpdateError

        kept = self._room.kept[KEPT]
        try:
            self._bundle = await self._opened()
            self._plan = BeltUpdates(self._bundle.version, kept)
            self._begun.set()
        except (UpdateError, OSError, KeyError, TypeError, ValueError) as error:
            self._problem = _text(error)
            log.error("the update of the belts cannot go on: %s", self._problem)

    def _tick(self, plan: BeltUpdates) -> None:
        belts = list(self._belts().values())
        now_ms = self._clock.elapsed_ms()
        before = plan.to_state()
        while (serial := plan.next_belt(belts, now_ms)) is not None:
            task = asyncio.create_task(self._update(plan, bytes.fromhex(serial)))
            self._tasks[serial] = task
            task.add_done_callback(self._ended)
        for serial, task in list(self._tasks.items()):
            if not plan.running(serial):
                task.cancel()
        if plan.to_state() != before:
            self._keep()

    def _belts(self) -> dict[str, BeltAt]:
        """Bed -> its belt as it is now."""
        now = self._room.now()
        views = self._room.views(now)
        found = {}
        for label, bed in self._room.beds.items():
            if bed.config.serial is None:
                continue
            view, said = views[label], bed.state.said
            hello = self._talk.hello(bed.config.serial)
            is_settled = view.since_ms is not None and now.now_ms - view.since_ms >= SETTLED_S * 1000
            fits = hello is None or self._bundle is None or (
                hello.model in self._bundle.images and bool(hello.features & FEATURE_UPDATE))
            found[label] = BeltAt(
                bed.belt, bed.config.room, bed.state.firmware, not view.silent, hello is not None,
                view.alarm != "none", view.out_since_ms is not None, view.state == "present", is_settled,
                said.battery_percent if isinstance(said, LiveReport) and not said.mains else None, fits,
            )  # fmt: skip
        return found

    async def _update(self, plan: BeltUpdates, serial: bytes) -> None:
        """One belt until it runs the target, is stopped for the sake of its room, or has failed."""
        from gateway.update import UpdateError

        name = serial.hex()
        log.info("belt %s: its update to %s begins", name, plan.target)
        try:
            while plan.running(name):
                try:
                    boot_id = await self._transfer(plan, serial)
                except ProvisionError:  # the session is gone; the belt knows how far we were
                    await self._session(plan, name)
                    continue
                if boot_id is None or await self._restarted(plan, serial, boot_id):
                    return
        except UpdateError as error:
            self._problem = _text(error)
            log.error("belt %s: %s", name, self._problem)
            plan.failed(name, self._clock.elapsed_ms())
        finally:
            self._progress.pop(name, None)
            self._keep()

    async def _transfer(self, plan: BeltUpdates, serial: bytes) -> int | None:
        """Send the image and have it installed; the boot that will end with it, None if it was not taken.

        ProvisionError without an answer; UpdateError for a bundle that is damaged.
        """
        name, hello = serial.hex(), self._talk.hello(serial)
        if hello is None:
            raise ProvisionError("no_answer", belt=name)
        if _version(hello.firmware) == plan.target:
            return hello.boot_id
        assert self._bundle is not None
        image = await asyncio.to_thread(self._bundle.image, hello.model)
        kind, tail = frames.UPDATE_BEGIN, b""
        values: tuple[int | bytes, ...] = (len(image), hashlib.sha256(image).digest())
        while not self._paused(plan, name):
            is_end = kind == frames.UPDATE_END
            try:
                result = await self._talk.ask(serial, kind, values, tail, INSTALL_S if is_end else 0.0)
            except ProvisionError:
                if is_end:
                    return hello.boot_id  # it may have everything: its next boot tells
                raise
            at = result.value
            if is_end and result.status == frames.STATUS_DONE:
                return hello.boot_id
            is_offset = result.status == frames.STATUS_OUT_OF_RANGE and kind == frames.UPDATE_DATA
            if not is_offset and result.status not in (frames.STATUS_DONE, frames.STATUS_STARTED):
                self._refused(plan, name, kind, result.status)
                return None
            self._progress[name] = (at, len(image))
            kind = frames.UPDATE_DATA if at < len(image) else frames.UPDATE_END
            values, tail = ((at,), image[at : at + DATA_BYTES]) if at < len(image) else ((), b"")
        return None

    def _paused(self, plan: BeltUpdates, name: str) -> bool:
        """Whether the transfer must end for now; the belt keeps what it has."""
        if not plan.must_stop(name, self._belts().values()):
            return not plan.running(name)
        plan.postponed(name)
        log.info("belt %s: its update waits", name)
        return True

    def _refused(self, plan: BeltUpdates, name: str, kind: int, status: int) -> None:
        """What a refusal means depends on what was asked: only at the end it is about the image itself."""
        is_empty = any(belt.serial == name and not belt.occupied for belt in self._belts().values())
        if kind == frames.UPDATE_END and status == frames.STATUS_REFUSED and not is_empty:
            self._reject(plan, name, "image_refused")
        elif kind == frames.UPDATE_BEGIN and status == frames.STATUS_OUT_OF_RANGE:
            self._reject(plan, name, "too_large")
        elif status == frames.STATUS_REFUSED and is_empty:
            plan.postponed(name)
        else:
            log.warning("belt %s: its update failed (status %d)", name, status)
            plan.failed(name, self._clock.elapsed_ms())

    async def _restarted(self, plan: BeltUpdates, serial: bytes, boot_id: int) -> bool:
        """Wait for the belt's next boot: it runs the target, or it has gone back, which stops the roll-out.

        False if it is still in the boot in which it was sent the image.
        """
        name, waited_s = serial.hex(), 0.0
        while plan.running(name) and waited_s < INSTALL_S:
            hello = self._talk.hello(serial)
            if hello is not None and _version(hello.firmware) == plan.target:
                log.info("belt %s: runs %s", name, plan.target)
                return True
            if hello is not None and hello.boot_id != boot_id:
                self._reject(plan, name, "went_back")
                return True
            waited_s += LOOK_S * (hello is not None)
            await asyncio.sleep(LOOK_S)
        return False

    async def _session(self, plan: BeltUpdates, name: str) -> None:
        serial = bytes.fromhex(name)
        while True:
            await asyncio.sleep(LOOK_S)
            if self._talk.hello(serial) is not None or self._paused(plan, name):
                return

    def _reject(self, plan: BeltUpdates, name: str, why: str) -> None:
        plan.rejected(name, why)
        bed = next((label for label, belt in self._belts().items() if belt.serial == name), "")
        self._note("belt_update_rejected", "", bed, f"{plan.target} {why}")
        log.error("belt %s: update to %s: %s; no other belt gets it", name, plan.target, why)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks = {serial: other for serial, other in self._tasks.items() if other is not task}
        if not task.cancelled():
            task.result()  # what nobody foresaw is told by the loop's handler

    def _end_tasks(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._progress.clear()

    def _keep(self) -> None:
        """Onto the disk with the room's state, for the next start."""
        if self._plan is not None:
            self._room.kept[KEPT] = self._plan.to_state()
            self._room.save()


def _version(firmware: tuple[int, int, int]) -> str:
    return ".".join(map(str, firmware))


def _text(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}"
    return error.args[0] if error.args and isinstance(error.args[0], Phrase) else str(error) or type(error).__name__
