"""Settings of one page server (`[web]` on the gateway, `[receiver.web]` on the platform), checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloud_sync.pages.pins import PIN_HASH_PREFIX

ROLES = ("carer", "lead", "technician", "admin", "display")
LANGUAGES = ("zh", "en")
THEMES = ("auto", "light", "dark")
ACCOUNTS_MAX = 200


class SettingsError(ValueError):
    """A setting is wrong; the message names its key, what was found and what is allowed."""


@dataclass(frozen=True)
class Account:
    """One sign-in: a short account name of the staff (never a resident's), its role, and the hash of its PIN."""

    name: str
    role: str
    pin: str  # as `pins.hash_pin` returns it


@dataclass(frozen=True)
class WebSettings:
    """How one page server listens, who may sign in, and how it looks before anyone chooses."""

    host: str = "127.0.0.1"
    port: int = 8080
    open_access: bool = False  # demonstration: anyone on loopback acts as a carer
    view_requires_sign_in: bool = False
    language: str = "zh"
    theme: str = "auto"
    timezone: str = "Asia/Shanghai"
    allowed_hosts: tuple[str, ...] = ()  # names and addresses in the Host header; empty: any
    tls_certificate: str | None = None
    tls_key: str | None = None
    session_idle_s: int = 1800
    session_max_s: int = 12 * 3600
    streams_max: int = 64
    accounts: tuple[Account, ...] = ()

    @property
    def https(self) -> bool:
        """True if the server itself speaks TLS, so that cookies may be bound to it."""
        return self.tls_certificate is not None


_LIMITS = {
    "port": (0, 65_535),
    "session_idle_s": (60, 86_400),
    "session_max_s": (300, 604_800),
    "streams_max": (1, 1000),
}
_CHOICES = {"language": LANGUAGES, "theme": THEMES}


def parse_web_settings(table: Mapping[str, Any], where: str = "web", **defaults: Any) -> WebSettings:
    """Settings from a TOML table; `defaults` replace built-in ones. Raises SettingsError naming `where.key`."""
    values: dict[str, Any] = dict(defaults)
    known = WebSettings.__dataclass_fields__
    for key, value in table.items():
        path = f"{where}.{key}"
        if key not in known:
            raise SettingsError(f"{path}: no such setting; there are: {', '.join(sorted(known))}")
        if key == "accounts":
            values[key] = _accounts(value, path)
        elif key == "allowed_hosts":
            values[key] = _hosts(value, path)
        elif key in _LIMITS:
            values[key] = _whole(value, path, *_LIMITS[key])
        elif key in ("open_access", "view_requires_sign_in"):
            if not isinstance(value, bool):
                raise SettingsError(f"{path}: {value!r} is not true or false")
            values[key] = value
        else:
            values[key] = _text(value, path, _CHOICES.get(key))
    settings = WebSettings(**values)
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError(f"{where}.tls_certificate and {where}.tls_key: give both or neither")
    return settings


def _whole(value: object, path: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SettingsError(f"{path}: {value!r} is not a whole number from {least} to {most}")
    return value


def _text(value: object, path: str, choices: tuple[str, ...] | None) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{path}: {value!r} is not a text")
    if choices and value not in choices:
        raise SettingsError(f"{path}: {value!r} is none of {', '.join(choices)}")
    return value


def _hosts(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{path}: {value!r} is not a list of host names")
    return tuple(_text(host, f"{path}[{index}]", None).lower() for index, host in enumerate(value))


def _accounts(value: object, path: str) -> tuple[Account, ...]:
    if not isinstance(value, list) or len(value) > ACCOUNTS_MAX:
        raise SettingsError(f"{path}: not a list of at most {ACCOUNTS_MAX} accounts, each with name, role and pin")
    accounts: list[Account] = []
    for index, entry in enumerate(value):
        here = f"{path}[{index}]"
        if not isinstance(entry, Mapping) or set(entry) != {"name", "role", "pin"}:
            raise SettingsError(f"{here}: an account has exactly name, role and pin")
        name = _text(entry["name"], f"{here}.name", None)
        if len(name) > 40 or any(account.name == name for account in accounts):
            raise SettingsError(f"{here}.name: {name!r} is given twice or longer than 40 characters")
        pin = _text(entry["pin"], f"{here}.pin", None)
        if not pin.startswith(PIN_HASH_PREFIX):
            # The value is not repeated: it may be a PIN somebody typed in clear.
            raise SettingsError(f"{here}.pin: not a hash ({PIN_HASH_PREFIX}...); a PIN is never stored in clear")
        accounts.append(Account(name, _text(entry["role"], f"{here}.role", ROLES), pin))
    return tuple(accounts)
