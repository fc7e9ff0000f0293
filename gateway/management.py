"""What leads and admins do with a running gateway: settings with history and preview, accounts, evidence.

The configuration file is the base; what was saved on the pages stands above it. A change is one commit: the version,
its audit record and the ward's new state become durable together or not at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cloud_sync.pages.settings import Account
from gateway.clock import GatewayClock
from gateway.config import BedConfig, Config
from gateway.cores.audit import AuditEntry
from gateway.cores.bed_settings import BaseSettings, BedSettings, differences, effective
from gateway.cores.profile import Profile, ProfileError
from gateway.cores.response import COUNTED_EVENTS, Figures, LogLine, alarms_of, figures
from gateway.room import Room
from gateway.store import Store
from gateway.store_evidence import AccountRow, SettingsRow, account_rows, audit_entries, settings_rows
from gateway.store_files import StoreFiles, Writes

if TYPE_CHECKING:
    from gateway.past_nights import PreviewNight

__all__ = ["BedPlan", "Management", "Saved", "SetupToken", "load_saved", "with_saved"]

log = logging.getLogger(__name__)

MS_PER_DAY = 86_400_000
SAVE_WAIT_S = 5.0
VIEW_EVERY_MS = 3_600_000  # the same page again within this time is the same view
VIEWS_MAX = 512


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store has beside the configuration file."""

    settings: tuple[SettingsRow, ...] = ()
    accounts: tuple[AccountRow, ...] = ()


@dataclass(frozen=True, slots=True)
class BedPlan:
    """A bed's settings as they are in force, and where they come from."""

    label: str
    room: str
    base: BaseSettings
    saved: BedSettings | None
    row: SettingsRow | None  # the newest version, if there is one
    profile: Profile


async def load_saved(store: Store) -> Saved:
    """Settings and accounts of the store."""

    def read(files: StoreFiles) -> Saved:
        return Saved(tuple(files.evidence(settings_rows)), tuple(files.evidence(account_rows)))

    return await store.call(read)


def with_saved(config: Config, saved: Saved) -> Config:
    """The configuration with every bed's saved settings in force."""
    newest = {row.bed: row for row in saved.settings}
    beds = [replace(bed, profile=_plan(bed, newest.get(bed.label), config).profile) for bed in config.beds]
    return replace(config, beds=tuple(beds))


def _plan(bed: BedConfig, row: SettingsRow | None, config: Config) -> BedPlan:
    base = BaseSettings(bed.profile_name, bed.overrides)
    timezone = config.gateway.timezone
    settings = None if row is None or row.body is None else BedSettings.from_body(row.body)
    try:
        profile = effective(base, settings, timezone)
    except ProfileError as error:
        # Possible when the file was edited after the page: the file is then the only thing that is known to be good.
        log.error("bed %s: its saved settings do not go with the configuration file (%s); the file's are in force",
                  bed.label, error)
        settings, profile = None, effective(base, None, timezone)
    return BedPlan(bed.label, bed.room, base, settings, row, profile)


class SetupToken:
    """Proof of being at the gateway, for making the first admin; usable once."""

    def __init__(self) -> None:
        self._token: str | None = secrets.token_hex(8)

    @property
    def text(self) -> str | None:
        """What `sleepbelt run` prints; None once used."""
        return self._token

    def use(self, offered: str) -> bool:
        """True if it is the token; it is then gone."""
        good = self._token is not None and secrets.compare_digest(offered.strip().encode(), self._token.encode())
        if good:
            self._token = None
        return good

    def matches(self, offered: str) -> bool:
        """True if `use` would take it."""
        return self._token is not None and secrets.compare_digest(offered.strip().encode(), self._token.encode())


