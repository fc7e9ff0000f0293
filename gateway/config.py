"""`gateway.toml`: one file, validated wholly before anything starts; every error names its key.

The tables below are the one truth of names, defaults and limits; docs/configuration.md explains them for people.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cloud_sync.pages.settings import SettingsError, WebSettings, parse_web_settings
from gateway import config_checks as checks
from gateway.alerter_config import ALERTER, AlerterConfig, read_alerter
from gateway.config_outlets import HOME_ASSISTANT, STATISTICS, read_webhooks
from gateway.config_problems import ConfigError, Problem
from gateway.cores.night_facts import NIGHT_WINDOW
from gateway.cores.profile import SHIPPED, Profile, ProfileError
from gateway.outlets import HomeAssistantConfig, WebhookConfig
from protocol.phrase import Phrase

__all__ = [
    "RETENTION_CLASSES",
    "SITE_TEXT",
    "AlerterConfig",
    "BedConfig",
    "Config",
    "ConfigError",
    "GatewayConfig",
    "Problem",
    "RadioConfig",
    "UplinkConfig",
    "check_config",
    "gateway_identity",
    "load_config",
    "load_raw",
    "others_may_read",
]

BEDS_MAX = 64
TLS_DIR = "tls"  # below data_dir
SITE_TEXT = "site.toml"
"""Below data_dir: the site file that was put in force on the page. It stands above the configuration file."""
LABEL_CHARS_MAX = 32
RETENTION_CLASSES = ("presence", "vitals", "nights")
"""In and out of bed with its alarms; readings and minutes; reports of nights."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    id: str
    timezone: str
    data_dir: Path
    time_trust: str  # auto | always
    retention: Mapping[str, int]  # days, by RETENTION_CLASSES
    update_keys: Path  # folder of the keys that may sign updates


@dataclass(frozen=True, slots=True)
class RadioConfig:
    backend: str
    adapter: str
    connections_max: int  # of each adapter
    adapters: tuple[str, ...] = ()  # several instead of the one
    recovery: str = "adapter"  # highest rung of cores/radio_ladder.py that may be taken


@dataclass(frozen=True, slots=True)
class BedConfig:
    """A bed and its belt; `serial` and `key` are None where no belt is bound yet."""

    label: str
    room: str
    profile_name: str
    profile: Profile
    serial: bytes | None  # 8 bytes
    key: bytes | None  # 16 bytes: the claim secret of the belt's label, or the bound key
    overrides: Mapping[str, Any] = field(default_factory=dict)  # as written; `profile` has them merged
    night_window: tuple[time, time] = NIGHT_WINDOW  # which rest is the night (local); not the leave-bed rule's windows


