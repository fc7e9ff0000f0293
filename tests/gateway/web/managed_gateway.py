"""A whole gateway with accounts and a browser on its pages, for tests of what leads and admins do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from cloud_sync.pages.pins import hash_pin
from gateway.config import Config, load_config
from tests.gateway.cores.belt_talk import SERIAL
from tests.gateway.small_gateway import Talk, running

PIN = "4827"
HASH = hash_pin(PIN)


def managed(folder: Path, *, accounts: bool = True, more: str = "", overrides: str = "") -> Config:
    """Bed 101-1 with a belt, bed 101-2 without; accounts named like their roles."""
    roles = ("carer", "lead", "technician", "admin") if accounts else ()
    listed = ", ".join(f'{{ name = "{role}", role = "{role}", pin = "{HASH}" }}' for role in roles)
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nid = "gw-01"\ndata_dir = "data"\ntime_trust = "always"\n'
        f'[web]\nhost = "127.0.0.1"\nport = 0\nlanguage = "en"\naccounts = [{listed}]\n{more}'
        f'[[beds]]\nlabel = "101-1"\nroom = "101"\nserial = "{SERIAL.hex()}"\nkey = "{"11" * 16}"\n'
        f'[beds.overrides]\n{overrides or "settle_s = 30"}\n'
        '[[beds]]\nlabel = "101-2"\nroom = "101"\nprofile = "independent"\n',
        "utf-8",
    )
    file.chmod(0o600)
    return load_config(file)


class Browser:
    """An HTTP client that fills in forms."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, path: str, form_path: str | None = None, **fields: str) -> httpx.Response:
        """Send the form of `form_path` (default: the same path) with its CSRF token."""
        csrf = csrf_of((await self.client.get(form_path or path)).text)
        return await self.client.post(path, data={"csrf": csrf, **fields})

    async def sign_in(self, account: str, pin: str = PIN) -> httpx.Response:
        return await self.post("/login", account=account, pin=pin, back="/")


def csrf_of(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', page)
    assert found
    return found[1]


@asynccontextmanager
async def browsing(config: Config, account: str | None = None) -> AsyncIterator[tuple[Browser, Talk]]:
    """The gateway runs; the browser is signed in as `account`."""
    async with running(config) as talk, httpx.AsyncClient(base_url=talk.gateway.page, timeout=20) as client:
        browser = Browser(client)
        if account is not None:
            assert (await browser.sign_in(account)).status_code == 303
        yield browser, talk


def form(**changes: str) -> dict[str, str]:
    """A settings form: every day 21:00 to 07:00, ten minutes."""
    fields = {"profile": "standard", "hours": "own", "allowed": "10", "why": "asked by the family", "do": "save"}
    fields |= {"w0_start": "21:00", "w0_end": "07:00", "w0_allowed": ""}
    fields |= {f"w0_day{day}": "on" for day in "1234567"}
    return {**fields, **changes}
