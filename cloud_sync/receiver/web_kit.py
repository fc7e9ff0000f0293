"""What all pages of the platform share: who may see what, the live stream, names as shown, the record of views."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cloud_sync.pages.kit import Kit, Visitor
from cloud_sync.pages.language import Strings
from cloud_sync.pages.settings import WebSettings
from cloud_sync.pages.streams import Pieces, read_on_change
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.people import AuditRow
from cloud_sync.receiver.port import ReceiverPort, ResidentCard

SEE, DEVICES, WALL, STAFF, AUDIT = "residents", "devices", "wall", "staff", "audit"
SETTINGS, MANAGE, UPDATE = "settings", "manage", "update"
PERMISSIONS: dict[str, frozenset[str]] = {
    "carer": frozenset({SEE, DEVICES, WALL}),
    "lead": frozenset({SEE, DEVICES, WALL, AUDIT, SETTINGS, MANAGE}),
    "admin": frozenset({SEE, DEVICES, WALL, AUDIT, STAFF, SETTINGS, MANAGE, UPDATE}),
    "technician": frozenset({DEVICES, UPDATE}),  # no resident data
    "display": frozenset({WALL}),  # a screen on the floor: masked names only
}
REFRESH_S = 0.5  # a page is told at most twice a second, however fast the changes come
REREAD_S = 10.0  # that a gateway has gone silent is no change anybody tells
FOLD_S = 600.0  # a stream that is opened again (a connection was lost) is the same look
NOTED_MAX = 10_000
ID_CHARS_MAX = 64  # of a resident's id: a longer one is nobody's
State = TypeVar("State")
SCRIPT_TEXTS = ("common.hours_minutes", "common.minutes", "common.seconds")


@dataclass(frozen=True)
class Section:
    """One entry of the navigation."""

    path: str
    name: str  # site.NAME
    permission: str


SECTIONS = (
    Section("/residents", "residents", SEE),
    Section("/alarms", "alarms", SEE),
    Section("/handover", "handover", SEE),
    Section("/wall", "wall", WALL),
    Section("/devices", "devices", DEVICES),
    Section("/admissions", "admissions", MANAGE),
    Section("/accounts", "accounts", STAFF),
    Section("/audit", "audit", AUDIT),
)


class Desk:
    """The port, the frame around pages, and (where the receiver has them) the reads and records of a home."""

    def __init__(
        self, port: ReceiverPort, settings: WebSettings, home: Home | None, has_register: bool = False
    ) -> None:
        self.port, self.home = port, home
        self.kit = Kit("platform", settings, Path(__file__).parent, PERMISSIONS)
        shown = tuple(section for section in SECTIONS if has_register or section.permission != MANAGE)
        has_way_down = home is not None and home.commander is not None
        self.kit.share(sections=shown if home else (), commands=has_way_down)
        self._cards: Sequence[ResidentCard] = ()
        self._cards_began_s = -1.0
        self._reading = asyncio.Lock()
        self._noted: dict[tuple[str, str, str], float] = {}  # (account, kind, resident) -> when, monotonic

    def closed(self, request: Request, visitor: Visitor) -> Response:
        """Who is not signed in is sent to the form; a role without the right is told so."""
        if visitor.account is None:
            return RedirectResponse(f"/login?back={quote(request.url.path)}", 303)
        return self.kit.error(request, visitor, 403, "role")

    def front(self, visitor: Visitor) -> str:
        """The first page this visitor may see."""
        return next((section.path for section in SECTIONS if visitor.may(section.permission)), "/residents")

    async def note(self, visitor: Visitor, kind: str, resident_id: str = "", detail: str = "") -> None:
        """Keep that this visitor sees or does something, before they see it."""
        if self.home is not None and visitor.account is not None:
            who = visitor.account
            await self.home.note(AuditRow(self.port.now_utc_ms(), kind, who.name, who.role, resident_id, detail))
            if len(self._noted) >= NOTED_MAX:
                self._noted.clear()
            self._noted[who.name, kind, resident_id] = time.monotonic()

    async def note_stream(self, visitor: Visitor, kind: str, resident_id: str = "") -> None:
        """Keep a look at what goes on, unless it belongs to a page of theirs that was noted within FOLD_S."""
        account = "" if visitor.account is None else visitor.account.name
        if time.monotonic() - self._noted.get((account, kind, resident_id), -FOLD_S) >= FOLD_S:
            await self.note(visitor, kind, resident_id)

    async def fresh_cards(self) -> Sequence[ResidentCard]:
        """All residents, by a reading that began after this call: pages that wait for it share it."""
        asked_s = time.monotonic()
        async with self._reading:
            if self._cards_began_s < asked_s:
                began_s = time.monotonic()
                self._cards = await self.port.residents()
                self._cards_began_s = began_s
            return self._cards

    def stream(
        self,
        request: Request,
        permission: str,
        read: Callable[[], Awaitable[State]],
        pieces_of: Callable[[State, Strings], Pieces],
        concerns: Callable[[frozenset[str]], bool] = lambda touched: True,
    ) -> Response:
        """Fragments of a page, each sent again only when it has changed; pages of one address and language share it."""
        visitor = self.kit.visitor(request, touch=False)
        if not visitor.may(permission):
            return self.kit.error(request, visitor, 401, "sign_in")
        t = visitor.t

        def states() -> AsyncIterator[State]:
            return read_on_change(self.port.changes(), read, concerns, REFRESH_S, REREAD_S)

        return self.kit.streams.shared(
            (request.url.path, request.url.query, t.language),
            states,
            lambda state: pieces_of(state, t),
            lambda: {"elapsed_ms": self.port.now_utc_ms()},
            self.kit.watcher(request, permission),
        )


def masked(name: str) -> str:
    """A name as a screen in a corridor may show it: the first Han character, or initials; never more."""
    letters = [character for character in name.strip() if character.isalpha()]
    if not letters:
        return "＊"
    if "\u4e00" <= letters[0] <= "\u9fff":
        return letters[0] + "＊" * min(2, max(1, len(letters) - 1))
    words = [word for word in name.split() if any(character.isalpha() for character in word)]
    first = [next(character for character in word if character.isalpha()).upper() for word in (words[0], words[-1])]
    return f"{first[0]}." if len(words) == 1 else f"{first[0]}. {first[1]}."
