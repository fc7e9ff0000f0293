"""Settings of the receiver: the `[receiver]` table of a TOML file, checked key by key."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud_sync.mqtt import BrokerUrlError, parse_broker_url
from cloud_sync.pages.settings import SettingsError, WebSettings, parse_web_settings
from cloud_sync.receiver.hook_events import EVENTS
from cloud_sync.secret_file import SecretFileError, read_secrets
from cloud_sync.webhook import WebhookUrlError, check_url, shown_url

__all__ = [
    "HookSettings",
    "ReceiverSettings",
    "SettingsError",
    "parse_host_port",
    "parse_receiver_settings",
    "read_settings",
]

DATABASE = "receiver.db"
NAME_KEY = "names.key"
COMMAND_KEY = "command.key"
_TEXT_KEYS = (
    "data", "database", "broker", "broker_tls", "embedded_broker", "http", "api_token", "gateway_token", "residents",
    "authority",
)  # fmt: skip
_TABLES = ("web", "webhooks")
TOKEN_CHARACTERS_MIN = 16
WEBHOOKS_MAX = 16


@dataclass(frozen=True)
class HookSettings:
    """One of `[[receiver.webhooks]]`; its URL may hold a key and is never shown whole."""

    name: str  # what its deliveries go by
    url: str
    secret_file: Path  # one line, or two while the secret is being changed; read anew at each try
    events: tuple[str, ...] = EVENTS

    def __str__(self) -> str:
        return f"webhook {self.name} ({shown_url(self.url)})"


@dataclass(frozen=True)
class ReceiverSettings:
    """Where the receiver keeps, listens and connects."""

    data: Path
    broker: str = "mqtt://127.0.0.1:1883"
    embedded_broker: tuple[str, int] | None = None  # started by us; `broker` then is its address
    api_token: str | None = None
    gateway_token: str | None = None  # gateways may POST batches with it; without one that way is shut
    residents: Path | None = None
    authority: Path | None = None  # folder of the site's authority; with it gateways can enrol and renew here
    broker_tls: Path | None = None  # folder of our own certificate for an mqtts:// broker (sleepbelt authority broker)
    postgres: str | None = None  # URL; without one an SQLite file in `data` is the database
    web: WebSettings = field(default_factory=WebSettings)
    webhooks: tuple[HookSettings, ...] = ()

    @property
    def database(self) -> Path | str:
        """The SQLite file, or the URL of PostgreSQL."""
        return self.postgres or self.data / DATABASE

    @property
    def database_shown(self) -> str:
        """The same for people, without a password."""
        return re.sub(r"//[^/]*@", "//", self.postgres) if self.postgres else str(self.data / DATABASE)

    @property
    def name_key(self) -> Path:
        return self.data / NAME_KEY


def parse_host_port(text: str, where: str) -> tuple[str, int]:
    """("127.0.0.1", 8090) from "127.0.0.1:8090" or "[::1]:8090"; SettingsError names `where`."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) <= 65_535) or not host.strip("[]"):
        raise SettingsError(f"{where}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def read_settings(path: Path, data: Path | None = None) -> ReceiverSettings:
    """Settings of a TOML file, `data` in place of its own; SettingsError names the file or the key."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    table = document.get("receiver")
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: the table [receiver] is missing")
    if data is not None:
        table = {**table, "data": str(data.absolute())}
    return parse_receiver_settings(table, path.parent)


def parse_receiver_settings(table: Mapping[str, Any], folder: Path) -> ReceiverSettings:
    """Settings of a `[receiver]` table; relative paths start at `folder`."""
    if unknown := set(table) - {*_TEXT_KEYS, *_TABLES}:
        there = ", ".join([*sorted(_TEXT_KEYS), *_TABLES])
        raise SettingsError(f"receiver.{sorted(unknown)[0]}: no such setting; there are: {there}")
    texts = {key: _text(table[key], f"receiver.{key}") for key in _TEXT_KEYS if key in table}
    if "data" not in texts:
        raise SettingsError("receiver.data: the folder of the database is missing")
    web = table.get("web", {})
    if not isinstance(web, Mapping):
        raise SettingsError("receiver.web: not a table")
    host, port = parse_host_port(texts.get("http", "127.0.0.1:8090"), "receiver.http")
    token = texts.get("api_token")
    if token is not None and len(token) < TOKEN_CHARACTERS_MIN:
        raise SettingsError(f"receiver.api_token: shorter than {TOKEN_CHARACTERS_MIN} characters")
    if len(texts.get("gateway_token", "x" * TOKEN_CHARACTERS_MIN)) < TOKEN_CHARACTERS_MIN:
        raise SettingsError(f"receiver.gateway_token: shorter than {TOKEN_CHARACTERS_MIN} characters")
    embedded = texts.get("embedded_broker")
    return checked(
        ReceiverSettings(
            data=folder / texts["data"],
            broker=texts.get("broker", "mqtt://127.0.0.1:1883"),
            embedded_broker=parse_host_port(embedded, "receiver.embedded_broker") if embedded else None,
            api_token=token,
            gateway_token=texts.get("gateway_token"),
            residents=folder / texts["residents"] if "residents" in texts else None,
            authority=folder / texts["authority"] if "authority" in texts else None,
            broker_tls=folder / texts["broker_tls"] if "broker_tls" in texts else None,
            postgres=texts.get("database"),
            web=parse_web_settings({"host": host, "port": port, **web}, "receiver.web"),
            webhooks=_webhooks(table.get("webhooks", []), folder),
        ),
        has_broker="broker" in texts,
    )


def checked(settings: ReceiverSettings, has_broker: bool) -> ReceiverSettings:
    """The settings with the broker's address settled and checked."""
    if settings.postgres is not None and not settings.postgres.startswith(("postgresql://", "postgres://")):
        raise SettingsError("receiver.database: not postgresql://user:password@host:port/name")  # it may be a secret
    if settings.embedded_broker is not None:
        if has_broker:
            raise SettingsError("receiver.broker and receiver.embedded_broker: give one of them")
        host, port = settings.embedded_broker
        if port == 0:
            raise SettingsError("receiver.embedded_broker: a broker needs a port of its own, not 0")
        reachable = "127.0.0.1" if host == "0.0.0.0" else host
        broker = f"mqtt://[{reachable}]:{port}" if ":" in reachable else f"mqtt://{reachable}:{port}"
        return ReceiverSettings(**{**vars(settings), "broker": broker})
    try:
        parse_broker_url(settings.broker)
    except BrokerUrlError as error:
        raise SettingsError(f"receiver.broker: {error}") from error
    return settings


def _webhooks(tables: Any, folder: Path) -> tuple[HookSettings, ...]:
    if not isinstance(tables, list) or len(tables) > WEBHOOKS_MAX:
        raise SettingsError(f"receiver.webhooks: at most {WEBHOOKS_MAX} tables [[receiver.webhooks]] belong there")
    hooks = [_webhook(table, f"receiver.webhooks[{index}]", folder) for index, table in enumerate(tables)]
    if len({hook.name for hook in hooks}) != len(hooks):
        raise SettingsError("receiver.webhooks: two of them have the same name")
    return tuple(hooks)


def _webhook(table: Any, where: str, folder: Path) -> HookSettings:
    known = {"name", "url", "secret_file", "events"}
    if not isinstance(table, Mapping) or not known - {"events"} <= set(table) <= known:
        raise SettingsError(f"{where}: name, url and secret_file belong there, and perhaps events")
    events = table.get("events", list(EVENTS))
    if not isinstance(events, list) or not events or not set(events) <= set(EVENTS):
        raise SettingsError(f"{where}.events: some of {', '.join(EVENTS)} belong there")
    name = _text(table["name"], f"{where}.name")
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        raise SettingsError(f"{where}.name: 1 to 64 letters, digits, dots, dashes or underscores")
    file = folder / _text(table["secret_file"], f"{where}.secret_file")
    try:
        url = check_url(table["url"], f"{where}.url")
        read_secrets(file)
    except WebhookUrlError as error:
        raise SettingsError(str(error)) from error
    except SecretFileError as error:
        raise SettingsError(f"{where}.secret_file: {error}") from error
    return HookSettings(name, url, file.absolute(), tuple(events))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{where}: not a text")  # the value may be a secret
    return value
