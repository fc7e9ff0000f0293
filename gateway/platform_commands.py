"""What the platform may ask of this gateway: to acknowledge an alarm, to show or change a bed's settings, to start the
update of belts that is staged here.

Only what is signed with the platform's key and newer than anything taken before is done. The counter is on the disk
before the command acts, so that a restart forgets none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.clock import GatewayClock
from gateway.cores.bed_settings import BedSettings, Form, blank_form, read_form
from gateway.cores.profile import SHIPPED, ProfileError
from gateway.management import BedPlan, Management
from gateway.provision_error import ProvisionError
from gateway.provision_ops import Operations
from gateway.room import Room
from protocol import command
from protocol.batch import BatchError
from protocol.command import Answer, Command

__all__ = ["COUNTER_FILE", "PlatformCommands"]

log = logging.getLogger(__name__)

COUNTER_FILE = "commands.counter"
NOTE_EVERY_MS = 60_000
BEDLESS = (command.BELT_UPDATE,)
AGE_MS_MAX = 10_000  # the platform has said "not delivered" long before


class PlatformCommands:
    """Takes signed messages, one after the other, and gives the answers to send."""

    def __init__(
        self, gateway: str, key: bytes, folder: Path, clock: GatewayClock, room: Room, management: Management,
        operations: Operations,
    ) -> None:  # fmt: skip
        """`key`: 32 bytes of the platform's Ed25519 public key."""
        self._gateway, self._clock, self._room, self._management = gateway, clock, room, management
        self._operations = operations
        self._key = Ed25519PublicKey.from_public_bytes(key)
        self._path = folder / COUNTER_FILE
        self._last = _read_counter(self._path)
        self._one_at_a_time = asyncio.Lock()
        self._refusals: dict[str, tuple[int, int]] = {}  # code -> not noted until, refusals since the last note
        self._do: Mapping[str, Callable[[Command], Awaitable[Answer]]] = {
            command.ACKNOWLEDGE: self._acknowledge,
            command.SETTINGS_SHOW: self._show,
            command.SETTINGS_PUT: self._put,
            command.BELT_UPDATE: self._belt_update,
        }

    async def take(self, message: bytes) -> bytes | None:
        """Do what the message asks; the answer, or None to one that nobody is known to have sent."""
        try:
            asked = command.decode_command(message, self._is_signed)
        except BatchError as error:
            self._note_refused("", "", error.code, error.code)
            return None
        async with self._one_at_a_time:
            answer = await self._answer(asked)
        if answer.code != command.DONE:
            self._note_refused(asked.who, asked.bed, answer.code, f"{asked.kind} {answer.code}")
        return command.encode_answer(answer)

    def _note_refused(self, who: str, bed: str, code: str, detail: str) -> None:
        """Into the audit, which forgets nothing: of what a stranger repeats without end only how often it came."""
        now_ms = self._clock.mono_ms()
        quiet_until_ms, unsaid = self._refusals.get(code, (now_ms, 0))
        if now_ms < quiet_until_ms:
            self._refusals[code] = (quiet_until_ms, unsaid + 1)
            return
        self._refusals[code] = (now_ms + NOTE_EVERY_MS, 0)
        detail += f" (and {unsaid} more before)" if unsaid else ""
        log.warning("a command of the platform was refused: %s", detail)
        self._management.note("command_refused", who, bed, detail)

    async def _answer(self, asked: Command) -> Answer:
        if asked.gateway != self._gateway:
            return self._said(asked, command.FOREIGN)
        if asked.counter <= self._last:
            return self._said(asked, command.REPLAYED)
        try:
            await asyncio.to_thread(_write_counter, self._path, asked.counter)
        except OSError as error:
            log.error("commands of the platform are refused: %s cannot be written: %s", self._path, error)
            return self._said(asked, "storage")
        self._last = asked.counter
        age_ms = self._clock.utc_ms() - asked.utc_ms
        if self._clock.trusted() and age_ms > AGE_MS_MAX * max(1.0, self._clock.scale.speed):
            return self._said(asked, command.LATE)
        act = self._do.get(asked.kind)
        if act is None:
            return self._said(asked, command.UNKNOWN_KIND)
        if asked.kind not in BEDLESS and asked.bed not in self._room.beds:
            return self._said(asked, command.UNKNOWN_BED)
        return await act(asked)

    async def _acknowledge(self, asked: Command) -> Answer:
        alarm_id = asked.argument.get("alarm_id", "")
        if alarm_id and self._operations.test_alarm == (asked.bed, alarm_id):
            return await self._acknowledge_test(asked)
        if self._room.beds[asked.bed].alarm_id != alarm_id:
            return self._said(asked, command.OTHER_ALARM)
        done, reason = self._room.act(asked.bed, "acknowledge", asked.who)
        return self._said(asked, command.DONE if done else reason or "refused")

    async def _acknowledge_test(self, asked: Command) -> Answer:
        """A walk test's alarm; the answer goes out once the room is quiet. Of clocks nobody believes no way is told."""
        way_ms = None
        if self._clock.trusted():
            way_ms = round(max(0, self._clock.utc_ms() - asked.utc_ms) / self._clock.scale.speed)
        await self._operations.answered_by_platform(way_ms)
        self._management.note("test_acknowledged", asked.who, asked.bed, "platform")
        return self._said(asked, command.DONE)

    async def _show(self, asked: Command) -> Answer:
        plan = self._management.plan(asked.bed)
        assert plan is not None
        return self._said(asked, command.DONE, _shown(plan, blank_form(_current(plan))))

    async def _put(self, asked: Command) -> Answer:
        plan = self._management.plan(asked.bed)
        assert plan is not None
        texts = dict(asked.argument)
        if texts.pop("seen", _version(plan)) != _version(plan):
            return self._said(asked, "stale", _shown(plan, blank_form(_current(plan))))
        sent: Form = read_form(texts, plan.base, self._management.timezone)
        if sent.settings is None:
            errors = {error.field: error.code for error in sent.errors}
            return self._said(asked, command.BAD_SETTINGS, {**_shown(plan, texts), "errors": errors})
        try:
            refused = await self._management.save(asked.bed, sent.settings, asked.who, sent.why)
        except ProfileError as error:
            return self._said(asked, command.BAD_SETTINGS, {**_shown(plan, texts), "errors": {error.field: error.code}})
        if refused is not None:
            return self._said(asked, refused, _shown(plan, texts))
        now = self._management.plan(asked.bed)
        assert now is not None
        return self._said(asked, command.DONE, _shown(now, blank_form(_current(now))))

    async def _belt_update(self, asked: Command) -> Answer:
        """The roll-out that a technician would start on this gateway's page, under the same rules."""
        try:
            status = await self._operations.call("belt_update", {"do": asked.argument.get("do", "")}, asked.who)
        except ProvisionError as error:
            detail = {name: str(value)[: command.TEXT_MAX] for name, value in error.values.items()}
            return self._said(asked, error.code, detail)
        return self._said(asked, command.DONE, status)

    def _said(self, asked: Command, code: str, detail: Mapping[str, Any] | None = None) -> Answer:
        return Answer(asked.counter, code, detail or {}, self._last)

    def _is_signed(self, signature: bytes, content: bytes) -> bool:
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def _current(plan: BedPlan) -> BedSettings:
    """What a form shows at first: what was saved, or the hours that the configuration file puts in force."""
    if plan.saved is not None:
        return plan.saved
    if plan.profile.windows == SHIPPED[plan.base.profile].windows:
        return BedSettings(plan.base.profile)
    return BedSettings(plan.base.profile, tuple(window.as_mapping() for window in plan.profile.windows))


def _shown(plan: BedPlan, texts: Mapping[str, str]) -> dict[str, Any]:
    return {"texts": dict(texts), "profiles": list(SHIPPED), "version": _version(plan), "errors": {}}


def _version(plan: BedPlan) -> str:
    return "0" if plan.row is None else str(plan.row.version)


def _read_counter(path: Path) -> int:
    """The highest counter taken; 0 for a gateway that took none. A file that is damaged refuses everything older."""
    try:
        return int(path.read_text("ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        # Better to refuse the platform until somebody looks than to do an old command once more.
        log.error("%s cannot be read (%s): commands of the platform are refused; remove it to take them again",
                  path, error)  # fmt: skip
        return command.COUNTER_MAX


def _write_counter(path: Path, counter: int) -> None:
    temporary = path.with_suffix(".part")
    with temporary.open("w", encoding="ascii") as file:
        file.write(str(counter))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
