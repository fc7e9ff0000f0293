"""What begins a running gateway anew: a site file put in force (checked, shown as changes, kept), or its erasure.

It is kept in the data folder, the only place that a gateway may write to, and stands above the configuration file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config import SITE_TEXT, Config, load_raw
from gateway.config_problems import ConfigError
from gateway.cores.site_changes import ADMIN_SECTIONS, changed_sections, changes, removed_beds
from gateway.provision_error import ProvisionError
from gateway.site_setup import checked_site, write_durably
from gateway.wipe import order
from protocol.phrase import lines

__all__ = ["SITE_BYTES_MAX", "SiteUpload"]

SITE_BYTES_MAX = 200_000
RESTART_AFTER_S = 0.5  # the answer goes out first
NAME = Path("site file")


class SiteUpload:
    """`config` is as the file says it; `restart` ends the gateway to begin anew; `note` writes to the audit;
    `accounts` counts people who may sign in."""

    def __init__(
        self,
        config: Config,
        open_beds: Callable[[], Sequence[str]],
        restart: Callable[[], None],
        note: Callable[[str, str, str, str], None],
        accounts: Callable[[], int],
    ) -> None:
        self._config, self._accounts = config, accounts
        self._open_beds, self._restart, self._note = open_beds, restart, note

    async def check(self, text: str) -> dict[str, Any]:
        """What it would change; ProvisionError names each line that is wrong."""
        before, after = await self._made(text)
        return {"changes": changes(before, after), "removes": removed_beds(before, after), "applied": False}

    async def apply(self, text: str, who: str, *, admin: bool, remove_beds: bool, belts: bool) -> dict[str, Any]:
        """Put it in force, which restarts the gateway. `belts`: whether belts know this gateway by its name."""
        before, after = await self._made(text)
        name, wanted = self._config.gateway.id, after["gateway"]["id"]
        if wanted != name and belts:
            raise ProvisionError("site_other_gateway", found=wanted, gateway=name)
        sections = [section for section in changed_sections(before, after) if section in ADMIN_SECTIONS]
        if sections and not admin:
            raise ProvisionError("site_needs_admin", sections=", ".join(sections))
        gone = removed_beds(before, after)
        if gone and not remove_beds:
            raise ProvisionError("site_removes_beds", beds=", ".join(gone))
        self.quiet()
        found = changes(before, after)
        if found:
            await asyncio.to_thread(self._keep, text)
            self._note("site_changed", who, "", "; ".join(" ".join(change.values()) for change in found)[:500])
            asyncio.get_running_loop().call_later(RESTART_AFTER_S, self._restart)
        return {"changes": found, "removes": gone, "applied": bool(found)}

    async def wipe(self, facts: Mapping[str, Any]) -> None:
        """Have everything erased by a restart (gateway/wipe.py)."""
        folder = self._config.gateway.data_dir
        try:
            await asyncio.to_thread(order, folder, {**facts, "accounts": self._accounts()})
        except OSError as error:
            raise ProvisionError("disk", file=str(folder), why=error.strerror or str(error)) from None
        asyncio.get_running_loop().call_later(RESTART_AFTER_S, self._restart)

    def quiet(self) -> None:
        """ProvisionError while a bed has an alarm or an absence open: no time for a restart."""
        if still := self._open_beds():
            raise ProvisionError("site_open_beds", beds=", ".join(still))

    async def _made(self, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if len(text.encode()) > SITE_BYTES_MAX:
            raise ProvisionError("site_size", most=SITE_BYTES_MAX // 1000)
        try:
            return await asyncio.to_thread(self._read, text)
        except ConfigError as error:
            problems = lines([problem.phrase() for problem in error.problems])
            raise ProvisionError("site_wrong", problems=problems) from None

    def _read(self, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        file = self._config.file
        return load_raw(file), checked_site(text, NAME, file, load_raw(file, uploaded=False))

    def _keep(self, text: str) -> None:
        kept = self._config.gateway.data_dir / SITE_TEXT
        part = kept.with_name(f"{SITE_TEXT}.part")
        try:
            write_durably(part, text)
            if kept.exists():
                kept.replace(kept.with_name(f"{SITE_TEXT}.before"))
            part.replace(kept)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ProvisionError("disk", file=str(kept), why=error.strerror or str(error)) from None
