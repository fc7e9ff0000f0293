"""A site file: the few things only the site knows (gateway, zone, rooms and beds, channels), made into gateway.toml.

    [site]                      [channels]             [[rooms]]
    gateway = "gw-floor2"       buzzer_pin = 17        name = "101"
    timezone = "Asia/Shanghai"  light_pin = 27         beds = ["101-1", "101-2"]
                                                       profile = "standard"     # optional

`[channels]` has the keys of `[alerter]`, `[platform]` those of `[uplink]`; `[[webhooks]]`, `[home_assistant]`,
`[radio]` and `[web]` are as in gateway.toml. What comes out is checked as a whole, as `sleepbelt run
--check` would, and replaces the old configuration by renaming.
"""

from __future__ import annotations

import contextlib
import grp
import os
import shutil
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config import Config, ConfigError, Problem, load_config

__all__ = ["as_before", "configuration_text", "install", "read_site"]

SECTIONS = ("site", "channels", "webhooks", "home_assistant", "platform", "radio", "web", "rooms")
SITE_KEYS = ("gateway", "timezone", "data_dir", "retention_days")
ROOM_KEYS = ("name", "beds", "profile", "overrides")
DATA_DIR = "/var/lib/sleepbelt"
PACKAGE_GROUP = "sleepbelt"


def read_site(file: Path) -> dict[str, Any]:
    """The site file; ConfigError names what is wrong with it, a half-written one included."""
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(file, [Problem("file", "none", "write one; docs/provisioning.md has a sample")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, [Problem("file", str(error), "a readable UTF-8 text file belongs there")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [Problem("file", f"not whole or not TOML: {error}", "copy the file again")]) from None
    problems = [Problem(name, "an unknown section", f"sections are {', '.join(SECTIONS)}")
                for name in raw if name not in SECTIONS]
    site, rooms = raw.get("site"), raw.get("rooms")
    if not isinstance(site, dict) or not isinstance(site.get("gateway"), str):
        problems.append(Problem("site.gateway", "nothing", "the gateway's name is required"))
    else:
        problems += [Problem(f"site.{key}", "an unknown key", f"keys here are {', '.join(SITE_KEYS)}")
                     for key in site if key not in SITE_KEYS]
    if not isinstance(rooms, list) or not rooms:
        problems.append(Problem("rooms", "nothing", "at least one table [[rooms]]; was the file copied whole?"))
        rooms = []
    for number, room in enumerate(rooms):
        beds = room.get("beds") if isinstance(room, dict) else None
        if not isinstance(beds, list) or not beds or not all(isinstance(bed, str) and bed for bed in beds):
            problems.append(Problem(f"rooms[{number}].beds", "no beds", 'a list of labels such as ["101-1", "101-2"]'))
        elif unknown := [key for key in room if key not in ROOM_KEYS]:
            problems.append(Problem(f"rooms[{number}].{unknown[0]}", "an unknown key",
                                    f"keys here are {', '.join(ROOM_KEYS)}"))
    if problems:
        raise ConfigError(file, problems)
    return raw


def configuration_text(site: Mapping[str, Any]) -> str:
    """gateway.toml of a site file that `read_site` has passed."""
    gateway = {"id": site["site"]["gateway"], "data_dir": DATA_DIR,
               **{key: value for key, value in site["site"].items() if key != "gateway"}}
    lines = ["# Made by `sleepbelt provision setup`; docs/configuration.md explains every key."]
    for name, source in (("gateway", gateway), ("radio", site.get("radio")), ("web", site.get("web")),
                         ("alerter", site.get("channels")), ("home_assistant", site.get("home_assistant")),
                         ("uplink", site.get("platform"))):
        if source is not None:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in source.items())]
    for hook in site.get("webhooks", ()):
        lines += ["", "[[webhooks]]", *(f"{key} = {_toml(value)}" for key, value in hook.items())]
    for room in site["rooms"]:
        for bed in room["beds"]:
            values = {"label": bed, "room": str(room.get("name", "")),
                      **{key: room[key] for key in ("profile", "overrides") if key in room}}
            lines += ["", "[[beds]]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def install(site_file: Path, target: Path, *, replace: bool = False) -> Config:
    """Make `target` of the site file; the configuration as it will be read. ConfigError, FileExistsError, OSError.

    Until the last rename nothing has changed; the configuration that was there stays beside it as `.before`.
    """
    text = configuration_text(read_site(site_file))
    if target.exists() and not replace:
        raise FileExistsError(17, "there is a configuration already; --replace puts this one in its place", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that relative paths in it mean the same, and the rename stays within one file system.
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            load_config(part)
        except ConfigError as error:
            raise ConfigError(site_file, error.problems) from None
        as_before(part, target)
        if target.exists():
            shutil.copy2(target, target.with_name(f"{target.name}.before"))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return load_config(target)


def as_before(part: Path, target: Path) -> None:
    """Owner and mode of the file that is replaced; a first one may be read by the package's group, else the folder's.

    Root sets up what runs as a user of its own: a file for root alone would keep the gateway from starting.
    """
    known = target if target.exists() else target.parent
    status = known.stat()
    group = status.st_gid
    if known != target:
        with contextlib.suppress(KeyError):
            group = grp.getgrnam(PACKAGE_GROUP).gr_gid
    with contextlib.suppress(PermissionError):
        os.chown(part, status.st_uid if known == target else -1, group)
        part.chmod(stat.S_IMODE(status.st_mode) if known == target else 0o640)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        plain = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in plain) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f'{_toml(str(key))} = {_toml(each)}' for key, each in value.items()) + " }"
    return _toml(str(value))
