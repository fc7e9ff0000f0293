"""Who is signed in, and how often signing in may be tried. Pure: `now_s` comes in, on a clock that never steps.

A signed-in session is a random token in a cookie; the server keeps only its hash. The CSRF token of any cookie,
signed in or not, is a keyed hash of it, so visitors who never sign in cost no memory and cannot push others out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from cloud_sync.pages.settings import Account

SESSIONS_MAX = 256
_TOKEN_BYTES = 32
# A screen on the wall has nobody to sign it in each morning; its role sees no more than a passer-by may.
DISPLAY_ROLE, DISPLAY_MAX_S = "display", 90 * 86_400


@dataclass
class _Session:
    account: Account
    began_s: float
    used_s: float


class SessionStore:
    """Signed-in sessions of one server, at most `SESSIONS_MAX`; the longest unused gives way to a new one."""

    def __init__(self, idle_s: float, max_s: float) -> None:
        self._idle_s, self._max_s = idle_s, max_s
        self._secret = secrets.token_bytes(_TOKEN_BYTES)
        self._sessions: dict[bytes, _Session] = {}

    def begin(self, account: Account, now_s: float) -> str:
        """A new token for an account that has just proved its PIN; never a token the browser brought (fixation)."""
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used_s)]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._sessions[_digest(token)] = _Session(account, now_s, now_s)
        return token

    def account(self, token: str | None, now_s: float, *, touch: bool) -> Account | None:
        """The account of a live session, else None. `touch` is False for streams: watching is not using."""
        if not token:
            return None
        key = _digest(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        is_display = session.account.role == DISPLAY_ROLE
        idle_s, max_s = (DISPLAY_MAX_S, DISPLAY_MAX_S) if is_display else (self._idle_s, self._max_s)
        if now_s - session.used_s > idle_s or now_s - session.began_s > max_s:
            del self._sessions[key]
            return None
        if touch:
            session.used_s = now_s
        return session.account

    def end(self, token: str | None) -> None:
        """Forgets a session; one that is not there is no error."""
        if token:
            self._sessions.pop(_digest(token), None)

    def keep(self, accounts: Iterable[Account]) -> None:
        """Forgets the sessions of all accounts but these; a changed role or PIN makes another account."""
        kept = set(accounts)
        self._sessions = {key: session for key, session in self._sessions.items() if session.account in kept}

    def csrf(self, token: str) -> str:
        """The CSRF token that belongs to a cookie value."""
        return hmac.new(self._secret, token.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def csrf_matches(self, token: str | None, offered: str | None) -> bool:
        """True if `offered` belongs to the cookie `token`."""
        if not token or not offered:
            return False
        return hmac.compare_digest(self.csrf(token).encode(), offered.encode("utf-8", "surrogatepass"))


def anonymous_token() -> str:
    """A cookie value for a visitor who is not signed in."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass
class _Tries:
    failures: int = 0
    blocked_until_s: float = 0.0
    last_s: float = 0.0


class LoginLimiter:
    """Slows guessing of PINs: after `free` failures each further one doubles the wait, up to `wait_max_s`.

    A try counts as a failure from its start until `succeeded`, so that parallel tries gain nothing. Keys are an address
    or an account; at most `KEYS_MAX` are remembered, the oldest go first. A key quiet for `forget_s` starts afresh.
    """

    KEYS_MAX = 1024

    def __init__(self, free: int, wait_s: float = 15.0, wait_max_s: float = 900.0, forget_s: float = 3600.0) -> None:
        self._free, self._wait_s, self._wait_max_s, self._forget_s = free, wait_s, wait_max_s, forget_s
        self._keys: dict[str, _Tries] = {}

    def try_now(self, key: str, now_s: float) -> float:
        """Counts a try; returns 0 if it may go on, else the seconds to wait (a blocked try is not counted)."""
        tries = self._keys.get(key)
        if tries is not None and now_s - tries.last_s > self._forget_s:
            tries = None
        if tries is None:
            self._keys.pop(key, None)
            while len(self._keys) >= self.KEYS_MAX:
                del self._keys[next(iter(self._keys))]
            tries = self._keys[key] = _Tries()
        if now_s < tries.blocked_until_s:
            return tries.blocked_until_s - now_s
        tries.failures += 1
        tries.last_s = now_s
        over = tries.failures - self._free
        if over >= 0:
            tries.blocked_until_s = now_s + min(self._wait_max_s, self._wait_s * 2.0 ** min(over, 20))
        return 0.0

    def succeeded(self, key: str) -> None:
        """The try was right: earlier failures of this key are forgotten."""
        self._keys.pop(key, None)