@dataclass(frozen=True, slots=True)
class UplinkConfig:
    url: str  # may hold a password: never shown
    flush_s: float  # how long vitals wait for company
    http_url: str | None = None  # where the same batches go by POST while the broker is out of reach
    http_token: str | None = None
    tls_dir: Path | None = None  # where `sleepbelt enrol` keeps this gateway's certificate
    platform_key: bytes | None = None  # its commands are signed with it; without one none is taken


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; `warnings` are things that work but should be mended."""

    file: Path
    gateway: GatewayConfig
    radio: RadioConfig
    beds: tuple[BedConfig, ...]
    web: WebSettings
    uplink: UplinkConfig | None
    alerter: AlerterConfig
    home_assistant: HomeAssistantConfig | None
    webhooks: tuple[WebhookConfig, ...]
    shifts: tuple[int, ...]  # starts, in minutes of the day
    warnings: tuple[str, ...]


def gateway_identity(gateway_id: str) -> bytes:
    """The 8 bytes by which belts know this gateway (protocol/wire/session.py), derived from its configured id."""
    return hashlib.sha256(gateway_id.encode()).digest()[:8]


def load_config(file: Path) -> Config:
    """The validated configuration in `file`, with the page's site file in force; ConfigError with every problem.

    A site file that does not fit any more (the configuration was edited since, the card is dying) is a warning: the
    configuration file alone is in force then.
    """
    return _load(file)[1]


def load_raw(file: Path, *, uploaded: bool = True) -> dict[str, Any]:
    """What `load_config` reads, as written; without `uploaded` the configuration file alone."""
    return _load(file)[0] if uploaded else _toml(file)


def check_config(file: Path, raw: Mapping[str, Any]) -> Config:
    """The configuration that `raw` would be in `file`; ConfigError with every problem."""
    return _Reader(file, raw).config()


def _load(file: Path) -> tuple[dict[str, Any], Config]:
    raw = _toml(file)
    config = check_config(file, raw)
    uploaded = config.gateway.data_dir / SITE_TEXT
    try:
        text = uploaded.read_text("utf-8")
    except FileNotFoundError:
        return raw, config
    except (OSError, UnicodeDecodeError) as error:
        return raw, _warned(config, f"{uploaded}: {error}")
    from gateway.site_toml import as_configuration, parse_site

    try:
        above = as_configuration(parse_site(text, uploaded), raw)
        return above, check_config(file, above)
    except ConfigError as error:
        return raw, _warned(config, str(error).replace("\n", " "))


def _warned(config: Config, why: str) -> Config:
    said = Phrase("{why}; the site file of the page is not in force, upload it again", why=why)
    return replace(config, warnings=(*config.warnings, said))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(file, [Problem("file", Phrase("none"), Phrase(
            "write one (docs/configuration.md has a sample)"))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, [Problem(
            "file", str(error), Phrase("a readable UTF-8 text file belongs there"))]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [Problem("file", str(error), Phrase("TOML syntax: https://toml.io"))]) from None


# key -> (check, default)
_GATEWAY: checks.Keys = {
    "id": (checks.text(32, r"[A-Za-z0-9._-]+", Phrase("letters, digits, '.', '_' and '-'")), checks.REQUIRED),
    "timezone": (checks.zone, "Asia/Shanghai"),
    "data_dir": (checks.text(4096), checks.REQUIRED),
    "time_trust": (checks.choice("auto", "always"), "auto"),
    "retention_days": (checks.whole(1, 3650), 90),
    "retention": (checks.wholes(RETENTION_CLASSES, 1, 3650), MappingProxyType({})),
    "update_keys": (checks.text(4096), "/etc/sleepbelt/update-keys.d"),
}
_RADIO: checks.Keys = {
    "backend": (checks.text(32, r"[a-z0-9_-]+", Phrase("the name of an installed radio, such as bluez")), "bluez"),
    "adapter": (checks.text(256, r".*", Phrase("an adapter")), ""),
    "connections_max": (checks.whole(1, 64), 5),
    "adapters": (checks.texts(8, 256), ()),
    "recovery": (checks.choice("power", "daemon", "adapter", "reboot"), "adapter"),
}
_LABEL = r"[^\s/?#&<>\"'.][^/?#&<>\"']*"
_BED: checks.Keys = {
    "label": (checks.text(LABEL_CHARS_MAX, _LABEL, Phrase("a bed's label (no / ? # & < > or quotes)")),
              checks.REQUIRED),
    "room": (checks.text(LABEL_CHARS_MAX), ""),
    "profile": (checks.text(64), "standard"),
    "serial": (checks.hexadecimal(8, Phrase("the belt's serial")), None),
    "key": (checks.hexadecimal(16, Phrase("the belt's key")), None),
    "key_file": (checks.text(4096), None),
    "overrides": (lambda value: value, None),
    "night_window": (checks.night_window, NIGHT_WINDOW),
}
_UPLINK: checks.Keys = {
    "url": (checks.mqtt_url, checks.REQUIRED),
    "flush_s": (checks.whole(1, 3600), 300),
    "http_url": (checks.text(2048, r"https?://[^\s/]+(/\S*)?", Phrase("an address such as https://care.example")),
                 None),
    "http_token_file": (checks.text(4096), None),
    "tls_dir": (checks.text(4096), None),
    "platform_key": (checks.hexadecimal(32, Phrase("the key that the receiver prints as platform_key")), None),
}
_SECTIONS = ("gateway", "radio", "beds", "web", "uplink", "alerter", "home_assistant", "webhooks", "statistics")


class _Reader:
    """One pass over the raw file that collects problems instead of stopping at the first."""

    def __init__(self, file: Path, raw: Mapping[str, Any]) -> None:
        self._file = file
        self._raw = raw
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    def config(self) -> Config:
        for name in self._raw:
            if name not in _SECTIONS:
                allowed = Phrase("sections are {names}{meant}", names=", ".join(_SECTIONS),
                                 meant=checks.meant(name, _SECTIONS))
                self._bad(name, Phrase("an unknown section"), allowed)
        gateway = self._section("gateway", _GATEWAY)
        radio = self._section("radio", _RADIO)
        if radio.get("adapter") and radio.get("adapters"):
            self._bad("radio.adapters", Phrase("both adapter and adapters"), Phrase("one of the two"))
        uplink = self._section("uplink", _UPLINK) if "uplink" in self._raw else None
        home_assistant = self._section("home_assistant", HOME_ASSISTANT) if "home_assistant" in self._raw else None
        webhooks = read_webhooks(self._raw.get("webhooks", []), self._file.parent, self._table, self._bad)
        statistics = self._section("statistics", STATISTICS)
        http_token = self._http_token(uplink)
        beds = self._beds()
        alerter = read_alerter(self._section("alerter", ALERTER), self._table, self._bad, self._labels())
        web = self._web(str(gateway.get("timezone", "UTC")))
        if self._problems:
            raise ConfigError(self._file, self._problems)
        if not web.open_access and not web.accounts:
            self._warnings.append(Phrase(
                "web.accounts is empty: unless one was made at /setup, nobody can answer alarms"))
        return Config(
            file=self._file,
            gateway=GatewayConfig(**{
                **{name: value for name, value in gateway.items() if name != "retention_days"},
                "data_dir": self._path(gateway["data_dir"]), "update_keys": self._path(gateway["update_keys"]),
                "retention": {**dict.fromkeys(RETENTION_CLASSES, gateway["retention_days"]), **gateway["retention"]},
            }),
            radio=RadioConfig(**radio),
            beds=tuple(beds),
            web=self._web_paths(web),
            uplink=None if uplink is None else UplinkConfig(
                uplink["url"], float(uplink["flush_s"]), uplink["http_url"], http_token,
                self._path(uplink["tls_dir"]) or self._path(gateway["data_dir"]) / TLS_DIR,
                uplink["platform_key"],
            ),
            alerter=replace(alerter, relay_socket=self._path(alerter.relay_socket)),
            home_assistant=None if home_assistant is None else HomeAssistantConfig(**home_assistant),
            webhooks=webhooks,
            shifts=statistics["shifts"],
            warnings=tuple(self._warnings),
        )

    def _http_token(self, uplink: Mapping[str, Any] | None) -> str | None:
        """The token that goes with uplink.http_url, from its file; both or neither."""
        url, name = (uplink or {}).get("http_url"), (uplink or {}).get("http_token_file")
        if (url is None) != (name is None):
            missing = "http_url" if url is None else "http_token_file"
            self._bad(f"uplink.{missing}", Phrase("nothing"), Phrase("http_url and http_token_file go together"))
        if url is None or name is None:
            return None
        try:
            token = (self._file.parent / str(name)).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._bad("uplink.http_token_file", str(error), Phrase(
                "a file that holds the receiver's gateway token"))
            return None
        if not token:
            self._bad("uplink.http_token_file", Phrase("an empty file"), Phrase(
                "a file that holds the receiver's gateway token"))
        return token

    def _bad(self, path: str, found: str, allowed: str) -> None:
        self._problems.append(Problem(path, found, allowed))

    def _path(self, text: Any) -> Any:
        """A path of the file, relative to the file's folder; None stays None."""
        return None if text is None else (self._file.parent / text).absolute()

    def _web_paths(self, web: WebSettings) -> WebSettings:
        if not web.https:
            return web
        return replace(web, tls_certificate=str(self._path(web.tls_certificate)), tls_key=str(self._path(web.tls_key)))

    def _section(self, name: str, keys: checks.Keys) -> dict[str, Any]:
        raw = self._raw.get(name, {})
        if not isinstance(raw, dict):
            self._bad(name, _shown(raw), Phrase("a section: [{name}]", name=name))
            return {}
        return self._table(name, raw, keys)

    def _table(self, path: str, raw: Mapping[str, Any], keys: checks.Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key in raw:
            if key not in keys:
                allowed = Phrase("keys here are {names}{meant}", names=", ".join(keys),
                                 meant=checks.meant(key, list(keys)))
                self._bad(f"{path}.{key}", Phrase("an unknown key"), allowed)
        for key, (check, default) in keys.items():
            if key in raw:
                try:
                    values[key] = check(raw[key])
                except checks.NotAllowed as error:
                    self._bad(f"{path}.{key}", Phrase("a text that is not shown") if _secret(key) else _shown(raw[key]),
                              Phrase("allowed: {error}", error=error))
            elif default is checks.REQUIRED:
                self._bad(f"{path}.{key}", Phrase("nothing"), Phrase("this key is required"))
            else:
                values[key] = default
        return values

    def _beds(self) -> list[BedConfig]:
        raw_beds = self._raw.get("beds")
        if raw_beds == []:
            self._warnings.append(Phrase(
                "no bed yet: give the gateway its site file (page /provision, or provision setup)"))
            return []
        if not isinstance(raw_beds, list) or len(raw_beds) > BEDS_MAX:
            found = Phrase("nothing") if raw_beds is None else _shown(raw_beds) if not isinstance(raw_beds, list) else \
                Phrase("{count} beds", count=len(raw_beds))
            self._bad("beds", found, Phrase(
                "1 to {beds_max} tables [[beds]]; beds = [] for none yet",
                beds_max=BEDS_MAX))
            return []
        beds: list[BedConfig] = []
        labels: dict[str, str] = {}
        serials: dict[bytes, str] = {}
        for index, raw in enumerate(raw_beds):
            path = f"beds[{index}]"
            if not isinstance(raw, dict):
                self._bad(path, _shown(raw), Phrase("a table [[beds]]"))
                continue
            values = self._table(path, raw, _BED)
            label, serial = values.get("label"), values.get("serial")
            self._unique(labels, label, f"{path}.label")
            self._unique(serials, serial, f"{path}.serial")
            profile = self._profile(path, values)
            key = self._key(path, values)
            if serial is not None and values.get("key") is None and values.get("key_file") is None:
                self._bad(f"{path}.key", Phrase("nothing"), Phrase(
                    "with a serial goes key or key_file (the belt's label has it)"))
            if label is not None and profile is not None:
                beds.append(BedConfig(label, values.get("room", ""), values["profile"], profile, serial, key,
                                      values.get("overrides") or {}, values.get("night_window", NIGHT_WINDOW)))
        return beds

    def _labels(self) -> list[str]:
        """The beds' labels, also where something else is wrong with their tables."""
        raw_beds = self._raw.get("beds")
        tables = [bed for bed in raw_beds if isinstance(bed, dict)] if isinstance(raw_beds, list) else []
        return [bed["label"] for bed in tables if isinstance(bed.get("label"), str)]

    def _unique(self, seen: dict[Any, str], value: Any, path: str) -> None:
        if value is None:
            return
        if value in seen:
            shown = value.hex() if isinstance(value, bytes) else repr(value)
            self._bad(path, shown, Phrase("each only once; {seen} has it already", seen=seen[value]))
        seen[value] = path

    def _profile(self, path: str, values: Mapping[str, Any]) -> Profile | None:
        if "profile" not in values:
            return None
        overrides = values.get("overrides") or {}
        if not isinstance(overrides, dict):
            self._bad(f"{path}.overrides", _shown(overrides), Phrase(
                "a table of settings, such as { allowed_s = 600 }"))
            return None
        base = SHIPPED.get(values["profile"])
        if base is None:
            allowed = Phrase("one of {names}{meant}", names=", ".join(SHIPPED),
                             meant=checks.meant(values["profile"], list(SHIPPED)))
            self._bad(f"{path}.profile", _shown(values["profile"]), allowed)
            return None
        zone = self._raw["gateway"].get("timezone", _GATEWAY["timezone"][1]) if self._sound("gateway") else None
        with suppress(ProfileError):  # a wrong zone is reported where it stands
            base = base.merged({"timezone": zone}) if zone is not None else base
        try:
            return base.merged(overrides, f"{path}.overrides")
        except ProfileError as error:
            self._bad(error.field, "", Phrase("{code}: {reason}", code=error.code, reason=error.reason))
            return None

    def _sound(self, section: str) -> bool:
        return isinstance(self._raw.get(section), dict)

    def _key(self, path: str, values: Mapping[str, Any]) -> bytes | None:
        if values.get("key") is not None and values.get("key_file") is not None:
            self._bad(f"{path}.key_file", Phrase("a key file beside a key"), Phrase("only one of key and key_file"))
            return None
        if values.get("key") is not None:
            if _readable_by_others(self._file):
                warning = Phrase("{file} holds belt keys and others may read it: chmod 600 {file}", file=self._file)
                if warning not in self._warnings:
                    self._warnings.append(warning)
            key = values["key"]
            assert isinstance(key, bytes)
            return key
        if values.get("key_file") is None:
            return None
        file = self._path(values["key_file"])
        try:
            if _readable_by_others(file):
                self._bad(f"{path}.key_file", Phrase("{file}, which others may read", file=file), Phrase(
                    "do: chmod 600 {file}",
                    file=file))
                return None
            checked = checks.hexadecimal(16, Phrase("the belt's key"))(file.read_text("ascii").strip())
            assert isinstance(checked, bytes)
            return checked
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text"
            self._bad(f"{path}.key_file", Phrase("{file} ({reason})", file=file, reason=reason),
                      Phrase("a readable file with the belt's key"))
        except checks.NotAllowed as error:
            self._bad(f"{path}.key_file", Phrase("something else in {file}", file=file),
                      Phrase("allowed: {error}", error=error))
        return None

    def _web(self, timezone: str) -> WebSettings:
        """Each key by itself first, so that all problems are told; then all together."""
        raw = self._raw.get("web", {})
        if not isinstance(raw, dict):
            self._bad("web", _shown(raw), Phrase("a section: [web]"))
            return WebSettings()
        before = len(self._problems)
        for key, value in raw.items():
            if not key.startswith("tls_"):
                self._web_table({key: value}, timezone)
        if len(self._problems) == before:
            return self._web_table(raw, timezone)
        return WebSettings()

    def _web_table(self, table: Mapping[str, Any], timezone: str) -> WebSettings:
        try:
            return parse_web_settings(table, "web", host="0.0.0.0", timezone=timezone)
        except SettingsError as error:
            path, _, text = str(error).partition(": ")
            self._bad(path, "", text)
            return WebSettings()


def _secret(key: str) -> bool:
    return key in ("key", "url")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _readable_by_others(file: Path) -> bool:
    found = file.stat()
    return others_may_read(found.st_mode, found.st_uid, found.st_gid, os.getegid())


def others_may_read(mode: int, uid: int, gid: int, own_gid: int) -> bool:
    """By anybody but its owner and the service itself: a package makes it root's, for the service's own group."""
    is_own_group = uid == 0 and gid == own_gid != 0
    return bool(stat.S_IMODE(mode) & (stat.S_IROTH | (0 if is_own_group else stat.S_IRGRP)))