class Management:
    """Everything behind the pages for leads and admins; on the event loop."""

    def __init__(self, config: Config, saved: Saved, clock: GatewayClock, store: Store, room: Room) -> None:
        """`config` as the file says it, without what was saved."""
        self._config = config
        self._clock = clock
        self._store = store
        self._room = room
        self._rows = list(saved.settings)
        self._stored_accounts = {row.name: row for row in saved.accounts}
        self._previewing = asyncio.Lock()
        self._seen: dict[tuple[str, str, str], int] = {}
        self.on_settings: Callable[[str, Profile], None] = lambda bed, profile: None
        self.on_accounts: Callable[[tuple[Account, ...]], None] = lambda accounts: None
        open_access = config.web.open_access
        self.setup: SetupToken | None = None if self.accounts() or open_access else SetupToken()

    @property
    def timezone(self) -> str:
        return self._config.gateway.timezone

    # -- settings ----------------------------------------------------------------------------------------------------

    def plans(self) -> list[BedPlan]:
        """Every bed's settings, in the order of the configuration."""
        newest = {row.bed: row for row in self._rows}
        return [_plan(bed, newest.get(bed.label), self._config) for bed in self._config.beds]

    def plan(self, bed: str) -> BedPlan | None:
        """One bed's settings; None if there is no such bed."""
        return next((plan for plan in self.plans() if plan.label == bed), None)

    def history(self, bed: str) -> list[SettingsRow]:
        """Every saved version of a bed, the newest first."""
        return [row for row in reversed(self._rows) if row.bed == bed]

    async def save(self, bed: str, settings: BedSettings | None, who: str, why: str) -> str | None:
        """Put settings in force at once and keep them (None: back to the file's). The reason if they are refused.

        ProfileError if they are wrong. Returns once they are on disk, or soon if the disk does not write.
        """
        plan = self.plan(bed)
        assert plan is not None
        profile = effective(plan.base, settings, self.timezone)
        now = self._room.now()
        row = SettingsRow(now.utc_ms, now.trusted, bed, who, why, None if settings is None else settings.to_body(),
                          max((known.version for known in self._rows), default=0) + 1)
        detail = json.dumps(
            {"version": row.version, "changed": differences(plan.profile, profile)}, ensure_ascii=False, sort_keys=True
        )
        refused = self._room.configure(bed, profile, row, detail)
        if refused is not None:
            return refused
        self._rows.append(row)
        self.on_settings(bed, profile)
        await self._kept()
        return None

    async def preview(self, bed: str, settings: BedSettings | None) -> list[PreviewNight]:
        """What would have alarmed in the last nights; `PreviewNight`s, the newest first. ProfileError."""
        # Not needed until somebody asks.
        from gateway.past_nights import gather, last_nights, preview_night

        plan = self.plan(bed)
        assert plan is not None
        profile = effective(plan.base, settings, self.timezone)
        nights: list[PreviewNight] = []
        async with self._previewing:
            for night in last_nights(self._clock.utc_ms(), self.timezone):
                past = await gather(self._store.call, bed, night, self.timezone)
                if past.heard_s or past.log:
                    nights.append(await asyncio.to_thread(preview_night, past, plan.profile, profile, self.timezone))
        return nights

    # -- accounts ----------------------------------------------------------------------------------------------------

    def accounts(self) -> tuple[Account, ...]:
        """Who may sign in: those of the file, and those made on the pages."""
        of_file = self._config.web.accounts
        names = {account.name for account in of_file}
        made = [Account(row.name, row.role, row.pin) for row in self._stored_accounts.values() if row.name not in names]
        return (*of_file, *sorted(made, key=lambda account: account.name))

    def of_file(self, name: str) -> bool:
        """Whether an account stands in the configuration file, where the pages cannot change it."""
        return any(account.name == name for account in self._config.web.accounts)

    async def put_account(self, row: AccountRow, who: str, why: str) -> None:
        """Add, change or (with an empty `pin`) remove an account."""
        if row.pin:
            self._stored_accounts[row.name] = row
        else:
            self._stored_accounts.pop(row.name, None)
        what = "account" if row.pin else "account_removed"
        self._store.put(Writes(accounts=[row], audit=[self._entry(what, who, "", f"{row.name} {row.role}", why)]))
        self.on_accounts(self.accounts())
        await self._kept()

    # -- evidence ----------------------------------------------------------------------------------------------------

    def note(self, kind: str, who: str = "", bed: str = "", detail: str = "", why: str = "") -> None:
        """One audit record."""
        self._store.put(Writes(audit=[self._entry(kind, who, bed, detail, why)]))

    def viewed(self, who: str, page: str, bed: str = "") -> None:
        """Somebody looked at residents' data; the same within the hour is one view."""
        now_ms, key = self._clock.elapsed_ms(), (who, page, bed)
        if now_ms - self._seen.get(key, -VIEW_EVERY_MS) < VIEW_EVERY_MS:
            return
        self._seen.pop(key, None)
        while len(self._seen) >= VIEWS_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now_ms
        self.note("view", who, bed, page)

    async def audit(self, last: int) -> list[tuple[int, AuditEntry]]:
        """The newest records, oldest first."""
        return await self._store.call(lambda files: files.evidence(lambda db: list(audit_entries(db, last=last))))

    async def statistics(self, days: int) -> list[Figures]:
        """Response times and nuisance rate of the last days."""
        to_ms = self._clock.utc_ms() + 1
        from_ms = to_ms - days * MS_PER_DAY
        beds = [bed.label for bed in self._config.beds]

        def read(files: StoreFiles) -> list[LogLine]:
            rows = [row for bed in beds for row in files.events(bed, from_ms, to_ms) if row.event in COUNTED_EVENTS]
            return [LogLine(row.utc_ms, row.elapsed_ms, row.bed, row.event, row.detail) for row in rows]

        alarms = alarms_of(await self._store.call(read))
        return figures(alarms, ZoneInfo(self.timezone), self._config.shifts)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _entry(self, kind: str, who: str, bed: str, detail: str, why: str) -> AuditEntry:
        now = self._room.now()
        return AuditEntry(now.utc_ms, now.now_ms, now.trusted, kind, bed, who, detail, why)

    async def _kept(self) -> None:
        try:
            async with asyncio.timeout(SAVE_WAIT_S):
                await self._store.flushed()
        except TimeoutError:
            log.error("a change is in force but not on disk yet; the store retries")


def statistics_json(rows: Sequence[Figures], days: int, timezone: str) -> Mapping[str, Any]:
    """As `/api/statistics` gives it."""
    return {"days": days, "timezone": timezone, "figures": [row.to_json() for row in rows]}
